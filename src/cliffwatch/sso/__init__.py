"""Single sign-on: people sign in at the company's OpenID provider instead of with a password.

Takes the provider's settings and what comes back from it; gives a session. Checks state, nonce, PKCE and the token's
signature; never believes an e-mail that the provider has not verified.
"""

from cliffwatch.sso.flow import COOKIE, SingleSignOn, Started
from cliffwatch.sso.model import SsoRefused, SsoSettings, sso_settings

__all__ = ["COOKIE", "SingleSignOn", "SsoRefused", "SsoSettings", "Started", "sso_settings"]

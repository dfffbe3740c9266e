"""People, their roles, and what stands for them: sessions and API tokens; and the audit log.

Takes what people say of themselves (e-mail, password, cookie, token); gives an `Identity`: who asks, in which
workspace, in which role. Never keeps a password, cookie or token that could be used again, never knows HTTP.
"""

from cliffwatch.accounts.checks import countries, time_zones
from cliffwatch.accounts.model import (
    ApiToken,
    AuditEntry,
    Forbidden,
    Identity,
    Member,
    Permission,
    Person,
    Role,
    Scope,
    TooManyAttempts,
    Workspace,
)
from cliffwatch.accounts.sessions import ABSOLUTE_MS, SLIDING_MS
from cliffwatch.accounts.store import Accounts
from cliffwatch.accounts.tokens import SESSION_COOKIE

__all__ = [
    "ABSOLUTE_MS",
    "SESSION_COOKIE",
    "SLIDING_MS",
    "Accounts",
    "ApiToken",
    "AuditEntry",
    "Forbidden",
    "Identity",
    "Member",
    "Permission",
    "Person",
    "Role",
    "Scope",
    "TooManyAttempts",
    "Workspace",
    "countries",
    "time_zones",
]

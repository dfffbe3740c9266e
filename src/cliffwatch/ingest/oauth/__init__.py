"""OAuth for the tracking API: clients sign an assertion with their private key and get a token for a while."""

from cliffwatch.ingest.oauth.keys import OauthKeys
from cliffwatch.ingest.oauth.model import MadeKey, OauthKey
from cliffwatch.ingest.oauth.server import TokenServer

__all__ = ["MadeKey", "OauthKey", "OauthKeys", "TokenServer"]

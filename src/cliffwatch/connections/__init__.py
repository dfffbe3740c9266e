"""Connections: the integrations library, and how each of its entries is connected.

Takes what a person chooses (an integration, a name, Allow or Deny) and what other programs ask for in Segment's shape
(tokens, destinations); gives connections, each with a source whose events arrive through the ingest room, and delivers
the events of this installation's sources to the destinations that others made on them. Never keeps a half-made
connection, never writes a token, code or secret into a log, an address or an error, never judges an event.
"""

from cliffwatch.connections.delivery.service import Outgoing
from cliffwatch.connections.endpoints import PREFIX, endpoints
from cliffwatch.connections.library import LIBRARY, Integration, integration, search
from cliffwatch.connections.model import (
    App,
    Connection,
    Destination,
    Endpoints,
    Install,
    Method,
    NotAuthorised,
    Outcome,
    RemoteRefused,
)
from cliffwatch.connections.oauth.authorise import Authorisation, Callback
from cliffwatch.connections.oauth.server import Allowed, Refusal
from cliffwatch.connections.service import Connections

__all__ = [
    "LIBRARY",
    "PREFIX",
    "Allowed",
    "App",
    "Authorisation",
    "Callback",
    "Connection",
    "Connections",
    "Destination",
    "Endpoints",
    "Install",
    "Integration",
    "Method",
    "NotAuthorised",
    "Outcome",
    "Outgoing",
    "Refusal",
    "RemoteRefused",
    "endpoints",
    "integration",
    "search",
]

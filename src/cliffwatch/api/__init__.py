"""The versioned HTTP API, with its OpenAPI document.

Takes the services; gives an ASGI application to be mounted at `/api/v1`. Never decides: it checks who asks, checks the
shape of what they send, calls one service, and writes the change into the audit log. Every error is problem+json.
"""

from cliffwatch.api.app import create_api
from cliffwatch.limits import Rate

__all__ = ["Rate", "create_api"]

"""A Python client of the HTTP API. Takes an address and a token; gives JSON values, or raises ApiError.

    from cliffwatch.client import Client

    with Client("https://cliffwatch.example", "cw_...") as cliffwatch:
        for incident in cliffwatch.list_incidents():
            print(incident["headline"])

Its operations are written from the OpenAPI document by tools/make_client.py: they are those of the server of the same
version. It imports nothing of the server.
"""

from __future__ import annotations

from cliffwatch.client.api_all import Operations
from cliffwatch.client.transport import ApiError

__all__ = ["ApiError", "Client"]


class Client(Operations):
    """Every operation of the HTTP API of one server."""

"""The installation of the API's tests, asked by the Python client."""

from __future__ import annotations

import pytest
from tests.api.conftest import World, migrated, shared, world

from cliffwatch.client import Client

__all__ = ["migrated", "shared", "world"]


def client_of(world: World, scope: str = "admin") -> Client:
    return Client("http://testserver", world.home.tokens[scope], client=world.client, sleep=lambda _: None)


@pytest.fixture
def client(world: World) -> Client:
    return client_of(world)

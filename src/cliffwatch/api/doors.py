"""How events get into a source beside write keys: addresses that Segment delivers to, keys of OAuth clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from cliffwatch.api.auth import Admin
from cliffwatch.api.changes import note
from cliffwatch.api.paging import DEFAULT_LIMIT, Cursor, Limit, ascending
from cliffwatch.api.shapes import Body, Id, Moment, Name, Page, Shown, Text

if TYPE_CHECKING:
    from cliffwatch.services import Services

Secret = Annotated[
    Text, Field(max_length=200, description="Shared secret of the signatures; empty asks for none.", examples=[""])
]
Names = Annotated[
    list[Name], Field(max_length=20, description="Other names by which `integrations` means this destination.")
]


class AddressShown(Shown):
    """Where Segment delivers the events of a connected source."""

    id: Annotated[int, Field(examples=[1])]
    path: Annotated[str, Field(description="Address below this server; its last part is a secret.")]
    signing_secret: Secret
    destination_names: Names
    created_at: Annotated[Moment, Field(validation_alias="created_ms")]


class AddressGiven(Body):
    """An address to add. Everything may be left out."""

    signing_secret: Secret = ""


class AddressChange(Body):
    """What to change; what is left out stays."""

    signing_secret: Secret | None = None
    destination_names: Names | None = None


class OauthKeyShown(Shown):
    """A public key that clients of the source sign their assertions with."""

    id: Annotated[int, Field(examples=[1])]
    key_id: Annotated[str, Field(description="The `kid`.")]
    client_id: Annotated[str, Field(examples=["source-1"])]
    name: str
    public_key: Annotated[str, Field(description="PEM.")]
    created_at: Annotated[Moment, Field(validation_alias="created_ms")]


class OauthKeyMade(BaseModel):
    """The key; with its private half when it was made here."""

    key: OauthKeyShown
    private_key: Annotated[str | None, Field(description="PEM. It is kept nowhere and never shown again.")]


class OauthKeyGiven(Body):
    """A key to trust. Without `public_key`, a pair is made."""

    name: Annotated[Name, Field(examples=["Back end"])]
    public_key: Annotated[Text | None, Field(max_length=10_000, description="RSA, PEM.", examples=[None])] = None


def add_addresses(routes: APIRouter, services: Services) -> None:
    @routes.get("/{source_id}/addresses", summary="The addresses that Segment delivers to")
    def list_addresses(
        who: Admin, source_id: Id, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Page[AddressShown]:
        found, rest = ascending(
            services.ingest.deliveries.list(who.workspace.id, source_id), lambda one: one.id, cursor, limit
        )
        return Page(data=[AddressShown.model_validate(one) for one in found], next_cursor=rest)

    @routes.post("/{source_id}/addresses", status_code=201, summary="Add an address")
    def create_address(who: Admin, request: Request, source_id: Id, given: AddressGiven) -> AddressShown:
        """Only connected sources have addresses. The others stay valid."""
        found = services.ingest.deliveries.add(
            who.workspace.id, source_id, services.clock(), signing_secret=given.signing_secret
        )
        note(services, request, who, "source.add_address", f"source:{source_id}", {"address_id": found.id})
        return AddressShown.model_validate(found)

    @routes.patch("/{source_id}/addresses/{address_id}", summary="Change an address")
    def change_address(
        who: Admin, request: Request, source_id: Id, address_id: Id, change: AddressChange
    ) -> AddressShown:
        """A new shared secret is good at once; the one before stays good for four hours."""
        workspace = who.workspace.id
        found = services.ingest.deliveries.get(workspace, source_id, address_id)
        if change.signing_secret is not None:
            found = services.ingest.deliveries.set_secret(
                workspace, source_id, address_id, change.signing_secret, services.clock()
            )
        if change.destination_names is not None:
            found = services.ingest.deliveries.set_names(workspace, source_id, address_id, change.destination_names)
        changed = sorted(change.model_fields_set)
        note(services, request, who, "source.change_address", f"address:{address_id}", {"changed": changed})
        return AddressShown.model_validate(found)

    @routes.delete("/{source_id}/addresses/{address_id}", status_code=204, summary="Revoke an address")
    def revoke_address(who: Admin, request: Request, source_id: Id, address_id: Id) -> None:
        services.ingest.deliveries.revoke(who.workspace.id, source_id, address_id, services.clock())
        note(services, request, who, "source.revoke_address", f"source:{source_id}", {"address_id": address_id})


def add_oauth_keys(routes: APIRouter, services: Services) -> None:
    @routes.get("/{source_id}/oauth-keys", summary="The OAuth keys of a source")
    def list_oauth_keys(
        who: Admin, source_id: Id, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Page[OauthKeyShown]:
        found, rest = ascending(
            services.ingest.oauth_keys.list(who.workspace.id, source_id), lambda key: key.id, cursor, limit
        )
        return Page(data=[OauthKeyShown.model_validate(key) for key in found], next_cursor=rest)

    @routes.post("/{source_id}/oauth-keys", status_code=201, summary="Add an OAuth key")
    def create_oauth_key(who: Admin, request: Request, source_id: Id, given: OauthKeyGiven) -> OauthKeyMade:
        workspace, now = who.workspace.id, services.clock()
        if given.public_key is None:
            made = services.ingest.oauth_keys.make(workspace, source_id, given.name, now)
            key = made.key
            private: str | None = made.private_key
        else:
            key, private = (
                services.ingest.oauth_keys.register(workspace, source_id, given.name, given.public_key, now),
                None,
            )
        note(services, request, who, "source.add_oauth_key", f"source:{source_id}", {"key_id": key.id})
        return OauthKeyMade(key=OauthKeyShown.model_validate(key), private_key=private)

    @routes.delete("/{source_id}/oauth-keys/{oauth_key_id}", status_code=204, summary="Revoke an OAuth key")
    def revoke_oauth_key(who: Admin, request: Request, source_id: Id, oauth_key_id: Id) -> None:
        """Its tokens are refused at once."""
        services.ingest.oauth_keys.revoke(who.workspace.id, source_id, oauth_key_id, services.clock())
        note(services, request, who, "source.revoke_oauth_key", f"source:{source_id}", {"key_id": oauth_key_id})

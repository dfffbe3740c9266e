"""How events get into a source: write keys, addresses that Segment delivers to, keys of OAuth clients."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.accounts import Permission
from cliffwatch.errors import InvalidInput
from cliffwatch.ingest import MadeKey, Source
from cliffwatch.ingest.deliveries.model import DESTINATION_NAMES
from cliffwatch.ingest.oauth.model import client_id
from cliffwatch.web import formats
from cliffwatch.web.forms import PostedForm
from cliffwatch.web.render import see_other
from cliffwatch.web.views.snippets import oauth_snippets, snippets
from cliffwatch.web.visit import Administering, Visit

router = APIRouter(prefix="/sources/{source_id}")


def context(visit: Visit, source: Source) -> dict[str, Any]:
    """What the tab shows. Secrets are for administrators only."""
    admin = visit.identity.role.may(Permission.ADMIN)
    ingest, workspace = visit.services.ingest, visit.workspace_id
    connected = source.kind == "connected"
    return {
        "snippets": snippets(source.write_key, visit.address) if admin and source.write_key and not connected else (),
        "addresses": ingest.deliveries.list(workspace, source.id) if admin and connected else [],
        "oauth_keys": ingest.oauth_keys.list(workspace, source.id) if admin and not connected else [],
        "client_id": client_id(source.id),
        "made": {key.id: formats.moment(key.created_ms, visit.zone, visit.now) for key in source.write_keys},
        "address": visit.address,
        "known_names": DESTINATION_NAMES,
    }


@router.post("/keys")
def add_key(visit: Administering, source_id: int) -> Response:
    key = visit.services.sources.add_key(visit.workspace_id, source_id, visit.now)
    visit.audit("source.add_key", f"source:{source_id}", key=key.id)
    return _back(source_id, "A write key was added. The others stay valid.")


@router.post("/keys/{key_id}/revoke")
def revoke_key(visit: Administering, source_id: int, key_id: int) -> Response:
    visit.services.sources.revoke_key(visit.workspace_id, source_id, key_id, visit.now)
    visit.audit("source.revoke_key", f"source:{source_id}", key=key_id)
    return _back(source_id, "The write key was revoked.")


@router.post("/addresses")
def add_address(visit: Administering, source_id: int) -> Response:
    try:
        found = visit.services.ingest.deliveries.add(visit.workspace_id, source_id, visit.now)
    except InvalidInput as error:
        return _back(source_id, str(error), tone="bad")
    visit.audit("source.add_address", f"source:{source_id}", address=found.id)
    return _back(source_id, "An address was added. The others stay valid.")


@router.post("/addresses/{address_id}/secret")
def set_secret(visit: Administering, source_id: int, address_id: int, posted: PostedForm) -> Response:
    deliveries = visit.services.ingest.deliveries
    try:
        found = deliveries.set_secret(visit.workspace_id, source_id, address_id, posted.text("secret"), visit.now)
    except InvalidInput as error:
        return _back(source_id, str(error), tone="bad")
    visit.audit("source.set_secret", f"source:{source_id}", address=address_id, signed=bool(found.signing_secret))
    if not found.signing_secret:
        return _back(source_id, "Signatures are not looked at any more. Keep the address secret.")
    return _back(source_id, "Each delivery must be signed with this secret; the one before stays good for four hours.")


@router.post("/addresses/{address_id}/names")
def set_names(visit: Administering, source_id: int, address_id: int, posted: PostedForm) -> Response:
    names = posted.raw("names").splitlines()
    try:
        found = visit.services.ingest.deliveries.set_names(visit.workspace_id, source_id, address_id, names)
    except InvalidInput as error:
        return _back(source_id, str(error), tone="bad")
    visit.audit("source.set_names", f"source:{source_id}", address=address_id, names=list(found.destination_names))
    return _back(source_id, "The names were saved.")


@router.post("/addresses/{address_id}/revoke")
def revoke_address(visit: Administering, source_id: int, address_id: int) -> Response:
    visit.services.ingest.deliveries.revoke(visit.workspace_id, source_id, address_id, visit.now)
    visit.audit("source.revoke_address", f"source:{source_id}", address=address_id)
    return _back(source_id, "The address was revoked.")


@router.post("/oauth-keys")
def add_oauth_key(visit: Administering, source_id: int, posted: PostedForm) -> Response:
    """Make a pair of keys, whose private half is shown once, or register a public key."""
    keys, name, pem = visit.services.ingest.oauth_keys, posted.text("name"), posted.text("public_key")
    try:
        if pem:
            key = keys.register(visit.workspace_id, source_id, name, pem, visit.now)
            made = None
        else:
            made = keys.make(visit.workspace_id, source_id, name, visit.now)
            key = made.key
    except InvalidInput as error:
        return _back(source_id, str(error), tone="bad")
    visit.audit("source.add_oauth_key", f"source:{source_id}", key=key.id, made=made is not None)
    if made is None:
        return _back(source_id, f"The key is trusted; its id is {key.key_id}.")
    return _show_made(visit, source_id, made)


@router.post("/oauth-keys/{key}/revoke")
def revoke_oauth_key(visit: Administering, source_id: int, key: int) -> Response:
    visit.services.ingest.oauth_keys.revoke(visit.workspace_id, source_id, key, visit.now)
    visit.audit("source.revoke_oauth_key", f"source:{source_id}", key=key)
    return _back(source_id, "The key was revoked; its tokens are refused at once.")


def _show_made(visit: Visit, source_id: int, made: MadeKey) -> Response:
    source = visit.services.sources.get(visit.workspace_id, source_id)
    shown = oauth_snippets(source.write_key, visit.address, made)
    return visit.page("oauth_key.html", source=source, made=made, snippets=shown)


def _back(source_id: int, message: str, *, tone: str = "good") -> Response:
    return see_other(f"/sources/{source_id}?tab=connect", message, tone=tone)

"""Settings: workspace, API tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.accounts import Scope
from cliffwatch.errors import InvalidInput
from cliffwatch.web import formats
from cliffwatch.web.forms import PostedForm, said
from cliffwatch.web.render import see_other
from cliffwatch.web.views.places import country_names, zone_groups
from cliffwatch.web.visit import Administering, Owning, Proven, Reading, Visit, client_address

router = APIRouter(prefix="/settings")

SCOPES = (("read", "Read everything"), ("write", "Change streams and incidents"), ("admin", "Change everything"))
LIFETIMES = (("90", "In 90 days"), ("365", "In a year"), ("", "Never"))


@dataclass(frozen=True, slots=True)
class WorkspaceForm:
    name: str
    time_zone: str
    country: str


@dataclass(frozen=True, slots=True)
class TokenForm:
    name: str = ""
    scope: str = "read"
    days: str = "90"
    person: str = ""  # id of a service account; "": for oneself


@router.get("")
def settings(_: Reading) -> Response:
    return see_other("/settings/workspace")


@router.get("/workspace")
def workspace(visit: Reading) -> Response:
    here = visit.identity.workspace
    return _workspace(visit, WorkspaceForm(here.name, here.time_zone, here.country or ""), {})


@router.post("/workspace")
def save_workspace(visit: Owning, posted: PostedForm) -> Response:
    form = WorkspaceForm(posted.text("name"), posted.text("time_zone"), posted.text("country"))
    try:
        visit.services.accounts.update_workspace(
            visit.workspace_id,
            name=form.name,
            time_zone=form.time_zone,
            country=form.country or None,
            now=visit.now,
            actor=visit.identity.label,
            address=client_address(visit.request),
        )
    except InvalidInput as error:
        fields = {"Workspace name": "name", "Time zone": "time_zone", "Country": "country"}
        return _workspace(visit, form, {fields.get(error.subject, "form"): said(error)}, 422)
    return see_other("/settings/workspace", "Your changes are saved.")


@router.get("/tokens")
def tokens(visit: Reading) -> Response:
    return _tokens(visit, TokenForm(), {})


@router.post("/tokens")
def create_token(visit: Administering, _: Proven, posted: PostedForm) -> Response:
    """Create a token and show it this once, on the very answer: it is never kept in readable form."""
    form = TokenForm(posted.text("name"), posted.text("scope"), posted.text("days"), posted.text("person"))
    known = {"scope": dict(SCOPES), "days": dict(LIFETIMES)}
    if wrong := {name: "Choose one of these." for name, kinds in known.items() if getattr(form, name) not in kinds}:
        return _tokens(visit, form, wrong, 422)
    programs = visit.services.accounts.team.service_accounts(visit.workspace_id)
    owners = {"": visit.person.id} | {str(one.person.id): one.person.id for one in programs}
    if form.person not in owners:  # a token for oneself may be more than was asked for
        return _tokens(visit, form, {"person": "This program is not there any more. Choose again."}, 422)
    try:
        token, plain = visit.services.accounts.create_token(
            visit.workspace_id,
            owners[form.person],
            form.name,
            Scope(form.scope),
            expires_ms=visit.now + int(form.days) * formats.DAY_MS if form.days else None,
            now=visit.now,
            actor=visit.identity.label,
            address=client_address(visit.request),
        )
    except InvalidInput as error:
        return _tokens(visit, form, {"name": said(error)}, 422)
    return _tokens(visit, TokenForm(), {}, new_token={"name": token.name, "plain": plain})


@router.post("/tokens/{token_id}/revoke")
def revoke_token(visit: Administering, token_id: int) -> Response:
    visit.services.accounts.revoke_token(
        visit.workspace_id, token_id, visit.now, actor=visit.identity.label, address=client_address(visit.request)
    )
    return see_other("/settings/tokens", "The token was revoked.")


def _workspace(visit: Visit, form: WorkspaceForm, errors: Mapping[str, str], status: int = 200) -> Response:
    return visit.page(
        "settings.html",
        status,
        tab="workspace",
        form=form,
        errors=errors,
        zones=zone_groups(),
        countries=country_names(),
        detect_zone=False,
    )


def _tokens(
    visit: Visit,
    form: TokenForm,
    errors: Mapping[str, str],
    status: int = 200,
    new_token: Mapping[str, str] | None = None,
) -> Response:
    def shown(ms: int) -> formats.Moment:
        return formats.moment(ms, visit.zone, visit.now)

    accounts = visit.services.accounts
    programs = accounts.team.service_accounts(visit.workspace_id)
    names = {one.person.id: one.person.name for one in (*accounts.members(visit.workspace_id), *programs)}
    found: list[dict[str, Any]] = [
        {
            "id": token.id,
            "name": token.name,
            "prefix": token.prefix,
            "scope": token.scope.value,
            "created": shown(token.created_ms),
            "used": shown(token.last_used_ms) if token.last_used_ms else None,
            "used_from": token.last_used_from,
            "expires": shown(token.expires_ms) if token.expires_ms else None,
            "is_over": token.expires_ms is not None and token.expires_ms <= visit.now,
            "of": names.get(token.person_id or 0, ""),
        }
        for token in visit.services.accounts.list_tokens(visit.workspace_id)
        if not token.revoked
    ]
    return visit.page(
        "settings.html",
        status,
        tab="tokens",
        tokens=found,
        form=form,
        errors=errors,
        scopes=SCOPES,
        lifetimes=LIFETIMES,
        new_token=new_token,
        programs=[(str(one.person.id), one.person.name) for one in programs],
    )

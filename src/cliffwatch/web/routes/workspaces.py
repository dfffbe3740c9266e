"""Several workspaces in one installation: look at another, make one more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.errors import InvalidInput
from cliffwatch.web.forms import PostedForm, said
from cliffwatch.web.render import see_other
from cliffwatch.web.views.places import country_names, zone_groups
from cliffwatch.web.visit import Owning, Proven, Reading, Visit

router = APIRouter(prefix="/workspaces")


@dataclass(frozen=True, slots=True)
class NewWorkspace:
    name: str = ""
    time_zone: str = "UTC"
    country: str = ""


@router.post("/{workspace_id}/look")
def look(visit: Reading, workspace_id: int) -> Response:
    visit.services.accounts.personal.look_at(visit.identity, visit.cookie, workspace_id, visit.now)
    return see_other("/")


@router.get("/new")
def new(visit: Owning) -> Response:
    here = visit.identity.workspace
    return _page(visit, NewWorkspace("", here.time_zone, here.country or ""), {})


@router.post("/new")
def create(visit: Owning, _: Proven, posted: PostedForm) -> Response:
    form = NewWorkspace(posted.text("name"), posted.text("time_zone"), posted.text("country"))
    accounts = visit.services.accounts
    try:
        made = accounts.create_workspace(
            name=form.name,
            time_zone=form.time_zone,
            country=form.country or None,
            owner_id=visit.person.id,
            now=visit.now,
            actor=visit.identity.label,
            address=visit.from_address,
        )
    except InvalidInput as error:
        fields = {"Workspace name": "name", "Time zone": "time_zone", "Country": "country"}
        return _page(visit, form, {fields.get(error.subject, "name"): said(error)}, 422)
    visit.services.incidents.ensure_default_monitor(made.id, visit.now)
    accounts.personal.look_at(visit.identity, visit.cookie, made.id, visit.now)
    return see_other("/sources/new?first=yes", f"You look at “{made.name}” now.")


def _page(visit: Visit, form: NewWorkspace, errors: Mapping[str, str], status: int = 200) -> Response:
    return visit.page(
        "workspace_new.html",
        status,
        form=form,
        errors=errors,
        zones=zone_groups(),
        countries=country_names(),
        detect_zone=False,
    )

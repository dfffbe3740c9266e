"""Settings of OAuth apps: those registered here, and what the workspace allowed to whom."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.connections import PREFIX
from cliffwatch.errors import InvalidInput
from cliffwatch.web import formats
from cliffwatch.web.forms import PostedForm, said
from cliffwatch.web.render import see_other
from cliffwatch.web.visit import Administering, Owning, Proven, Visit

router = APIRouter(prefix="/settings/apps")


@router.get("")
def apps(visit: Administering) -> Response:
    return _page(visit, {"name": "", "redirects": ""}, {})


@router.post("")
def create(visit: Administering, _: Proven, posted: PostedForm) -> Response:
    """Register an app and show its secret this once, on the very answer."""
    form = {"name": posted.text("name"), "redirects": posted.raw("redirects")}
    try:
        app, secret = visit.services.connections.apps.create(
            visit.workspace_id, form["name"], form["redirects"].splitlines(), visit.now
        )
    except InvalidInput as error:
        field = "name" if error.subject == "App name" else "redirects"
        return _page(visit, form, {field: said(error)}, 422)
    visit.audit("app.create", f"app:{app.id}", name=app.name)
    new = {"name": app.name, "client_id": app.client_id, "secret": secret}
    return _page(visit, {"name": "", "redirects": ""}, {}, new_app=new)


@router.post("/{app_id}/delete")
def delete(visit: Administering, app_id: int) -> Response:
    visit.services.connections.apps.delete(visit.workspace_id, app_id)
    visit.audit("app.delete", f"app:{app_id}")
    return see_other("/settings/apps", "The app is gone, and with it everything that it was allowed.")


@router.post("/installs/{install_id}/revoke")
def revoke(visit: Owning, install_id: int) -> Response:
    visit.services.connections.apps.end_install(visit.workspace_id, install_id)
    visit.services.connections.destinations.active()
    visit.audit("app.revoke", f"install:{install_id}")
    return see_other("/settings/apps", "The access is taken back; nothing is delivered there any more.")


def _page(
    visit: Visit,
    form: Mapping[str, str],
    errors: Mapping[str, str],
    status: int = 200,
    new_app: Mapping[str, str] | None = None,
) -> Response:
    service = visit.services.connections
    sources = {source.id: source.name for source in visit.services.sources.list(visit.workspace_id)}
    people = {one.person.id: one.person.name for one in visit.services.accounts.members(visit.workspace_id)}
    installs = [
        {
            "id": install.id,
            "app": app.name,
            "source": sources.get(install.source_id, ""),
            "source_id": install.source_id,
            "person": people.get(install.person_id, "somebody who left"),
            "since": formats.moment(install.created_ms, visit.zone, visit.now),
        }
        for install, app in service.apps.installs(visit.workspace_id)
    ]
    return visit.page(
        "settings.html",
        status,
        tab="apps",
        apps=service.apps.of_workspace(visit.workspace_id),
        installs=installs,
        form=form,
        errors=errors,
        new_app=new_app,
        server=f"{visit.address}{PREFIX}",
    )

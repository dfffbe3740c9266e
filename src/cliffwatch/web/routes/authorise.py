"""The authorise page: another program asks for a source of this installation; its owner allows or denies it."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from cliffwatch.accounts import Role, Workspace
from cliffwatch.connections import PREFIX, Allowed, App, Refusal
from cliffwatch.connections.oauth.server import origin_of
from cliffwatch.web.forms import PostedForm
from cliffwatch.web.render import render
from cliffwatch.web.security import CONTENT_POLICY
from cliffwatch.web.visit import Installed, Reading, Visit, client_address

PATH = f"{PREFIX}/oauth2/auth"
router = APIRouter()

Pairs = Sequence[tuple[str, str]]
_ASKED = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
)


@router.get(PATH)
def ask(request: Request, services: Installed, visit: Reading) -> Response:
    """Who asks for what, and the choice. What is wrong with the request itself is never answered to a stranger."""
    pairs = request.query_params.multi_items()
    asked = services.connections.server.consent(pairs, _issuer(visit))
    if isinstance(asked, Refusal):
        return _refused(visit, asked)
    chosen = request.query_params.get("workspace", "")
    return _consent(visit, asked, [(name, value) for name, value in pairs if name in _ASKED], chosen, "")


@router.post(PATH)
def decide(visit: Reading, posted: PostedForm) -> Response:
    pairs = [(name, posted.raw(name)) for name in _ASKED if posted.has(name)]
    server = visit.services.connections.server
    asked = server.consent(pairs, _issuer(visit))
    if isinstance(asked, Refusal):
        return _refused(visit, asked)
    if posted.text("decision") != "allow":
        return _back(server.decide(pairs, None, _issuer(visit)).location)
    chosen = posted.text("workspace")
    workspace = next((one for one in _owned(visit) if str(one.id) == chosen), None)
    if workspace is None:
        return _consent(visit, asked, pairs, chosen, "Choose a workspace that you own.", 403)
    if visit.services.connections.apps.install_of(asked.id, workspace.id) is not None:
        return _consent(visit, asked, pairs, chosen, "", 409)
    sources = {str(source.id): source for source in visit.services.sources.list(workspace.id)}
    source = sources.get(posted.text("source"))
    if source is None:
        return _consent(visit, asked, pairs, chosen, "Choose the source whose events go there.", 422)
    answer = server.decide(pairs, Allowed(workspace.id, source.id, visit.person.id), _issuer(visit))
    visit.services.accounts.audit(
        workspace.id,
        visit.identity.label,
        "app.allow",
        f"app:{asked.id}",
        {"app": asked.name, "source": source.name},
        client_address(visit.request),
        visit.now,
    )
    return _back(answer.location)


def _consent(visit: Visit, app: App, pairs: Pairs, chosen: str, error: str, status: int = 200) -> Response:
    owned = _owned(visit)
    here = visit.identity.workspace.id
    workspace = next((one for one in owned if str(one.id) == chosen), None)
    workspace = workspace or next((one for one in owned if one.id == here), owned[0] if owned else None)
    sources = visit.services.sources.list(workspace.id) if workspace else []
    installed = visit.services.connections.apps.install_of(app.id, workspace.id) if workspace else None
    redirect_uri = dict(pairs)["redirect_uri"]
    response = render(
        visit.request,
        "authorise.html",
        status,
        app=app,
        pairs=pairs,
        origin=origin_of(redirect_uri),
        workspaces=owned,
        workspace=workspace,
        sources=sources,
        installed=installed is not None,
        error=error,
        email=visit.person.email,
        path=PATH,
    )
    # A form's answer may lead back to the app: browsers ask the policy of the page that held the form.
    allowed = f"form-action 'self' {origin_of(redirect_uri)}"
    response.headers["content-security-policy"] = CONTENT_POLICY.replace("form-action 'self'", allowed)
    response.headers["referrer-policy"] = "no-referrer"  # the address holds the app's state
    return response


def _refused(visit: Visit, refusal: Refusal) -> Response:
    if refusal.location:
        return _back(refusal.location)
    return render(visit.request, "authorise_refused.html", 400, text=refusal.description)


def _back(location: str) -> Response:
    return RedirectResponse(location, 303, headers={"referrer-policy": "no-referrer", "cache-control": "no-store"})


def _owned(visit: Visit) -> list[Workspace]:
    """Only an owner may give a source away."""
    found = visit.services.accounts.workspaces_of(visit.person.id)
    return [workspace for workspace, role in found if role is Role.OWNER]


def _issuer(visit: Visit) -> str:
    return f"{visit.address}{PREFIX}"

"""The link of a digest mail that stops digests. Nobody needs to be signed in: the link is the proof of the address."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from cliffwatch.services import Services
from cliffwatch.web.forms import PostedForm
from cliffwatch.web.render import render
from cliffwatch.web.visit import Installed, client_address

router = APIRouter(prefix="/unsubscribe")


@router.get("/{token}")
def ask(request: Request, services: Installed, token: str) -> Response:
    """Changes nothing: programs that look into mails open every link."""
    return _page(request, services, *services.links.unsubscriber(token), wanted=None)


@router.post("/{token}")
def unsubscribe(request: Request, services: Installed, token: str, posted: PostedForm) -> Response:
    """What the page's button does, and the one click of mail programs (RFC 8058), which asks nothing and follows no
    redirect; the answer offers to take it back."""
    workspace_id, address = services.links.unsubscriber(token)
    wanted = posted.text("wanted") == "yes"
    services.digests.want_at(workspace_id, address, wanted)
    action = "digest.subscribe" if wanted else "digest.unsubscribe"
    services.accounts.audit(workspace_id, address, action, "digests", {}, client_address(request), services.clock())
    return _page(request, services, workspace_id, address, wanted=wanted)


def _page(request: Request, services: Services, workspace_id: int, address: str, *, wanted: bool | None) -> Response:
    """`wanted` is what was just chosen; None while nothing was."""
    workspace = services.accounts.workspace(workspace_id).name
    return render(request, "unsubscribe.html", workspace=workspace, address=address, wanted=wanted)

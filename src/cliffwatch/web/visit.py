"""Who visits a page: the services and the signed-in person as FastAPI dependencies, and pages in their frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Depends, Request
from starlette.responses import Response

from cliffwatch.accounts import SESSION_COOKIE, Identity, Permission, Person
from cliffwatch.services import Services
from cliffwatch.web import formats
from cliffwatch.web.render import render
from cliffwatch.web.views.incidents import LIVE
from cliffwatch.web.views.shell import shell


class SignInFirst(Exception):
    """Nobody is signed in; the page is shown after they are."""


class SetUpFirst(Exception):
    """The installation has no owner yet."""


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Installed = Annotated[Services, Depends(_services)]


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a signed-in person: the services, who it is, and the time at which it came."""

    request: Request
    services: Services
    identity: Identity
    now: int

    @property
    def workspace_id(self) -> int:
        return self.identity.workspace.id

    @property
    def zone(self) -> ZoneInfo:
        return formats.zone_of(self.identity.workspace.time_zone)

    @property
    def person(self) -> Person:
        """Sessions belong to people; only API tokens may not."""
        assert self.identity.person is not None
        return self.identity.person

    @property
    def address(self) -> str:
        """This server as the visitor reaches it, for links and snippets."""
        return self.services.settings.base_url.rstrip("/") or str(self.request.base_url).rstrip("/")

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page in its frame."""
        frame = shell(
            self.identity,
            self.services.streams.list(self.workspace_id),
            self.services.incidents.list(self.workspace_id, states=LIVE),
            self.request.url.path,
            has_inbox=self.services.inbox is not None,
        )
        return render(self.request, template, status, shell=frame, **values)

    def part(self, template: str, **values: Any) -> Response:
        """A fragment that htmx swaps into a page."""
        from cliffwatch.web.render import environment

        ui = environment().get_template("ui.html").module
        return render(self.request, template, ui=ui, **values)

    def audit(self, action: str, subject: str, **detail: Any) -> None:
        """Write down who changed what."""
        self.services.accounts.audit(
            self.workspace_id, self.identity.label, action, subject, detail, client_address(self.request), self.now
        )


def client_address(request: Request) -> str:
    return request.client.host if request.client else ""


def _visit(request: Request, services: Installed) -> Visit:
    now = services.clock()
    token = request.cookies.get(SESSION_COOKIE)
    identity = services.accounts.session(token, now) if token else None
    if identity is None or identity.person is None:
        raise SignInFirst if services.accounts.is_set_up() else SetUpFirst
    return Visit(request, services, identity, now)


Reading = Annotated[Visit, Depends(_visit)]


def _editing(visit: Reading) -> Visit:
    visit.identity.require(Permission.EDIT)
    return visit


def _administering(visit: Reading) -> Visit:
    visit.identity.require(Permission.ADMIN)
    return visit


def _owning(visit: Reading) -> Visit:
    visit.identity.require(Permission.OWN)
    return visit


Editing = Annotated[Visit, Depends(_editing)]
Administering = Annotated[Visit, Depends(_administering)]
Owning = Annotated[Visit, Depends(_owning)]

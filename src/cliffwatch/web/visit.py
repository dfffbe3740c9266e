"""Who visits a page: the services and the signed-in person as FastAPI dependencies, and pages in their frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from cliffwatch.accounts import SESSION_COOKIE, Identity, Permission, Person, TooManyAttempts
from cliffwatch.addresses import plain
from cliffwatch.errors import InvalidInput
from cliffwatch.services import Services
from cliffwatch.web import formats
from cliffwatch.web.forms import Posted, PostedForm
from cliffwatch.web.render import render
from cliffwatch.web.views.incidents import LIVE
from cliffwatch.web.views.shell import shell


class SignInFirst(Exception):
    """Nobody is signed in; the page is shown after they are."""


class SetUpFirst(Exception):
    """The installation has no owner yet."""


class ProveFirst(Exception):
    """What is asked for is dangerous, and it is a while since the person proved who they are."""

    def __init__(self, visit: Visit, posted: Posted, error: str, status: int) -> None:
        super().__init__()
        self.visit, self.posted, self.error, self.status = visit, posted, error, status


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

    @property
    def cookie(self) -> str:
        """The token of the session that asks."""
        return self.request.cookies.get(SESSION_COOKIE, "")

    @property
    def from_address(self) -> str:
        """Where the visitor is, for the audit log."""
        return client_address(self.request)

    def page(self, template: str, status: int = 200, **values: Any) -> Response:
        """A page in its frame."""
        frame = shell(
            self.identity,
            self.services.streams.list(self.workspace_id),
            self.services.incidents.list(self.workspace_id, states=LIVE),
            self.request.url.path,
            has_inbox=self.services.inbox is not None,
            workspaces=[place for place, _ in self.services.accounts.workspaces_of(self.person.id)],
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
    return plain(request.client.host) if request.client else ""


LONGEST_ID = 15
"""Digits. No database can even look for an id that is much longer."""


def _visit(request: Request, services: Installed) -> Visit:
    if any(value.isdigit() and len(value) > LONGEST_ID for value in map(str, request.path_params.values())):
        raise HTTPException(404)
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


PROOF = "proof"
"""The field of a form that proves who sends it: a password, or a code of the second factor."""


def _proven(visit: Reading, posted: PostedForm) -> Visit:
    """Raises ProveFirst unless the person has proven who they are lately, or does so with this very form."""
    personal, error, status = visit.services.accounts.personal, "", 403
    if personal.is_fresh(visit.cookie, visit.now):
        return visit
    if posted.has(PROOF):
        try:
            personal.confirm(
                visit.identity, visit.cookie, posted.raw(PROOF), visit.now, address=client_address(visit.request)
            )
        except (InvalidInput, TooManyAttempts) as wrong:
            error, status = str(wrong), 429 if isinstance(wrong, TooManyAttempts) else 422
        else:
            return visit
    raise ProveFirst(visit, posted, error, status)


Editing = Annotated[Visit, Depends(_editing)]
Administering = Annotated[Visit, Depends(_administering)]
Owning = Annotated[Visit, Depends(_owning)]
Proven = Annotated[Visit, Depends(_proven)]
"""Beside one of the others, for acts that a stolen session must not do."""

NEEDS = {_visit: Permission.READ, _editing: Permission.EDIT, _administering: Permission.ADMIN, _owning: Permission.OWN}
"""What each dependency asks for; `app.rules` reads it from the routes."""

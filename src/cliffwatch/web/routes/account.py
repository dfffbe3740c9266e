"""Settings: one's own account: second factor, password, where one is signed in, and what is stored about one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cliffwatch.errors import InvalidInput
from cliffwatch.web import formats
from cliffwatch.web.forms import PostedForm, said
from cliffwatch.web.qr import qr_code
from cliffwatch.web.render import see_other
from cliffwatch.web.visit import Proven, Reading, Visit

router = APIRouter(prefix="/settings/account")

HERE = "/settings/account"
ISSUER = "Cliffwatch"


@router.get("")
def account(visit: Reading) -> Response:
    return _page(visit, {})


@router.post("/password")
def change_password(visit: Reading, posted: PostedForm) -> Response:
    try:
        visit.services.accounts.personal.change_password(
            visit.identity,
            visit.cookie,
            posted.raw("old"),
            posted.raw("new"),
            visit.now,
            address=visit.from_address,
        )
    except InvalidInput as error:
        return _page(visit, {"old" if error.subject == "Old password" else "new": said(error)}, 422)
    return see_other(HERE, "Your password was changed. You are signed out everywhere else.")


@router.post("/factor")
def begin_factor(visit: Reading, _: Proven) -> Response:
    """The secret for an authenticator app."""
    return _begin(visit, {})


@router.post("/factor/enable")
def enable_factor(visit: Reading, _: Proven, posted: PostedForm) -> Response:
    try:
        codes = visit.services.accounts.personal.enable_factor(
            visit.identity, posted.text("code"), visit.now, address=visit.from_address
        )
    except InvalidInput as error:
        return _begin(visit, {"code": said(error)}, 422)
    return visit.page("recovery_codes.html", codes=codes, first=True)


@router.post("/factor/codes")
def renew_codes(visit: Reading, _: Proven) -> Response:
    codes = visit.services.accounts.personal.renew_codes(visit.identity, visit.now, address=visit.from_address)
    return visit.page("recovery_codes.html", codes=codes, first=False)


@router.post("/factor/disable")
def disable_factor(visit: Reading, _: Proven) -> Response:
    visit.services.accounts.personal.disable_factor(visit.identity, visit.now, address=visit.from_address)
    return see_other(HERE, "The second factor is off: your password alone is enough.")


@router.post("/sessions/{session_id}/end")
def end_session(visit: Reading, session_id: int) -> Response:
    visit.services.accounts.personal.end_session(visit.identity, session_id, visit.now, address=visit.from_address)
    return see_other(HERE, "You are signed out there.")


@router.post("/sessions/end-others")
def end_others(visit: Reading) -> Response:
    personal = visit.services.accounts.personal
    personal.end_other_sessions(visit.identity, visit.cookie, visit.now, address=visit.from_address)
    return see_other(HERE, "You are signed out everywhere but here.")


@router.get("/export.json")
def export(visit: Reading) -> Response:
    """Everything that is stored about the person who asks."""
    document = visit.services.accounts.about.document(visit.person.id)
    return Response(
        json.dumps(document, indent=2, ensure_ascii=False),
        media_type="application/json",
        headers={"content-disposition": 'attachment; filename="cliffwatch-about-me.json"', "cache-control": "no-store"},
    )


def _begin(visit: Visit, errors: Mapping[str, str], status: int = 200) -> Response:
    secret, address = visit.services.accounts.personal.begin_factor(visit.person.id, ISSUER)
    groups = " ".join(secret[start : start + 4] for start in range(0, len(secret), 4))
    return visit.page("second_factor.html", status, secret=groups, address=address, qr=qr_code(address), errors=errors)


def _page(visit: Visit, errors: Mapping[str, str], status: int = 200) -> Response:
    personal = visit.services.accounts.personal
    factor = personal.factor(visit.person.id)
    sessions: list[dict[str, Any]] = [
        {
            "id": one.id,
            "browser": formats.browser(one.user_agent),
            "address": one.address,
            "since": formats.moment(one.created_ms, visit.zone, visit.now),
            "seen": formats.moment(one.last_seen_ms, visit.zone, visit.now, relative=True),
            "is_this": one.is_this,
        }
        for one in personal.sessions(visit.person.id, visit.cookie, visit.now)
    ]
    return visit.page(
        "account.html",
        status,
        person=visit.person,
        factor=factor,
        factor_since=formats.moment(factor.since_ms, visit.zone, visit.now) if factor.since_ms else None,
        sessions=sessions,
        errors=errors,
    )

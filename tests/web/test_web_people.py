"""The pages of people: invitations, roles, one's own account, the audit log, and asking again before dangerous acts."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page
from starlette.testclient import TestClient
from tests.owners import set_up_owner
from tests.web.conftest import NOW, PASSWORD, Heard, House, running
from tests.web.test_web_pages import sideways, violations

from cliffwatch.accounts import FRESH_MS, SESSION_COOKIE, Identity, Role, totp
from cliffwatch.web.qr import modules, qr_code

ROBIN, KIM, NEW = "robin@people.example", "kim@people.example", "ada@people.example"
ADAS = "nine quiet lanterns"


@pytest.fixture
def place(new_house: House) -> House:
    accounts = new_house.services.accounts
    set_up_owner(accounts, NOW, email=ROBIN, name="Robin Weber", password=PASSWORD)
    accounts.create_person(1, KIM, "Kim Ito", PASSWORD, Role.VIEWER, NOW)
    return new_house


@pytest.fixture
def robin(place: House) -> TestClient:
    return place.client(ROBIN)


def link_in(text: str) -> str:
    found = re.search(r"/join/[\w-]{20,}", text)
    assert found
    return found[0]


def test_an_invitation_is_mailed_and_its_link_shown_once(place: House, robin: TestClient) -> None:
    answer = robin.post("/settings/members/invite", data={"email": NEW, "role": "editor"})
    link = link_in(answer.text)
    assert place.services.inbox is not None
    (mail,) = place.services.inbox.list()
    assert NEW in str(mail.to)
    assert link in mail.text
    assert link not in robin.get("/settings/members").text


def test_who_follows_the_link_makes_an_account_and_is_in(place: House, robin: TestClient) -> None:
    link = link_in(robin.post("/settings/members/invite", data={"email": NEW, "role": "editor"}).text)
    ada = place.client(None)
    assert "invites ada@people.example as editor" in ada.get(link).text
    weak = ada.post(link, data={"name": "Ada", "password": "short"})
    assert weak.status_code == 422
    assert "shorter than" in weak.text
    answer = ada.post(link, data={"name": "Ada", "password": ADAS})
    assert answer.headers["location"] == "/"
    assert "Ada" in ada.get("/").text
    assert ada.get(link).status_code == 404


def test_a_link_that_is_none_says_so(place: House) -> None:
    answer = place.client(None).get("/join/nonsense")
    assert answer.status_code == 404
    assert "Ask for another one" in answer.text


def test_a_person_with_an_account_signs_in_to_join_another_workspace(place: House, robin: TestClient) -> None:
    robin.post("/workspaces/new", data={"name": "Bakery", "time_zone": "UTC", "country": ""})
    link = link_in(robin.post("/settings/members/invite", data={"email": KIM, "role": "admin"}).text)
    stranger, kim = place.client(None), place.client(KIM)
    assert stranger.post(link).headers["location"] == f"/sign-in?next={link}"
    assert robin.post(link).status_code == 403
    assert kim.post(link).status_code == 303
    assert "Bakery" in kim.get("/").text
    assert "Switch workspace" in kim.get("/").text


def test_the_switcher_shows_another_workspace_in_this_session_alone(place: House, robin: TestClient) -> None:
    robin.post("/workspaces/new", data={"name": "Bakery", "time_zone": "UTC", "country": ""})
    assert '<span class="workspace-name truncate">Bakery' in robin.get("/settings/members").text
    robin.post("/workspaces/1/look")
    assert '<span class="workspace-name truncate">Shop' in robin.get("/settings/members").text


def test_the_last_owner_is_kept_and_told_why(robin: TestClient) -> None:
    answer = robin.post("/settings/members/leave")
    assert answer.status_code == 409
    assert "Make somebody else an owner first" in answer.text


def test_ownership_goes_to_another_member(place: House, robin: TestClient) -> None:
    kim = next(one.person.id for one in place.services.accounts.members(1) if one.person.email == KIM)
    assert robin.post(f"/settings/members/{kim}/transfer").status_code == 303
    assert {one.person.email: one.role for one in place.services.accounts.members(1)} == {
        ROBIN: Role.ADMIN,
        KIM: Role.OWNER,
    }


DANGEROUS = {
    "/settings/members/invite": {"email": NEW, "role": "editor"},
    "/settings/members/2/role": {"role": "admin"},
    "/settings/members/programs": {"program": "CI", "role": "admin"},
    "/settings/tokens": {"name": "mine", "scope": "admin", "days": "90"},
    "/settings/apps": {"name": "App", "redirects": "https://a.example/back"},
    "/settings/privacy": {"user_id": "ada"},
    "/settings/account/factor": {},
    "/settings/account/factor/disable": {},
    "/settings/account/factor/codes": {},
    "/settings/members/2/remove": {},
    "/settings/members/1/transfer": {},
    "/workspaces/new": {"name": "Bakery", "time_zone": "UTC"},
}


def test_a_dangerous_act_asks_who_it_is_and_is_done_with_the_answer(
    place: House, robin: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    robin.get("/")  # signs in
    for number, (path, form) in enumerate(DANGEROUS.items(), 1):
        monkeypatch.setattr(type(place.services.clock), "__call__", lambda _, n=number: NOW + n * (FRESH_MS + 1))
        before = place.services.accounts.audit_log(1)
        asked = robin.post(path, data=form)
        assert asked.status_code == 403, path
        assert "Is it you?" in asked.text
        for name, value in form.items():
            assert f'name="{name}" value="{value}"' in asked.text
        assert place.services.accounts.audit_log(1) == before
        wrong = robin.post(path, data=form | {"proof": "wrong"})
        assert wrong.status_code == 422, path
        assert "is wrong" in wrong.text
        assert "Is it you?" not in robin.post(path, data=form | {"proof": PASSWORD}).text, path


def test_signing_in_with_a_second_factor(place: House) -> None:
    secret = turn_on(place)
    visitor = place.client(None)
    answer = visitor.post("/sign-in", data={"email": ROBIN, "password": PASSWORD, "next": "/incidents"})
    assert answer.headers["location"] == "/sign-in/code?next=%2Fincidents"
    assert SESSION_COOKIE not in answer.headers["set-cookie"]
    assert visitor.get("/").status_code == 303
    wrong = visitor.post("/sign-in/code", data={"code": "000000", "next": "/incidents"})
    assert wrong.status_code == 422
    code = totp.code_at(secret, totp.step_at(NOW))
    right = visitor.post("/sign-in/code", data={"code": code, "next": "/incidents"})
    assert right.headers["location"] == "/incidents"
    assert visitor.get("/incidents").status_code == 200


def turn_on(house: House) -> str:
    personal = house.services.accounts.personal
    identity = house.services.accounts.session(house.cookie(ROBIN), NOW)
    assert identity is not None
    secret, _ = personal.begin_factor(1, "Cliffwatch")
    personal.enable_factor(identity, totp.code_at(secret, totp.step_at(NOW) - 1), NOW, address="")
    return secret


def test_the_second_step_without_the_first_begins_again(place: House) -> None:
    answer = place.client(None).get("/sign-in/code")
    assert answer.headers["location"] == "/sign-in"


def test_one_page_shows_the_secret_and_another_the_recovery_codes_once(robin: TestClient) -> None:
    page = robin.post("/settings/account/factor").text
    secret = re.search(r'id="totp-secret">([A-Z2-7 ]+)<', page)
    assert secret
    assert 'class="qr"' in page
    code = totp.code_at(secret[1].replace(" ", ""), totp.step_at(NOW))
    shown = robin.post("/settings/account/factor/enable", data={"code": code}).text
    codes = re.findall(r"^(?:.*>)?([2-9a-z]{5}-[2-9a-z]{5})(?=$|<)", shown, re.M)
    assert len(codes) == totp.RECOVERY_CODES
    assert codes[0] not in robin.get("/settings/account").text


def test_sessions_are_listed_with_browser_and_address_and_ended(place: House, robin: TestClient) -> None:
    place.sign_in(ROBIN)
    page = robin.get("/settings/account").text
    assert "this one" in page
    assert robin.post("/settings/account/sessions/end-others").status_code == 303
    assert "Sign out everywhere else" not in robin.get("/settings/account").text


def test_the_audit_log_shows_who_did_what_with_before_and_after(place: House, robin: TestClient) -> None:
    robin.post("/settings/members/2/role", data={"role": "editor"})
    page = robin.get("/settings/audit").text
    assert "member.change_role" in page
    assert "<del>viewer</del> → <ins>editor</ins>" in page
    assert "member.change_role" not in robin.get("/settings/audit", params={"thing": "workspace"}).text
    assert "Nothing of that kind" in robin.get("/settings/audit", params={"actor": "nobody"}).text


def test_times_in_the_audit_log_are_those_of_a_clock(place: House, robin: TestClient) -> None:
    robin.post("/settings/tokens", data={"name": "Clock", "scope": "read", "days": "90"})
    page = robin.get("/settings/audit", params={"thing": "token"}).text
    assert re.search(r"expires: .*<ins>\w{3} \d+ \w{3}, \d\d:\d\d</ins>", page)
    assert "expires_ms" not in page


def test_the_audit_log_leaves_as_csv_and_as_json_lines(robin: TestClient) -> None:
    table = robin.get("/settings/audit/export.csv")
    assert table.headers["content-disposition"] == 'attachment; filename="audit-log.csv"'
    rows = list(csv.reader(io.StringIO(table.text)))
    assert rows[1][3] == "workspace.create"
    lines = robin.get("/settings/audit/export.jsonl", params={"thing": "audit"}).text.splitlines()
    assert json.loads(lines[0])["action"] == "audit.export"  # taking it away is a line of it


def test_a_person_downloads_what_is_stored_about_them(robin: TestClient) -> None:
    answer = robin.get("/settings/account/export.json")
    assert answer.json()["person"]["email"] == ROBIN
    assert "attachment" in answer.headers["content-disposition"]


def test_a_token_may_act_for_a_service_account_and_shows_when_it_was_seen(place: House, robin: TestClient) -> None:
    robin.post("/settings/members/programs", data={"program": "Deployments", "role": "editor"})
    (program,) = place.services.accounts.team.service_accounts(1)
    page = robin.post(
        "/settings/tokens", data={"name": "ci", "scope": "write", "days": "90", "person": str(program.person.id)}
    ).text
    plain = re.search(r"cw_\w{51}", page)
    assert plain
    assert place.client(None).get("/api/v1/workspace", headers={"Authorization": f"Bearer {plain[0]}"}).is_success
    listed = robin.get("/settings/tokens").text
    assert "Deployments" in listed
    assert "from testclient" in listed
    assert plain[0] not in listed


def test_the_qr_code_is_the_one_of_the_standard() -> None:
    """Against another encoder's code of 14 bytes in version 1-M with mask 0."""
    rows = ["".join("#" if dark else "." for dark in row) for row in modules(b"cliffwatch 1.0")]
    assert rows == QR_ROWS
    assert qr_code("a" * 213).size == 57 + 8


QR_ROWS = [
    "#######..###..#######",
    "#.....#.##.##.#.....#",
    "#.###.#..###..#.###.#",
    "#.###.#..#....#.###.#",
    "#.###.#.#.#.#.#.###.#",
    "#.....#...##..#.....#",
    "#######.#.#.#.#######",
    "..........##.........",
    "#.#.#.#...#.#...#..#.",
    "..#..#.#..#.#...#.###",
    "#####.#.#.#.#.###.###",
    "..#..#.##.###.......#",
    "..##.###.#.#....#...#",
    "........#.####.######",
    "#######..##.##.######",
    "#.....#..##.....#..##",
    "#.###.#.##..#..##..#.",
    "#.###.#.....###.#..#.",
    "#.###.#.#.#.#.###...#",
    "#.....#....#.#.##..#.",
    "#######.#...#..##..##",
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running(tmp_path_factory.mktemp("people")) as house:
        set_up_owner(house.services.accounts, NOW, email=ROBIN, name="Robin Weber", password=PASSWORD)
        house.services.accounts.create_person(1, KIM, "Kim Ito", PASSWORD, Role.VIEWER, NOW)
        yield house


def whole(page: Page) -> bool:
    """Whether the page has nothing that axe-core finds and no scrolling to the side, in light, dark and on a phone."""
    before = page.viewport_size
    for theme, width in (("light", 1440), ("dark", 390)):
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        assert violations(page) == []
        assert sideways(page) == 0
    assert before is not None
    page.set_viewport_size(before)
    return True


@pytest.mark.browser
@pytest.mark.parametrize("email", [NEW, "kim@people.example"])
def test_the_page_of_an_invitation_is_whole_for_newcomers_and_for_those_with_an_account(
    shop: House, chromium: Browser, email: str
) -> None:
    accounts = shop.services.accounts
    person = accounts.members(1)[0].person
    bakery = accounts.create_workspace(name="Bakery", time_zone="UTC", country=None, owner_id=person.id, now=NOW)
    robin = Identity(person, bakery, Role.OWNER, "session", person.name)
    _, token = accounts.team.invite(robin, email, Role.EDITOR, NOW, address="")
    page = chromium.new_page()
    heard = Heard(page)
    page.goto(f"{shop.address}/join/{token}")
    assert "Bakery" in page.locator("main").inner_text()
    assert whole(page)
    assert heard.complaints == []
    page.context.close()


@pytest.mark.browser
def test_a_browser_signs_in_sets_up_the_second_factor_and_signs_in_with_it(shop: House, chromium: Browser) -> None:
    page = chromium.new_page(reduced_motion="reduce")  # axe measures colours, which fade in otherwise
    heard = Heard(page)
    sign_in(page, shop, ROBIN)
    page.goto(f"{shop.address}/settings/account")
    page.click("text=Set up an authenticator app")
    secret = page.locator("#totp-secret").inner_text().replace(" ", "")
    assert page.locator("svg.qr").bounding_box() is not None
    assert whole(page)
    page.fill("#code", totp.code_at(secret, totp.step_at(NOW) - 1))
    page.click("button.primary")
    codes = page.locator("#recovery-codes").inner_text().split()
    assert len(codes) == totp.RECOVERY_CODES
    assert whole(page)
    page.click("text=I have kept them")
    page.locator(".person summary").click()
    page.click("text=Sign out >> visible=true")
    sign_in(page, shop, ROBIN)
    page.wait_for_url("**/sign-in/code**")
    page.fill("#code", "000000")
    page.click("button.primary")
    assert "wrong" in page.locator("#form-error").inner_text()
    page.fill("#code", totp.code_at(secret, totp.step_at(NOW)))
    page.click("button.primary")
    page.wait_for_url(f"{shop.address}/")
    assert [complaint for complaint in heard.complaints if "422" not in complaint] == []
    page.context.close()


@pytest.mark.browser
def test_a_viewer_is_shown_no_button_that_would_be_refused(shop: House, chromium: Browser) -> None:
    page = chromium.new_page()
    heard = Heard(page)
    sign_in(page, shop, KIM)
    page.wait_for_url(f"{shop.address}/")
    for path in ("/settings/members", "/settings/tokens", "/settings/workspace", "/streams", "/incidents"):
        page.goto(shop.address + path)
        actions = page.locator("main form[method=post]").evaluate_all("forms => forms.map(form => form.action)")
        assert {action.removeprefix(shop.address) for action in actions} <= {
            "/settings/members/leave",
            "/settings/workspace",  # shown, with its fields disabled
        }
    assert page.locator("text=Audit log").count() == 0
    assert heard.complaints == []
    page.context.close()


def sign_in(page: Page, house: House, email: str) -> None:
    page.goto(f"{house.address}/sign-in")
    page.fill("#email", email)
    page.fill("#password", PASSWORD)
    page.click("button.primary")

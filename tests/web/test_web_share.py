"""Share links, exports, and merges on real pages: what outsiders see, and that every surface says the same numbers."""

from __future__ import annotations

import html
import re

import pytest
from tests.web.conftest import NOW, OWNER, VIEWER, Browse, Heard, House
from tests.web.test_web_pages import sideways, violations

DAY = 86_400_000


@pytest.fixture(scope="module")
def link(busy: House) -> str:
    """The path of a share link to #1."""
    answer = busy.client().post("/incidents/1/share", data={"days": "7", "note": "Payment provider"})
    found = re.search(r"/shared/[\w-]{40,}", answer.text)
    assert found is not None, answer.text
    return found[0]


def test_whoever_has_the_link_reads_the_incident_without_signing_in(busy: House, link: str) -> None:
    answer = busy.client(None).get(link)
    assert answer.status_code == 200
    assert "Revenue is 31 % below expected" in answer.text
    assert "4.2.1" in answer.text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_shared_page_and_list_of_links_are_accessible(busy: House, link: str, browse_busy: Browse, theme: str) -> None:
    page = browse_busy(theme, 390)
    for path in (link, "/incidents/1/share"):
        page.goto(f"{busy.address}{path}")
        assert violations(page) == []
        assert sideways(page) == 0


def test_the_shared_page_leads_nowhere_and_offers_nothing(busy: House, link: str) -> None:
    text = busy.client(None).get(link).text
    assert re.findall(r"<(?:a|form|button|input|nav)\b", text) == []


def test_the_shared_page_names_no_member_and_no_comment(busy: House, link: str) -> None:
    busy.client().post("/incidents/1/comment", data={"text": "Call the bank first"})
    text = busy.client(None).get(link).text
    assert "Robin" not in text
    assert "Call the bank" not in text


def test_the_shared_page_is_kept_out_of_searches_caches_and_referrers(busy: House, link: str) -> None:
    for path in (link, f"{link}/series.json"):
        headers = busy.client(None).get(path).headers
        told = [headers[name] for name in ("x-robots-tag", "cache-control", "referrer-policy")]
        assert told == ["noindex, nofollow", "no-store", "no-referrer"]


def test_the_links_chart_shows_the_headline_series_alone(busy: House, link: str) -> None:
    drawn = busy.client(None).get(f"{link}/series.json?slice=%7B%22properties.country%22%3A%22DE%22%7D").json()
    assert drawn == busy.client(None).get(f"{link}/series.json").json()


@pytest.mark.parametrize("token", ["x", "a" * 43, "%00"])
def test_a_guessed_token_shows_nothing(busy: House, token: str) -> None:
    assert busy.client(None).get(f"/shared/{token}").status_code == 404


def test_a_revoked_link_shows_nothing_any_more(busy: House) -> None:
    answer = busy.client().post("/incidents/2/share", data={"days": "7", "note": "Soon gone"})
    path = re.findall(r"/shared/[\w-]{40,}", answer.text)[0]
    share = busy.services.shares.list(1, 2)[0]
    assert busy.client(None).get(path).status_code == 200
    busy.client().post(f"/incidents/2/share/{share.id}/revoke")
    assert busy.client(None).get(path).status_code == 404


def test_a_link_ends_by_itself(busy: House) -> None:
    _, token = busy.services.shares.create(1, 1, days=1, note="", person_id=None, now=NOW - DAY)
    assert busy.client(None).get(f"/shared/{token}").status_code == 404


def test_the_token_is_kept_only_as_its_hash(busy: House, link: str) -> None:
    token = link.rsplit("/", 1)[1]
    with busy.services.database.engine.connect() as connection:
        rows = connection.exec_driver_sql("select * from incident_shares").fetchall()
    assert token not in repr(rows)
    assert token not in busy.client().get("/incidents/1/share").text


def test_making_and_revoking_a_link_are_in_the_audit_log(busy: House, link: str) -> None:
    assert link
    log = busy.services.accounts.audit_log(1)
    assert ("share.create", "incident:1") in {(entry.action, entry.subject) for entry in log}


def test_a_viewer_makes_no_links(busy: House) -> None:
    assert busy.client(VIEWER).post("/incidents/1/share", data={"days": "7"}).status_code == 403


def test_page_api_mail_and_markdown_say_the_same_numbers(busy: House) -> None:
    client = busy.client()
    page = html.unescape(re.sub(r"<[^>]+>", " ", client.get("/incidents/1").text))
    shared = html.unescape(client.get("/incidents/1/export.md").text)
    told = client.get("/api/v1/incidents/1").json()
    assert busy.services.inbox is not None
    mail = busy.services.inbox.list()[-1].text
    hours = told["duration_ms"] // 3_600_000
    said = [f"€{told['actual']:,.0f}", f"€{told['expected']:,.0f}", f"€{-told['loss']:,.0f}", f"{hours} hours"]
    for where in (page, shared, mail):
        plain = " ".join(where.split())
        assert [one for one in said if one not in plain] == []


def test_a_markdown_export_is_a_file_with_the_story(busy: House) -> None:
    answer = busy.client().get("/incidents/1/export.md")
    assert answer.headers["content-disposition"] == 'attachment; filename="incident-1-revenue.md"'
    assert answer.text.startswith("# Revenue is 31 % below expected")
    assert next(line for line in answer.text.splitlines() if line.startswith("## ")) == "## Why"


def test_a_printed_incident_is_a_pdf_without_navigation(busy: House, browse_busy: Browse) -> None:
    page = browse_busy()
    page.goto(f"{busy.address}/incidents/1")
    page.emulate_media(media="print")
    assert [page.locator(one).first.is_visible() for one in (".sidebar", ".actions", "form.comment", "h1")] == [
        False,
        False,
        False,
        True,
    ]
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


def test_an_incident_is_merged_and_separated_again_on_its_page(busy: House, browse_busy: Browse) -> None:
    page = browse_busy()
    heard = Heard(page)
    page.goto(f"{busy.address}/incidents/11")
    page.get_by_label("More actions").click()
    page.get_by_role("button", name="Merge into another").click()
    page.locator("#into").select_option("10")
    page.locator("#merge").get_by_role("button", name="Merge", exact=True).click()
    page.wait_for_url("**/incidents/10")
    assert page.get_by_text("#11 is part of it").is_visible()
    page.goto(f"{busy.address}/incidents/11")
    assert page.url.endswith("/incidents/10")
    page.get_by_role("button", name="Separate again").click()
    page.wait_for_load_state("load")
    page.goto(f"{busy.address}/incidents/11")
    assert page.url.endswith("/incidents/11")
    assert heard.complaints == []


def test_the_api_merges_splits_and_takes_back(busy: House) -> None:
    token = busy.services.accounts.create_token  # a session cookie is for reading alone
    _, plain = token(
        1,
        busy.owner.person.id,
        "moves",
        _write(),
        expires_ms=None,
        now=NOW,
        actor=OWNER,
        address="",  # type: ignore[union-attr]
    )
    client, headers = busy.client(None), {"authorization": f"Bearer {plain}"}
    merged = client.post("/api/v1/incidents/9/merge", json={"into": 8}, headers=headers)
    assert (merged.status_code, merged.json()["number"], len(merged.json()["anomalies"])) == (200, 8, 2)
    assert client.get("/api/v1/incidents/9", headers=headers).json()["merged_into"] == 8
    part = next(one for one in merged.json()["anomalies"] if one["slice"] == {"properties.country": "GB"})
    new = client.post("/api/v1/incidents/8/split", json={"anomaly_ids": [part["id"]]}, headers=headers)
    assert (new.status_code, new.json()["slice"]) == (201, {"properties.country": "GB"})
    moves = client.get("/api/v1/incidents/8/moves", headers=headers).json()["data"]
    assert [(one["kind"], one["came"]) for one in moves] == [("split", False), ("merge", True)]
    for move in moves:
        assert client.post(f"/api/v1/incidents/8/moves/{move['id']}/undo", headers=headers).status_code == 200
    assert client.get("/api/v1/incidents/9", headers=headers).json()["merged_into"] is None


def _write() -> object:
    from cliffwatch.accounts import Scope

    return Scope.WRITE

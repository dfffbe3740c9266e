"""Attacks over a real socket against the real command: broken framing, paths, hosts, and what other sites make a
browser send. Each gets one clear answer; the server stays as it was, keeps nothing of it, and logs no secret."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from tests.served import OWNER, Served, served

EVIL = "evil.example"


@dataclass(frozen=True)
class Target:
    server: Served
    cookie: str

    @property
    def netloc(self) -> tuple[str, int]:
        parts = urlsplit(self.server.address)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def send(self, request: bytes) -> bytes:
        """All that comes back until the server hangs up, or says nothing more."""
        held = b""
        with socket.create_connection(self.netloc, timeout=30) as wire:
            wire.sendall(request)
            wire.settimeout(60)
            try:
                while part := wire.recv(65_536):
                    held += part
            except (TimeoutError, ConnectionError):
                pass
        return held

    def asked(self, method: str, path: str, **headers: str) -> httpx2.Response:
        own = {"cookie": self.cookie, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return httpx2.request(
            method, f"{self.server.address}{path}", headers=own, content=b"name=Taken+over", timeout=60
        )

    def memory(self) -> int:
        """Bytes in memory."""
        return int(Path(f"/proc/{self.server.pid}/statm").read_text().split()[1]) * 4096


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with served(tmp_path_factory.mktemp("attacked") / "data", log_level="debug") as server:
        answer = httpx2.post(f"{server.address}/welcome", data=OWNER, timeout=60)
        assert answer.status_code == 303
        yield Target(server, answer.headers["set-cookie"].partition(";")[0])


# What is behind a request in doubt: a second answer would mean that it was read as a request of its own.
POST = b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
SMUGGLED = b"GET /v1/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
FRAMINGS = {
    "both lengths": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, chunked first": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    "a list of lengths": POST + b"Content-Length: 0, 44\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": POST + b"Content-Length: +44\r\n\r\n",
    "an endless length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n",
    "chunked not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a chunk without a size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a chunk beyond numbers": POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    "a chunk longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}}}\r\n0\r\n\r\n",
    "a NUL in a header": POST + b"X-A: a\0b\r\nContent-Length: 0\r\n\r\n",
    "a lone line feed": b"POST /v1/batch HTTP/1.1\nHost: x\nContent-Length : 44\n\n",
}


@pytest.mark.parametrize("name", FRAMINGS)
def test_a_request_whose_end_is_in_doubt_is_refused_and_nothing_behind_it_is_read(target: Target, name: str) -> None:
    answers = re.findall(rb"HTTP/1\.1 (\d{3})", target.send(FRAMINGS[name] + SMUGGLED))
    assert len(answers) == 1
    assert answers[0] == b"400"


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../../../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/static/%252e%252e%252f%252e%252e%252fetc/passwd",
        "/static/..%5c..%5c..%5cetc%5cpasswd",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/static/css/%00../../app.py",
        "/api/v1/../../static/../app.py",
    ],
)
def test_no_path_leads_out_of_the_static_files(target: Target, path: str) -> None:
    cookie = target.cookie.encode()
    answer = target.send(
        b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: %b\r\n\r\n" % (path.encode(), cookie)
    )
    assert re.match(rb"HTTP/1\.1 (400|404) ", answer)
    assert b"root:" not in answer
    assert b"import" not in answer.partition(b"\r\n\r\n")[2][:200]


@pytest.mark.parametrize(
    "head",
    [
        b"GET /sign-in HTTP/1.1\r\nHost: evil.example",
        b"GET / HTTP/1.1\r\nHost: evil.example",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: x",
        b"GET //evil.example/ HTTP/1.1\r\nHost: x",
        b"GET /sign-in?to=//evil.example/ HTTP/1.1\r\nHost: evil.example",
        b"POST /sign-out HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0",
        b"GET / HTTP/1.1\r\nHost: a@evil.example:80:80",
        b"GET / HTTP/1.1",
    ],
)
def test_nobody_is_led_to_a_host_that_a_request_names(target: Target, head: bytes) -> None:
    answer = target.send(head + b"\r\nConnection: close\r\n\r\n")
    status, _, rest = answer.partition(b"\r\n")
    assert re.match(rb"HTTP/1\.1 [234]\d\d", status)
    location = re.search(rb"(?im)^location: *(\S+)", rest)
    assert location is None or re.match(rb"/[^/\\]|/$", location[1])
    assert b"//evil.example" not in rest.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": f"https://{EVIL}"},
        {"origin": "null"},
        {"origin": f"https://{EVIL}", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"referer": f"https://{EVIL}/form.html", "origin": f"https://{EVIL}", "content_type": "text/plain"},
    ],
)
def test_what_another_site_makes_a_browser_send_changes_nothing(target: Target, headers: dict[str, str]) -> None:
    form = {"content_type": "application/x-www-form-urlencoded"}
    answer = target.asked("POST", "/settings/workspace", **{**form, **headers})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
    api = target.asked("PATCH", "/api/v1/workspace", **{"content_type": "text/plain", **headers})
    assert api.status_code in (401, 403)
    assert target.asked("GET", "/api/v1/workspace").json()["name"] == OWNER["workspace"]


def test_no_page_may_be_read_or_framed_by_another_site(target: Target) -> None:
    for path in ("/", "/api/v1/workspace"):
        answer = target.asked("GET", path, origin=f"https://{EVIL}")
        assert "access-control-allow-origin" not in answer.headers
        assert "access-control-allow-credentials" not in answer.headers
    assert "frame-ancestors 'none'" in target.asked("GET", "/").headers["content-security-policy"]


def test_a_flood_of_broken_requests_leaves_memory_as_it_was_and_no_secret_in_the_log(target: Target) -> None:
    secrets = [OWNER["password"], target.cookie.partition("=")[2], "cw_secret_of_somebody", "write-key-of-somebody"]
    lines = b"Cookie: %b\r\nAuthorization: Bearer cw_secret_of_somebody\r\n" % target.cookie.encode()

    def flood(rounds: int) -> None:
        for n in range(rounds):
            with socket.create_connection(target.netloc, timeout=30) as wire:
                framing = list(FRAMINGS.values())[n % len(FRAMINGS)]
                wire.sendall(framing.replace(b"Host: x\r\n", b"Host: x\r\n" + lines) + b"x" * 20_000)
            with socket.create_connection(target.netloc, timeout=30) as wire:
                wire.sendall(b"GET /v1/pixel/track?writeKey=write-key-of-somebody&n=%d HTTP/1.1\r\nHost: x\r\n" % n)

    flood(60)
    before = target.memory()
    flood(300)
    assert httpx2.get(f"{target.server.address}/healthz", timeout=60).status_code == 200
    assert target.memory() - before < 30_000_000
    wrong = {"email": OWNER["email"], "password": "a password of somebody"}
    httpx2.post(f"{target.server.address}/sign-in", data=wrong, timeout=60)
    said = target.server.log.read_text()
    assert "is ready" in said
    assert [secret for secret in (*secrets, wrong["password"]) if secret in said] == []

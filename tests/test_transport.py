"""The real command over TLS, and behind a proxy: whose word counts about where a request comes from."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import sqlite3
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.served import OWNER, served


def certificate(folder: Path) -> Path:
    """A certificate of its own for 127.0.0.1, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


def addresses_of(client: httpx2.Client) -> set[str]:
    lines = client.get("/settings/audit/export.jsonl").text.splitlines()
    return {json.loads(line)["address"] for line in lines}


def test_the_server_speaks_tls_and_keeps_browsers_and_cookies_on_it(tmp_path: Path) -> None:
    file = certificate(tmp_path)
    with served(tmp_path / "data", tls_certificate=str(file)) as server:
        address = server.address
        assert address.startswith("https://")
        trusted = ssl.create_default_context(cafile=str(file))
        with httpx2.Client(base_url=address, verify=trusted) as client:
            answer = client.post("/welcome", data=OWNER)
            assert answer.status_code == 303
            assert "Secure" in answer.headers["set-cookie"]
            home = client.get("/settings/workspace", headers={"x-forwarded-for": "203.0.113.7"})
            assert home.headers["strict-transport-security"] == "max-age=31536000"
            client.get("/settings/audit/export.csv", headers={"x-forwarded-for": "203.0.113.7"})
            assert addresses_of(client) == {"127.0.0.1"}  # nobody is believed unless the operator says so


def test_a_trusted_proxy_says_where_a_request_comes_from_and_that_it_was_tls(tmp_path: Path) -> None:
    with served(tmp_path / "data", trusted_proxies="127.0.0.0/8") as server:
        address = server.address
        # The visitor may have put the first one there; the proxy added the last one.
        headers = {"x-forwarded-for": "198.51.100.1, 203.0.113.7", "x-forwarded-proto": "https"}
        with httpx2.Client(base_url=address, headers=headers) as client:
            answer = client.post("/welcome", data=OWNER)
            assert "Secure" in answer.headers["set-cookie"]
            cookie = answer.headers["set-cookie"].partition(";")[0]
            client.headers["cookie"] = cookie
            assert addresses_of(client) == {"203.0.113.7"}


def test_a_socket_for_both_kinds_of_address_tells_a_proxy_and_a_caller_by_the_address_that_people_know(
    tmp_path: Path,
) -> None:
    # Behind it, 127.0.0.1 is ::ffff:127.0.0.1; and a proxy with such a socket writes its callers so.
    with served(tmp_path / "data", host="::ffff:127.0.0.1", trusted_proxies="127.0.0.1") as server:
        parts = urlsplit(server.address)
        assert parts.netloc == f"[::ffff:127.0.0.1]:{parts.port}"
        with httpx2.Client(base_url=f"http://127.0.0.1:{parts.port}") as client:
            answer = client.post("/welcome", data=OWNER)
            client.headers["cookie"] = answer.headers["set-cookie"].partition(";")[0]
            for told in ("::ffff:203.0.113.9", "[::ffff:203.0.113.10]:4711", "203.0.113.11:4711", "[2001:DB8::1]"):
                client.get("/settings/audit/export.csv", headers={"x-forwarded-for": told})
            assert addresses_of(client) == {"127.0.0.1", *(f"203.0.113.{n}" for n in (9, 10, 11)), "2001:db8::1"}
            assert client.get("/metrics").status_code == 200  # from this machine


TOLD = {
    "203.0.113.9": "203.0.113.9",
    "::ffff:203.0.113.9": "203.0.113.9",
    "[::ffff:203.0.113.9]:4711": "203.0.113.9",
    "203.0.113.9:4711": "203.0.113.9",
    "198.51.100.1, 203.0.113.9": "203.0.113.9",
    "203.0.113.9, 127.0.0.1": "203.0.113.9",
    "2001:db8::1": None,  # Segment keeps IPv4 alone
    "[2001:db8::1]:4711": None,
    "unknown": None,
    "203.0.113.999": None,
    "<script>": None,
    "": "127.0.0.1",
}
"""What a proxy says of its caller -> what is kept."""


def test_a_source_that_keeps_addresses_keeps_the_ipv4_address_of_the_person_whatever_the_proxy_writes(
    tmp_path: Path,
) -> None:
    with served(tmp_path / "data", host="::ffff:127.0.0.1", trusted_proxies="127.0.0.1") as server:
        with httpx2.Client(base_url=f"http://127.0.0.1:{urlsplit(server.address).port}") as client:
            client.headers["cookie"] = client.post("/welcome", data=OWNER).headers["set-cookie"].partition(";")[0]
            client.post("/sources", data={"name": "Website"})
            client.post("/sources/1/address", data={"keep_ip": "yes"})
            with sqlite3.connect(tmp_path / "data" / "metadata.db") as metadata:
                (key,) = metadata.execute("SELECT key FROM write_keys").fetchone()
        with httpx2.Client(base_url=f"http://127.0.0.1:{urlsplit(server.address).port}", auth=(key, "")) as sdk:
            for told in TOLD:
                message = {"event": f"told {told}", "anonymousId": "a"}
                from_page = {"x-forwarded-for": told, "origin": "https://shop.example"}
                assert sdk.post("/v1/t", json=message, headers=from_page).status_code == 200
            sdk.post("/v1/t", json={"event": "of a server", "anonymousId": "a"})
    with duckdb.connect(str(tmp_path / "data" / "events.duckdb"), read_only=True) as store:
        found = store.execute("SELECT name, json_extract_string(body, '$.context.ip') FROM archive").fetchall()
    assert dict(found) == {f"told {told}": kept for told, kept in TOLD.items()} | {"of a server": None}


@pytest.mark.parametrize("content", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_certificate_that_cannot_be_used_is_said_at_the_start(tmp_path: Path, content: str) -> None:
    file = tmp_path / "broken.pem"
    file.write_text(content)
    done = subprocess.run(
        [sys.executable, "-m", "cliffwatch.cli", "serve", "--data-dir", str(tmp_path / "data"), "--port", "0"],
        env=os.environ | {"CLIFFWATCH_TLS_CERTIFICATE": str(file)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "cannot be used" in done.stderr

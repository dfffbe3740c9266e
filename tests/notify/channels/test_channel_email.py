"""E-mail through real SMTP servers: plain, STARTTLS, TLS, with a password, and refusing."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.notify.channels.test_channel_conformance import letter
from tests.notify.test_notify_outbox import free_port

from cliffwatch.errors import InvalidInput
from cliffwatch.notify import KINDS, MailSettings
from cliffwatch.notify.channels.contract import Answer, Transports, parse_settings
from cliffwatch.notify.channels.email.mail import build

SENDER = "Cliffwatch <cliffwatch@shop.example>"


class Keeper:
    """Keeps what arrives; refuses addresses that begin with "no"."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("no"):
            return "550 Nobody of that name"
        if address.startswith("full"):
            return "452 Mailbox is full"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content or b""
        self.kept.append(content if isinstance(content, bytes) else content.encode())
        return "250 Kept"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the key and certificate of "localhost", signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture
def server() -> Iterator[Any]:
    running: list[Controller] = []

    def start(**options: Any) -> tuple[Keeper, int]:
        keeper = Keeper()
        controller = Controller(keeper, hostname="127.0.0.1", port=free_port(), **options)
        controller.start()
        running.append(controller)
        return keeper, controller.port

    yield start
    for controller in running:
        controller.stop()


def send(mail: MailSettings, to: str = "a@x.example") -> Answer:
    settings = parse_settings(KINDS["email"].settings, {"to": [to]}, bytes)
    return KINDS["email"].send(settings, letter(target=to), Transports(mail, timeout_seconds=5))


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_starttls_reaches_a_server_whose_certificate_is_trusted(
    server: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    keeper, port = server(tls_context=server_tls(certificate), require_starttls=True)
    assert send(MailSettings("localhost", port, security="starttls", sender=SENDER)).ok
    assert len(keeper.kept) == 1


def test_tls_from_the_first_byte_works_too(server: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    keeper, port = server(ssl_context=server_tls(certificate))
    assert send(MailSettings("localhost", port, security="tls", sender=SENDER)).ok
    assert len(keeper.kept) == 1


def test_a_certificate_that_nobody_vouches_for_gets_no_mail(server: Any, certificate: Path) -> None:
    keeper, port = server(tls_context=server_tls(certificate))
    answer = send(MailSettings("localhost", port, security="starttls", sender=SENDER))
    assert (answer.ok, answer.retry) == (False, True)
    assert "certificate" in answer.text
    assert keeper.kept == []


def test_starttls_is_not_given_up_where_the_server_does_not_offer_it(server: Any) -> None:
    keeper, port = server()
    assert not send(MailSettings("127.0.0.1", port, security="starttls", sender=SENDER)).ok
    assert keeper.kept == []


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
def test_a_wrong_password_is_tried_again_since_an_operator_can_mend_it(server: Any) -> None:
    def check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=data.password == b"right", handled=False)

    keeper, port = server(authenticator=check, auth_required=True, auth_require_tls=False)
    settings = MailSettings("127.0.0.1", port, "me", "wrong", "none", SENDER)
    answer = send(settings)
    assert (answer.ok, answer.retry) == (False, True)
    assert "password" in answer.text
    assert send(replace(settings, password="right")).ok
    assert len(keeper.kept) == 1


def test_an_address_that_does_not_exist_is_given_up_and_a_full_mailbox_is_not(server: Any) -> None:
    _, port = server()
    settings = MailSettings("127.0.0.1", port, security="none", sender=SENDER)
    nobody, full = send(settings, "nobody@x.example"), send(settings, "full@x.example")
    assert (nobody.ok, nobody.retry) == (False, False)
    assert "Nobody of that name" in nobody.text
    assert (full.ok, full.retry) == (False, True)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nobody",
        "@x.example",
        "a@",
        "a b@x.example",
        "a@x.example\nBcc: b@x.example",
        "<a@x.example>",
        "ä@x.example",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InvalidInput, match="to"):
        parse_settings(KINDS["email"].settings, {"to": [address]}, bytes)


def test_recipients_may_come_as_the_lines_of_a_form() -> None:
    settings = parse_settings(KINDS["email"].settings, {"to": "a@x.example\r\n b@x.example, a@x.example\n"}, bytes)
    assert settings.to == ("a@x.example", "b@x.example")


def test_a_mail_has_text_and_html_with_both_pictures_inside() -> None:
    mail = build(letter(), sender=SENDER)
    assert [part.get_content_type() for part in mail.walk()] == [
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "image/png",
    ]
    html = mail.get_body(("html",))
    assert html is not None
    for part in mail.walk():
        if part.get_content_type() == "image/png":
            assert f"cid:{part['Content-ID'].strip('<>')}" in html.get_content()


def test_the_first_line_of_the_text_is_the_cause() -> None:
    text = build(letter(), sender=SENDER).get_body(("plain",))
    assert text is not None
    assert text.get_content().splitlines()[0] == "App version 5.3.0 in Germany lost 96 % of its revenue."


def test_line_breaks_in_names_make_no_headers() -> None:
    message = replace(letter().message, subject="Hello\r\nBcc: b@x.example", workspace="Shop\nX-Evil: 1")
    mail = build(letter(message=message), sender=SENDER)
    assert "Bcc" not in mail
    assert "X-Evil" not in mail
    assert mail["Subject"] == "Hello Bcc: b@x.example"


def test_the_list_id_lets_people_filter() -> None:
    assert build(letter(), sender=SENDER)["List-Id"] == "Cliffwatch incidents <incidents.shop.example>"

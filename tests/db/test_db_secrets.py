"""Secrets at rest: sealed in the files, bound to their column, sealed anew with a new key while the service runs."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text
from structlog.testing import capture_logs
from tests.owners import set_up_owner

from cliffwatch.app import build_services, open_database
from cliffwatch.cli import main
from cliffwatch.db import Database, Keyring
from cliffwatch.db.keys import MARK, VARIABLE, WrongKey, decoded, key_id, new_key, open_keys
from cliffwatch.db.models import Base
from cliffwatch.db.sealing import place_of, seal_anew, secret_columns
from cliffwatch.errors import InvalidInput
from cliffwatch.services import Services
from cliffwatch.settings import Settings
from cliffwatch.store import open_store

NOW = 1_795_953_600_000  # Sun 29 Nov 2026, 12:00 UTC
SECRETS = {
    "signing": "a-shared-secret-of-segment",
    "pager": "https://hooks.example/very-secret-path",
    "slack": "xoxb-0123456789-secret",
    "postgresql": "postgresql://reader:secret-word@db.example/warehouse",
}
PLAIN_ROWS = """INSERT INTO channels (workspace_id, kind, name, settings, enabled, created_ms)
    VALUES (1, 'webhook', 'Old', '{"url":"https://hooks.example/an-old-plain-secret","secret":""}', 1, 0)"""


@pytest.fixture(autouse=True)
def no_key_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    settings = Settings(data_dir=tmp_path)
    database = open_database(settings)
    database.migrate()
    services = build_services(settings, database, open_store(None), clock=lambda: NOW)
    fill(services)
    yield services
    services.store.close()
    database.close()


def fill(services: Services) -> dict[str, Any]:
    """One of everything that holds a secret, by the services that keep it."""
    owner = set_up_owner(services.accounts, NOW)
    place = owner.workspace.id
    pager = services.channels.create(place, "webhook", "Pager", {"url": SECRETS["pager"]}, NOW)
    services.channels.create(place, "slack", "Chat", {"token": SECRETS["slack"], "channel": "#a"}, NOW)
    source, address = services.ingest.deliveries.create_source(place, "Segment", NOW)
    services.ingest.deliveries.set_secret(place, source.id, address.id, SECRETS["signing"], NOW)
    services.ingest.rules.add(place, source.id, "traits.email", "hash", NOW)
    return {"pager": pager, "address": address}


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("metadata.db*"))


def stored(database: Database) -> dict[str, list[str]]:
    """Column -> what the file holds of it."""
    found: dict[str, list[str]] = {}
    with database.read() as session:
        for column in secret_columns():
            query = text(f'SELECT "{column.name}" FROM {column.table.name}')
            found[place_of(column)] = [value for (value,) in session.execute(query) if value]
    return found


def test_no_secret_is_readable_in_the_files_of_the_database(services: Services, tmp_path: Path) -> None:
    held = bytes_of(tmp_path)
    channels = services.channels.list(1)
    tokens = [address.token for address in services.ingest.deliveries.list(1, 1)]
    signing = [channel.settings.secret for channel in channels if channel.kind == "webhook"]
    assert b"robin@shop.example" in held
    for secret in (SECRETS["pager"], SECRETS["slack"], SECRETS["signing"], *tokens, *signing):
        assert secret
        assert secret.encode() not in held


def test_what_was_sealed_is_read_back_as_it_was(services: Services) -> None:
    assert services.channels.list(1)[0].settings.url == SECRETS["pager"]
    assert services.ingest.deliveries.list(1, 1)[0].signing_secret == SECRETS["signing"]


def test_each_column_seals_under_its_own_name() -> None:
    for column in secret_columns():
        assert place_of(column) == f"{column.table.name}.{column.name}"


def test_columns_whose_name_says_secret_are_sealed_or_hashes() -> None:
    sealed = {(column.table.name, column.name) for column in secret_columns()}
    public = {("write_keys", "key"), ("oauth_keys", "public_key"), ("oauth_keys", "key_id"), ("deliveries", "key")}
    public |= {("deletion_requests", "key"), ("settings", "key"), ("jobs", "key")}
    public |= {("computations", "key"), ("outages", "open_key")}
    for table in Base.metadata.sorted_tables:
        for column in table.columns:
            if re.search(r"secret|token|password|(^|_)key($|_)", column.name) and not column.name.endswith("_hash"):
                assert (table.name, column.name) in sealed | public, f"{table.name}.{column.name} keeps a secret plain"


def test_a_value_moved_to_another_column_does_not_open() -> None:
    keys = Keyring([decoded(new_key())])
    with pytest.raises(WrongKey, match="was changed"):
        keys.open("imports.secret", keys.seal("channels.settings", "a"))


@pytest.mark.parametrize("cut", [20, -3])
def test_a_value_that_was_changed_does_not_open_and_is_not_repeated(cut: int) -> None:
    keys = Keyring([decoded(new_key())])
    with pytest.raises(WrongKey) as caught:
        keys.open("imports.secret", keys.seal("imports.secret", "hush")[:cut])
    assert "hush" not in str(caught.value)


def test_two_equal_secrets_look_different() -> None:
    keys = Keyring([decoded(new_key())])
    assert keys.seal("a.b", "same") != keys.seal("a.b", "same")


def test_the_key_file_is_made_at_the_first_start_for_its_owner_alone(services: Services, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600


def test_plain_values_of_earlier_versions_are_sealed_at_the_next_start(services: Services, tmp_path: Path) -> None:
    with services.database.write() as session:
        session.execute(text(PLAIN_ROWS))
    assert b"an-old-plain-secret" in bytes_of(tmp_path)
    services.database.migrate()
    assert b"an-old-plain-secret" not in bytes_of(tmp_path)
    assert services.channels.list(1)[-1].settings.url.endswith("an-old-plain-secret")


def test_rotation_seals_everything_with_the_new_key(services: Services, tmp_path: Path) -> None:
    before = services.database.keys.first_id
    result = CliRunner().invoke(main, ["secrets", "rotate", "--data-dir", str(tmp_path)])
    assert result.exit_code == 0, result.output
    after = Keyring.of_file(tmp_path / "secret.key").first_id
    assert after != before
    held = [value for values in stored(services.database).values() for value in values]
    assert held
    assert all(value.startswith(f"{MARK}{after}:") for value in held)


def test_a_running_service_reads_and_writes_on_through_a_rotation(services: Services, tmp_path: Path) -> None:
    CliRunner().invoke(main, ["secrets", "rotate", "--data-dir", str(tmp_path)])
    services.channels.create(1, "slack", "Later", {"token": "xoxb-later", "channel": "#a"}, NOW)
    assert services.channels.list(1)[1].settings.token == SECRETS["slack"]
    after = Keyring.of_file(tmp_path / "secret.key").first_id
    assert all(value.startswith(f"{MARK}{after}:") for value in stored(services.database)["channels.settings"])


def test_an_interrupted_rotation_goes_on_and_loses_nothing(services: Services, tmp_path: Path) -> None:
    services.database.keys.renew()  # and then the process was killed
    assert services.channels.list(1)[0].settings.url == SECRETS["pager"]
    result = CliRunner().invoke(main, ["secrets", "rotate", "--data-dir", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert services.channels.list(1)[0].settings.url == SECRETS["pager"]


def test_the_key_before_stays_for_one_rotation(services: Services, tmp_path: Path) -> None:
    first = services.database.keys.first_id
    for _ in range(2):
        CliRunner().invoke(main, ["secrets", "rotate", "--data-dir", str(tmp_path)])
    keys = re.findall(r"^[^#\n]+", (tmp_path / "secret.key").read_text(), re.M)
    assert len(keys) == 2
    assert first not in {key_id(decoded(key)) for key in keys}


def test_keys_of_a_setting_rotate_by_putting_the_new_one_first(tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    with_old = Database(f"sqlite:///{tmp_path / 'metadata.db'}", keys=open_keys(old, None))
    with_old.migrate()
    with_old.close()
    both = Database(f"sqlite:///{tmp_path / 'metadata.db'}", keys=open_keys(f"{new},{old}", None))
    assert seal_anew(both.engine, both.keys) == 1
    both.close()
    with_new = Database(f"sqlite:///{tmp_path / 'metadata.db'}", keys=open_keys(new, None))
    with_new.migrate()
    with_new.close()
    assert not (tmp_path / "secret.key").exists()


def test_the_key_of_another_installation_is_refused_at_the_start(services: Services, tmp_path: Path) -> None:
    other = Database(services.database.url.render_as_string(hide_password=False), keys=open_keys(new_key(), None))
    with pytest.raises(WrongKey, match=r"Bring back the file secret\.key"):
        other.migrate()
    other.close()


@pytest.mark.parametrize("key", ["short", "!" * 44, new_key()[:-4]], ids=["short", "no base64", "cut off"])
def test_a_key_that_is_none_is_refused_without_repeating_it(key: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_keys(key, None)
    assert key not in str(caught.value)


def test_secrets_are_in_no_log_line_and_no_error(services: Services) -> None:
    with capture_logs() as lines:
        services.database.migrate()
        seal_anew(services.database.engine, services.database.keys)
        with pytest.raises(InvalidInput) as caught:
            services.channels.create(1, "slack", "", {"token": SECRETS["slack"], "channel": "#a"}, NOW)
    said = f"{lines} {caught.value!r} {services.settings!r} {services.channels.list(1)!r}"
    assert SECRETS["slack"] not in said
    assert new_key() not in said

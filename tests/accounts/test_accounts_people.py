"""The first run, people, roles, workspaces, and the audit log."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from tests.accounts.conftest import EMAIL, NOW, PASSWORD, first_run

from cliffwatch.accounts import Accounts, Forbidden, Identity, Permission, Role, Scope
from cliffwatch.db import Database
from cliffwatch.db.people import PersonRow
from cliffwatch.errors import CliffwatchError, Conflict, InvalidInput, NotFound


def test_a_new_installation_is_not_set_up(empty: Accounts) -> None:
    assert not empty.is_set_up()


def test_the_first_run_gives_an_owner_and_a_workspace(empty: Accounts) -> None:
    identity = empty.set_up(**first_run())
    assert empty.is_set_up()
    assert identity.role is Role.OWNER
    assert identity.person is not None
    assert identity.person.email == EMAIL
    assert identity.workspace == empty.workspace(identity.workspace.id)
    assert (identity.workspace.slug, identity.workspace.time_zone) == ("demo-shop", "Europe/Berlin")


def test_a_second_first_run_is_refused(accounts: Accounts) -> None:
    with pytest.raises(Conflict, match="set up already"):
        accounts.set_up(**first_run(email="other@shop.example"))
    assert len(accounts.workspaces()) == 1


def test_of_two_first_runs_at_once_one_wins(database: Database) -> None:
    outcomes: list[object] = []

    def run(email: str) -> None:
        try:
            outcomes.append(Accounts(database).set_up(**first_run(email=email)))
        except Conflict as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run, args=(f"p{number}@shop.example",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(outcome, Identity) for outcome in outcomes) == 1
    assert len(Accounts(database).workspaces()) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "nonsense"),
        ("name", " "),
        ("password", "short"),
        ("password", "robin@shop.example"),
        ("workspace_name", ""),
        ("time_zone", "Mars/Base"),
        ("country", "XX"),
    ],
)
def test_bad_input_in_the_first_run_leaves_nothing_behind(empty: Accounts, field: str, value: str) -> None:
    with pytest.raises(InvalidInput):
        empty.set_up(**first_run(**{field: value}))
    assert not empty.is_set_up()
    assert empty.workspaces() == []


def test_a_password_is_never_kept(accounts: Accounts, database: Database) -> None:
    with database.read() as session:
        row = session.query(PersonRow).one()
    assert PASSWORD not in row.password_hash


def test_people_join_a_workspace_with_a_role(accounts: Accounts) -> None:
    home = accounts.workspaces()[0]
    ada = accounts.create_person(home.id, "Ada@shop.example", "Ada", "nine quiet lanterns", Role.VIEWER, NOW)
    assert ada.email == "ada@shop.example"
    assert [(member.person.name, member.role) for member in accounts.members(home.id)] == [
        ("Robin Weber", Role.OWNER),
        ("Ada", Role.VIEWER),
    ]


def test_an_email_belongs_to_one_person(accounts: Accounts) -> None:
    home = accounts.workspaces()[0]
    with pytest.raises(Conflict, match="belongs to somebody"):
        accounts.create_person(home.id, EMAIL.upper(), "Robin Two", "nine quiet lanterns", Role.VIEWER, NOW)
    assert len(accounts.members(home.id)) == 1


def test_nobody_joins_a_workspace_that_does_not_exist(accounts: Accounts) -> None:
    with pytest.raises(NotFound):
        accounts.create_person(99, "ada@shop.example", "Ada", "nine quiet lanterns", Role.VIEWER, NOW)


def test_workspaces_of_one_name_get_different_slugs(accounts: Accounts) -> None:
    owner = accounts.members(accounts.workspaces()[0].id)[0].person
    more = [
        accounts.create_workspace(name="Demo shop", time_zone="UTC", country=None, owner_id=owner.id, now=NOW)
        for _ in range(2)
    ]
    assert [workspace.slug for workspace in more] == ["demo-shop-2", "demo-shop-3"]


def test_a_workspace_can_be_changed_and_keeps_its_slug(accounts: Accounts) -> None:
    home = accounts.workspaces()[0]
    changed = accounts.update_workspace(home.id, name="Bakery", time_zone="UTC", country="fr", now=NOW)
    assert changed == replace(home, name="Bakery", time_zone="UTC", country="FR")
    assert accounts.workspace(home.id) == changed


def test_a_bad_change_of_a_workspace_changes_nothing(accounts: Accounts) -> None:
    home = accounts.workspaces()[0]
    with pytest.raises(InvalidInput, match="Time zone"):
        accounts.update_workspace(home.id, name="Bakery", time_zone="Mars", country=None, now=NOW)
    assert accounts.workspace(home.id) == home


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.VIEWER, {Permission.READ}),
        (Role.EDITOR, {Permission.READ, Permission.EDIT}),
        (Role.ADMIN, {Permission.READ, Permission.EDIT, Permission.ADMIN}),
        (Role.OWNER, set(Permission)),
    ],
)
def test_a_role_may_what_it_says(role: Role, allowed: set[Permission]) -> None:
    assert {permission for permission in Permission if role.may(permission)} == allowed


def test_what_a_role_may_not_names_the_role_that_may(accounts: Accounts) -> None:
    identity = Identity(None, accounts.workspaces()[0], Role.VIEWER, "token", "token:cw_x")
    identity.require(Permission.READ)
    with pytest.raises(Forbidden, match=r"needs the role “editor”.*you have “viewer”") as refusal:
        identity.require(Permission.EDIT)
    assert isinstance(refusal.value, CliffwatchError)


def test_no_token_may_what_only_owners_may() -> None:
    assert not any(scope.role.may(Permission.OWN) for scope in Scope)


def test_each_change_is_in_the_audit_log_with_who_and_from_where(accounts: Accounts) -> None:
    home = accounts.workspaces()[0]
    who = {"actor": EMAIL, "address": "203.0.113.7"}
    accounts.create_person(home.id, "ada@shop.example", "Ada", "nine quiet lanterns", Role.EDITOR, NOW, **who)
    token, plain = accounts.create_token(home.id, None, "ci", Scope.READ, expires_ms=None, now=NOW, **who)
    accounts.revoke_token(home.id, token.id, NOW, **who)
    accounts.update_workspace(home.id, name="Bakery", time_zone="UTC", country=None, now=NOW, **who)
    accounts.audit(home.id, EMAIL, "stream.create", "stream:7", {"name": "Revenue"}, "203.0.113.7", NOW)
    entries = accounts.audit_log(home.id)
    assert [entry.action for entry in entries] == [
        "stream.create",
        "workspace.update",
        "token.revoke",
        "token.create",
        "person.create",
        "workspace.create",
    ]
    assert {(entry.actor, entry.address) for entry in entries[:-1]} == {(EMAIL, "203.0.113.7")}
    assert entries[1].detail["before"]["name"] == "Demo shop"
    assert entries[1].detail["after"]["name"] == "Bakery"
    assert all(secret not in str(entries) for secret in (plain, PASSWORD, "nine quiet lanterns"))


def test_the_audit_log_comes_in_pages_and_apart_for_each_workspace(accounts: Accounts) -> None:
    home = accounts.workspaces()[0]
    for number in range(5):
        accounts.audit(home.id, EMAIL, "stream.create", f"stream:{number}", {}, "", NOW + number)
    first = accounts.audit_log(home.id, limit=3)
    second = accounts.audit_log(home.id, before_id=first[-1].id, limit=3)
    assert [entry.subject for entry in first + second] == [f"stream:{number}" for number in (4, 3, 2, 1, 0)] + [
        f"workspace:{home.id}"
    ]
    assert accounts.audit_log(home.id + 1) == []

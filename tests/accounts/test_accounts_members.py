"""Who belongs to a workspace: invitations, roles, leaving, owners, accounts of programs."""

from __future__ import annotations

import pytest
from tests.accounts.conftest import DAY, EMAIL, NOW, PASSWORD

from cliffwatch.accounts import INVITATION_MS, Accounts, Forbidden, Identity, Person, Role, Scope
from cliffwatch.db import Database
from cliffwatch.db.people import InvitationRow, PersonRow
from cliffwatch.errors import Conflict, InvalidInput, NotFound

ADA, ADAS = "ada@shop.example", "nine quiet lanterns"
FROM = {"address": "203.0.113.7"}


def who(accounts: Accounts, email: str = EMAIL, password: str = PASSWORD) -> Identity:
    identity = accounts.session(accounts.sign_in(email, password, address="", user_agent="", now=NOW), NOW)
    assert identity is not None
    return identity


def joined(accounts: Accounts, role: Role, email: str = ADA) -> Person:
    return accounts.create_person(1, email, "Ada", ADAS, role, NOW)


def roles(accounts: Accounts) -> dict[str, Role]:
    return {member.person.email: member.role for member in accounts.members(1)}


def test_who_is_invited_joins_in_the_role_that_was_given(accounts: Accounts) -> None:
    _, token = accounts.team.invite(who(accounts), ADA, Role.EDITOR, NOW, **FROM)
    accounts.team.accept_new(token, "Ada", ADAS, NOW, **FROM)
    assert roles(accounts)[ADA] is Role.EDITOR
    assert who(accounts, ADA, ADAS).role is Role.EDITOR


def test_a_link_is_good_once(accounts: Accounts) -> None:
    _, token = accounts.team.invite(who(accounts), ADA, Role.EDITOR, NOW, **FROM)
    accounts.team.accept_new(token, "Ada", ADAS, NOW, **FROM)
    with pytest.raises(NotFound, match="was used"):
        accounts.team.accept_new(token, "Ada Two", ADAS, NOW, **FROM)


def test_a_link_runs_out_after_a_week(accounts: Accounts) -> None:
    _, token = accounts.team.invite(who(accounts), ADA, Role.EDITOR, NOW, **FROM)
    assert accounts.team.invited(token, NOW + INVITATION_MS - 1)[0].email == ADA
    with pytest.raises(NotFound, match="has run out"):
        accounts.team.accept_new(token, "Ada", ADAS, NOW + 7 * DAY, **FROM)


def test_a_link_that_was_taken_back_is_refused(accounts: Accounts) -> None:
    invitation, token = accounts.team.invite(who(accounts), ADA, Role.EDITOR, NOW, **FROM)
    accounts.team.take_back(who(accounts), invitation.id, NOW, **FROM)
    with pytest.raises(NotFound, match="taken back"):
        accounts.team.invited(token, NOW)


def test_only_a_hash_of_the_link_is_kept(accounts: Accounts, database: Database) -> None:
    _, token = accounts.team.invite(who(accounts), ADA, Role.EDITOR, NOW, **FROM)
    with database.read() as session:
        (row,) = session.query(InvitationRow)
    assert token not in f"{row.__dict__}"
    assert len(row.token_hash) == 64


def test_inviting_again_ends_the_link_before(accounts: Accounts) -> None:
    _, first = accounts.team.invite(who(accounts), ADA, Role.EDITOR, NOW, **FROM)
    accounts.team.invite(who(accounts), ADA, Role.VIEWER, NOW, **FROM)
    assert [one.role for one in accounts.team.invitations(1)] == [Role.VIEWER]
    with pytest.raises(NotFound):
        accounts.team.invited(first, NOW)


def test_a_member_is_not_invited_again(accounts: Accounts) -> None:
    with pytest.raises(Conflict, match="belongs to a member already"):
        accounts.team.invite(who(accounts), EMAIL, Role.VIEWER, NOW, **FROM)


def test_who_has_an_account_joins_with_it_and_nobody_else_by_their_link(accounts: Accounts) -> None:
    second = accounts.create_workspace(name="Bakery", time_zone="UTC", country=None, owner_id=1, now=NOW)
    ada = joined(accounts, Role.VIEWER)
    baker = Identity(Person(1, EMAIL, "Robin"), second, Role.OWNER, "session", EMAIL)
    _, token = accounts.team.invite(baker, ADA, Role.ADMIN, NOW, **FROM)
    with pytest.raises(Forbidden, match="is for ada"):
        accounts.team.accept(token, 1, NOW, **FROM)
    accounts.team.accept(token, ada.id, NOW, **FROM)
    assert [(place.name, role) for place, role in accounts.workspaces_of(ada.id)] == [
        ("Demo shop", Role.VIEWER),
        ("Bakery", Role.ADMIN),
    ]


def test_a_weak_password_leaves_the_invitation_open(accounts: Accounts) -> None:
    _, token = accounts.team.invite(who(accounts), ADA, Role.EDITOR, NOW, **FROM)
    with pytest.raises(InvalidInput, match="shorter"):
        accounts.team.accept_new(token, "Ada", "short", NOW, **FROM)
    assert accounts.team.invited(token, NOW)[0].email == ADA


@pytest.mark.parametrize("role", [Role.VIEWER, Role.EDITOR])
def test_only_administrators_invite_and_change_roles(accounts: Accounts, role: Role) -> None:
    ada = joined(accounts, role)
    asking = who(accounts, ADA, ADAS)
    with pytest.raises(Forbidden):
        accounts.team.invite(asking, "new@shop.example", Role.VIEWER, NOW, **FROM)
    with pytest.raises(Forbidden):
        accounts.team.change_role(asking, ada.id, Role.ADMIN, NOW, **FROM)
    with pytest.raises(Forbidden):
        accounts.team.remove(asking, 1, NOW, **FROM)


def test_an_administrator_makes_and_unmakes_no_owner(accounts: Accounts) -> None:
    ada = joined(accounts, Role.ADMIN)
    asking = who(accounts, ADA, ADAS)
    for act in (
        lambda: accounts.team.invite(asking, "new@shop.example", Role.OWNER, NOW, **FROM),
        lambda: accounts.team.change_role(asking, ada.id, Role.OWNER, NOW, **FROM),
        lambda: accounts.team.change_role(asking, 1, Role.VIEWER, NOW, **FROM),
        lambda: accounts.team.remove(asking, 1, NOW, **FROM),
        lambda: accounts.team.transfer(asking, ada.id, NOW, **FROM),
    ):
        with pytest.raises(Forbidden):
            act()
    assert roles(accounts) == {EMAIL: Role.OWNER, ADA: Role.ADMIN}


def test_the_last_owner_neither_goes_nor_becomes_less(accounts: Accounts) -> None:
    joined(accounts, Role.ADMIN)
    with pytest.raises(Conflict, match="last owner"):
        accounts.team.change_role(who(accounts), 1, Role.ADMIN, NOW, **FROM)
    with pytest.raises(Conflict, match="last owner"):
        accounts.team.remove(who(accounts), 1, NOW, **FROM)
    assert roles(accounts)[EMAIL] is Role.OWNER


def test_a_second_owner_lets_the_first_one_go(accounts: Accounts) -> None:
    ada = joined(accounts, Role.EDITOR)
    accounts.team.change_role(who(accounts), ada.id, Role.OWNER, NOW, **FROM)
    accounts.team.remove(who(accounts), 1, NOW, **FROM)
    assert roles(accounts) == {ADA: Role.OWNER}


def test_ownership_goes_over_in_one_step(accounts: Accounts) -> None:
    ada = joined(accounts, Role.VIEWER)
    accounts.team.transfer(who(accounts), ada.id, NOW, **FROM)
    assert roles(accounts) == {EMAIL: Role.ADMIN, ADA: Role.OWNER}


def test_who_is_removed_loses_session_and_tokens_of_this_workspace_at_once(accounts: Accounts) -> None:
    ada = joined(accounts, Role.EDITOR)
    cookie = accounts.sign_in(ADA, ADAS, address="", user_agent="", now=NOW)
    _, token = accounts.create_token(1, ada.id, "mine", Scope.WRITE, expires_ms=None, now=NOW)
    accounts.team.remove(who(accounts), ada.id, NOW, **FROM)
    assert accounts.session(cookie, NOW) is None
    assert accounts.token(token, NOW) is None
    _, back = accounts.team.invite(who(accounts), ADA, Role.VIEWER, NOW, **FROM)
    accounts.team.accept(back, ada.id, NOW, **FROM)
    assert accounts.token(token, NOW) is None  # coming back does not wake old tokens


def test_every_step_is_in_the_audit_log_with_before_and_after(accounts: Accounts) -> None:
    ada = joined(accounts, Role.VIEWER)
    accounts.team.change_role(who(accounts), ada.id, Role.EDITOR, NOW, **FROM)
    accounts.team.remove(who(accounts), ada.id, NOW, **FROM)
    lines = [entry for entry in accounts.audit_log(1) if entry.action.startswith("member.")]
    assert [(line.action, line.actor, line.address) for line in lines] == [
        ("member.remove", EMAIL, "203.0.113.7"),
        ("member.change_role", EMAIL, "203.0.113.7"),
    ]
    assert lines[1].detail == {"before": {"role": "viewer"}, "after": {"role": "editor"}}


def test_a_service_account_has_tokens_a_role_and_no_way_to_sign_in(accounts: Accounts, database: Database) -> None:
    program = accounts.team.add_service_account(who(accounts), "Deployments", Role.EDITOR, NOW, **FROM)
    _, token = accounts.create_token(1, program.id, "ci", Scope.ADMIN, expires_ms=None, now=NOW)
    identity = accounts.token(token, NOW, address="203.0.113.9")
    assert identity is not None
    assert identity.role is Role.EDITOR
    with pytest.raises(InvalidInput, match="is wrong"):
        accounts.sign_in(program.email, "", address="", user_agent="", now=NOW)
    assert program.email not in roles(accounts)
    assert accounts.list_tokens(1)[0].last_used_from == "203.0.113.9"
    accounts.team.remove(who(accounts), program.id, NOW, **FROM)
    assert accounts.token(token, NOW) is None
    with database.read() as session:
        assert session.get(PersonRow, program.id) is None


def test_a_program_is_no_owner(accounts: Accounts) -> None:
    with pytest.raises(InvalidInput, match="at most administrator"):
        accounts.team.add_service_account(who(accounts), "Root", Role.OWNER, NOW, **FROM)
    program = accounts.team.add_service_account(who(accounts), "Deployments", Role.ADMIN, NOW, **FROM)
    with pytest.raises(InvalidInput, match="must be a person"):
        accounts.team.transfer(who(accounts), program.id, NOW, **FROM)
    with pytest.raises(InvalidInput, match="must be a person"):
        accounts.team.change_role(who(accounts), program.id, Role.OWNER, NOW, **FROM)


def test_a_session_shows_only_workspaces_of_its_person(accounts: Accounts) -> None:
    second = accounts.create_workspace(name="Bakery", time_zone="UTC", country=None, owner_id=1, now=NOW)
    joined(accounts, Role.VIEWER)
    cookie = accounts.sign_in(ADA, ADAS, address="", user_agent="", now=NOW)
    with pytest.raises(NotFound):
        accounts.personal.look_at(who(accounts, ADA, ADAS), cookie, second.id, NOW)
    mine = accounts.sign_in(EMAIL, PASSWORD, address="", user_agent="", now=NOW)
    accounts.personal.look_at(who(accounts), mine, second.id, NOW)
    shown = accounts.session(mine, NOW)
    assert shown is not None
    assert shown.workspace == second

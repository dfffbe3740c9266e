"""People, their roles, and what stands for them: sessions and API tokens; and the audit log.

Takes what people say of themselves (e-mail, password, cookie, token); gives an `Identity`: who asks, in which
workspace, in which role. Never keeps a password, cookie or token that could be used again, never knows HTTP.
"""

from cliffwatch.accounts.audit import AuditFilter, AuditLog, safe_cell
from cliffwatch.accounts.checks import countries, time_zones
from cliffwatch.accounts.members import INVITATION_MS, Members
from cliffwatch.accounts.model import (
    ApiToken,
    AuditEntry,
    Forbidden,
    Identity,
    Invitation,
    Member,
    Permission,
    Person,
    Role,
    Scope,
    TooManyAttempts,
    Workspace,
)
from cliffwatch.accounts.personal import FRESH_MS, OpenSession, Personal
from cliffwatch.accounts.sessions import ABSOLUTE_MS, CODE_MS, SLIDING_MS
from cliffwatch.accounts.store import Accounts
from cliffwatch.accounts.tokens import SESSION_COOKIE, WAITING_COOKIE

__all__ = [
    "ABSOLUTE_MS",
    "CODE_MS",
    "FRESH_MS",
    "INVITATION_MS",
    "SESSION_COOKIE",
    "SLIDING_MS",
    "WAITING_COOKIE",
    "Accounts",
    "ApiToken",
    "AuditEntry",
    "AuditFilter",
    "AuditLog",
    "Forbidden",
    "Identity",
    "Invitation",
    "Member",
    "Members",
    "OpenSession",
    "Permission",
    "Person",
    "Personal",
    "Role",
    "Scope",
    "TooManyAttempts",
    "Workspace",
    "countries",
    "safe_cell",
    "time_zones",
]

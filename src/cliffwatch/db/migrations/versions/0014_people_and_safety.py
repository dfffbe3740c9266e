"""Invitations, second factor, single sign-on, service accounts, step-up; the audit log cannot be changed.

Revision: 0014, after 0013.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cliffwatch.db.base import BigId

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

REFUSAL = "the audit log is append-only"


def upgrade() -> None:
    op.create_table(
        "invitations",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("workspace_id", BigId, nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("invited_by", sa.String(length=200), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"], ["workspaces.id"], name=op.f("fk_invitations_workspace_id_workspaces"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_invitations_token_hash")),
        sa.UniqueConstraint("workspace_id", "email", name=op.f("uq_invitations_workspace_id_email")),
    )
    op.create_table(
        "recovery_codes",
        sa.Column("id", BigId, autoincrement=True, nullable=False),
        sa.Column("person_id", BigId, nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("used_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_recovery_codes_person_id_people"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recovery_codes")),
    )
    with op.batch_alter_table("recovery_codes") as batch:
        batch.create_index(batch.f("ix_recovery_codes_person_id"), ["person_id"], unique=False)
    with op.batch_alter_table("people") as batch:
        batch.add_column(sa.Column("is_service", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch.add_column(sa.Column("totp_secret", sa.Text(), server_default="", nullable=False))
        batch.add_column(sa.Column("totp_since_ms", sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("totp_last_step", sa.BigInteger(), server_default="-1", nullable=False))
        batch.add_column(sa.Column("sso_issuer", sa.String(length=300), nullable=True))
        batch.add_column(sa.Column("sso_subject", sa.String(length=300), nullable=True))
        batch.create_unique_constraint(batch.f("uq_people_sso_issuer_sso_subject"), ["sso_issuer", "sso_subject"])
    with op.batch_alter_table("sessions") as batch:
        batch.add_column(sa.Column("confirmed_ms", sa.BigInteger(), server_default="0", nullable=False))
        batch.add_column(sa.Column("awaits_code", sa.Boolean(), server_default=sa.false(), nullable=False))
    with op.batch_alter_table("api_tokens") as batch:
        batch.add_column(sa.Column("last_used_from", sa.String(length=64), server_default="", nullable=False))
    _refuse_changes()


def _refuse_changes() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_log_no_{verb.lower()} BEFORE {verb} ON audit_log "
                f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_log_no_change BEFORE UPDATE OR DELETE ON audit_log "
        "FOR EACH ROW EXECUTE FUNCTION audit_log_refuse()"
    )
    op.execute(
        "CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse()"
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("update", "delete"):
            op.execute(f"DROP TRIGGER audit_log_no_{verb}")
    else:
        op.execute("DROP TRIGGER audit_log_no_change ON audit_log")
        op.execute("DROP TRIGGER audit_log_no_truncate ON audit_log")
        op.execute("DROP FUNCTION audit_log_refuse")
    with op.batch_alter_table("api_tokens") as batch:
        batch.drop_column("last_used_from")
    with op.batch_alter_table("sessions") as batch:
        batch.drop_column("awaits_code")
        batch.drop_column("confirmed_ms")
    with op.batch_alter_table("people") as batch:
        batch.drop_constraint(batch.f("uq_people_sso_issuer_sso_subject"), type_="unique")
        for name in ("sso_subject", "sso_issuer", "totp_last_step", "totp_since_ms", "totp_secret", "is_service"):
            batch.drop_column(name)
    op.drop_table("recovery_codes")
    op.drop_table("invitations")

"""Audiences and computed traits

Revision: 0015, after 0014.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "computations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("workspace_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("computation_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("anonymous", sa.Boolean(), nullable=False),
        sa.Column("every_minutes", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("next_due_ms", sa.BigInteger(), nullable=False),
        sa.Column("computed_ms", sa.BigInteger(), nullable=True),
        sa.Column("complete_ms", sa.BigInteger(), nullable=True),
        sa.Column("pass_number", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("measured_pass", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name=op.f("fk_computations_workspace_id_workspaces"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_computations")),
        sa.UniqueConstraint("computation_id", name=op.f("uq_computations_computation_id")),
        sa.UniqueConstraint("workspace_id", "key", name=op.f("uq_computations_workspace_id_key")),
    )
    with op.batch_alter_table("computations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_computations_workspace_id"), ["workspace_id"], unique=False)

    op.create_table(
        "engage_spaces",
        sa.Column("workspace_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("identified_ms", sa.BigInteger(), nullable=False),
        sa.Column("pass_number", sa.BigInteger(), nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name=op.f("fk_engage_spaces_workspace_id_workspaces"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("pk_engage_spaces")),
    )
    op.create_table(
        "engage_trails",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("workspace_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("paths", sa.JSON(), nullable=False),
        sa.Column("filled_ms", sa.BigInteger(), nullable=False),
        sa.Column("ready", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id"],
            ["workspaces.id"],
            name=op.f("fk_engage_trails_workspace_id_workspaces"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_engage_trails")),
    )
    with op.batch_alter_table("engage_trails", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_engage_trails_workspace_id"), ["workspace_id"], unique=False)

    op.create_table(
        "computation_blocks",
        sa.Column("computation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("sync_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("block", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["computation_id"],
            ["computations.id"],
            name=op.f("fk_computation_blocks_computation_id_computations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("computation_id", "sync_id", "block", name=op.f("pk_computation_blocks")),
    )
    op.create_table(
        "computation_changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("computation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("person", sa.BigInteger(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["computation_id"],
            ["computations.id"],
            name=op.f("fk_computation_changes_computation_id_computations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_computation_changes")),
    )
    with op.batch_alter_table("computation_changes", schema=None) as batch_op:
        batch_op.create_index("ix_computation_changes_newest", ["computation_id", "id"], unique=False)

    op.create_table(
        "computation_passes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("computation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("complete", sa.Boolean(), nullable=False),
        sa.Column("looked_at", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("entered", sa.BigInteger(), nullable=False),
        sa.Column("left", sa.BigInteger(), nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["computation_id"],
            ["computations.id"],
            name=op.f("fk_computation_passes_computation_id_computations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_computation_passes")),
    )
    with op.batch_alter_table("computation_passes", schema=None) as batch_op:
        batch_op.create_index("ix_computation_passes_at", ["computation_id", "at_ms"], unique=False)

    op.create_table(
        "computation_syncs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("computation_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("per_second", sa.Integer(), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("first_done_ms", sa.BigInteger(), nullable=True),
        sa.Column("told_pass", sa.BigInteger(), nullable=False),
        sa.Column("chunk", sa.BigInteger(), nullable=False),
        sa.Column("pending", sa.JSON(), nullable=True),
        sa.Column("retry_ms", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["computation_id"],
            ["computations.id"],
            name=op.f("fk_computation_syncs_computation_id_computations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_computation_syncs")),
    )
    with op.batch_alter_table("computation_syncs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_computation_syncs_computation_id"), ["computation_id"], unique=False)

    op.create_table(
        "computation_sync_runs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("sync_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("first", sa.Boolean(), nullable=False),
        sa.Column("started_ms", sa.BigInteger(), nullable=False),
        sa.Column("finished_ms", sa.BigInteger(), nullable=True),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sync_id"],
            ["computation_syncs.id"],
            name=op.f("fk_computation_sync_runs_sync_id_computation_syncs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_computation_sync_runs")),
    )
    with op.batch_alter_table("computation_sync_runs", schema=None) as batch_op:
        batch_op.create_index("ix_computation_sync_runs_newest", ["sync_id", "id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("computation_sync_runs", schema=None) as batch_op:
        batch_op.drop_index("ix_computation_sync_runs_newest")

    op.drop_table("computation_sync_runs")
    with op.batch_alter_table("computation_syncs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_computation_syncs_computation_id"))

    op.drop_table("computation_syncs")
    with op.batch_alter_table("computation_passes", schema=None) as batch_op:
        batch_op.drop_index("ix_computation_passes_at")

    op.drop_table("computation_passes")
    with op.batch_alter_table("computation_changes", schema=None) as batch_op:
        batch_op.drop_index("ix_computation_changes_newest")

    op.drop_table("computation_changes")
    op.drop_table("computation_blocks")
    with op.batch_alter_table("engage_trails", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_engage_trails_workspace_id"))

    op.drop_table("engage_trails")
    op.drop_table("engage_spaces")
    with op.batch_alter_table("computations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_computations_workspace_id"))

    op.drop_table("computations")

"""Incidents: merges and splits by hand, share links, steps over several at once, saved filters.

Revision: 0017, after 0016.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def column_to(table: str, name: str, target: str, *, nullable: bool = False) -> list[sa.schema.SchemaItem]:
    """A column that refers to a row of another table, with its key named as all others are."""
    on_delete = "SET NULL" if nullable else "CASCADE"
    key = f"fk_{table}_{name}_{target}"
    return [
        sa.Column(name, BIG, nullable=nullable),
        sa.ForeignKeyConstraint([name], [f"{target}.id"], name=op.f(key), ondelete=on_delete),
    ]


def made(table: str, *items: sa.schema.SchemaItem, indexed: tuple[str, ...] = ()) -> None:
    """A table with an id, its columns, and an index per named column."""
    identity = sa.Column("id", BIG, autoincrement=True, nullable=False)
    op.create_table(table, identity, *items, sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{table}")))
    for name in indexed:
        op.create_index(op.f(f"ix_{table}_{name}"), table, [name], unique=False)


def upgrade() -> None:
    made(
        "incident_triage",
        *column_to("incident_triage", "workspace_id", "workspaces"),
        *column_to("incident_triage", "person_id", "people"),
        sa.Column("action", sa.String(24), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("undone_ms", sa.BigInteger(), nullable=True),
        indexed=("workspace_id", "person_id"),
    )
    unique = op.f("uq_saved_filters_workspace_id_person_id_name")
    made(
        "saved_filters",
        *column_to("saved_filters", "workspace_id", "workspaces"),
        *column_to("saved_filters", "person_id", "people"),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint("workspace_id", "person_id", "name", name=unique),
    )
    made(
        "incident_moves",
        *column_to("incident_moves", "workspace_id", "workspaces"),
        sa.Column("kind", sa.String(8), nullable=False),
        *column_to("incident_moves", "from_id", "incidents"),
        *column_to("incident_moves", "to_id", "incidents"),
        sa.Column("anomaly_ids", sa.JSON(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        *column_to("incident_moves", "person_id", "people", nullable=True),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("undone_ms", sa.BigInteger(), nullable=True),
        indexed=("workspace_id", "from_id", "to_id"),
    )
    made(
        "incident_shares",
        *column_to("incident_shares", "workspace_id", "workspaces"),
        *column_to("incident_shares", "incident_id", "incidents"),
        sa.Column("token_hash", sa.String(64), nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
        *column_to("incident_shares", "created_by", "people", nullable=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("expires_ms", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ms", sa.BigInteger(), nullable=True),
        sa.Column("opened_count", sa.Integer(), nullable=False),
        sa.Column("last_opened_ms", sa.BigInteger(), nullable=True),
        sa.UniqueConstraint("token_hash", name=op.f("uq_incident_shares_token_hash")),
        indexed=("workspace_id", "incident_id"),
    )
    with op.batch_alter_table("incidents") as batch:
        batch.add_column(sa.Column("merged_into", sa.Integer(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("incidents") as batch:
        batch.drop_column("merged_into")
    for table in ("incident_shares", "incident_moves", "saved_filters", "incident_triage"):
        op.drop_table(table)

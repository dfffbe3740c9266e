"""A destination has filters that act, in order, where it had one expression that let events through.

Revision: 0021, after 0020.
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_destinations = sa.table(
    "destinations",
    sa.column("id", sa.BigInteger()),
    sa.column("filter", sa.Text()),
    sa.column("filters", sa.JSON()),
    sa.column("created_ms", sa.BigInteger()),
)


def upgrade() -> None:
    with op.batch_alter_table("destinations") as batch:
        batch.add_column(sa.Column("filters", sa.JSON(), nullable=False, server_default="[]"))
    connection = op.get_bind()
    query = sa.select(_destinations.c.id, _destinations.c.filter, _destinations.c.created_ms)
    for number, text, created_ms in connection.execute(query).all():
        if text.strip() and text.strip().lower() != "all":
            kept = [_only(number, text, created_ms)]
            connection.execute(sa.update(_destinations).where(_destinations.c.id == number).values(filters=kept))
    with op.batch_alter_table("destinations") as batch:
        batch.drop_column("filter")


def downgrade() -> None:
    """The filters that `upgrade` made become their expression again; others cannot be said in one and are left out."""
    with op.batch_alter_table("destinations") as batch:
        batch.add_column(sa.Column("filter", sa.Text(), nullable=False, server_default=""))
    connection = op.get_bind()
    for number, kept in connection.execute(sa.select(_destinations.c.id, _destinations.c.filters)).all():
        found = json.loads(kept) if isinstance(kept, str) else kept
        for one in found:
            if one["enabled"] and one["if"].startswith("!(") and one["actions"] == [{"type": "DROP"}]:
                text = one["if"][2:-1]
                connection.execute(sa.update(_destinations).where(_destinations.c.id == number).values(filter=text))
    with op.batch_alter_table("destinations") as batch:
        batch.drop_column("filters")


def _only(number: int, text: str, created_ms: int) -> dict[str, object]:
    """What let only matching events through drops what does not match."""
    return {
        "id": f"{number}-1",
        "title": "Only events that match",
        "description": "",
        "if": f"!({text})",
        "actions": [{"type": "DROP"}],
        "enabled": True,
        "createdMs": created_ms,
        "updatedMs": created_ms,
    }

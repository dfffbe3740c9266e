"""Columns that hold secrets become text with room for sealed values. `Database.migrate` seals what they hold.

Revision: 0012, after 0011.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ADDRESS_COLUMNS = {"token": 64, "signing_secret": 200, "previous_secret": 200}


def upgrade() -> None:
    with op.batch_alter_table("channels") as batch:
        batch.alter_column(
            "settings", type_=sa.Text(), existing_type=sa.JSON(), nullable=False, postgresql_using="settings::text"
        )
    with op.batch_alter_table("delivery_addresses") as batch:
        batch.drop_constraint(op.f("uq_delivery_addresses_token"), type_="unique")
        for name, length in ADDRESS_COLUMNS.items():
            batch.alter_column(name, type_=sa.Text(), existing_type=sa.String(length), nullable=False)
    with op.batch_alter_table("hash_keys") as batch:
        batch.add_column(sa.Column("readable", sa.Text(), nullable=False, server_default=""))
    if op.get_bind().dialect.name == "sqlite":
        op.execute("UPDATE hash_keys SET readable = lower(hex(key))")
    else:
        op.execute("UPDATE hash_keys SET readable = encode(key, 'hex')")
    with op.batch_alter_table("hash_keys") as batch:
        batch.drop_column("key")
    with op.batch_alter_table("hash_keys") as batch:
        batch.alter_column(
            "readable", new_column_name="key", existing_type=sa.Text(), existing_nullable=False, server_default=None
        )


def downgrade() -> None:
    raise RuntimeError("Sealed secrets cannot be made readable by a migration. Restore the backup of before.")

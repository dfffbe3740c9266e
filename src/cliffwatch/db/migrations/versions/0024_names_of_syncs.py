"""A sync has a name, by which a configuration file knows it.

Revision: 0024, after 0023.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("computation_syncs", sa.Column("name", sa.String(200), nullable=False, server_default=""))
    op.execute("UPDATE computation_syncs SET name = 'Sync ' || id")
    with op.batch_alter_table("computation_syncs") as batch:
        batch.alter_column("name", server_default=None)


def downgrade() -> None:
    op.drop_column("computation_syncs", "name")

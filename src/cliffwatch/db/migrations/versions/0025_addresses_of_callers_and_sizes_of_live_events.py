"""A source may keep its callers' addresses; events that are watched know their size.

Revision: 0025, after 0024.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sources", sa.Column("keep_ip", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.execute("DELETE FROM live_events")  # they are there while somebody looks; the next second shows the next ones
    op.add_column("live_events", sa.Column("bytes", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("live_events", "bytes")
    op.drop_column("sources", "keep_ip")

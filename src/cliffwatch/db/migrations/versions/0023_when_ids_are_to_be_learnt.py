"""Who is who is learnt also where nothing is computed, when messages of audiences come in.

Revision: 0023, after 0022.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("engage_spaces", sa.Column("learn_ms", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    op.drop_column("engage_spaces", "learn_ms")

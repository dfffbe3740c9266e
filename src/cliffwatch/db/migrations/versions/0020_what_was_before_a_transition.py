"""Transitions of audiences and computed traits say what was so before, and are found by person.

Revision: 0020, after 0019.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("computation_changes", sa.Column("was", sa.JSON(), nullable=True))
    op.create_index(
        "ix_computation_changes_person", "computation_changes", ["computation_id", "person", "at_ms"], unique=False
    )


def downgrade() -> None:
    op.drop_index("ix_computation_changes_person", table_name="computation_changes")
    op.drop_column("computation_changes", "was")

"""What processes know together: failed sign-ins, rate limits, and events that somebody looks at.

Revision: 0022, after 0021.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "sign_in_failures",
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_sign_in_failures")),
    )
    op.create_index(op.f("ix_sign_in_failures_last_ms"), "sign_in_failures", ["last_ms"], unique=False)
    op.create_table(
        "rate_buckets",
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("remaining", sa.Float(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_rate_buckets")),
    )
    op.create_index(op.f("ix_rate_buckets_at_ms"), "rate_buckets", ["at_ms"], unique=False)
    op.create_table(
        "live_watches",
        sa.Column("source_id", BIG, nullable=False),
        sa.Column("since_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"], ["sources.id"], name=op.f("fk_live_watches_source_id_sources"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("source_id", name=op.f("pk_live_watches")),
    )
    op.create_table(
        "live_events",
        sa.Column("id", BIG, autoincrement=True, nullable=False),
        sa.Column("source_id", BIG, nullable=False),
        sa.Column("received_ms", sa.BigInteger(), nullable=False),
        sa.Column("shown", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["source_id"], ["sources.id"], name=op.f("fk_live_events_source_id_sources"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_live_events")),
    )
    op.create_index(op.f("ix_live_events_source_id"), "live_events", ["source_id"], unique=False)


def downgrade() -> None:
    for name in ("live_events", "live_watches", "rate_buckets", "sign_in_failures"):
        op.drop_table(name)

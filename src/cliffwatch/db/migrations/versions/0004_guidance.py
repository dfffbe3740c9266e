"""What people tell detection, and memories at several ages.

Revision: 0004, after 0003. No version has written detector states before, so that table is simply made anew.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def reference(column: str, target: str, name: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(name), ondelete="CASCADE")


def upgrade() -> None:
    op.drop_table("detector_states")
    op.create_table(
        "detector_states",
        sa.Column("stream_id", ID, nullable=False),
        sa.Column("window_end_ms", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("told", sa.String(length=64), nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("learning", sa.JSON(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        reference("stream_id", "streams.id", "fk_detector_states_stream_id_streams"),
        sa.PrimaryKeyConstraint("stream_id", "window_end_ms", name=op.f("pk_detector_states")),
    )
    op.create_table(
        "sensitivities",
        sa.Column("stream_id", ID, nullable=False),
        sa.Column("setting", sa.JSON(), nullable=False),
        sa.Column("previous", sa.JSON(), nullable=True),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.String(length=200), nullable=False),
        reference("stream_id", "streams.id", "fk_sensitivities_stream_id_streams"),
        sa.PrimaryKeyConstraint("stream_id", name=op.f("pk_sensitivities")),
    )
    op.create_table(
        "labels",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("workspace_id", ID, nullable=False),
        sa.Column("stream_id", ID, nullable=False),
        sa.Column("measure", sa.String(length=400), nullable=False),
        sa.Column("slice", sa.String(length=800), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("end_ms", sa.BigInteger(), nullable=False),
        sa.Column("is_anomaly", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(length=200), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=True),
        reference("stream_id", "streams.id", "fk_labels_stream_id_streams"),
        reference("workspace_id", "workspaces.id", "fk_labels_workspace_id_workspaces"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
    )
    op.create_index("ix_labels_stream", "labels", ["stream_id", "start_ms"])
    op.create_index(op.f("ix_labels_workspace_id"), "labels", ["workspace_id"])
    op.create_table(
        "undone_marks",
        sa.Column("incident_id", ID, nullable=False),
        sa.Column("undone_ms", sa.BigInteger(), nullable=False),
        sa.Column("undone_by", sa.String(length=200), nullable=False),
        reference("incident_id", "incidents.id", "fk_undone_marks_incident_id_incidents"),
        sa.PrimaryKeyConstraint("incident_id", name=op.f("pk_undone_marks")),
    )
    op.create_table(
        "annotations",
        sa.Column("id", ID, autoincrement=True, nullable=False),
        sa.Column("workspace_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("start_ms", sa.BigInteger(), nullable=False),
        sa.Column("end_ms", sa.BigInteger(), nullable=False),
        sa.Column("scope", sa.JSON(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(length=200), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
        sa.Column("deleted_ms", sa.BigInteger(), nullable=True),
        reference("workspace_id", "workspaces.id", "fk_annotations_workspace_id_workspaces"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_annotations")),
    )
    op.create_index("ix_annotations_workspace_start", "annotations", ["workspace_id", "start_ms"])


def downgrade() -> None:
    for table in ("annotations", "undone_marks", "labels", "sensitivities", "detector_states"):
        op.drop_table(table)
    op.create_table(
        "detector_states",
        sa.Column("stream_id", ID, nullable=False),
        sa.Column("window_end_ms", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        reference("stream_id", "streams.id", "fk_detector_states_stream_id_streams"),
        sa.PrimaryKeyConstraint("stream_id", name=op.f("pk_detector_states")),
    )

"""What all tables share: naming of constraints (so that migrations can name them), times in Unix milliseconds."""

from __future__ import annotations

from typing import Annotated, Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, mapped_column

# SQLite only gives out row ids by itself for INTEGER; PostgreSQL has room for 64 bits.
BigId = BigInteger().with_variant(Integer, "sqlite")

Id = Annotated[int, mapped_column(BigId, primary_key=True, autoincrement=True)]
Ms = Annotated[int, mapped_column(BigInteger)]
OptionalMs = Annotated[int | None, mapped_column(BigInteger)]
Short = Annotated[str, mapped_column(String(200))]
Long = Annotated[str, mapped_column(Text)]
Json = Annotated[dict[str, Any], mapped_column(JSON)]


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def reference(target: str, *, on_delete: str = "CASCADE") -> ForeignKey:
    """A foreign key to `table.column`; by default a row goes with the row that it belongs to."""
    return ForeignKey(target, ondelete=on_delete)

"""Tables and views of the ledger, as SQLAlchemy Core sees them. Migrations create them (a test compares the two)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeEngine

METADATA = MetaData()
_ID = BigInteger().with_variant(Integer, "sqlite")


def _name(length: int | None = None) -> TypeEngine[str]:
    """A text that is sorted and looked up by its bytes in both databases, whatever the locale."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


EVENTS = Table(
    "icebridge_events",
    METADATA,
    Column("seq", _ID, primary_key=True, autoincrement=False),
    Column("plan_id", _name(255), nullable=False),
    Column("table_name", _name(), nullable=False),
    Column("step", String(32), nullable=False),
    Column("outcome", String(32), nullable=False),
    Column("who", String(255), nullable=False),
    Column("origin", Text, nullable=False),
    Column("data", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("at", String(40), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Index("icebridge_events_of_plan", "plan_id", "seq"),
    Index("icebridge_events_of_table", "plan_id", "table_name", "seq"),
)
HEAD = Table(
    "icebridge_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    CheckConstraint("id = 1", name="icebridge_head_is_one_row"),
)
LEASES = Table(
    "icebridge_leases",
    METADATA,
    Column("key", _name(), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", Float, nullable=False),
)
PLANS = Table(
    "icebridge_plans",
    METADATA,
    Column("plan_id", _name(255), primary_key=True),
    Column("created_at", String(40), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("content", Text, nullable=False),
)
FILES = Table(
    "icebridge_copy_chunks",
    METADATA,
    Column("plan_id", _name(255), primary_key=True),
    Column("table_name", _name(), primary_key=True),
    Column("source", _name(), primary_key=True),
    Column("target", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("crc32", BigInteger, nullable=False),
)
DOCUMENTS = Table(
    "icebridge_documents",
    METADATA,
    Column("kind", _name(64), primary_key=True),
    Column("key", _name(), primary_key=True),
    Column("content", Text, nullable=False),
)
LIMITS = Table(
    "icebridge_limits",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("value", Float, nullable=False),
    Column("level", Float, nullable=False),
    Column("at", Float, nullable=False),
)

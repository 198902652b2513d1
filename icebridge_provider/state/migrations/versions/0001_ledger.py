"""The ledger's first tables and views."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_VIEWS = {
    "tables": (
        "SELECT e.plan_id, e.table_name, e.step, e.outcome, e.at AS updated_at, e.data FROM icebridge_events e "
        "JOIN (SELECT plan_id, table_name, MAX(seq) AS seq FROM icebridge_events WHERE table_name <> '' "
        "GROUP BY plan_id, table_name) newest ON newest.seq = e.seq"
    ),
    "catalogs": "SELECT key AS inventory_id, content FROM icebridge_documents WHERE kind = 'inventory'",
    "jobs": (
        "SELECT seq, plan_id, table_name, step, outcome, who, origin, at, data FROM icebridge_events "
        "WHERE step IN ('copy', 'sync', 'cut_over', 'rollback', 'purge') AND outcome IN ('started', 'done', 'failed')"
    ),
    "validations": (
        "SELECT seq, plan_id, table_name, outcome, at, data FROM icebridge_events "
        "WHERE step = 'validate' AND outcome IN ('done', 'failed')"
    ),
}


def _name(length: int | None = None) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Create everything."""
    big = sa.BigInteger()
    op.create_table(
        "icebridge_events",
        sa.Column("seq", big.with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("plan_id", _name(255), nullable=False),
        sa.Column("table_name", _name(), nullable=False),
        sa.Column("step", sa.String(32), nullable=False),
        sa.Column("outcome", sa.String(32), nullable=False),
        sa.Column("who", sa.String(255), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("epoch", big, nullable=False),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False, unique=True),
    )
    op.create_index("icebridge_events_of_plan", "icebridge_events", ["plan_id", "seq"])
    op.create_index("icebridge_events_of_table", "icebridge_events", ["plan_id", "table_name", "seq"])
    op.create_table(
        "icebridge_head",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("seq", big, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.CheckConstraint("id = 1", name="icebridge_head_is_one_row"),
    )
    op.execute(f"INSERT INTO icebridge_head (id, seq, hash) VALUES (1, 0, '{'0' * 64}')")  # noqa: S608 - a constant
    op.create_table(
        "icebridge_leases",
        sa.Column("key", _name(), primary_key=True),
        sa.Column("owner", sa.String(255), nullable=False),
        sa.Column("epoch", big, nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
    )
    op.create_table(
        "icebridge_plans",
        sa.Column("plan_id", _name(255), primary_key=True),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
    )
    op.create_table(
        "icebridge_copy_chunks",
        sa.Column("plan_id", _name(255), primary_key=True),
        sa.Column("table_name", _name(), primary_key=True),
        sa.Column("source", _name(), primary_key=True),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("size", big, nullable=False),
        sa.Column("crc32", big, nullable=False),
    )
    op.create_table(
        "icebridge_documents",
        sa.Column("kind", _name(64), primary_key=True),
        sa.Column("key", _name(), primary_key=True),
        sa.Column("content", sa.Text(), nullable=False),
    )
    op.create_table(
        "icebridge_limits",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("level", sa.Float(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
    )
    for name, query in _VIEWS.items():
        op.execute(f"CREATE VIEW {name} AS {query}")


def downgrade() -> None:
    """Drop everything."""
    for name in _VIEWS:
        op.execute(f"DROP VIEW {name}")
    tables = ("limits", "documents", "copy_chunks", "plans", "leases", "head", "events")
    for name in tables:
        op.drop_table(f"icebridge_{name}")

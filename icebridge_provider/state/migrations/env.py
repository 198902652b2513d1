"""Alembic's entry: runs the migrations on the connection that the ledger hands over."""

from __future__ import annotations

from alembic import context

from icebridge_provider.state.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table="icebridge_alembic_version",
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()

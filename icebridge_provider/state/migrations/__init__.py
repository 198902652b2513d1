"""Alembic migrations of the ledger; run by ``airflow icebridge db migrate``."""

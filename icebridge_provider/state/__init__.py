"""The ledger: an append-only, hash-chained record in SQLite or PostgreSQL."""

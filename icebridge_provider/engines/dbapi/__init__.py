"""The event sync over any DB-API connection to SQLite or PostgreSQL."""

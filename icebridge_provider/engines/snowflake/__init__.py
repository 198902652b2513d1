"""Snowflake by its own connector: sessions, statements that run while nobody waits, the publishing transaction."""

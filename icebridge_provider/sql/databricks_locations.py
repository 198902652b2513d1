"""Statements for a person to run, so that a principal may write and read files of cloud storage in Databricks."""

from __future__ import annotations

from icebridge_provider.sql.identifiers import literal, quoted


def create_location(name: str, url: str, credential: str) -> str:
    """Create an external location; whoever runs it needs ``CREATE EXTERNAL LOCATION``."""
    return f"CREATE EXTERNAL LOCATION {quoted(name)} URL {literal(url)} WITH (STORAGE CREDENTIAL {quoted(credential)})"


def grant_any_file(principal: str) -> str:
    """Let a principal use paths that no external location covers, with the warehouse's instance profile."""
    return f"GRANT SELECT, MODIFY ON ANY FILE TO {quoted(principal)}"

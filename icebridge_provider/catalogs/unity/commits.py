"""What became of a table since it was proven, told without its metadata: filters and masks make that unreadable.

A table with a row filter or a mask is refused over Iceberg REST, so its metadata file is not told. Its commits still
are, by ``DESCRIBE HISTORY``. A mark (the newest commit) is taken while the metadata can be read and is the proven
one; later only commits that change no row may have come after it. Whatever else is there counts as a change.
"""

from __future__ import annotations

from icebridge_provider.catalogs.unity.statements import Statements
from icebridge_provider.sql import databricks as sql

SHOWN = 20
_NONE = "-"
# Words in the names of operations that change neither rows nor columns. Unity Catalog may or may not log them.
_HARMLESS = ("ROW FILTER", "COLUMN MASK", "SET MASK", "DROP MASK", "TAGS", "COMMENT", "RENAME")


class Commits:
    """Commits of the tables of one workspace."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def mark(self, full_name: str) -> str:
        """Return a mark of the newest commit."""
        return next((mark for mark, _ in self._newest(full_name, 1)), _NONE)

    def since(self, full_name: str, mark: str) -> list[str]:
        """Return in words what came after a mark and may have changed rows or columns."""
        found = list[str]()
        for there, operation in self._newest(full_name, SHOWN):
            if there == mark:
                return found
            if not any(word in operation.upper() for word in _HARMLESS):
                found.append(f"{operation} at {there}")
        return found if mark == _NONE else [*found, f"its history does not show {mark} any more"]

    def _newest(self, full_name: str, limit: int) -> list[tuple[str, str]]:
        """Return marks and operations, newest first."""
        what = f"read the history of {full_name}"
        statement = sql.describe_history(full_name.split("."), limit)
        told = self._statements.run(what, statement, right=f"SELECT on {full_name}")
        at = {name: told.columns.index(name) for name in ("version", "timestamp", "operation")}
        return [
            (f"version {row[at['version']]} of {row[at['timestamp']]}", str(row[at["operation"]])) for row in told.rows
        ]

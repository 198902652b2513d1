"""Result sets that the shim writes itself: as JSON, as Snowflake answers all but queries."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

COPY, UNKNOWN, DDL = 0x3000 + 0x600, 0, 0x6000


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """Columns and rows; ``rows`` hold str, int, bool or None."""

    columns: tuple[str, ...] = ("status",)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    kind: int = UNKNOWN
    numbers: frozenset[str] = frozenset()

    def data(self) -> dict[str, Any]:
        """The ``data`` of an answer."""
        return {
            "parameters": [{"name": "TIMEZONE", "value": "Etc/UTC"}],
            "rowtype": [self._column(name) for name in self.columns],
            "rowset": [[None if value is None else str(value) for value in row] for row in self.rows],
            "total": len(self.rows),
            "returned": len(self.rows),
            "queryResultFormat": "json",
            "statementTypeId": self.kind,
        }

    def _column(self, name: str) -> dict[str, Any]:
        number = name in self.numbers
        shape = {"precision": 38, "scale": 0} if number else {"length": 16777216, "byteLength": 16777216}
        empty = dict.fromkeys(("length", "byteLength", "precision", "scale", "collation"))
        kind = "fixed" if number else "text"
        return {
            "name": name,
            "database": "",
            "schema": "",
            "table": "",
            "nullable": True,
            "type": kind,
            **empty,
            **shape,
        }


def said(text: str, kind: int = DDL) -> Result:
    """One row with a status."""
    return Result(rows=[(text,)], kind=kind)

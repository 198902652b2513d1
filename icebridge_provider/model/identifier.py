"""Names of tables as parts, never as a joined string."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PLAIN = re.compile(r"[^\s.`]+")
_PART = re.compile(r"`((?:[^`]|``)*)`|([^`.]+)")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class TableIdentifier:
    """Catalog (the connection id), namespace levels and table name, each exactly as its catalog spells it."""

    catalog: str
    namespace: tuple[str, ...]
    name: str

    @property
    def path(self) -> str:
        """Namespace and name without the catalog, as globs and mapping rules see it: ``flights.trips``."""
        return ".".join(show_part(part) for part in (*self.namespace, self.name))

    def named(self, name: str) -> TableIdentifier:
        """Return the same place under another table name."""
        return TableIdentifier(catalog=self.catalog, namespace=self.namespace, name=name)

    def __str__(self) -> str:
        return f"{show_part(self.catalog)}.{self.path}"

    @classmethod
    def parse(cls, text: str) -> TableIdentifier:
        """Read what ``str()`` wrote: ``catalog.namespace.name``; parts with dots or blanks stand in backticks.

        :raises ValueError: when fewer than three parts are there or a backtick stays open.
        """
        parts = split_parts(text)
        if len(parts) < 3:
            raise ValueError(f"{text!r} is not catalog.namespace.table")
        return cls(catalog=parts[0], namespace=tuple(parts[1:-1]), name=parts[-1])


def split_parts(text: str) -> list[str]:
    """Split a dotted name into parts, honouring backticks.

    :raises ValueError: when a part is empty or a backtick stays open.
    """
    parts, position = [], 0
    while True:
        match = _PART.match(text, position)
        if match is None:
            raise ValueError(f"{text!r}: a name part is missing or a backtick stays open at column {position + 1}")
        quoted, plain = match.groups()
        parts.append(plain if quoted is None else quoted.replace("``", "`"))
        position = match.end()
        if position == len(text):
            return parts
        if text[position] != ".":
            raise ValueError(f"{text!r}: expected a dot at column {position + 1}")
        position += 1


def show_part(part: str) -> str:
    """Return one part as it stands in a dotted name: in backticks where it holds dots, blanks or backticks."""
    return part if _PLAIN.fullmatch(part) else "`" + part.replace("`", "``") + "`"

"""Queries and parameters as files give them, before they become jobs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from icebridge_provider.model.extraction import Partition


class Kind(StrEnum):
    """What a parameter's value becomes: a bound value, a quoted name, or SQL as it stands in the file."""

    LITERAL = "literal"
    IDENTIFIER = "identifier"
    EXPRESSION = "expression"


class Spot(StrEnum):
    """Where a placeholder stands; decides what a text becomes that nothing is said about."""

    TEXT_QUOTES = "in quotes"
    NAME_QUOTES = "in brackets"
    NAME = "where only a name can stand"
    ITEM = "as an item of SELECT, GROUP BY, ORDER BY or PARTITION BY"
    COMPARED = "compared with a constant"
    LIST = "inside IN (…)"
    OTHER = "where a value or a column can stand"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """``{name}`` or ``{name:kind}`` in a .sql file; ``place`` is ``file:line:column``."""

    name: str
    spot: Spot
    place: str
    kind: Kind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A .sql file: one SELECT, in pieces of SQL and placeholders, without comments.

    :param name: path below the queries' folder without ``.sql``, parts joined by ``/``.
    """

    name: str
    file: str
    pieces: tuple[str | Placeholder, ...]
    partition: Partition | None = None

    @property
    def placeholders(self) -> tuple[Placeholder, ...]:
        """Its placeholders in order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Placeholder))


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One value of a YAML file: a text, number, boolean, date, moment, or a list of such; and where it stands.

    :param given: not from a file, so that it can only be bound.
    """

    value: Any
    place: str
    kind: Kind | None = None
    given: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Country:
    """The parameters of one country: the common ones, and its own, which win.

    :param values: by their path, ``tables.purchases_table``.
    """

    name: str
    values: Mapping[str, Parameter] = field(default_factory=dict)

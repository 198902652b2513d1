"""What limits the readers of a table, or describes it, and stands on the table itself: it can be put on another one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PolicyKind(StrEnum):
    """Kinds of Unity Catalog policies."""

    GRANT = "GRANT"
    DENY = "DENY"
    ROW_FILTER = "ROW_FILTER"
    COLUMN_MASK = "COLUMN_MASK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """An attribute-based policy in force on a table, wherever it was defined (``on``).

    ``function`` and ``columns`` say what a filter or a mask does and to what, where the catalog tells. ``when`` is the
    condition on tags under which it holds; one that holds always has none. ``definition`` is the policy in the
    catalog's own words (canonical JSON, without what it stands on), from which it can be made anew.
    """

    name: str
    kind: PolicyKind
    on: str = ""
    principals: tuple[str, ...] = ()
    except_principals: tuple[str, ...] = ()
    privileges: tuple[str, ...] = ()
    function: str = ""
    columns: tuple[str, ...] = ()
    when: str = ""
    definition: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A function that decides what a reader sees, and the columns that it is given.

    ``function`` is ``catalog.schema.function`` as the catalog shows it. ``constants`` are arguments that are no
    columns; the catalog does not tell where among the columns they stand.
    """

    function: str
    columns: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.function}({', '.join((*self.columns, *self.constants))})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """A column and the function that masks it."""

    column: str
    limit: Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag of a table, or of one of its columns."""

    name: str
    value: str = ""
    column: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protections:
    """Row filter, masks, policies, tags and comment of one table."""

    comment: str = ""
    row_filter: Limit | None = None
    masks: tuple[Mask, ...] = ()
    policies: tuple[Policy, ...] = ()
    tags: tuple[Tag, ...] = ()

    @property
    def limiting(self) -> bool:
        """Whether they bear on who sees what; a comment does not."""
        return bool(self.row_filter or self.masks or self.policies or self.tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionChange:
    """What is put on a table and what is taken off; a comment, filter, mask or tag that is put on replaces one."""

    add: Protections = Protections()
    remove: Protections = Protections()

    @property
    def empty(self) -> bool:
        """Whether nothing changes."""
        return self.add == self.remove

    @property
    def tagged(self) -> frozenset[str]:
        """Columns whose tags change; an empty name stands for the table itself."""
        return frozenset(tag.column for tag in (*self.add.tags, *self.remove.tags))

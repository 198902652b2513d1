"""Statements that put filters, masks and tags on a table of Unity Catalog, or take them off: one function each.

Names are parts, never joined and never quoted by the caller. ``ALTER TABLE`` takes no bound values: texts are quoted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from icebridge_provider.model.protection import Policy, PolicyKind
from icebridge_provider.sql.databricks import Parts, names
from icebridge_provider.sql.identifiers import literal, quoted

_CLAUSE = {PolicyKind.ROW_FILTER: "ROW FILTER", PolicyKind.COLUMN_MASK: "COLUMN MASK"}


def set_row_filter(table: Parts, function: Parts, columns: Sequence[str]) -> str:
    """Filter the rows of a table by a function of some of its columns; it replaces the filter that is there."""
    return f"ALTER TABLE {quoted(*table)} SET ROW FILTER {quoted(*function)} ON ({names(columns)})"


def drop_row_filter(table: Parts) -> str:
    """Take the row filter off a table."""
    return f"ALTER TABLE {quoted(*table)} DROP ROW FILTER"


def set_mask(table: Parts, column: str, function: Parts, using: Sequence[str]) -> str:
    """Mask a column by a function of it, and of other columns; it replaces the mask that is there."""
    given = f" USING COLUMNS ({names(using)})" if using else ""
    return f"ALTER TABLE {quoted(*table)} ALTER COLUMN {quoted(column)} SET MASK {quoted(*function)}{given}"


def drop_mask(table: Parts, column: str) -> str:
    """Take the mask off a column."""
    return f"ALTER TABLE {quoted(*table)} ALTER COLUMN {quoted(column)} DROP MASK"


def set_tags(table: Parts, tags: Mapping[str, str], column: str = "") -> str:
    """Set tags of a table or of one of its columns."""
    listed = ", ".join(f"{literal(name)} = {literal(value)}" for name, value in tags.items())
    return f"ALTER TABLE {quoted(*table)}{_column(column)} SET TAGS ({listed})"


def unset_tags(table: Parts, tags: Iterable[str], column: str = "") -> str:
    """Take tags off a table or one of its columns; one that is not there is success."""
    return f"ALTER TABLE {quoted(*table)}{_column(column)} UNSET TAGS ({', '.join(map(literal, tags))})"


def set_owner(table: Parts, principal: str) -> str:
    """Make somebody the owner of a table."""
    return f"ALTER TABLE {quoted(*table)} SET OWNER TO {quoted(principal)}"


def create_policy(policy: Policy, securable: str, parts: Parts) -> str:
    """Create a filter or mask policy, for a person to run; empty for kinds that SQL does not know.

    What stands in the policy's conditions is SQL of its author and is shown as it is: read it before running it.

    :param securable: ``CATALOG``, ``SCHEMA`` or ``TABLE``.
    """
    clause = _CLAUSE.get(policy.kind)
    if clause is None or not policy.definition:
        return ""
    made: Mapping[str, Any] = json.loads(policy.definition)
    does: Mapping[str, Any] = made.get("row_filter") or made.get("column_mask") or {}
    excepted = f" EXCEPT {names(policy.except_principals)}" if policy.except_principals else ""
    return (
        f"CREATE POLICY {quoted(policy.name)} ON {securable} {quoted(*parts)} {clause} "
        f"{quoted(*policy.function.split('.'))} TO {names(policy.principals)}{excepted} FOR TABLES"
        f"{_matched(made)}{_given(does)}"
    )


def _matched(made: Mapping[str, Any]) -> str:
    when = f" WHEN {made['when_condition']}" if made.get("when_condition") else ""
    columns = ", ".join(f"{one['condition']}{_alias(one)}" for one in made.get("match_columns") or ())
    return when + (f" MATCH COLUMNS {columns}" if columns else "")


def _alias(match: Mapping[str, Any]) -> str:
    return f" AS {quoted(match['alias'])}" if match.get("alias") else ""


def _given(does: Mapping[str, Any]) -> str:
    on = f" ON COLUMN {quoted(does['on_column'])}" if does.get("on_column") else ""
    using = [quoted(one["alias"]) if one.get("alias") else literal(one["constant"]) for one in does.get("using") or ()]
    return on + (f" USING COLUMNS ({', '.join(using)})" if using else "")


def _column(column: str) -> str:
    return f" ALTER COLUMN {quoted(column)}" if column else ""

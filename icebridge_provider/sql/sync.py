"""Statements that bring a staged copy up to date: partitions are replaced, the values that name them are bound."""

from __future__ import annotations

from collections.abc import Sequence

from icebridge_provider.sql.databricks import names
from icebridge_provider.sql.identifiers import data_type, quoted

Values = dict[str, str | None]
AT_ONCE = 50  # partitions a statement names


def show_properties(table: Sequence[str]) -> str:
    """Tell the properties of a table."""
    return f"SHOW TBLPROPERTIES {quoted(*table)}"


def delete_partitions(table: Sequence[str], columns: Sequence[tuple[str, str]], count: int) -> str:
    """Delete all rows of ``count`` partitions, whose values :func:`values` binds."""
    return f"DELETE FROM {quoted(*table)} WHERE {_in_partitions(columns, count)}"  # noqa: S608 - all quoted


def insert_partitions(
    target: Sequence[str],
    source: Sequence[str],
    selected: Sequence[str],
    columns: Sequence[tuple[str, str]],
    count: int,
) -> str:
    """Write the rows of ``count`` partitions of one table into another, by column names on both sides."""
    listed = names(selected)
    select = f"SELECT {listed} FROM {quoted(*source)} WHERE {_in_partitions(columns, count)}"  # noqa: S608 - all quoted
    return f"INSERT INTO {quoted(*target)} ({listed}) {select}"


def replacement(
    target: Sequence[str],
    source: Sequence[str],
    selected: Sequence[str],
    columns: Sequence[tuple[str, str]],
    partitions: Sequence[Sequence[str | None]],
) -> dict[str, str | Values]:
    """Return the statements ``delete`` and ``insert`` that write partitions anew, and the ``values`` of both."""
    return {
        "delete": delete_partitions(target, columns, len(partitions)),
        "insert": insert_partitions(target, source, selected, columns, len(partitions)),
        "values": values(partitions),
    }


def values(partitions: Sequence[Sequence[str | None]]) -> Values:
    """Return the values of the parameters ``:p<partition>_<column>``."""
    return {f"p{row}_{column}": text for row, one in enumerate(partitions) for column, text in enumerate(one)}


def _in_partitions(columns: Sequence[tuple[str, str]], count: int) -> str:
    """Any of ``count`` partitions; a null is a value of its own.

    :param columns: names and Databricks types: every value is bound as a text and read as its type.
    """
    return " OR ".join(
        "("
        + " AND ".join(
            f"{quoted(name)} <=> CAST(:p{row}_{number} AS {data_type(kind)})"
            for number, (name, kind) in enumerate(columns)
        )
        + ")"
        for row in range(count)
    )

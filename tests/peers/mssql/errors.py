"""PostgreSQL's errors as SQL Server would say them."""

from __future__ import annotations

import re
from typing import Any, Protocol

import psycopg2

from tests.peers.mssql.interface import SqlError

# Errors that end the batch and roll the transaction back, whatever XACT_ABORT says.
ROLLS_BACK = frozenset({1205, 3960, 245, 248, 244, 241, 242, 235, 8114, 8169, 517, 40197, 3998})
# Errors after which the batch goes on with its next statement.
GOES_ON = frozenset({2627, 2601, 547, 515, 2628, 8152, 8115, 220, 8134, 544, 545, 8101, 8102, 512, 8672, 537, 271, 273,
                     272,                      3902, 3903, 50000, 1222, 15151, 229, 2714, 3701})  # fmt: skip


class Names(Protocol):
    """Who knows what PostgreSQL's names stand for."""

    database: str

    def table_named(self, pg: str) -> tuple[str, str]: ...

    def column_named(self, pg_table: str, pg_column: str) -> str: ...

    def constraint_named(self, pg: str) -> tuple[str, str, str, bool]: ...


def translated(error: psycopg2.Error, names: Names, verb: str) -> SqlError:
    """SQL Server's word for what PostgreSQL says."""
    state = error.pgcode or ""
    diagnosis = error.diag
    message = (diagnosis.message_primary or str(error)).strip()
    if state == "MS000":
        return SqlError(int(diagnosis.message_detail or 50000), message)
    if state == "21000" and "MERGE" in message:
        text = ("The MERGE statement attempted to UPDATE or DELETE the same row more than once. This happens "
            "when a target row "
                "matches more than one source row.")  # fmt: skip
        return SqlError(8672, text)
    simple = _SIMPLE.get(state)
    if simple:
        number, text, severity = simple
        return SqlError(number, text.format(message=message), severity=severity, doomed=number in ROLLS_BACK)
    if state == "23505":
        return _duplicate(diagnosis, names)
    if state == "23502":
        return _missing(diagnosis, names, verb)
    if state == "23514":
        table, name, _, _ = names.constraint_named(diagnosis.constraint_name or "")
        text = (
            f'The {verb} statement conflicted with the CHECK constraint "{name}". The conflict occurred in '
            f'database "{names.database}", table "{table}".'
        )
        return SqlError(547, text)
    if state == "23503":
        return _foreign(diagnosis, names, verb, message)
    if state == "22003":
        return _overflow(message)
    if state == "57014":
        if "lock timeout" in message or "statement timeout" not in message:
            return SqlError(0, "Operation cancelled by user.", severity=11)
        return SqlError(0, message, severity=11)
    if error.pgcode is None or state.startswith(("08", "57P")):
        return SqlError(596, "Cannot continue the execution because the session is in the kill state.", severity=21)
    return SqlError(50001, f"The local SQL Server's database says {state}: {message}")


_SIMPLE = {
    "40P01": (1205, "Transaction (Process ID 1) was deadlocked on lock resources with another process and has "
        "been chosen "
                    "as the deadlock victim. Rerun the transaction.", 13),
    "55P03": (1222, "Lock request time out period exceeded.", 16),
    "40001": (3960, "Snapshot isolation transaction aborted due to update conflict. Retry the transaction or "
        "change the "
                    "isolation level for the update/delete statement.", 16),
    "22012": (8134, "Divide by zero error encountered.", 16),
    "21000": (512, "Subquery returned more than 1 value. This is not permitted when the subquery follows =, !=, "
        "<, <= , >, "
                   ">= or when the subquery is used as an expression.", 16),
    "42803": (8120, "Column is invalid in the select list because it is not contained in either an aggregate "
        "function or "
                    "the GROUP BY clause. ({message})", 16),
    "22008": (517, "Adding a value to a 'datetime' column caused an overflow.", 16),
    "25006": (3906, "Failed to update database because the database is read-only.", 16),
    "53300": (17809, "Could not connect because the maximum number of user connections has been reached.", 20),
}  # fmt: skip


def _duplicate(diagnosis: Any, names: Names) -> SqlError:
    table, name, kind, constraint = names.constraint_named(diagnosis.constraint_name or "")
    found = re.search(r"\)=\((.*)\) already exists", diagnosis.message_detail or "", re.DOTALL)
    values = ", ".join("<NULL>" if item == "null" else item for item in (found.group(1) if found else "").split(", "))
    if constraint:
        text = f"Violation of {kind} constraint '{name}'. Cannot insert duplicate key in object '{table}'."
        return SqlError(2627, f"{text} The duplicate key value is ({values}).", severity=14)
    text = f"Cannot insert duplicate key row in object '{table}' with unique index '{name}'."
    return SqlError(2601, f"{text} The duplicate key value is ({values}).", severity=14)


def _missing(diagnosis: Any, names: Names, verb: str) -> SqlError:
    _, label = names.table_named(diagnosis.table_name or "")
    column = names.column_named(diagnosis.table_name or "", diagnosis.column_name or "")
    text = (
        f"Cannot insert the value NULL into column '{column}', table '{label}'; column does not allow nulls. "
        f"{verb} fails."
    )
    return SqlError(515, text)


def _foreign(diagnosis: Any, names: Names, verb: str, message: str) -> SqlError:
    _, name, _, _ = names.constraint_named(diagnosis.constraint_name or "")
    kind = "FOREIGN KEY" if message.startswith("insert or update") else "REFERENCE"
    table, _ = names.table_named(diagnosis.table_name or "")
    text = (
        f'The {verb} statement conflicted with the {kind} constraint "{name}". The conflict occurred in '
        f'database "{names.database}", table "{table}".'
    )
    return SqlError(547, text)


def _overflow(message: str) -> SqlError:
    if "numeric field overflow" in message:
        return SqlError(8115, "Arithmetic overflow error converting numeric to data type numeric.", state=8)
    kind = {"bigint": "bigint", "smallint": "smallint"}.get(message.split(maxsplit=1)[0], "int")
    kind = "float" if "double" in message else "real" if '"real"' in message or "type real" in message else kind
    return SqlError(8115, f"Arithmetic overflow error converting expression to data type {kind}.", state=2)


def goes_on(error: SqlError) -> bool:
    """Whether the batch goes on after it (XACT_ABORT OFF)."""
    return error.number in GOES_ON and error.severity < 20

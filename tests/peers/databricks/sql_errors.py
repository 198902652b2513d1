"""How SQL says no: an error class, a SQLSTATE and the message, as Databricks words them."""

from __future__ import annotations

import re
from typing import Any

from tests.peers.databricks.errors import ApiError

# What Unity Catalog's error codes are called in SQL.
_CLASSES = {
    "PERMISSION_DENIED": ("INSUFFICIENT_PERMISSIONS", "42501"),
    "TABLE_DOES_NOT_EXIST": ("TABLE_OR_VIEW_NOT_FOUND", "42P01"),
    "SCHEMA_DOES_NOT_EXIST": ("SCHEMA_NOT_FOUND", "42704"),
    "CATALOG_DOES_NOT_EXIST": ("NO_SUCH_CATALOG_EXCEPTION", "42704"),
    "FUNCTION_DOES_NOT_EXIST": ("UNRESOLVED_ROUTINE", "42883"),
    "TABLE_ALREADY_EXISTS": ("TABLE_OR_VIEW_ALREADY_EXISTS", "42P07"),
    "SCHEMA_ALREADY_EXISTS": ("SCHEMA_ALREADY_EXISTS", "42P06"),
    "SCHEMA_NOT_EMPTY": ("SCHEMA_NOT_EMPTY", "2BP01"),
    "INVALID_PARAMETER_VALUE": ("INVALID_PARAMETER_VALUE", "22023"),
    "QUOTA_EXCEEDED": ("QUOTA_EXCEEDED", "54000"),
}
_JAVA = re.compile(r"\((?:[\w.$]+\.)?(\w+)\)\s*(.*)", re.DOTALL)
_PLAN = re.compile(r"\n\nJVM stacktrace|\n['+]|\n:?[- ]*\+- ")  # Spark shows its plans, Databricks does not
_DENIED = "Insufficient privileges:\n"


class SqlError(Exception):
    """A statement that failed; ``str`` gives what a client is shown."""

    def __init__(self, error_class: str, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.error_class, self.sqlstate, self.message = error_class, sqlstate, message

    def __str__(self) -> str:
        text = (
            self.message if self.message.startswith(f"[{self.error_class}]") else f"[{self.error_class}] {self.message}"
        )
        return text if "SQLSTATE:" in text else f"{text} SQLSTATE: {self.sqlstate}"


def from_api(error: ApiError) -> SqlError:
    """What the catalog refused, as SQL reports it."""
    if error.error_code == "TABLE_DOES_NOT_EXIST":
        found = re.search(r"'(.*)' does not exist", error.message)
        return no_table(found.group(1).split(".") if found else [])
    error_class, state = _CLASSES.get(error.error_code, (error.error_code, "58000"))
    text = _DENIED + error.message if error_class == "INSUFFICIENT_PERMISSIONS" else error.message
    return SqlError(error_class, state, text)


def from_spark(error: Any) -> SqlError:
    """What the engine refused; Iceberg's own exceptions have no error class, so they get one by their Java name."""
    text = _PLAN.split(str(error), maxsplit=1)[0].strip().rstrip(";")
    condition = _asked(error, "getCondition") or _asked(error, "getErrorClass")
    if condition and condition != "_LEGACY_ERROR_TEMP_3091":
        return SqlError(condition, _asked(error, "getSqlState") or "XX000", text)
    java = _JAVA.match(text)
    if java is None:
        return SqlError("INTERNAL_ERROR", "XX000", text)
    name, said = java.groups()
    known = {"NotFoundException": ("FAILED_READ_FILE.FILE_NOT_EXIST", "KD001")}
    return SqlError(*known.get(name, ("INTERNAL_ERROR", "XX000")), f"{name}: {said}")


def _asked(error: Any, name: str) -> str:
    method = getattr(error, name, None)
    try:
        return str(method() or "") if callable(method) else ""
    except Exception:  # noqa: BLE001 - some errors have no such part and raise when asked
        return ""


def no_table(parts: list[str] | tuple[str, ...]) -> SqlError:
    """Nothing by this name that the caller may see."""
    shown = ".".join(f"`{part}`" for part in parts)
    return SqlError(
        "TABLE_OR_VIEW_NOT_FOUND",
        "42P01",
        f"The table or view {shown} cannot be found. Verify the spelling and correctness of the schema and catalog.",
    )


def syntax(near: str, text: str = "") -> SqlError:
    """The statement is no SQL."""
    return SqlError("PARSE_SYNTAX_ERROR", "42601", f"Syntax error at or near '{near}'. {text}".rstrip())


def unsupported(what: str, condition: str = "UNSUPPORTED_FEATURE") -> SqlError:
    """The statement is SQL, and Databricks refuses it."""
    return SqlError(condition, "0A000", what)


def denied(message: str) -> SqlError:
    """A right is missing."""
    return SqlError("INSUFFICIENT_PERMISSIONS", "42501", _DENIED + message)

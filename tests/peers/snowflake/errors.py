"""Snowflake's errors, as the connector reads them."""

from __future__ import annotations


class SnowflakeError(Exception):
    """An error a statement ends with: ``code`` is what clients see as errno."""

    def __init__(self, code: int, state: str, message: str) -> None:
        super().__init__(message)
        self.code, self.state, self.message = code, state, message


def compilation(code: int, state: str, message: str) -> SnowflakeError:
    return SnowflakeError(code, state, f"SQL compilation error:\n{message}")


def syntax(found: str, position: int = 0) -> SnowflakeError:
    return compilation(1003, "42000", f"syntax error line 1 at position {position} unexpected '{found}'.")


def missing(kind: str, name: str) -> SnowflakeError:
    return compilation(2003, "02000", f"{kind} '{name}' does not exist or not authorized.")


def taken(name: str) -> SnowflakeError:
    return compilation(2002, "42710", f"Object '{name}' already exists.")


def denied(kind: str, name: str) -> SnowflakeError:
    return SnowflakeError(
        3001, "42501", f"SQL access control error:\nInsufficient privileges to operate on {kind} '{name}'"
    )


def canceled() -> SnowflakeError:
    return SnowflakeError(604, "57014", "SQL execution canceled")


def refused(what: str) -> SnowflakeError:
    """The stand-in's own: it does not do this, and says so instead of guessing."""
    return SnowflakeError(2, "0A000", f"Unsupported feature '{what}' (of the stand-in, see its README).")

"""Files that a person names on the command line."""

from __future__ import annotations

from pathlib import Path

from icebridge_provider.exceptions import ConfigurationError


def read_text(path: Path) -> str:
    """Return a file's text, without the mark that some spreadsheets put in front.

    :raises ConfigurationError: IB-761 when it is not there or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            "IB-761", f"{path} cannot be read: {_cause(error)}.", remedy="Name a file that is there.", file=path
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a file, replacing one that is there.

    :raises ConfigurationError: IB-763 when it cannot be written.
    """
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise ConfigurationError(
            "IB-763",
            f"{path} cannot be written: {_cause(error)}.",
            remedy="Name another file.",
            changed="Nothing but what the ledger keeps by itself.",
            file=path,
        ) from error


def _cause(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)

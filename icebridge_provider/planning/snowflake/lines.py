"""Reads lines that a person writes: ``catalog.schema.table -> DB.SCHEMA.TABLE; mode=upsert; keys=id,day``.

Marks inside of quotes (``'`` ``"`` and backticks) are part of what is quoted. What is read here is a name or a word of
a setting, never SQL: names are quoted later, by ``sql.identifiers`` alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from icebridge_provider.model.identifier import show_part, split_parts
from icebridge_provider.sql.identifiers import LONGEST

QUOTES = "'\"`"
_DATABRICKS = re.compile(r"(?!.*--)[^\s.#`'\"*?;,<>={}()\[\]|&\\/@:]+")
_SNOWFLAKE = re.compile(r'"((?:[^"]|"")+)"|([A-Za-z_][A-Za-z0-9_$]*)')
_PLAIN_SNOWFLAKE = re.compile(r"[A-Z_][A-Z0-9_$]*")
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})


def cut(text: str, mark: str) -> list[str]:
    """Split at every ``mark`` that stands outside of quotes.

    :raises ValueError: when a quote stays open.
    """
    parts, start, opened = [], 0, ""
    position = 0
    while position < len(text):
        char = text[position]
        if opened:
            opened = "" if char == opened else opened
        elif char in QUOTES:
            opened = char
        elif text.startswith(mark, position):
            parts.append(text[start:position])
            position += len(mark) - 1
            start = position + 1
        position += 1
    if opened:
        raise ValueError(f"a quote {opened} stays open")
    return [*parts, text[start:]]


def numbered(text: str) -> Iterator[tuple[int, str]]:
    """Return the lines that say something, with their numbers; ``#`` begins a comment line."""
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def databricks_name(text: str) -> tuple[str, ...]:
    """Read ``catalog.schema.table``; parts with other characters than letters, digits, ``_``, ``-`` in backticks.

    :raises ValueError: saying what is wrong with it.
    """
    said = text.strip()
    parts = split_parts(said)
    if len(parts) != 3:
        raise ValueError(f"{_shown(said)} is not catalog.schema.table")
    for written in cut(said, "."):
        if not written.startswith("`") and not _DATABRICKS.fullmatch(written):
            raise ValueError(f"the part {_shown(written)} must stand in backticks, or is not what you mean")
    return checked(parts)


def snowflake_name(text: str, form: str) -> tuple[str, ...]:
    """Read a name as Snowflake does: parts without quotes become capitals, parts in ``"`` stay as they are.

    :param form: what it must look like, ``DB.SCHEMA.TABLE``; it says the number of parts.
    :raises ValueError: saying what is wrong with it.
    """
    said, parts, position = text.strip(), [], 0
    while True:
        found = _SNOWFLAKE.match(said, position)
        if found is None:
            rest = said[position:]
            hint = ": names of Snowflake stand in double quotes" if rest.startswith("`") else ""
            raise ValueError(f'{_shown(said)} is not {form}; write other characters as "name"{hint}')
        parts.append(found[2].upper() if found[1] is None else found[1].replace('""', '"'))
        position = found.end()
        if position == len(said):
            break
        if said[position] != ".":
            raise ValueError(f'{_shown(said)} is not {form}; write other characters as "name"')
        position += 1
    if len(parts) != form.count(".") + 1:
        raise ValueError(f"{_shown(said)} is not {form}")
    return checked(parts)


def write_snowflake_name(parts: Sequence[str]) -> str:
    """Return a name as :func:`snowflake_name` reads it."""
    return ".".join(part if _PLAIN_SNOWFLAKE.fullmatch(part) else '"' + part.replace('"', '""') + '"' for part in parts)


def write_line(source: Sequence[str], target: Sequence[str] = ()) -> str:
    """Return the line that asks for a table, whatever its names."""
    said = ".".join(
        show_part(part) if _DATABRICKS.fullmatch(part) and "->" not in part else "`" + part.replace("`", "``") + "`"
        for part in source
    )
    return f"{said} -> {write_snowflake_name(target)}" if target else said


def column_names(text: str) -> tuple[str, ...]:
    """Read ``id, day``; names with commas, blanks or quotes stand in backticks.

    :raises ValueError: for an empty name, and for a backtick that stays open.
    """
    found = []
    for item in cut(text, ","):
        said = item.strip()
        parts = split_parts(said) if said.startswith("`") else [said]
        if len(parts) != 1 or not parts[0]:
            raise ValueError(f"{_shown(text)} is no list of columns such as id, day")
        found.append(parts[0])
    return checked(found)


def checked(parts: Sequence[str]) -> tuple[str, ...]:
    """Return parts that can be names.

    :raises ValueError: for an empty one, one of more than 255 characters, and one with control characters.
    """
    for part in parts:
        if not part or len(part) > LONGEST:
            raise ValueError(f"a name of {len(part)} characters, 1 to {LONGEST} are allowed")
        if any(unicodedata.category(char) in _UNSEEN for char in part):
            raise ValueError(f"{_shown(part)} holds control characters")
    return tuple(parts)


def _shown(text: str) -> str:
    return repr(text[:120])

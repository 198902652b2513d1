"""Selection and mapping as CSV, for people who plan in a spreadsheet: ``source,target,method,include``."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.identifier import TableIdentifier, split_parts
from icebridge_provider.model.plan import MigrationPlan

COLUMNS = ("source", "target", "method", "include")
_YES, _NO = {"yes", "y", "true", "1", ""}, {"no", "n", "false", "0"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_selection(plan: MigrationPlan) -> str:
    """Return the plan's tables as CSV; refused tables have ``include`` no.

    A cell that a spreadsheet would take for a formula stands behind an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for table in plan.tables:
        writer.writerow([_safe(table.source.path), _safe(table.target.path), table.method.value, "yes"])
    planned = {table.source for table in plan.tables}
    refused = {finding.table for finding in plan.findings} - planned
    for source in sorted(refused):
        writer.writerow([_safe(source.path), "", "", "no"])
    return out.getvalue()


def read_selection(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the globs and mapping rules a CSV stands for.

    The column ``method`` is for reading only: one plan has one method.

    :raises ConfigurationError: IB-318 naming line and column of what cannot be read.
    """
    reader = csv.DictReader(io.StringIO(text.lstrip("\ufeff")))
    missing = {"source"} - set(reader.fieldnames or ())
    unknown = set(reader.fieldnames or ()) - set(COLUMNS)
    if missing or unknown:
        raise _wrong(1, f"the header must be {','.join(COLUMNS)}")
    tables, rules = [], []
    for number, row in enumerate(reader, 2):
        source = _path(row, "source", number)
        if not _included(row, number):
            continue
        tables.append(source)
        if (row.get("target") or "").strip():
            target = _path(row, "target", number)
            if target != source:
                rules.append(f"explicit:{source}={target}")
    if not tables:
        raise _wrong(2, "no line has include yes")
    return tuple(tables), tuple(rules)


def _included(row: Mapping[str, str | None], number: int) -> bool:
    said = (row.get("include") or "").strip().lower()
    if said not in _YES | _NO:
        raise _wrong(number, f"include is {said!r}, not yes or no")
    return said in _YES


def _path(row: Mapping[str, str | None], column: str, number: int) -> str:
    text = (row.get(column) or "").strip()
    if text.startswith("'") and text[1:].startswith(_FORMULA):
        text = text[1:]
    try:
        parts = split_parts(text)
    except ValueError as error:
        raise _wrong(number, f"{column}: {error}") from None
    if len(parts) < 2:
        raise _wrong(number, f"{column}: {text!r} is not namespace.table")
    return TableIdentifier(catalog="", namespace=tuple(parts[:-1]), name=parts[-1]).path


def _safe(cell: str) -> str:
    return "'" + cell if cell.startswith(_FORMULA) else cell


def _wrong(line: int, why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-318", f"The CSV cannot be used, line {line}: {why}.", remedy="Correct that line.", line=line
    )

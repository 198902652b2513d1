"""Selection and mapping as CSV, for people who plan in a spreadsheet: ``source,target,method,include``."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Iterator

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.identifier import TableIdentifier, split_parts
from icebridge_provider.model.inventory import Inventory
from icebridge_provider.model.plan import CopyMethod, MigrationPlan
from icebridge_provider.planning.mapping import AUTO, rule_path, rule_text

COLUMNS = ("source", "target", "method", "include")
METHODS = ("", AUTO, *CopyMethod)
_YES, _NO = {"yes", "y", "true", "1", "x", ""}, {"no", "n", "false", "0"}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
Row = dict[str, str]
Line = tuple[TableIdentifier, str, str, str]


def write_selection(plan: MigrationPlan) -> str:
    """Return the plan's tables as CSV; refused tables have ``include`` no.

    A cell that a spreadsheet would take for a formula stands behind an apostrophe (OWASP, CSV injection).
    """
    rows = [(table.source, table.target.path, table.method.value, "yes") for table in plan.tables]
    planned = {table.source for table in plan.tables}
    refused = sorted({finding.table for finding in plan.findings} - planned)
    return _written([*sorted(rows), *((source, "", "", "no") for source in refused)])


def write_inventory(inventory: Inventory) -> str:
    """Return all tables of an inventory as CSV, to choose from; those that cannot be read have ``include`` no."""
    return _written(
        (table.identifier, table.identifier.path, AUTO, "no" if table.problem else "yes") for table in inventory.tables
    )


def read_selection(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the globs and mapping rules that a CSV stands for: params ``tables`` and ``mapping``.

    Columns may stand in any order; all but ``source`` may be missing; semicolons and tabs separate as well.

    :raises ConfigurationError: IB-318 naming line and column of what cannot be read.
    """
    tables: list[str] = []
    rules: list[str] = []
    seen: dict[TableIdentifier, int] = {}
    for line, row in _rows(text):
        source = _identifier(row, "source", line)
        if source in seen:
            raise _wrong(line, "source", f"{source.path} stands in line {seen[source]} already")
        seen[source] = line
        method = _method(row, line)
        if not _included(row, line):
            continue
        tables.append(_glob(source))
        if row["target"] and _identifier(row, "target", line) != source:
            rules.append(rule_text("explicit", source, rule_path(_identifier(row, "target", line))))
        if method not in {"", AUTO}:
            rules.append(rule_text("method", source, method))
    if not tables:
        raise _wrong(2, "include", "no line has yes")
    return tuple(tables), tuple(rules)


def _written(rows: Iterable[Line]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for source, target, method, include in rows:
        writer.writerow([_safe(source.path), _safe(target), method, include])
    return out.getvalue()


def _rows(text: str) -> Iterator[tuple[int, Row]]:
    """Yield each line that is not empty, with its number and all columns as texts."""
    plain = text.lstrip("\ufeff")
    reader = csv.reader(io.StringIO(plain, newline=""), delimiter=_delimiter(plain))
    try:
        heads = [cell.strip().lower() for cell in next(reader, [])]
        _check_heads(heads)
        before = reader.line_num
        for cells in reader:
            line, before = before + 1, reader.line_num
            if len(cells) > len(heads):
                raise _wrong(line, heads[-1], f"there are {len(cells)} cells, the header has {len(heads)}")
            if any(cell.strip() for cell in cells):
                yield line, {**dict.fromkeys(COLUMNS, ""), **dict(zip(heads, map(_plain, cells), strict=False))}
    except csv.Error as error:
        raise _wrong(reader.line_num, COLUMNS[0], str(error)) from None


def _delimiter(text: str) -> str:
    head = text.partition("\n")[0]
    return max(",;\t", key=head.count)


def _check_heads(heads: list[str]) -> None:
    for head in heads:
        if head not in COLUMNS:
            near = difflib.get_close_matches(head, COLUMNS, 1)
            hint = f"did you mean {near[0]}" if near else f"columns are {', '.join(COLUMNS)}"
            raise _wrong(1, head, f"there is no such column; {hint}")
        if heads.count(head) > 1:
            raise _wrong(1, head, "the column stands twice")
    if "source" not in heads:
        raise _wrong(1, "source", f"the column is missing; columns are {', '.join(COLUMNS)}")


def _included(row: Row, line: int) -> bool:
    said = row["include"].lower()
    if said not in _YES | _NO:
        raise _wrong(line, "include", f"{row['include']!r} is not yes or no")
    return said in _YES


def _method(row: Row, line: int) -> str:
    if row["method"] not in METHODS:
        raise _wrong(line, "method", f"{row['method']!r} is not one of {', '.join(METHODS[1:])}")
    return row["method"]


def _identifier(row: Row, column: str, line: int) -> TableIdentifier:
    try:
        parts = split_parts(row[column])
    except ValueError as error:
        raise _wrong(line, column, str(error)) from None
    if len(parts) < 2 or not all(parts):
        raise _wrong(line, column, f"{row[column]!r} is not namespace.table")
    return TableIdentifier(catalog="", namespace=tuple(parts[:-1]), name=parts[-1])


def _glob(source: TableIdentifier) -> str:
    """Return the glob for one table; a leading ``!`` would exclude it."""
    return "?" + source.path[1:] if source.path.startswith("!") else source.path


def _safe(cell: str) -> str:
    return "'" + cell if cell.lstrip("'").startswith(_FORMULA) else cell


def _plain(cell: str) -> str:
    """Undo :func:`_safe`; blanks around a cell are the spreadsheet's."""
    bare = cell.strip(" ")
    return bare[1:] if bare.startswith("'") and bare.lstrip("'").startswith(_FORMULA) else bare


def _wrong(line: int, column: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-318",
        f"The CSV cannot be used: line {line}, column {column}: {why}.",
        remedy="Correct that cell.",
        line=line,
        column=column,
    )

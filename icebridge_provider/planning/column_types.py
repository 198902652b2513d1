"""How each SQL Server type stands in Parquet: the type that keeps every value, or a refusal that names the column.

The types are those of https://learn.microsoft.com/sql/t-sql/data-types/data-types-transact-sql.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.extraction import ColumnType

SHOWN = 10
LONGEST_NAME = 255
_UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})
Described = tuple[str, str, bool]

_DECLARED = re.compile(
    r"\s*\[?([a-z_][a-z0-9_ ]*?)\]?\s*(?:\(\s*([0-9]{1,9}|max)\s*(?:,\s*([0-9]{1,9})\s*)?\))?\s*", re.IGNORECASE
)
_SAME = {
    "bit": "bool",
    "tinyint": "int16",
    "smallint": "int16",
    "int": "int32",
    "bigint": "int64",
    "money": "decimal128(19,4)",
    "smallmoney": "decimal128(10,4)",
    "real": "float32",
    "date": "date32",
    "smalldatetime": "timestamp[us]",
    "datetime": "timestamp[us]",
    "datetime2": "timestamp[us]",
    "time": "string",
    "datetimeoffset": "string",
    "uniqueidentifier": "string",
    **dict.fromkeys(("char", "varchar", "nchar", "nvarchar", "text", "ntext", "sysname", "xml", "json"), "string"),
    **dict.fromkeys(("binary", "varbinary", "image", "timestamp", "rowversion"), "binary"),
}
_REMEDY = {
    "sql_variant": "SQL_VARIANT_PROPERTY and CAST(… AS nvarchar(4000)) say its type and value",
    "hierarchyid": "{column}.ToString() gives it as text",
    "geometry": "{column}.STAsBinary() and {column}.STSrid give shape and reference system",
    "geography": "{column}.STAsBinary() and {column}.STSrid give shape and reference system",
    "vector": "CAST({column} AS nvarchar(max)) gives it as a JSON list",
    "cursor": "leave the column out",
    "table": "leave the column out",
}


def column_types(described: Sequence[Described], where: str = "the query") -> list[ColumnType]:
    """Return how each column of a SELECT is kept.

    :param described: name, declared type and nullability of each, as the server describes them.
    :param where: how a message calls the query.
    :raises ConfigurationError: IB-808 naming every column without an exact type, without a name or with a used one.
    """
    wrong = [*_unnamed(described), *_twice(described)]
    columns = []
    for name, declared, nullable in described:
        arrow = arrow_type(declared)
        if arrow:
            columns.append(ColumnType(name=name, sql_type=declared, arrow=arrow, nullable=nullable))
        else:
            wrong.append(f"column {_shown(name)} is {declared or 'of no known type'}: {_remedy(name, declared)}")
    if not described:
        wrong.append("it gives no columns")
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise ConfigurationError(
            "IB-808",
            f"{where} cannot be kept exactly in Parquet: {'; '.join(wrong[:SHOWN])}{more}.",
            remedy="Change the SELECT list of the query.",
            query=where,
        )
    return columns


def arrow_type(declared: str) -> str:
    """Return the type that keeps every value of a declared type, empty where none does.

    ``datetime2(7)`` becomes microseconds like the others: a value with a seventh digit is refused when it is read.
    """
    found = _DECLARED.fullmatch(declared)
    if found is None:
        return ""
    name, first, second = found[1].lower(), found[2] or "", found[3]
    if name in {"decimal", "numeric", "dec"}:
        return _decimal(first or "18", second or "0")
    if name == "float":
        return "float32" if first.isdigit() and int(first) <= 24 else "float64"
    return _SAME.get(name, "")


def _decimal(precision: str, scale: str) -> str:
    if precision == "max" or not 1 <= int(precision) <= 38 or int(scale) > int(precision):
        return ""
    return f"decimal128({int(precision)},{int(scale)})"


def _unnamed(described: Sequence[Described]) -> list[str]:
    """Columns that no file can name: expressions without AS, and names that readers cut or cannot show."""
    return [
        f"column {number} has no usable name: give it one by AS"
        for number, (name, _, _) in enumerate(described, 1)
        if not name.strip() or len(name) > LONGEST_NAME or any(unicodedata.category(char) in _UNFIT for char in name)
    ]


def _twice(described: Sequence[Described]) -> list[str]:
    """Names that are equal to readers that do not mind case (Spark, SQL Server)."""
    often = Counter(name.casefold() for name, _, _ in described if name.strip())
    spelled = {name.casefold(): name for name, _, _ in described}
    return [
        f"{count} columns are called {_shown(spelled[name])}: rename them by AS"
        for name, count in often.items()
        if count > 1
    ]


def _remedy(name: str, declared: str) -> str:
    found = _DECLARED.fullmatch(declared)
    column = f"[{name.replace(']', ']]')}]" if name.strip() else "it"
    known = _REMEDY.get(found[1].lower() if found else "", "CAST it to one of SQL Server's own types")
    return known.replace("{column}", column)


def _shown(name: str) -> str:
    return repr(name[:80])

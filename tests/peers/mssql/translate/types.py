"""T-SQL's types: defaults, precedence, what combining two gives, how PostgreSQL keeps them."""

from __future__ import annotations

from dataclasses import replace

from tests.peers.mssql.interface import MAX, SqlError, SqlType

COLLATION = "SQL_Latin1_General_CP1_CI_AS"

# From strongest to weakest, as in "Data type precedence".
_PRECEDENCE = (
    "sql_variant", "xml", "json", "hierarchyid", "geometry", "geography", "vector", "datetimeoffset", "datetime2",
    "datetime", "smalldatetime", "date", "time", "float", "real", "decimal", "numeric", "money", "smallmoney",
    "bigint", "int", "smallint", "tinyint", "bit", "ntext", "text", "image", "rowversion", "uniqueidentifier",
    "nvarchar", "sysname", "nchar", "varchar", "char", "varbinary", "binary",
)  # fmt: skip
RANK = {name: len(_PRECEDENCE) - place for place, name in enumerate(_PRECEDENCE)}

_ALIASES = {
    "integer": "int", "dec": "decimal", "character": "char", "varying": "varchar", "timestamp": "rowversion",
    "double": "float", "national": "nchar",
}  # fmt: skip
INTEGERS = {"tinyint": (0, 255), "smallint": (-(2**15), 2**15 - 1), "int": (-(2**31), 2**31 - 1),
            "bigint": (-(2**63), 2**63 - 1)}  # fmt: skip
DECIMALS = frozenset({"decimal", "numeric", "money", "smallmoney"})
FLOATS = frozenset({"float", "real"})
NUMBERS = frozenset({*INTEGERS, *DECIMALS, *FLOATS, "bit"})
STRINGS = frozenset({"char", "varchar", "nchar", "nvarchar", "sysname", "text", "ntext", "xml", "json"})
NATIONAL = frozenset({"nchar", "nvarchar", "sysname", "ntext", "xml", "json"})
BINARIES = frozenset({"binary", "varbinary", "image", "rowversion", "hierarchyid", "geometry", "geography", "vector"})
TICKS = frozenset({"time", "datetime2"})
DATES = frozenset({"date", "time", "datetime", "smalldatetime", "datetime2", "datetimeoffset"})


def declared(name: str, arguments: list[int]) -> SqlType:
    """Return the type of a declaration; a missing length is 1 as in a column or variable.

    :raises SqlError: 2715 for an unknown name, 2716 or 131 and so on for wrong numbers.
    """
    name = _ALIASES.get(name.lower(), name.lower())
    if name == "sysname":
        return SqlType(name="sysname", length=128, collation=COLLATION)
    if name not in RANK:
        raise SqlError(2715, f"Column, parameter, or variable #1: Cannot find data type {name}.")
    if name in {"decimal", "numeric"}:
        return _decimal(name, arguments)
    if name in {"time", "datetime2", "datetimeoffset"}:
        return _scaled(name, arguments)
    if name in {"char", "varchar", "nchar", "nvarchar", "binary", "varbinary"}:
        return _sized(name, arguments)
    if name == "float":
        bits = arguments[0] if arguments else 53
        return SqlType(name="real" if bits <= 24 else "float")
    if arguments and name not in {"vector", "xml"}:
        raise SqlError(2716, f"Column, parameter, or variable #1: Cannot specify a column width on data type {name}.")
    return _fixed(name)


def _fixed(name: str) -> SqlType:
    if name == "money":
        return SqlType(name=name, precision=19, scale=4)
    if name == "smallmoney":
        return SqlType(name=name, precision=10, scale=4)
    if name in {"text", "ntext", "image", "xml", "json"}:
        return SqlType(name=name, length=MAX)
    return SqlType(name=name, length=8 if name == "rowversion" else 0)


def _decimal(name: str, arguments: list[int]) -> SqlType:
    precision = arguments[0] if arguments else 18
    scale = arguments[1] if len(arguments) > 1 else 0
    if not 1 <= precision <= 38:
        raise SqlError(2750, f"Column or parameter #1: Specified column precision {precision} is greater than the "
                             "maximum precision of 38.")  # fmt: skip
    if not 0 <= scale <= precision:
        raise SqlError(2751, f"Column or parameter #1: Specified column scale {scale} is greater than the specified "
                             f"precision of {precision}.")  # fmt: skip
    return SqlType(name=name, precision=precision, scale=scale)


def _scaled(name: str, arguments: list[int]) -> SqlType:
    scale = arguments[0] if arguments else 7
    if not 0 <= scale <= 7:
        raise SqlError(1002, f"Line 1: Specified scale {scale} is invalid.", severity=15)
    return SqlType(name=name, scale=scale)


def _sized(name: str, arguments: list[int]) -> SqlType:
    length = arguments[0] if arguments else 1
    most = 4000 if name.startswith("n") else 8000
    if length != MAX and not 1 <= length <= most:
        raise SqlError(131, f"The size ({length}) given to the type '{name}' exceeds the maximum allowed for any data "
                            f"type ({most}).", severity=15)  # fmt: skip
    return SqlType(name=name, length=length)


def spelled(kind: SqlType) -> str:
    """``decimal(18,2)``, ``nvarchar(max)`` - as dm_exec_describe_first_result_set writes them."""
    if kind.name in {"decimal", "numeric"}:
        return f"{kind.name}({kind.precision},{kind.scale})"
    if kind.name in {"time", "datetime2", "datetimeoffset"}:
        return f"{kind.name}({kind.scale})"
    if kind.name in {"char", "varchar", "nchar", "nvarchar", "binary", "varbinary"}:
        return f"{kind.name}({'max' if kind.length == MAX else kind.length})"
    return {"rowversion": "timestamp"}.get(kind.name, kind.name)


def stored(kind: SqlType) -> str:
    """PostgreSQL's type (with its collation) of a column."""
    if kind.name in STRINGS:
        return f"ms.{text_class(kind)} COLLATE ms.{text_class(kind)}_order"
    return plain(kind)


def plain(kind: SqlType) -> str:
    """PostgreSQL's type of a value, without the collation."""
    if kind.name in STRINGS:
        return f"ms.{text_class(kind)}"
    if kind.name in {"decimal", "numeric", "money", "smallmoney"}:
        return f"numeric({kind.precision},{kind.scale})"
    if kind.name in BINARIES:
        return "bytea"
    return _PLAIN[kind.name]


_PLAIN = {
    "bit": "boolean", "tinyint": "int2", "smallint": "int2", "int": "int4", "bigint": "int8", "float": "float8",
    "real": "float4", "date": "date", "time": "int8", "datetime2": "int8", "datetimeoffset": "ms.dto",
    "datetime": "timestamp", "smalldatetime": "timestamp", "uniqueidentifier": "uuid", "sql_variant": "ms.bin",
}  # fmt: skip


def text_class(kind: SqlType) -> str:
    """``ci`` where case does not count, else ``bin``."""
    return "ci" if "_CI_" in kind.collation.upper() + "_" and kind.name not in {"xml", "json"} else "bin"


def size(kind: SqlType) -> int:
    """max_length of sys.columns, in bytes."""
    if kind.name in NATIONAL and kind.length > 0:
        return kind.length * 2
    if kind.length:
        return 16 if kind.name in {"text", "ntext", "image"} else kind.length
    if kind.name in {"decimal", "numeric"}:
        return next(bytes_ for most, bytes_ in ((9, 5), (19, 9), (28, 13), (38, 17)) if kind.precision <= most)
    if kind.name in TICKS or kind.name == "datetimeoffset":
        base = {"time": 3, "datetime2": 6, "datetimeoffset": 8}[kind.name]
        return base + (kind.scale > 2) + (kind.scale > 4)
    return {"bit": 1, "tinyint": 1, "smallint": 2, "int": 4, "bigint": 8, "float": 8, "real": 4, "money": 8,
            "smallmoney": 4, "date": 3, "datetime": 8, "smalldatetime": 4, "uniqueidentifier": 16,
            "sql_variant": 8016}.get(kind.name, -1)  # fmt: skip


def numbers(kind: SqlType) -> tuple[int, int]:
    """Precision and scale of sys.columns."""
    if kind.name in {"decimal", "numeric", "money", "smallmoney"}:
        return kind.precision, kind.scale
    if kind.name in {"time", "datetime2", "datetimeoffset"}:
        whole = {"time": 8, "datetime2": 19, "datetimeoffset": 26}[kind.name]
        return whole + (kind.scale + 1 if kind.scale else 0), kind.scale
    return {"bit": (1, 0), "tinyint": (3, 0), "smallint": (5, 0), "int": (10, 0), "bigint": (19, 0),
            "float": (53, 0), "real": (24, 0), "date": (10, 0), "datetime": (23, 3),
            "smalldatetime": (16, 0)}.get(kind.name, (0, 0))  # fmt: skip


def combined(left: SqlType | None, right: SqlType | None) -> SqlType | None:
    """Type of CASE, UNION and of both sides of a comparison; None is an untyped NULL."""
    if left is None or right is None:
        return left or right
    high, low = (left, right) if RANK[left.name] >= RANK[right.name] else (right, left)
    if high.name in STRINGS and low.name in STRINGS:
        return _texts(high, low)
    if high.name in {"decimal", "numeric"} and low.name in NUMBERS:
        low = as_decimal(low)
        scale = max(high.scale, low.scale)
        return limited(max(high.precision - high.scale, low.precision - low.scale) + scale, scale)
    if high.name in TICKS or high.name == "datetimeoffset":
        return replace(high, scale=max(high.scale, low.scale if low.name in DATES else 0))
    if high.name in BINARIES and low.name in BINARIES and high.length > 0:
        return replace(high, name="varbinary", length=MAX if low.length == MAX else max(high.length, low.length))
    return high


def _texts(high: SqlType, low: SqlType) -> SqlType:
    length = MAX if MAX in (high.length, low.length) else max(high.length, low.length)
    name = "nvarchar" if high.name == "sysname" or (high.name == "nchar" and low.name == "varchar") else high.name
    collation = high.collation if high.collation != COLLATION else low.collation
    return replace(high, name=name, length=length, collation=collation)


def as_decimal(kind: SqlType) -> SqlType:
    """The decimal that holds every value of a number type."""
    digits = {"bit": 1, "tinyint": 3, "smallint": 5, "int": 10, "bigint": 19}
    if kind.name in digits:
        return SqlType(name="decimal", precision=digits[kind.name])
    return replace(kind, name="decimal")


def limited(precision: int, scale: int) -> SqlType:
    """At most 38 digits: the whole part is kept, at least 6 digits of the scale too."""
    if precision > 38:
        whole = precision - scale
        scale = max(38 - whole, min(scale, 6))
        precision = 38
    return SqlType(name="decimal", precision=precision, scale=scale)


def arithmetic(operator: str, left: SqlType, right: SqlType) -> SqlType:
    """Result of ``+ - * / %`` on numbers."""
    high = left if RANK[left.name] >= RANK[right.name] else right
    if high.name == "bit":
        return SqlType(name="int")
    if high.name not in {"decimal", "numeric"}:
        return high
    left, right = as_decimal(left), as_decimal(right)
    p1, s1, p2, s2 = left.precision, left.scale, right.precision, right.scale
    if operator == "*":
        return limited(p1 + p2 + 1, s1 + s2)
    if operator == "/":
        scale = max(6, s1 + p2 + 1)
        return limited(p1 - s1 + s2 + scale, scale)
    if operator == "%":
        return limited(min(p1 - s1, p2 - s2) + max(s1, s2), max(s1, s2))
    return limited(max(s1, s2) + max(p1 - s1, p2 - s2) + 1, max(s1, s2))

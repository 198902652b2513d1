"""T-SQL's scalar functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.peers.mssql.interface import MAX, SqlError, SqlType
from tests.peers.mssql.translate import tree, types
from tests.peers.mssql.translate.scope import Scope
from tests.peers.mssql.translate.typed import (
    FLOAT,
    INT,
    Typed,
    convert,
    text_type,
)

Function = Callable[[Any, tree.Call, Scope], Typed]
SCALARS: dict[str, Function] = {}


def function(*names: str, arguments: tuple[int, int]) -> Callable[[Function], Function]:
    """Register a function that takes this many arguments (least, most)."""

    def add(body: Function) -> Function:
        def checked(binder: Any, node: tree.Call, scope: Scope) -> Typed:
            low, high = arguments
            if not low <= len(node.arguments) <= high:
                wanted = str(low) if low == high else f"{low} to {high}"
                text = f"The {node.name.lower()} function requires {wanted} argument(s)."
                raise SqlError(174 if low == high else 189, text, severity=15, line=node.line)
            return body(binder, node, scope)

        for name in names:
            SCALARS[name] = checked
        return checked

    return add


def values_of(binder: Any, node: tree.Call, scope: Scope) -> list[Typed]:
    return [binder.typed(item, scope) for item in node.arguments]


def text_value(value: Typed) -> str:
    return convert(value, text_type(MAX))


def _like(value: Typed, length: int = 0) -> SqlType:
    """The text type of a result made of this text."""
    kind = value.type
    if kind is None or kind.name not in types.STRINGS:
        return text_type(length or 8000, wide=False)
    wide = kind.name in types.NATIONAL
    return text_type(length or kind.length, wide=wide, like=kind)


@function("ISNULL", arguments=(2, 2))
def _isnull(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    first, second = values_of(binder, node, scope)
    kind = first.type or second.type or INT
    return Typed(
        f"coalesce({convert(first, kind)}, {convert(second, kind)})",
        kind,
        first.nullable and second.nullable,
        None,
        first.strength,
    )


@function("COALESCE", arguments=(2, 100))
def _coalesce(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    values = values_of(binder, node, scope)
    kind, sides = binder.unified(values)
    nullable = all(item.nullable for item in values)
    return Typed(f"coalesce({', '.join(sides)})", kind, nullable, None, max(item.strength for item in values))


@function("NULLIF", arguments=(2, 2))
def _nullif(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    first, second = values_of(binder, node, scope)
    test = binder.compared("=", first, second)
    return replace(first, sql=f"(CASE WHEN {test} THEN NULL ELSE {first.sql} END)", nullable=True, column=None)


@function("IIF", arguments=(3, 3))
def _iif(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    test, then, otherwise = node.arguments
    found = binder.typed(tree.Case(None, [(test, then)], otherwise), scope)
    assert isinstance(found, Typed)
    return found


@function("CHOOSE", arguments=(2, 200))
def _choose(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    place = convert(binder.typed(node.arguments[0], scope), INT)
    kind, sides = binder.unified([binder.typed(item, scope) for item in node.arguments[1:]])
    arms = " ".join(f"WHEN {number + 1} THEN {side}" for number, side in enumerate(sides))
    return Typed(f"(CASE {place} {arms} END)", kind)


@function("LEN", arguments=(1, 1))
def _len(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    (value,) = values_of(binder, node, scope)
    if value.name in types.BINARIES:
        return Typed(f"octet_length({value.sql})", INT, value.nullable)
    return Typed(f"ms.units(rtrim({text_value(value)}, ' '))", INT, value.nullable)


@function("DATALENGTH", arguments=(1, 1))
def _datalength(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    (value,) = values_of(binder, node, scope)
    if value.name in types.BINARIES:
        sql = f"octet_length({value.sql})"
    elif value.name in types.STRINGS:
        sql = f"ms.units({text_value(value)})" + (" * 2" if value.name in types.NATIONAL else "")
    else:
        sql = f"CASE WHEN {value.sql} IS NOT NULL THEN {types.size(value.type or INT)} END"
    return Typed(f"({sql})", INT, value.nullable)


def _simple_text(name: str, sql: str) -> None:
    def body(binder: Any, node: tree.Call, scope: Scope) -> Typed:
        value = binder.typed(node.arguments[0], scope)
        return Typed(sql.format(text_value(value)), _like(value), value.nullable, None, value.strength)

    function(name, arguments=(1, 1))(body)


for _name, _sql in {
    "UPPER": "ms.up({})", "LOWER": "ms.low({})", "LTRIM": "ltrim({}, ' ')", "RTRIM": "rtrim({}, ' ')",
    "REVERSE": "reverse({})",
}.items():  # fmt: skip
    _simple_text(_name, _sql)


@function("TRIM", arguments=(1, 2))
def _trim(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    values = values_of(binder, node, scope)
    signs = text_value(values[0]) if len(values) > 1 else "' '"
    return Typed(f"btrim({text_value(values[-1])}, {signs})", _like(values[-1]), True, None, values[-1].strength)


@function("SUBSTRING", arguments=(3, 3))
def _substring(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    value, start, length = values_of(binder, node, scope)
    at, many = convert(start, INT), convert(length, INT)
    if value.name in types.BINARIES:
        return Typed(f"substring({value.sql}, {at}, {many})", SqlType(name="varbinary", length=8000))
    return Typed(f"ms.substr_units({text_value(value)}, {at}, {many})", _like(value), True, None, value.strength)


@function("LEFT", "RIGHT", arguments=(2, 2))
def _left(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    value, length = values_of(binder, node, scope)
    return Typed(
        f"ms.{node.name.lower()}_of({text_value(value)}, {convert(length, INT)})",
        _like(value),
        True,
        None,
        value.strength,
    )


@function("REPLACE", arguments=(3, 3))
def _replace(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    values = values_of(binder, node, scope)
    folded = types.text_class(values[0].type or text_type(1)) == "ci"
    inner = ", ".join(text_value(item) for item in values)
    return Typed(f"ms.replaced({inner}, {str(folded).lower()})", _like(values[0], 8000), True, None, values[0].strength)


@function("CHARINDEX", arguments=(2, 3))
def _charindex(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    values = values_of(binder, node, scope)
    start = convert(values[2], INT) if len(values) > 2 else "1"
    folded = types.text_class(values[1].type or text_type(1)) == "ci"
    return Typed(f"ms.index_of({text_value(values[0])}, {text_value(values[1])}, {start}, {str(folded).lower()})", INT)


@function("CONCAT", "CONCAT_WS", arguments=(2, 254))
def _concat(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    values = values_of(binder, node, scope)
    parts = [f"coalesce({text_value(item)}, '')" if node.name == "CONCAT" else text_value(item) for item in values]
    wide = any(item.name in types.NATIONAL for item in values)
    total = sum(
        item.type.length if item.type and item.name in types.STRINGS and item.type.length > 0 else 50 for item in values
    )
    sql = f"({' || '.join(parts)})" if node.name == "CONCAT" else f"concat_ws({', '.join(parts)})"
    return Typed(sql, text_type(total, wide=wide), False)


@function("REPLICATE", arguments=(2, 2))
def _replicate(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    value, times = values_of(binder, node, scope)
    sql = f"repeat({text_value(value)}, {convert(times, INT)})"
    if value.type and value.type.length == MAX:
        return Typed(sql, _like(value), True)
    most = 4000 if value.name in types.NATIONAL else 8000
    return Typed(f"left({sql}, {most})", _like(value, most), True)


@function("SPACE", arguments=(1, 1))
def _space(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    return Typed(f"repeat(' ', {convert(binder.typed(node.arguments[0], scope), INT)})", text_type(8000, wide=False))


@function("STUFF", arguments=(4, 4))
def _stuff(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    value, start, length, piece = values_of(binder, node, scope)
    sql = f"ms.stuffed({text_value(value)}, {convert(start, INT)}, {convert(length, INT)}, {text_value(piece)})"
    return Typed(sql, _like(value, 8000))


@function("CHAR", "NCHAR", arguments=(1, 1))
def _char(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    code = convert(binder.typed(node.arguments[0], scope), INT)
    if node.name == "CHAR":
        sql = (
            f"(SELECT CASE WHEN q.n = 0 THEN U&'\\+10F800' WHEN q.n < 0 OR q.n > 255 THEN NULL ELSE "
            f"convert_from(set_byte('\\x00'::bytea, 0, q.n), 'WIN1252') END FROM (SELECT {code} AS n) q)"
        )
        return Typed(sql, SqlType(name="char", length=1))
    sql = (
        f"(SELECT CASE WHEN q.n = 0 THEN U&'\\+10F800' WHEN q.n BETWEEN 55296 AND 57343 THEN chr(1110016 + q.n "
        f"- 55296) ELSE chr(q.n) END FROM (SELECT {code} AS n) q)"
    )
    return Typed(sql, SqlType(name="nchar", length=1))


@function("ASCII", "UNICODE", arguments=(1, 1))
def _unicode(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    text = text_value(binder.typed(node.arguments[0], scope))
    return Typed(f"ms.first_unit({text})", INT)


@function("QUOTENAME", arguments=(1, 2))
def _quotename(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    values = values_of(binder, node, scope)
    sign = text_value(values[1]) if len(values) > 1 else "'['"
    return Typed(f"ms.quoted({text_value(values[0])}, {sign})", text_type(258))


@function("FORMATMESSAGE", "FORMAT", arguments=(2, 20))
def _format(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    raise SqlError(40510, f"The local SQL Server does not know {node.name}.")


def _numeric(name: str, sql: str) -> None:
    def body(binder: Any, node: tree.Call, scope: Scope) -> Typed:
        value = binder.typed(node.arguments[0], scope)
        kind = value.type if value.name in types.NUMBERS and value.name != "bit" else FLOAT
        kind = kind or INT
        return Typed(f"({sql.format(convert(value, kind))})::{types.plain(kind)}", kind, value.nullable)

    function(name, arguments=(1, 1))(body)


for _name, _sql in {"ABS": "abs({})", "SIGN": "sign({})", "FLOOR": "floor({})", "CEILING": "ceil({})"}.items():
    _numeric(_name, _sql)


def _floating(name: str, sql: str, count: int = 1) -> None:
    def body(binder: Any, node: tree.Call, scope: Scope) -> Typed:
        parts = [convert(item, FLOAT) for item in values_of(binder, node, scope)]
        return Typed(f"({sql.format(*parts)})::float8", FLOAT)

    function(name, arguments=(count, count))(body)


for _name, _sql in {
    "SQRT": "sqrt({})", "EXP": "exp({})", "LOG10": "log({})", "SIN": "sin({})", "COS": "cos({})", "TAN": "tan({})",
    "SQUARE": "({0} * {0})",
}.items():  # fmt: skip
    _floating(_name, _sql)
_floating("PI", "pi()", 0)


@function("LOG", arguments=(1, 2))
def _log(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    parts = [convert(item, FLOAT) for item in values_of(binder, node, scope)]
    return Typed(f"ln({parts[0]})" if len(parts) == 1 else f"(ln({parts[0]}) / ln({parts[1]}))", FLOAT)


@function("POWER", arguments=(2, 2))
def _power(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    base, exponent = values_of(binder, node, scope)
    kind = base.type if base.name in types.NUMBERS and base.type else FLOAT
    return Typed(f"(power({convert(base, FLOAT)}, {convert(exponent, FLOAT)}))::{types.plain(kind)}", kind)


@function("ROUND", arguments=(2, 3))
def _round(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    values = values_of(binder, node, scope)
    kind = values[0].type if values[0].name in types.NUMBERS and values[0].type else FLOAT
    how = "round"
    if len(values) > 2:
        how = "trunc" if binder.constant(node.arguments[2], scope) else "round"
    sql = f"{how}(({convert(values[0], kind)})::numeric, {convert(values[1], INT)})::{types.plain(kind)}"
    return Typed(sql, kind, values[0].nullable)


@function("RAND", arguments=(0, 1))
def _rand(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    return Typed("random()", FLOAT, False)


@function("NEWID", "NEWSEQUENTIALID", arguments=(0, 0))
def _newid(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    return Typed("gen_random_uuid()", SqlType(name="uniqueidentifier"), False)


@function("ISNUMERIC", arguments=(1, 1))
def _isnumeric(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    text = text_value(binder.typed(node.arguments[0], scope))
    return Typed(
        f"(CASE WHEN ms.to_float({text}, '', true) IS NULL THEN 0 ELSE 1 END)",
        INT,
    )


@function("HASHBYTES", arguments=(2, 2))
def _hashbytes(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    name = str(binder.constant(node.arguments[0], scope)).upper()
    value = binder.typed(node.arguments[1], scope)
    data = convert(value, SqlType(name="varbinary", length=MAX), explicit=True)
    functions = {"SHA2_256": "sha256({})", "SHA2_512": "sha512({})", "MD5": "decode(md5({}), 'hex')"}
    if name not in functions:
        raise SqlError(40510, f"The local SQL Server does not know HASHBYTES('{name}').")
    return Typed(functions[name].format(data), SqlType(name="varbinary", length=8000))


@function("OBJECT_NAME", "OBJECT_SCHEMA_NAME", arguments=(1, 2))
def _object_name(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    inner = convert(binder.typed(node.arguments[0], scope), INT)
    return Typed(f"ms.{'object_name' if node.name == 'OBJECT_NAME' else 'schema_of'}({inner})", text_type(128))


@function("SCHEMA_NAME", arguments=(0, 1))
def _schema_name(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    inner = convert(binder.typed(node.arguments[0], scope), INT) if node.arguments else "1"
    return Typed(f"ms.schema_name({inner})", text_type(128))


@function("TYPE_NAME", arguments=(1, 1))
def _type_name(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    return Typed(f"ms.type_name({convert(binder.typed(node.arguments[0], scope), INT)})", text_type(128))


@function("TYPE_ID", arguments=(1, 1))
def _type_id(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    return Typed(f"ms.type_id({text_value(binder.typed(node.arguments[0], scope))})", INT)


@function("COL_NAME", arguments=(2, 2))
def _col_name(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    first, second = (convert(item, INT) for item in values_of(binder, node, scope))
    return Typed(f"ms.column_name({first}, {second})", text_type(128))


@function("JSON_VALUE", arguments=(2, 2))
def _json_value(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    from tests.peers.mssql.translate.calls import _path

    path = str(binder.constant(node.arguments[1], scope))
    return Typed(f"(({text_value(binder.typed(node.arguments[0], scope))})::json #>> {_path(path)})", text_type(4000))


@function("ISJSON", arguments=(1, 1))
def _isjson(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    raise SqlError(40510, "The local SQL Server does not know ISJSON.")


@function("STR", arguments=(1, 3))
def _str(binder: Any, node: tree.Call, scope: Scope) -> Typed:
    values = values_of(binder, node, scope)
    length = convert(values[1], INT) if len(values) > 1 else "10"
    scale = convert(values[2], INT) if len(values) > 2 else "0"
    return Typed(
        f"lpad(round(({convert(values[0], FLOAT)})::numeric, {scale})::text, {length})", text_type(8000, wide=False)
    )

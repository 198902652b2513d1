"""T-SQL's functions: aggregates, windows, functions that return rows; scalar ones stand in scalars.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.peers.mssql.interface import MAX, SqlError, SqlType
from tests.peers.mssql.translate import moments, tree, types
from tests.peers.mssql.translate.bind import Binder
from tests.peers.mssql.translate.scalars import SCALARS
from tests.peers.mssql.translate.scope import Scope
from tests.peers.mssql.translate.typed import BIGINT, FLOAT, INT, Typed, convert, keyed, shown, text_type
from tests.peers.mssql.values import literal

_RANKS = {"ROW_NUMBER": "row_number", "RANK": "rank", "DENSE_RANK": "dense_rank", "NTILE": "ntile",
          "PERCENT_RANK": "percent_rank", "CUME_DIST": "cume_dist"}  # fmt: skip
_NEIGHBOURS = {"LAG": "lag", "LEAD": "lead", "FIRST_VALUE": "first_value", "LAST_VALUE": "last_value"}
_SPREADS = {"STDEV": "stddev_samp", "STDEVP": "stddev_pop", "VAR": "var_samp", "VARP": "var_pop"}
_AGGREGATES = frozenset({"COUNT", "COUNT_BIG", "SUM", "AVG", "MIN", "MAX", "STRING_AGG", "APPROX_COUNT_DISTINCT",
                         *_SPREADS})  # fmt: skip


assert moments  # its functions are registered by being imported


class Calls(Binder):
    """Binds calls."""

    def call(self, node: tree.Call, scope: Scope) -> Typed:
        """A function's value.

        :raises SqlError: 195 for a function SQL Server has not, or the stand-in does not know.
        """
        name = node.name.split(".")[-1] if node.name.startswith("SYS.") else node.name
        if name in _AGGREGATES:
            return self._aggregate(name, node, scope)
        if name in _RANKS or name in _NEIGHBOURS:
            return self._ranked(name, node, scope)
        known = self._known(name, node, scope)
        if known is not None:
            return known
        function = SCALARS.get(name)
        if function is None:
            raise SqlError(
                195, f"'{node.name}' is not a recognized built-in function name.", severity=15, line=node.line
            )
        if node.over is not None:
            raise SqlError(4112, f"The function '{node.name}' must not have an OVER clause.", line=node.line)
        return function(self, node, scope)

    def _known(self, name: str, node: tree.Call, scope: Scope) -> Typed | None:
        """What the session knows by itself: DB_NAME(), OBJECT_ID('t')."""
        if name in SCALARS:
            return None
        try:
            arguments = [self.constant(item, scope) for item in node.arguments]
        except SqlError:
            return None
        found = self.context.scalar(name, arguments)
        return Typed(literal(*found), found[1]) if found is not None else None

    def _aggregate(self, name: str, node: tree.Call, scope: Scope) -> Typed:
        if name in {"COUNT", "COUNT_BIG", "APPROX_COUNT_DISTINCT"}:
            return self._count(name, node, scope)
        value = self.typed(node.arguments[0], scope)
        distinct = "DISTINCT " if node.distinct else ""
        over = self._over(node, scope)
        if name == "STRING_AGG":
            return self._string_agg(node, value, over, scope)
        if name in {"MIN", "MAX"}:
            return self._extreme(name, value, distinct, over)
        if value.type is None or value.name not in types.NUMBERS or value.name == "bit":
            raise SqlError(8117, f"Operand data type {value.name or 'NULL'} is invalid for {name.lower()} operator.")
        if name in _SPREADS:
            return Typed(f"{_SPREADS[name]}({distinct}({value.sql})::float8){over}", FLOAT)
        kind = _total(name, value.type)
        plain = types.plain(kind)
        if name == "SUM":
            return Typed(f"(sum({distinct}{value.sql}){over})::{plain}", kind)
        inner = f"avg({distinct}{value.sql}){over}"
        return Typed(f"trunc({inner})::{plain}" if kind.name in types.INTEGERS else f"({inner})::{plain}", kind)

    def _count(self, name: str, node: tree.Call, scope: Scope) -> Typed:
        kind = INT if name == "COUNT" else BIGINT
        argument = node.arguments[0]
        if isinstance(argument, tree.Star):
            inner = "*"
        else:
            distinct = node.distinct or name == "APPROX_COUNT_DISTINCT"
            inner = ("DISTINCT " if distinct else "") + keyed(self.typed(argument, scope))
        return Typed(f"(count({inner}){self._over(node, scope)})::{types.plain(kind)}", kind, False)

    def _extreme(self, name: str, value: Typed, distinct: str, over: str) -> Typed:
        function, sql = name.lower(), value.sql
        if value.name in types.STRINGS and value.type:
            sql = f"({sql})::text COLLATE ms.{types.text_class(value.type)}_order"
        if value.name == "bit":
            raise SqlError(8117, f"Operand data type bit is invalid for {function} operator.")
        if value.name == "uniqueidentifier":
            return Typed(f"({function}({distinct}({sql})::text){over})::uuid", value.type)
        if value.name in types.BINARIES:
            return Typed(f"decode({function}({distinct}encode({sql}, 'hex')){over}, 'hex')", value.type)
        return Typed(f"{function}({distinct}{sql}){over}", value.type or INT, True, None, value.strength)

    def _string_agg(self, node: tree.Call, value: Typed, over: str, scope: Scope) -> Typed:
        wide = value.name in types.NATIONAL
        text = convert(value, text_type(MAX, wide=wide))
        separator = convert(self.typed(node.arguments[1], scope), text_type(MAX))
        order = f" ORDER BY {self._sorted(node.within, scope)}" if node.within else ""
        return Typed(f"string_agg({text}, {separator}{order}){over}", text_type(4000 if wide else 8000, wide=wide))

    def _sorted(self, order: list[tree.Order], scope: Scope) -> str:
        return ", ".join(
            keyed(self.typed(item.expression, scope)) + (" DESC NULLS LAST" if item.descending else " ASC NULLS FIRST")
            for item in order
        )

    def _over(self, node: tree.Call, scope: Scope) -> str:
        if node.over is None:
            return ""
        parts = []
        if node.over.partition:
            parts.append("PARTITION BY " + ", ".join(keyed(self.typed(item, scope)) for item in node.over.partition))
        if node.over.order:
            plain = [item for item in node.over.order if not _constant(item.expression)]
            if plain:
                parts.append("ORDER BY " + self._sorted(plain, scope))
        if node.over.frame:
            parts.append(node.over.frame)
        return f" OVER ({' '.join(parts)})"

    def _ranked(self, name: str, node: tree.Call, scope: Scope) -> Typed:
        if node.over is None:
            raise SqlError(10753, f"The function '{node.name}' must have an OVER clause.", severity=15)
        over = self._over(node, scope)
        if name in _RANKS:
            inside = convert(self.typed(node.arguments[0], scope), INT) if node.arguments else ""
            kind = FLOAT if name in {"PERCENT_RANK", "CUME_DIST"} else BIGINT
            return Typed(f"({_RANKS[name]}({inside}){over})::{types.plain(kind)}", kind, False)
        value = self.typed(node.arguments[0], scope)
        arguments = [value.sql if value.name not in types.STRINGS else f"({value.sql})::text"]
        if len(node.arguments) > 1:
            arguments.append(convert(self.typed(node.arguments[1], scope), INT))
        if len(node.arguments) > 2 and value.type:
            arguments.append(convert(self.typed(node.arguments[2], scope), value.type))
        sql = f"{_NEIGHBOURS[name]}({', '.join(arguments)}){over}"
        return replace(value, sql=sql, nullable=True, column=None)

    def table_call(self, node: tree.TableCall, scope: Scope) -> str:
        """OPENJSON, STRING_SPLIT, GENERATE_SERIES, dm_exec_describe_first_result_set, fn_my_permissions."""
        name = node.call.name.split(".")[-1]
        method: Any = getattr(self, f"_rows_{name.lower()}", None)
        if method is None:
            if name in {"OPENROWSET", "OPENQUERY", "OPENDATASOURCE", "OPENXML"}:
                raise SqlError(40510, f"The local SQL Server does not know {name}.")
            raise SqlError(208, f"Invalid object name '{node.call.name.lower()}'.", line=node.call.line)
        sql, columns = method(node, scope)
        alias = self.alias()
        labels = node.names or tuple(label for label, _ in columns)
        pairs = [(label, Typed("", kind)) for label, (_, kind) in zip(labels, columns, strict=True)]
        self._relate(scope, node.alias or name, alias, pairs)
        return f"LATERAL ({sql}) AS {alias}({', '.join(f'c{place + 1}' for place in range(len(columns)))})"

    def _relate(self, scope: Scope, name: str, alias: str, columns: list[tuple[str, Typed]]) -> None:
        raise AttributeError  # its subclass knows

    def _rows_string_split(self, node: tree.TableCall, scope: Scope) -> tuple[str, list[tuple[str, SqlType]]]:
        value, separator = (convert(self.typed(item, scope), text_type(MAX)) for item in node.call.arguments[:2])
        split = (
            f"SELECT s::ms.ci COLLATE ms.ci_order, o FROM unnest(string_to_array({value}, {separator})) WITH "
            f"ORDINALITY AS u(s, o)"
        )
        if len(node.call.arguments) > 2:
            return split, [("value", text_type(4000)), ("ordinal", BIGINT)]
        return f"SELECT s::ms.ci COLLATE ms.ci_order FROM ({split}) AS v(s, o)", [("value", text_type(4000))]

    def _rows_generate_series(self, node: tree.TableCall, scope: Scope) -> tuple[str, list[tuple[str, SqlType]]]:
        values = [self.typed(item, scope) for item in node.call.arguments]
        kind, sides = self.unified(values)
        return f"SELECT * FROM generate_series({', '.join(sides)})", [("value", kind or INT)]

    def _rows_dm_exec_describe_first_result_set(
        self, node: tree.TableCall, scope: Scope
    ) -> tuple[str, list[tuple[str, SqlType]]]:
        from tests.peers.mssql import views

        text, declared = (self.constant(item, scope) for item in node.call.arguments[:2])
        shape = views.describe_columns()
        rows = self.context.describe_rows(str(text), declared)
        kinds = [kind for _, kind in shape]
        cells = [", ".join(shown(Typed(literal(value, kind), kind)) for value, kind in zip(row, kinds, strict=True))
                 for row in rows]  # fmt: skip
        if not rows:
            empty = ", ".join(shown(Typed(literal(None, kind), kind)) for _, kind in shape)
            return f"SELECT {empty} WHERE false", shape
        return "VALUES " + ", ".join(f"({row})" for row in cells), shape

    def _rows_fn_my_permissions(self, node: tree.TableCall, scope: Scope) -> tuple[str, list[tuple[str, SqlType]]]:
        name, kind = (self.constant(item, scope) for item in node.call.arguments[:2])
        word = text_type(60)
        found = [
            permission for permission in ("SELECT", "INSERT", "UPDATE", "DELETE", "ALTER", "VIEW DEFINITION",
                                               "CREATE TABLE")
            if (self.context.scalar("HAS_PERMS_BY_NAME", [name, kind, permission]) or (0,))[0]
        ]  # fmt: skip
        lines = [f"SELECT {', '.join(shown(Typed(literal(item, word), word)) for item in (name or '', '', permission))}"
                 for permission in found]  # fmt: skip
        sql = " UNION ALL ".join(lines) or "SELECT ''::ms.ci, ''::ms.ci, ''::ms.ci WHERE false"
        return sql, [("entity_name", word), ("subentity_name", word), ("permission_name", word)]

    def _rows_openjson(self, node: tree.TableCall, scope: Scope) -> tuple[str, list[tuple[str, SqlType]]]:
        text = convert(self.typed(node.call.arguments[0], scope), text_type(MAX))
        if len(node.call.arguments) > 1:
            path = self.constant(node.call.arguments[1], scope)
            text = f"(({text})::json #>> {_path(path)})"
        if not node.columns:
            key = replace(text_type(4000), collation="Latin1_General_BIN2")
            sql = (f"SELECT key::ms.bin COLLATE ms.bin_order, value::ms.ci COLLATE ms.ci_order, type::int2 "
                   f"FROM ms.open_json({text})")  # fmt: skip
            return sql, [("key", key), ("value", text_type(MAX)), ("type", SqlType(name="tinyint"))]
        cells = []
        for _, kind, path in node.columns:
            value = Typed(f"(e.value::json #>> {_path(path)})", text_type(MAX))
            sql = convert(value, kind)
            cells.append(f"({sql})::{types.stored(kind)}" if kind.name in types.STRINGS else sql)
        sql = f"SELECT {', '.join(cells)} FROM ms.open_json({text}) AS e"
        return sql, [(name, kind) for name, kind, _ in node.columns]


def _path(path: str) -> str:
    keys = [
        key.strip('"') for key in path.removeprefix("lax ").removeprefix("strict ").removeprefix("$").split(".") if key
    ]
    inside = ",".join('"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"' for key in keys)
    return "'{" + inside.replace("'", "''") + "}'::text[]"


def _constant(node: Any) -> bool:
    """``OVER (ORDER BY (SELECT NULL))``: any order."""
    if isinstance(node, tree.Scalar) and isinstance(node.query, tree.Select):
        return node.query.source is None
    return isinstance(node, (tree.Null, tree.Literal))


def _total(name: str, kind: SqlType) -> SqlType:
    if kind.name in {"tinyint", "smallint", "int"}:
        return INT
    if kind.name == "bigint":
        return BIGINT
    if kind.name in types.FLOATS:
        return FLOAT
    if kind.name in {"money", "smallmoney"}:
        return SqlType(name="money", precision=19, scale=4)
    return SqlType(name="decimal", precision=38, scale=kind.scale if name == "SUM" else max(kind.scale, 6))

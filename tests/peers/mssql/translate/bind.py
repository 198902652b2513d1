"""Expressions bound to names and types and said in PostgreSQL's words."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

from tests.peers.mssql.interface import MAX, SqlError, SqlType
from tests.peers.mssql.translate import tree, types
from tests.peers.mssql.translate.scope import Context, Scope, TableInfo
from tests.peers.mssql.translate.typed import INT, NULL, Typed, convert, keyed, text_type, ticks_of, words
from tests.peers.mssql.values import literal

_COMPARISONS = frozenset({"=", "<>", "<", ">", "<=", ">="})
_CONDITIONS = (tree.In, tree.Between, tree.Like, tree.IsNull, tree.Distinct, tree.Exists, tree.Quantified)
_WORDS = {"=": "equal to", "<>": "not equal to", "<": "less than", ">": "greater than",
          "<=": "less than or equal to", ">=": "greater than or equal to"}  # fmt: skip


class Binder:
    """Translates one statement; notes which tables it uses how."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.needs: list[tuple[TableInfo, str]] = []
        self.locks: list[tuple[str, str]] = []
        self._numbers = count(1)

    def alias(self) -> str:
        return f"r{next(self._numbers)}"

    def query(self, node: Any, scope: Scope | None) -> Any:
        raise AttributeError  # its subclass knows

    def call(self, node: tree.Call, scope: Scope) -> Typed:
        raise AttributeError  # its subclass knows

    def condition(self, node: Any, scope: Scope) -> str:
        """A condition.

        :raises SqlError: 4145 for a plain value.
        """
        if isinstance(node, tree.Binary) and node.operator in {"AND", "OR"}:
            return f"({self.condition(node.left, scope)} {node.operator} {self.condition(node.right, scope)})"
        if isinstance(node, tree.Unary) and node.operator == "NOT":
            return f"(NOT {self.condition(node.operand, scope)})"
        if isinstance(node, tree.Binary) and node.operator in _COMPARISONS:
            return self.compared(node.operator, self.typed(node.left, scope), self.typed(node.right, scope))
        if isinstance(node, _CONDITIONS):
            return str(getattr(self, f"_{type(node).__name__.lower()}")(node, scope))
        if isinstance(node, tree.Call) and node.name == "UPDATE" and len(node.arguments) == 1:
            return "true"
        raise SqlError(4145, "An expression of non-boolean type specified in a context where a condition is expected.",
                       severity=15)  # fmt: skip

    def compared(self, operator: str, left: Typed, right: Typed) -> str:
        first, second = self.alike(left, right, _WORDS[operator])
        return f"({first} {operator} {second})"

    def alike(self, left: Typed, right: Typed, what: str = "equal to") -> tuple[str, str]:
        """Both sides in their common type, as they compare."""
        both = types.combined(left.type, right.type)
        if both is None:
            return "NULL::int4", "NULL::int4"
        collation = self.collation(left, right, what) if both.name in types.STRINGS else ""
        return self._side(left, both, collation), self._side(right, both, collation)

    def _side(self, value: Typed, both: SqlType, collation: str) -> str:
        return keyed(Typed(self._as(value, both), both), collation)

    def _as(self, value: Typed, both: SqlType) -> str:
        """As the common type, without touching what compares rightly as it is (so that indexes are used)."""
        if value.type is None:
            return convert(value, both)
        if both.name in types.STRINGS and value.name in types.STRINGS:
            return value.sql
        exact = types.INTEGERS.keys() | types.DECIMALS
        if both.name in exact and value.name in exact:
            return value.sql
        if both.name in types.BINARIES and value.name in types.BINARIES:
            return value.sql
        if both.name == value.name and both.name != "datetimeoffset":
            return value.sql
        if both.name in {"date", "datetime2"} and value.name in types.DATES and both.name == value.name:
            return value.sql
        return convert(value, replace(both, length=MAX) if both.name in types.STRINGS else both)

    def collation(self, left: Typed, right: Typed, what: str) -> str:
        """The collation two texts are compared under.

        :raises SqlError: 468 when two columns or two COLLATE clauses differ.
        """
        texts = [item for item in (left, right) if item.name in types.STRINGS and item.type]
        top = max((item.strength for item in texts), default=0)
        found = {item.type.collation for item in texts if item.strength == top and item.type}
        if len(found) > 1 and top:
            names = sorted(found)
            text = (f'Cannot resolve the collation conflict between "{names[0]}" and "{names[1]}" in the {what} '
                    "operation.")  # fmt: skip
            raise SqlError(468, text)
        return found.pop() if found else ""

    def _in(self, node: tree.In, scope: Scope) -> str:
        left = self.typed(node.operand, scope)
        word = "NOT IN" if node.negated else "IN"
        if node.query is not None:
            bound = self.query(node.query, scope)
            if len(bound.columns) != 1:
                text = (
                    "Only one expression can be specified in the select list when the subquery is not "
                    "introduced with EXISTS."
                )
                raise SqlError(116, text)
            alias = self.alias()
            inner = replace(bound.columns[0].typed, sql=f"{alias}.c1")
            first, second = self.alike(left, inner)
            return f"({first} {word} (SELECT {second} FROM ({bound.sql}) AS {alias}(c1)))"
        items = [self.typed(item, scope) for item in node.items]
        kinds = {item.name for item in items}
        if len(kinds) == 1:
            pairs = [self.alike(left, item) for item in items]
            if len({first for first, _ in pairs}) == 1:
                return f"({pairs[0][0]} {word} ({', '.join(second for _, second in pairs)}))"
        tests = [self.compared("<>" if node.negated else "=", left, item) for item in items]
        return "(" + (" AND " if node.negated else " OR ").join(tests) + ")"

    def _between(self, node: tree.Between, scope: Scope) -> str:
        value, low, high = (self.typed(item, scope) for item in (node.operand, node.low, node.high))
        text = f"({self.compared('>=', value, low)} AND {self.compared('<=', value, high)})"
        return f"(NOT {text})" if node.negated else text

    def _like(self, node: tree.Like, scope: Scope) -> str:
        value, pattern = self.typed(node.operand, scope), self.typed(node.pattern, scope)
        escape = convert(self.typed(node.escape, scope), text_type(1)) if node.escape is not None else "NULL"
        both = self.collation(value, pattern, "like") or types.COLLATION
        folded = types.text_class(SqlType(name="varchar", collation=both)) == "ci"
        first, second = (convert(item, text_type(MAX)) for item in (value, pattern))
        text = f"ms.is_like({first}, {second}, {escape}, {str(folded).lower()})"
        return f"(NOT {text})" if node.negated else text

    def _isnull(self, node: tree.IsNull, scope: Scope) -> str:
        value = self.typed(node.operand, scope)
        sql = f"({value.sql}).ticks" if value.name == "datetimeoffset" else f"({value.sql})"
        return f"({sql} IS {'NOT ' if node.negated else ''}NULL)"

    def _distinct(self, node: tree.Distinct, scope: Scope) -> str:
        first, second = self.alike(self.typed(node.left, scope), self.typed(node.right, scope))
        return f"({first} IS {'NOT ' if node.negated else ''}DISTINCT FROM {second})"

    def _exists(self, node: tree.Exists, scope: Scope) -> str:
        return f"EXISTS ({self.query(node.query, scope).sql})"

    def _quantified(self, node: tree.Quantified, scope: Scope) -> str:
        left, bound, alias = self.typed(node.operand, scope), self.query(node.query, scope), self.alias()
        first, second = self.alike(left, replace(bound.columns[0].typed, sql=f"{alias}.c1"))
        return f"({first} {node.operator} {node.kind} (SELECT {second} FROM ({bound.sql}) AS {alias}(c1)))"

    def typed(self, node: Any, scope: Scope) -> Typed:
        """A value."""
        for grouped, found in scope.groups:
            if node == grouped:
                return found
        if isinstance(node, tree.Literal):
            return Typed(literal(node.value, node.type), node.type, False)
        if isinstance(node, tree.Null):
            return NULL
        method = getattr(self, f"_value_{type(node).__name__.lower()}", None)
        if method is None:
            if isinstance(node, (tree.Star, tree.Default)):
                raise SqlError(102, "Incorrect syntax near '*'.", severity=15)
            raise SqlError(102, "Incorrect syntax: a condition stands where a value is expected.", severity=15)
        found = method(node, scope)
        assert isinstance(found, Typed)
        return found

    def _value_name(self, node: tree.Name, scope: Scope) -> Typed:
        return scope.column(node)

    def _value_variable(self, node: tree.Variable, scope: Scope) -> Typed:
        if node.name.startswith("@@"):
            known = self.context.scalar(node.name.upper(), ())
            if known is None:
                raise SqlError(137, f'Must declare the scalar variable "{node.name}".', severity=15)
            return Typed(literal(*known), known[1])
        value, kind = self.context.variable(node.name)
        return Typed(literal(value, kind), kind)

    def _value_scalar(self, node: tree.Scalar, scope: Scope) -> Typed:
        bound = self.query(node.query, scope)
        if len(bound.columns) != 1:
            text = (
                "Only one expression can be specified in the select list when the subquery is not introduced "
                "with EXISTS."
            )
            raise SqlError(116, text)
        return replace(bound.columns[0].typed, sql=f"({bound.sql})", nullable=True, column=None)

    def _value_collate(self, node: tree.Collate, scope: Scope) -> Typed:
        value = self.typed(node.operand, scope)
        if value.name not in types.STRINGS or value.type is None:
            raise SqlError(447, f"Expression type {value.name} is invalid for COLLATE clause.")
        if node.collation.upper() != "DATABASE_DEFAULT":
            check_collation(node.collation)
        name = types.COLLATION if node.collation.upper() == "DATABASE_DEFAULT" else node.collation
        return replace(
            value, sql=f"({value.sql})::text", type=replace(value.type, collation=name), strength=2, column=None
        )

    def _value_cast(self, node: tree.Cast, scope: Scope) -> Typed:
        value = self.typed(node.operand, scope)
        style = self.constant(node.style, scope) if node.style is not None else 0
        if value.type and value.name in types.DATES and node.type.name in types.STRINGS and node.style is None:
            style = 0 if value.name in {"datetime", "smalldatetime"} else 121
        target = node.type
        if value.type and value.name in types.STRINGS and target.name in types.STRINGS:
            target = replace(target, collation=value.type.collation)
        sql = convert(value, target, style=int(style or 0), attempt=node.attempt, explicit=True)
        return Typed(
            sql, target, value.nullable or node.attempt, None, value.strength if target.name in types.STRINGS else 0
        )

    def constant(self, node: Any, scope: Scope) -> Any:
        """A value that is known while translating."""
        if isinstance(node, tree.Literal):
            return node.value
        if isinstance(node, tree.Variable):
            if node.name.startswith("@@"):
                return (self.context.scalar(node.name.upper(), ()) or (None,))[0]
            return self.context.variable(node.name)[0]
        if isinstance(node, tree.Null) or node is None:
            return None
        if isinstance(node, tree.Binary) and node.operator == "+":
            left, right = self.constant(node.left, scope), self.constant(node.right, scope)
            return None if left is None or right is None else left + right
        if isinstance(node, tree.Cast):
            return self.constant(node.operand, scope)
        if isinstance(node, tree.Call):
            known = self.context.scalar(node.name, [self.constant(item, scope) for item in node.arguments])
            if known is not None:
                return known[0]
        raise SqlError(40510, "The local SQL Server needs a constant here; see its README.")

    def _value_case(self, node: tree.Case, scope: Scope) -> Typed:
        conditions, results = [], []
        for test, result in node.whens:
            if node.operand is not None:
                test = tree.Binary("=", node.operand, test)
            conditions.append(self.condition(test, scope))
            results.append(self.typed(result, scope))
        results.append(self.typed(node.otherwise, scope))
        kind, sides = self.unified(results)
        arms = " ".join(f"WHEN {test} THEN {value}" for test, value in zip(conditions, sides, strict=False))
        strength = max(item.strength for item in results)
        return Typed(
            f"(CASE {arms} ELSE {sides[-1]} END)", kind, any(item.nullable for item in results), None, strength
        )

    def unified(self, values: list[Typed]) -> tuple[SqlType | None, list[str]]:
        """All values in their common type."""
        kind: SqlType | None = None
        for value in values:
            kind = types.combined(kind, value.type)
        if kind is None:
            return None, [value.sql for value in values]
        if kind.name == "sysname":
            kind = replace(kind, name="nvarchar")
        return kind, [convert(value, kind) for value in values]

    def _value_unary(self, node: tree.Unary, scope: Scope) -> Typed:
        if node.operator == "NOT":
            raise SqlError(156, "Incorrect syntax near the keyword 'NOT'.", severity=15)
        value = self.typed(node.operand, scope)
        if node.operator == "~":
            return replace(value, sql=f"(NOT {value.sql})" if value.name == "bit" else f"(~{value.sql})", column=None)
        if value.name in types.STRINGS:
            raise SqlError(8117, f"Operand data type {value.name} is invalid for minus operator.")
        kind = INT if value.name == "bit" else value.type
        return replace(value, sql=f"(-{convert(value, kind) if kind else 'NULL::int4'})", type=kind, column=None)

    def _value_binary(self, node: tree.Binary, scope: Scope) -> Typed:
        if node.operator in _COMPARISONS or node.operator in {"AND", "OR"}:
            raise SqlError(102, f"Incorrect syntax near '{node.operator}'.", severity=15)
        left, right = self.typed(node.left, scope), self.typed(node.right, scope)
        nullable = left.nullable or right.nullable
        if node.operator in "&|^":
            return self._bits(node.operator, left, right, nullable)
        if left.type is None and right.type is None:
            return Typed("NULL::int4", INT)
        left = left if left.type else Typed(convert(left, right.type or INT), right.type)
        right = right if right.type else Typed(convert(right, left.type or INT), left.type)
        assert left.type is not None
        assert right.type is not None
        if left.name in types.STRINGS and right.name in types.STRINGS:
            return self._joined(node.operator, left, right, nullable)
        if left.name in types.BINARIES and right.name in types.BINARIES and node.operator == "+":
            return Typed(f"({left.sql} || {right.sql})", SqlType(name="varbinary", length=MAX), nullable)
        if left.name in types.DATES or right.name in types.DATES:
            return self._shifted(node.operator, left, right, nullable)
        return self._calculated(node.operator, left, right, nullable)

    def _bits(self, operator: str, left: Typed, right: Typed, nullable: bool) -> Typed:
        kind = types.combined(left.type, right.type) or INT
        whole = INT if kind.name == "bit" else kind
        sign = "#" if operator == "^" else operator
        sql = f"({convert(left, whole)} {sign} {convert(right, whole)})"
        return Typed(f"({sql} <> 0)" if kind.name == "bit" else sql, kind, nullable)

    def _joined(self, operator: str, left: Typed, right: Typed, nullable: bool) -> Typed:
        if operator != "+":
            raise SqlError(8117, f"Operand data type {left.name} is invalid for {_sign(operator)} operator.")
        kind = types.combined(left.type, right.type)
        assert kind is not None
        assert left.type is not None
        assert right.type is not None
        length = MAX if MAX in (left.type.length, right.type.length) else left.type.length + right.type.length
        found = text_type(length, wide=kind.name in types.NATIONAL, like=kind)
        return Typed(f"({words(left)} || {words(right)})", found, nullable, None, max(left.strength, right.strength))

    def _shifted(self, operator: str, left: Typed, right: Typed, nullable: bool) -> Typed:
        moment, other = (left, right) if left.name in types.DATES else (right, left)
        if moment.name not in {"datetime", "smalldatetime"} or operator not in "+-":
            raise SqlError(206, f"Operand type clash: {moment.name} is incompatible with {other.name}")
        day = 599_266_080_000_000_000
        target = moment.type
        if other.name in {"datetime", "smalldatetime"} and operator == "-":
            sql = f"ms.datetime({ticks_of(left)} - {ticks_of(right)} + {day})"
        else:
            sql = f"ms.{moment.name}({ticks_of(moment)} {operator} ({ticks_of(other)} - {day}))"
        return Typed(sql, target, nullable)

    def _calculated(self, operator: str, left: Typed, right: Typed, nullable: bool) -> Typed:
        kind = types.combined(left.type, right.type)
        if kind is None or kind.name not in types.NUMBERS:
            name = kind.name if kind else "NULL"
            raise SqlError(8117, f"Operand data type {name} is invalid for {_sign(operator)} operator.")
        left = left if left.name in types.NUMBERS else Typed(convert(left, kind), kind)
        right = right if right.name in types.NUMBERS else Typed(convert(right, kind), kind)
        assert left.type is not None
        assert right.type is not None
        found = types.arithmetic(operator, left.type, right.type)
        plain = types.plain(found)
        if found.name in types.INTEGERS:
            return Typed(f"({convert(left, found)} {operator} {convert(right, found)})", found, nullable)
        if found.name in types.FLOATS:
            if operator == "%":
                raise SqlError(8117, f"Operand data type {found.name} is invalid for modulo operator.")
            return Typed(f"({convert(left, found)} {operator} {convert(right, found)})::{plain}", found, nullable)
        first, second = self._decimal(left), self._decimal(right)
        if operator == "/":
            first = f"round({first}, {found.scale})"
        return Typed(f"({first} {operator} {second})::{plain}", found, nullable)

    @staticmethod
    def _decimal(value: Typed) -> str:
        return f"({value.sql})::int4::numeric" if value.name == "bit" else f"({value.sql})::numeric"

    def _value_call(self, node: tree.Call, scope: Scope) -> Typed:
        return self.call(node, scope)


def _sign(operator: str) -> str:
    return {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "modulo"}[operator]


def check_collation(name: str) -> None:
    """:raises SqlError: 448 for a name no collation has."""
    upper = name.upper()
    if not upper.startswith(("SQL_", "LATIN1_", "DATABASE_", "CATALOG_", "JAPANESE", "FRENCH", "GERMAN", "MODERN_",
                             "TURKISH", "CHINESE", "CYRILLIC", "POLISH", "FINNISH", "DANISH", "CZECH")):  # fmt: skip
        raise SqlError(448, f"Invalid collation '{name}'.")

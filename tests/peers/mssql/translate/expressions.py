"""T-SQL expressions and conditions read into a tree."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.peers.mssql.interface import SqlType
from tests.peers.mssql.translate import tree, types
from tests.peers.mssql.translate.parser import RESERVED, Reader
from tests.peers.mssql.translate.tokens import HEX, MONEY, NATIONAL, NUMBER, QUOTED, STRING, VARIABLE, WORD

if TYPE_CHECKING:
    from collections.abc import Callable

_COMPARISONS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "!<": ">=", "!>": "<="}
_SUMS = ("+", "-", "&", "|", "^")
_PRODUCTS = ("*", "/", "%")
_BARE = frozenset({"CURRENT_TIMESTAMP", "CURRENT_USER", "SESSION_USER", "SYSTEM_USER", "USER"})
_RESERVED_CALLS = frozenset({"LEFT", "RIGHT", "COALESCE", "NULLIF", "CONVERT", "TRY_CONVERT", "UPDATE", "IDENTITY"})
_DATE_PARTS = frozenset({"DATEADD", "DATEDIFF", "DATEDIFF_BIG", "DATEPART", "DATENAME", "DATETRUNC"})
_DEPTH = 200
_PLAIN = frozenset({STRING, NATIONAL, NUMBER})


class Expressions(Reader):
    """Reads expressions; :class:`Queries` adds what stands in sub-queries."""

    depth = 0

    def query(self) -> Any:
        raise AttributeError  # its subclass knows

    def condition(self) -> Any:
        """OR of ANDs; also reads a plain value (its user tells them apart)."""
        if self.now.kind in _PLAIN and self.ahead().upper in {",", ")"}:
            return self._primary()
        self.depth += 1
        if self.depth > _DEPTH:
            raise self.refused("an expression nested that deep")
        left = self._and()
        while self.take("OR"):
            left = tree.Binary("OR", left, self._and())
        self.depth -= 1
        return left

    expression = condition

    def _and(self) -> Any:
        left = self._not()
        while self.take("AND"):
            left = tree.Binary("AND", left, self._not())
        return left

    def _not(self) -> Any:
        if self.take("NOT"):
            return tree.Unary("NOT", self._not())
        return self._predicate()

    def _predicate(self) -> Any:
        left = self.value()
        while True:
            token = self.now
            if token.upper in _COMPARISONS and token.kind != WORD:
                left = self._comparison(left)
            elif token.upper == "IS":
                left = self._is(left)
            elif token.upper in {"IN", "BETWEEN", "LIKE"} or (
                token.upper == "NOT" and self.ahead().upper in {"IN", "BETWEEN", "LIKE"}
            ):
                left = self._range(left)
            else:
                return left

    def _comparison(self, left: Any) -> Any:
        operator = _COMPARISONS[self.next().upper]
        kind = self.take_one("ANY", "SOME", "ALL")
        if kind:
            self.expect("(")
            query = self.query()
            self.expect(")")
            return tree.Quantified(operator, left, "ALL" if kind == "ALL" else "ANY", query)
        return tree.Binary(operator, left, self.value())

    def _is(self, left: Any) -> Any:
        self.expect("IS")
        negated = self.take("NOT")
        if self.take("DISTINCT"):
            self.expect("FROM")
            return tree.Distinct(left, self.value(), negated)
        self.expect("NULL")
        return tree.IsNull(left, negated)

    def _range(self, left: Any) -> Any:
        negated = self.take("NOT")
        if self.take("BETWEEN"):
            low = self.value()
            self.expect("AND")
            return tree.Between(left, low, self.value(), negated)
        if self.take("LIKE"):
            pattern = self.value()
            escape = self.value() if self.take("ESCAPE") else None
            return tree.Like(left, pattern, escape, negated)
        self.expect("IN", "(")
        if self.see("SELECT") or self.see("WITH"):
            found = tree.In(left, [], self.query(), negated)
        else:
            found = tree.In(left, self.expressions(), None, negated)
        self.expect(")")
        return found

    def expressions(self) -> list[Any]:
        found = [self.expression()]
        while self.take(","):
            found.append(self.expression())
        return found

    def value(self) -> Any:
        left = self._product()
        while self.now.upper in _SUMS:
            operator = self.next().upper
            left = tree.Binary(operator, left, self._product())
        return left

    def _product(self) -> Any:
        left = self._unary()
        while self.now.upper in _PRODUCTS:
            operator = self.next().upper
            left = tree.Binary(operator, left, self._unary())
        return left

    def _unary(self) -> Any:
        sign = self.take_one("-", "+", "~")
        if sign:
            operand = self._unary()
            if sign == "-" and isinstance(operand, tree.Literal) and operand.type.name in types.NUMBERS:
                return tree.Literal(_negated(operand.value), operand.type)
            return operand if sign == "+" else tree.Unary(sign, operand)
        return self._postfix(self._primary())

    def _postfix(self, operand: Any) -> Any:
        while True:
            if self.take("COLLATE"):
                operand = tree.Collate(operand, self.next().value)
            elif self.see("AT", "TIME", "ZONE"):
                self.at += 3
                operand = tree.Call("AT TIME ZONE", [operand, self.value()])
            else:
                return operand

    def _primary(self) -> Any:
        token = self.now
        if token.kind in {STRING, NATIONAL}:
            self.next()
            name = "nvarchar" if token.kind == NATIONAL else "varchar"
            length = len(token.value) + (0 if token.value.isascii() else sum(sign > "\uffff" for sign in token.value))
            length = length if length <= (4000 if name == "nvarchar" else 8000) else types.MAX
            return tree.Literal(token.value, SqlType(name=name, length=length or 1))
        if token.kind == NUMBER:
            self.next()
            return _literal_number(token.value)
        if token.kind == HEX:
            self.next()
            digits = token.value[2:]
            value = bytes.fromhex(digits if len(digits) % 2 == 0 else "0" + digits)
            return tree.Literal(value, SqlType(name="varbinary", length=len(value) or 1))
        if token.kind == MONEY:
            self.next()
            value = Decimal(token.value[1:].replace(",", ""))
            return tree.Literal(value, SqlType(name="money", precision=19, scale=4))
        if token.kind == VARIABLE:
            return self._variable()
        if token.kind == QUOTED:
            return self._name_or_call()
        if self.see("("):
            return self._parenthesis()
        if self.see("{"):
            return self._escape()
        if token.kind == WORD:
            return self._word()
        if self.see("*"):
            self.next()
            return tree.Star()
        raise self.wrong()

    def _variable(self) -> Any:
        return tree.Variable(self.next().value)

    def _parenthesis(self) -> Any:
        self.expect("(")
        if self.see("SELECT") or self.see("WITH"):
            found: Any = tree.Scalar(self.query())
        else:
            found = self.condition()
        self.expect(")")
        return found

    def _escape(self) -> Any:
        """``{fn now()}``, ``{d '2020-01-01'}``, ``{ts …}``, ``{guid …}`` of ODBC."""
        self.expect("{")
        kind = self.next().upper
        found = self.expression()
        self.expect("}")
        if kind == "FN":
            return found
        names = {"D": "datetime", "TS": "datetime", "T": "datetime", "GUID": "uniqueidentifier"}
        return tree.Cast(found, types.declared(names[kind], []))

    def _word(self) -> Any:
        word = self.now.upper
        special: dict[str, Callable[[], Any]] = {
            "NULL": self._null, "CASE": self._case, "EXISTS": self._exists, "DEFAULT": self._default,
        }  # fmt: skip
        if word in special:
            return special[word]()
        if word in {"CAST", "TRY_CAST"} and self.ahead().upper == "(":
            return self._cast()
        if word in {"CONVERT", "TRY_CONVERT"} and self.ahead().upper == "(":
            return self._convert()
        if word in _BARE and self.ahead().upper != "(":
            return tree.Call(self.next().upper, [])
        if word in RESERVED and not (word in _RESERVED_CALLS and self.ahead().upper == "("):
            raise self.wrong()
        return self._name_or_call()

    def _null(self) -> Any:
        self.next()
        return tree.Null()

    def _default(self) -> Any:
        self.next()
        return tree.Default()

    def _exists(self) -> Any:
        self.next()
        self.expect("(")
        query = self.query()
        self.expect(")")
        return tree.Exists(query)

    def _case(self) -> Any:
        self.expect("CASE")
        operand = None if self.see("WHEN") else self.expression()
        whens = []
        while self.take("WHEN"):
            condition = self.condition()
            self.expect("THEN")
            whens.append((condition, self.expression()))
        otherwise = self.expression() if self.take("ELSE") else tree.Null()
        self.expect("END")
        return tree.Case(operand, whens, otherwise)

    def _cast(self) -> Any:
        attempt = self.next().upper == "TRY_CAST"
        self.expect("(")
        operand = self.expression()
        self.expect("AS")
        kind = self._target_type()
        self.expect(")")
        return tree.Cast(operand, kind, None, attempt)

    def _convert(self) -> Any:
        attempt = self.next().upper == "TRY_CONVERT"
        self.expect("(")
        kind = self._target_type()
        self.expect(",")
        operand = self.expression()
        style = self.expression() if self.take(",") else None
        self.expect(")")
        return tree.Cast(operand, kind, style, attempt)

    def _target_type(self) -> SqlType:
        """In a cast a missing length is 30, not 1."""
        start = self.at
        kind = self.type()
        bare = self.tokens[self.at - 1].upper != ")"
        if bare and kind.name in {"char", "varchar", "nchar", "nvarchar", "binary", "varbinary"} and start < self.at:
            return types.declared(kind.name, [30])
        return kind

    def _name_or_call(self) -> Any:
        line = self.now.line
        parts = [self.next().value] if self.now.upper in _RESERVED_CALLS else [self.name()]
        while self.see("."):
            self.next()
            if self.take("*"):
                return tree.Star(tuple(parts))
            parts.append("" if self.see(".") else self.name() if self.is_name() else self.next().value)
        if self.see("("):
            return self._call(".".join(parts), line)
        if len(parts) == 1 and parts[0].upper() == "NEXT" and self.see("VALUE", "FOR"):
            raise self.refused("sequences")
        return tree.Name(tuple(parts), line)

    def _call(self, name: str, line: int) -> Any:
        self.expect("(")
        upper = name.upper()
        call = tree.Call(upper, [], line=line)
        call.distinct = self.take("DISTINCT")
        self.take("ALL")
        if upper == "TRIM" and self.take_one("BOTH", "LEADING", "TRAILING"):
            raise self.refused("TRIM(BOTH …)")
        if upper in _DATE_PARTS:
            call.arguments.append(self.next().value.lower())
            self.expect(",")
        if not self.see(")"):
            call.arguments.extend(self.expressions())
        if upper == "TRIM" and self.take("FROM"):
            call.arguments.append(self.expression())
        self.expect(")")
        if self.take("WITHIN"):
            self.expect("GROUP", "(")
            call.within = self.order()
            self.expect(")")
        if self.take("OVER"):
            call.over = self._over()
        return call

    def order(self) -> list[tree.Order]:
        """``ORDER BY a DESC, b``."""
        self.expect("ORDER", "BY")
        found = [self._order_item()]
        while self.take(","):
            found.append(self._order_item())
        return found

    def _order_item(self) -> tree.Order:
        expression = self.expression()
        return tree.Order(expression, self.take_one("ASC", "DESC") == "DESC")

    def _over(self) -> tree.Over:
        self.expect("(")
        over = tree.Over([], [])
        if self.take("PARTITION"):
            self.expect("BY")
            over.partition = self.expressions()
        if self.see("ORDER"):
            over.order = self.order()
        if self.see("ROWS") or self.see("RANGE"):
            words = []
            while not self.see(")"):
                words.append(self.next().value)
            over.frame = " ".join(words)
        self.expect(")")
        return over


def _negated(value: Any) -> Any:
    return value.copy_negate() if isinstance(value, Decimal) else -value


def _literal_number(text: str) -> tree.Literal:
    if "e" in text.lower():
        return tree.Literal(float(text), SqlType(name="float"))
    digits = text.lstrip("-")
    if "." not in digits:
        number = int(text)
        if -(2**31) < number < 2**31:
            return tree.Literal(number, SqlType(name="int"))
        return tree.Literal(Decimal(text), SqlType(name="decimal", precision=min(len(digits), 38)))
    whole, _, part = digits.partition(".")
    precision = max(len(whole.lstrip("0")) + len(part), 1)
    return tree.Literal(Decimal(text), SqlType(name="decimal", precision=min(precision, 38), scale=len(part)))

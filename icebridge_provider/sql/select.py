"""What an extraction's SELECT may say: one statement that only reads; and where its placeholders stand in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from icebridge_provider.model.query import Spot
from icebridge_provider.sql.tsql import NotUnderstood, Part, Token, depths, inner, tokens

if TYPE_CHECKING:
    from sqlglot import exp

MARKER = "icebridge_place_"
MOST_NAME_PARTS = 3
# Reserved words of T-SQL that no SELECT needs, so that no column can be called so without brackets:
# https://learn.microsoft.com/sql/t-sql/language-elements/reserved-keywords-transact-sql
_REFUSED = frozenset(
    re.findall(
        r"[A-Z]+",
        """ALTER BACKUP BEGIN BULK CHECKPOINT CLOSE COMMIT CREATE CURSOR DBCC DEALLOCATE DECLARE DELETE DENY DROP EXEC
        EXECUTE GOTO GRANT IF INSERT INTO KILL OPENDATASOURCE OPENQUERY OPENROWSET PRINT RAISERROR READTEXT RECONFIGURE
        RESTORE RETURN REVERT REVOKE ROLLBACK SAVE SET SHUTDOWN TRUNCATE UPDATE UPDATETEXT USE WAITFOR WHILE WRITETEXT
        """,
    )
)
_UNITES = ("UNION", "EXCEPT", "INTERSECT", "ALL")
_REMEDY = {
    "INTO": "Leave INTO out: the rows go to the folder of the extraction.",
    "OPENROWSET": "Read a table or view of the database instead.",
    "OPENQUERY": "Read a table or view of the database instead.",
    "OPENDATASOURCE": "Read a table or view of the database instead.",
}


def refuse_words(found: Sequence[Token]) -> None:
    """Make sure that a statement's tokens hold nothing but one SELECT.

    :raises NotUnderstood: at the first token that does not belong there.
    """
    shown = [(token, depth) for token, depth in depths(found) if token.part not in {Part.BLANK, Part.COMMENT}]
    if not shown or not shown[0][0].is_word("SELECT", "WITH"):
        raise NotUnderstood("it does not begin with SELECT or WITH", shown[0][0].start if shown else 0)
    before: Token | None = None
    selects = 0
    for token, depth in shown:
        _refuse_word(token, before)
        if token.is_word("SELECT") and depth == 0:
            selects += 1
            if selects > 1 and not (before and before.is_word(*_UNITES)):
                raise NotUnderstood("a second statement begins", token.start, "Put it into a file of its own.")
        before = token


def _refuse_word(token: Token, before: Token | None) -> None:
    if token.part is Part.MARK:
        _refuse_mark(token)
    word = inner(token) if token.part is Part.NAME else token.text if token.part is Part.WORD else ""
    if word.lower().startswith("xp_"):
        raise NotUnderstood(f"{word} is an extended procedure", token.start, "Read a table or view instead.")
    if word.startswith("#"):
        raise NotUnderstood(f"{word} is a temporary table", token.start, "Use WITH … AS ( … ) instead.")
    if token.part is not Part.WORD:
        return
    upper = word.upper()
    if upper in _REFUSED:
        raise NotUnderstood(f"{upper} is refused: a query may only read", token.start, _REMEDY.get(upper, ""))
    if upper == "VALUE" and before is not None and before.is_word("NEXT"):
        raise NotUnderstood("NEXT VALUE FOR changes a sequence", token.start)
    if word.startswith("@"):
        raise NotUnderstood(f"{word} is a variable", token.start, "Write a placeholder, {name}, instead.")


def _refuse_mark(token: Token) -> None:
    if token.text == ";":
        raise NotUnderstood("a second statement may begin at ;", token.start, "Keep one SELECT in a file.")
    if token.text in "{}":
        raise NotUnderstood(
            "a brace is no placeholder",
            token.start,
            "Write {name}; inside a text {{ and }} stand for braces.",
        )


def parsed(text: str) -> exp.Expression:
    """Return the tree of one SELECT.

    :raises NotUnderstood: when it is none, reads from another server, or holds what changes something.
    """
    from sqlglot import exp

    tree = _one_tree(text)
    if not isinstance(tree, exp.Select | exp.SetOperation):
        raise NotUnderstood("it is no SELECT")
    for node in tree.walk():
        if isinstance(node, exp.Into | exp.DML | exp.DDL | exp.Command):
            raise NotUnderstood(f"{type(node).__name__.upper()} is refused: a query may only read")
        if isinstance(node, exp.Table) and len(node.parts) > MOST_NAME_PARTS:
            raise NotUnderstood(f"{node.name} is a table of another server", remedy="Read through a view instead.")
    return tree


def _one_tree(text: str) -> Any:
    import sqlglot
    from sqlglot.errors import ParseError, SqlglotError

    try:
        trees = sqlglot.parse(text, dialect="tsql")
    except ParseError as error:
        first: Any = error.errors[0] if error.errors else {}
        near = str(first.get("highlight") or "")
        at = _offset(text, first.get("line"), first.get("col"))
        raise NotUnderstood(f"it cannot be understood near {near[:40]!r}", max(at - len(near) + 1, 0)) from None
    except (SqlglotError, RecursionError):
        raise NotUnderstood("it cannot be understood") from None
    if len(trees) != 1 or trees[0] is None:
        raise NotUnderstood("it is not one statement")
    return trees[0]


def _offset(text: str, line: int | None, column: int | None) -> int:
    """Return the position of sqlglot's line and (last) column, both from 1."""
    if not line or not column:
        return 0
    start = 0
    for _ in range(line - 1):
        start = text.find("\n", start) + 1
    return min(start + column - 1, max(len(text) - 1, 0))


def spots(text: str, count: int) -> list[Spot]:
    """Return where each of ``count`` markers (:data:`MARKER` and its number, as a bare word) stands in a SELECT.

    :raises NotUnderstood: as :func:`parsed`.
    """
    from sqlglot import exp

    found = [Spot.OTHER] * count
    for node in parsed(text).find_all(exp.Identifier):
        name = str(node.this)
        number = name.removeprefix(MARKER)
        if name != number and number.isdigit() and int(number) < count:
            found[int(number)] = _spot(node)
    return found


def _spot(marker: exp.Identifier) -> Spot:
    from sqlglot import exp

    column = marker.parent
    if not isinstance(column, exp.Column) or len(column.parts) > 1:
        named = isinstance(column, exp.Column | exp.Table | exp.Dot | exp.TableAlias | exp.Alias)
        return Spot.NAME if named else Spot.OTHER
    around = column.parent
    if isinstance(around, exp.Alias):
        around = around.parent
    if isinstance(around, exp.Select | exp.Group | exp.Ordered) or column.arg_key == "partition_by":
        return Spot.ITEM
    if isinstance(around, exp.In) and column.arg_key == "expressions":
        return Spot.LIST
    return Spot.COMPARED if _is_compared(column, around) else Spot.OTHER


def _is_compared(column: Any, around: Any) -> bool:
    """Say whether all that a column is compared with are constants, so that only a column makes sense there."""
    from sqlglot import exp

    if not isinstance(around, exp.Predicate):
        return False
    others = [item for item in _operands(around) if item is not column]
    constants = (exp.Literal, exp.National, exp.Null, exp.Parameter)
    return bool(others) and all(isinstance(item, constants) for item in others)


def _operands(node: Any) -> Iterator[Any]:
    for value in node.args.values():
        for item in value if isinstance(value, list) else [value]:
            if item is not None and not isinstance(item, bool):
                yield item


def check_expression(text: str, *, item: bool) -> str:
    """Return a file's expression as SQL that cannot reach beyond its place.

    :param item: it stands as an item of a list: it may have an alias, and needs no parentheses.
    :raises NotUnderstood: when it is not one expression, or more than an expression of columns and functions.
    """
    from sqlglot import exp

    found = tokens(text)
    for token in found:
        if token.part in {Part.COMMENT, Part.PLACE}:
            raise NotUnderstood(f"a {token.part.value} is refused there", token.start)
        _refuse_word(token, None)
        if token.is_word("SELECT", "FROM", "WITH", "UNION", "EXCEPT", "INTERSECT", "WHERE", "GO"):
            raise NotUnderstood(f"{token.text.upper()} is refused there", token.start)
    said = {key: value for key, value in parsed(f"SELECT {text}").args.items() if value}
    items = said.pop("expressions", [])
    if len(items) != 1 or said:
        raise NotUnderstood("it is not one expression")
    if isinstance(items[0], exp.Alias) and not item:
        raise NotUnderstood("a name by AS can only stand in the list of SELECT")
    return text.strip() if item or isinstance(items[0], exp.Column | exp.Literal) else f"({text.strip()})"


def name_parts(text: str) -> list[str]:
    """Return the parts of a dotted name: plain words, or names in brackets or double quotes.

    :raises NotUnderstood: when it is something else.
    """
    found = tokens(text)
    parts = []
    for index, token in enumerate(found):
        if index % 2 == 1 and token.text == ".":
            continue
        if index % 2 == 1 or token.part not in {Part.WORD, Part.NAME}:
            raise NotUnderstood("it is not a name", token.start, "Put a name with other characters into brackets.")
        parts.append(inner(token) if token.part is Part.NAME else token.text)
    if len(found) % 2 == 0:
        raise NotUnderstood("it is not a name", len(text))
    return parts

"""A condition that a person wrote for a WHERE: checked to be one, of columns and harmless functions, and left as it is.

The text stands in parentheses in the statement. It is read by another parser than Databricks' own, so whatever the two
could read differently is refused: comments, backslashes, ``;``, substitutions.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from icebridge_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from sqlglot import exp

LONGEST = 10_000
_REFUSED = (
    (";", "a semicolon could begin another statement"),
    ("--", "comments are not taken"),
    ("/*", "comments are not taken"),
    ("*/", "comments are not taken"),
    ("\\", "a backslash is read differently by different engines; char(92) is one"),
    ("${", "substitutions are not taken"),
    ("{{", "templates are not taken"),
)
# Functions of columns and constants alone: no rows, files, models, secrets, network, chance or identity of the caller.
_NAMED = """
    abs add_months array array_contains array_size bround btrim cast ceil ceiling char char_length charindex coalesce
    concat contains cos current_date current_timestamp date date_add date_diff date_format date_part date_sub
    date_trunc dateadd datediff day dayofmonth dayofweek dayofyear decode div double endswith equal_null exp extract
    find_in_set floor format_number from_unixtime from_utc_timestamp get_json_object greatest hash hour if
    ifnull ilike in initcap instr int isnan isnotnull isnull last_day least left len length levenshtein like ln locate
    log lower lpad ltrim make_date map_contains_key md5 minute mod month months_between negative next_day now nullif
    nvl nvl2 pmod position pow power quarter regexp regexp_extract regexp_like replace reverse right rlike round rpad
    rtrim second sha1 sha2 sign size soundex split split_part sqrt startswith string substr substring timestamp
    timestamp_micros timestamp_millis timestamp_seconds timestampadd timestampdiff to_date to_number to_timestamp
    to_unix_timestamp to_utc_timestamp translate trim trunc try_cast try_divide try_to_number try_to_timestamp
    typeof unix_date unix_micros unix_millis unix_seconds unix_timestamp upper weekday weekofyear xxhash64 year
    and or not between bigint boolean smallint tinyint float decimal when then else case
"""
_FUNCTIONS = frozenset(_NAMED.split())
_CALL = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*\(")
_TEXT = re.compile(r"'[^']*'|\"[^\"]*\"|`(?:[^`]|``)*`")
_PLACE = re.compile(r"(?<![:\w]):([A-Za-z_][A-Za-z0-9_]*)")
_REMEDY = "Write one condition on the table's columns, such as date >= '2024-01-01', or share a view."


def check(text: str, columns: Collection[str], values: Collection[str] = ()) -> str:
    """Return the condition, without blanks around it, once it is known to be nothing else.

    :param columns: names of the table's columns; a first part of a name that is none of them is refused.
    :param values: names of the bound values; each must be used, and no other.
    :raises ConfigurationError: IB-903 saying what is wrong and near which column of the text.
    """
    condition = text.strip()
    _refuse_text(condition)
    tree = _parsed(condition)
    _refuse_calls(condition)
    _refuse_nodes(tree)
    _refuse_unknown(tree, columns)
    _refuse_values(condition, tree, values)
    return condition


def places(text: str) -> set[str]:
    """Return the names of the values that a condition wants to be bound, without checking it."""
    return set(_PLACE.findall(_TEXT.sub(" ", text)))


def _refuse_text(text: str) -> None:
    if not text or len(text) > LONGEST:
        raise _wrong(f"it has {len(text)} characters, 1 to {LONGEST} are allowed")
    for mark, why in _REFUSED:
        if mark in text:
            raise _wrong(why, text.index(mark))
    for position, char in enumerate(text):
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} and char not in "\n\t\r":
            raise _wrong("it holds a control character", position)
    for found in _TEXT.finditer(text):
        # 'it''s' is it's for some versions of Spark and its for others.
        if found[0][0] != "`" and text[found.end() : found.end() + 1] == found[0][0]:
            raise _wrong("a doubled quote is read differently by versions of Spark; bind a :name", found.end())
    bare = _TEXT.sub(lambda found: " " * len(found[0]), text)
    for position, char in enumerate(bare):
        if char in "'\"`?@#$" or ord(char) > 127:
            raise _wrong(f"{char!r} stands outside of quotes, or a quote stays open", position)
    _refuse_unbalanced(bare)


def _refuse_unbalanced(bare: str) -> None:
    depth = 0
    for position, char in enumerate(bare):
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth < 0:
            raise _wrong("a parenthesis closes that never opened", position)
    if depth:
        raise _wrong("a parenthesis stays open")


def _parsed(text: str) -> exp.Expression:
    """Parse it where it will stand, and make sure that nothing but the condition grew."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        trees = sqlglot.parse(f"SELECT 1 FROM t WHERE ({text})", dialect="databricks")  # noqa: S608 - parsed only
    except (SqlglotError, RecursionError):
        raise _wrong("it cannot be understood") from None
    tree = trees[0]
    if len(trees) != 1 or not isinstance(tree, exp.Select):
        raise _wrong("it is more than a condition")
    said = [key for key, value in tree.args.items() if value]
    where = tree.args.get("where")
    if said != ["expressions", "from_", "where"] or where is None or not isinstance(where.this, exp.Paren):
        raise _wrong("it is more than a condition")
    condition: exp.Expression = where.this.this
    return condition


def _refuse_calls(text: str) -> None:
    bare = _TEXT.sub(lambda found: ("`" if found[0][0] == "`" else "'") * len(found[0]), text)
    for found in _CALL.finditer(bare):
        if found[1].lower() not in _FUNCTIONS:
            raise _wrong(f"the function {found[1]} is not taken", found.start())
    quoted_call = re.search(r"[`.]\s*\(|\.\s*[A-Za-z_0-9]+\s*\(", bare)
    if quoted_call:
        raise _wrong("a function with a qualified or quoted name is not taken", quoted_call.start())


def _refuse_nodes(tree: exp.Expression) -> None:
    from sqlglot import exp

    refused = (
        exp.Query, exp.Subquery, exp.Table, exp.DML, exp.DDL, exp.Command, exp.AggFunc, exp.Window, exp.Lambda,
        exp.Star, exp.Parameter, exp.Alias, exp.CurrentUser, exp.SessionUser, exp.CurrentCatalog, exp.CurrentSchema,
    )  # fmt: skip
    for node in tree.walk():
        if isinstance(node, refused) and not isinstance(node, exp.Column):
            raise _wrong(f"{type(node).__name__.lower()} is not taken in it")
    if isinstance(tree, exp.Tuple | exp.Literal) and not isinstance(tree, exp.Boolean):
        raise _wrong("it is no condition")


def _refuse_unknown(tree: exp.Expression, columns: Collection[str]) -> None:
    known = {name.lower(): name for name in columns}
    for name in _first_parts(tree):
        if name.lower() not in known:
            near = difflib.get_close_matches(name.lower(), known, 1)
            hint = f"; did you mean {known[near[0]]!r}" if near else ""
            raise _wrong(f"the table has no column {name[:80]!r}{hint}")


def _first_parts(tree: exp.Expression) -> Iterator[str]:
    from sqlglot import exp

    for column in tree.find_all(exp.Column):
        yield str(column.parts[0].this)


def _refuse_values(text: str, tree: Any, values: Collection[str]) -> None:
    from sqlglot import exp

    bound = {str(node.this) for node in tree.find_all(exp.Placeholder)}
    written = places(text)
    if bound != written or "" in bound:
        raise _wrong("a bound value is written as :name")
    for name in sorted(bound - set(values)):
        raise _wrong(f":{name} has no value")
    for name in sorted(set(values) - bound):
        raise _wrong(f"the value {name!r} is not used")


def _wrong(why: str, position: int | None = None) -> ConfigurationError:
    place = f" (character {position + 1})" if position is not None else ""
    message = f"The condition of the param where cannot be taken: {why}{place}."
    return ConfigurationError("IB-903", message, remedy=_REMEDY)

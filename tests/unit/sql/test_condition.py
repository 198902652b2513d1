"""A condition is one condition, on the table's own columns, and nothing can grow out of it."""

from __future__ import annotations

import random

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.sql.condition import check

COLUMNS = ("date", "a", "x y", "price", "st", "we`ird", "größe")
GOOD = (
    "date >= '2024-01-01'", " a = 1\n and price between 1 and 2 ", "`x y` in (1, 2)", "lower(a) like '%x%'", "st.b = 1",
    "date >= current_date() - interval 3 days", "case when a = 1 then true else false end", "not (a is null)",
    "a is not null or DATE is null", "cast(a as date) = date'2020-01-01'", "true", "a <=> 1", "a not in ('x')",
    "a % 2 = 0", "a rlike '^x'", "st['k'] = 1", 'a = "x"', "date_trunc('MONTH', date) = '2020-01-01'", "a = ''",
    "a = '表 🧊'", "`we``ird` = 1", "`größe` > 2", "a = x'00'", "a = ' ) ('",
)  # fmt: skip
BAD = (
    "", "  ", "1=1) or (1=1", "1); drop table x", "a = (select 1)", "exists(select 1)", "secret('a','b')='c'",
    "a = 1 union select 2", "a = ?", "a = :q", "a in (select 1)", "`lower`(a)='x'", "main.f(a)=1", "rand() < 0.5",
    "a = 1 limit 3", "a = 1 group by a", "'x", "a=1 -- x", "a=1 /* x", "a = r'\\'", "1=1)) or ((1=1", "count(a) > 1",
    "input_file_name() = 'x'", "a = 1 order by a", "a, b", "'abc'", "a=1 as b", "current_user() = 'x'",
    "current_user = 'x'", "session_user = 'x'", "*", "transform(a, x -> x) = 1", "a qualify 1", "a tablesample (1)",
    "date lateral view explode(a)", "sum(a) over () = 1", "ai_query('a')=1", "a = 1 for update", "nope = 1",
    "read_files('x') = 1", "a = 'it''s'", "a = '${x}'", "a = '{{x}}'", "größe = 1", "a = 1;", "a = \0", "a\u2028= 1",
    "a\u200b = 1", "uuid() = 'x'", "reflect('java.lang.Runtime', 'x') = 1", "a = @x", "java_method('a', 'b')",
    "http_request('x') = 1", "remote_query('x') = 1", "a.b.c.d(1) = 1", "st.lower(a) = 1", "(a = 1", "a = 1)",
    "a = 1 where b = 2", "monotonically_increasing_id() = 1", "main.s.t.a = 1", "a " * 6000,
)  # fmt: skip


@pytest.mark.parametrize("text", GOOD)
def test_a_condition_is_taken_as_it_is(text: str) -> None:
    assert check(text, COLUMNS) == text.strip()


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_condition_of_the_tables_columns_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check(text, COLUMNS)
    assert caught.value.code == "IB-903"
    assert caught.value.remedy


def test_a_misspelled_column_is_told_with_its_neighbour() -> None:
    with pytest.raises(ConfigurationError, match="no column 'prise'; did you mean 'price'"):
        check("prise > 1", COLUMNS)


def test_bound_values_are_used_all_and_only_they() -> None:
    assert check("a = :p and price > :q_1", COLUMNS, ["p", "q_1"])
    assert check("a = ':p'", COLUMNS)
    for text, values in (("a = :p", []), ("a = 1", ["p"]), ("a = :p", ["p", "q"]), ("a = :1", ["1"])):
        with pytest.raises(ConfigurationError) as caught:
            check(text, COLUMNS, values)
        assert caught.value.code == "IB-903"


PIECES = (
    "a", "price", "=", "1", "'",
    '"', "`", "(", ")", ";", "--", "/*", "*/", "\\", "OR", "1=1", "union select 2", ":p", "?",
    "select", "from t", "where", "limit 1", "drop table x", ",", "''", "'x'", "${", "}", "{{", "#", "@", "$$",
    "\n", "in",
    "is null", "secret('a','b')", "lower", ".", "exists", "->", "*", "case when", "end", "over ()", "r'", "x'", "AND",
)  # fmt: skip


def test_two_thousand_hostile_texts_never_reach_beyond_the_parentheses() -> None:
    source = random.Random(4)
    taken = 0
    for _ in range(2000):
        text = " ".join(source.choices(PIECES, k=source.randint(1, 7)))
        taken += _stays_inside(text)
    assert taken > 0, "a test in which everything is refused proves nothing"


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=30) | st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
def test_any_text_is_refused_by_its_code_or_stays_inside(text: str) -> None:
    _stays_inside(text)


def _stays_inside(text: str) -> bool:
    try:
        taken = check(text, COLUMNS)
    except ConfigurationError as error:
        assert error.code == "IB-903"
        return False
    trees = sqlglot.parse(f"SELECT `a` FROM `c`.`s`.`t` WHERE (\n{taken}\n) LIMIT 10", dialect="databricks")
    assert len(trees) == 1
    assert isinstance(trees[0], exp.Select)
    said = {key for key, value in trees[0].args.items() if value}
    assert said == {"expressions", "limit", "from_", "where"}
    assert [table.name for table in trees[0].find_all(exp.Table)] == ["t"]
    assert isinstance(trees[0].args["where"].this, exp.Paren)
    assert str(trees[0].args["limit"].expression) == "10"
    return True

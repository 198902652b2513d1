"""Queries times countries become jobs: names quoted, values bound, SQL only from files, nothing read in two ways."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.extraction import Extraction, Partition
from icebridge_provider.model.query import Country, Query
from icebridge_provider.planning.extraction import plan_jobs
from icebridge_provider.specs.parameters import country
from icebridge_provider.specs.query import parse_query
from icebridge_provider.specs.yaml import parse_yaml

COMMON = "flg_scanner: flg_scanner\nfactor: factor_rw1 as factor_rw\n"
COLOMBIA = "country_code: CO\ndatabase: KWP_Colombia\ntables:\n  purchases_table: J_AtosCompra_CO\n"
PURCHASES = """-- partition: idpurchase, 4
SELECT idpurchase, {factor}, {flg_scanner}, '50%' AS pct
FROM {database}.dbo.{purchases_table} AS p
WHERE p.country = '{country_code}' AND {flg_scanner} = 1
GO
"""


def sql(text: str, name: str = "q") -> Query:
    return parse_query(text.encode(), name, f"queries/{name}.sql")


def land(own: str, common: str = "", name: str = "X") -> Country:
    return country(name, parse_yaml(common.encode(), "common_params.yaml"), parse_yaml(own.encode(), f"{name}.yaml"))


def job(text: str, own: str, **more: Any) -> Extraction:
    (found,) = plan_jobs([sql(text)], [land(own)], **more)
    return found


def refusal(text: str, own: str, **more: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        job(text, own, **more)
    assert caught.value.code == "IB-807"
    return f"{caught.value.message} {caught.value.remedy}"


def test_the_seeds_files_become_a_job() -> None:
    (found,) = plan_jobs([sql(PURCHASES, "purchases")], [land(COLOMBIA, COMMON, "Colombia")], job_id="run-1")
    assert found.statement == (
        " \nSELECT idpurchase, factor_rw1 as factor_rw, flg_scanner, '50%%' AS pct\n"
        "FROM [KWP_Colombia].dbo.[J_AtosCompra_CO] AS p\nWHERE p.country = %(p0)s AND flg_scanner = 1"
    )
    assert found.values == {"p0": "CO"}
    assert (found.job_id, found.name, found.database) == ("run-1", "Colombia/purchases", "KWP_Colombia")
    assert found.partition == Partition(column="idpurchase", count=4)
    assert found.parameters["tables.purchases_table"] == "J_AtosCompra_CO"


def test_jobs_are_countries_times_queries_chosen_by_name_or_glob() -> None:
    queries = [sql("SELECT 1 AS a", name) for name in ("sales/a", "sales/b", "stock")]
    lands = [land("", name=name) for name in ("Chile", "Peru")]

    def names(**chosen: Sequence[str]) -> list[str]:
        return [item.name for item in plan_jobs(queries, lands, **chosen)]  # type: ignore[arg-type]

    assert names() == [f"{where}/{what}" for where in ("Chile", "Peru") for what in ("sales/a", "sales/b", "stock")]
    assert names(query_globs=["sales/*", "sales/b"], country_globs=["Peru"]) == ["Peru/sales/a", "Peru/sales/b"]
    for chosen, hint in (
        ({"query_globs": ["stok"]}, "Did you mean stock?"),
        ({"country_globs": ["Per"]}, "Did you mean Peru?"),
        ({"query_globs": ["zzz*"]}, "There are sales/a"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            names(**chosen)
        assert caught.value.code == "IB-806"
        assert hint in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "own", "statement", "values"),
    [
        ("SELECT a FROM t WHERE b = {x}", "x: 5", "SELECT a FROM t WHERE b = %(p0)s", {"p0": 5}),
        ("SELECT a FROM t WHERE b = {x}", "x: 0.10", "SELECT a FROM t WHERE b = %(p0)s", {"p0": Decimal("0.10")}),
        (
            "SELECT a FROM t WHERE b = {x}",
            "x: 2024-01-15",
            "SELECT a FROM t WHERE b = %(p0)s",
            {"p0": date(2024, 1, 15)},
        ),
        ("SELECT a FROM t WHERE b = {x}", "x: true", "SELECT a FROM t WHERE b = %(p0)s", {"p0": True}),
        (
            "SELECT a FROM t WHERE b = {x}",
            "x: 9223372036854775808",
            "SELECT a FROM t WHERE b = %(p0)s",
            {"p0": Decimal(2**63)},
        ),
        ("SELECT a FROM t WHERE b = '{x}'", "x: 5", "SELECT a FROM t WHERE b = %(p0)s", {"p0": 5}),
        (
            "SELECT a FROM t WHERE b = N'{x}'",
            'x: "O\'Higgins 100%"',
            "SELECT a FROM t WHERE b = %(p0)s",
            {"p0": "O'Higgins 100%"},
        ),
        ("SELECT a FROM t WHERE b = {x:literal}", "x: CO", "SELECT a FROM t WHERE b = %(p0)s", {"p0": "CO"}),
        (
            "SELECT a FROM t WHERE b = {x}",
            "x: CO\nkinds: {x: literal}",
            "SELECT a FROM t WHERE b = %(p0)s",
            {"p0": "CO"},
        ),
        ("SELECT '{x}' AS c FROM [{x}]", "x: CO", "SELECT %(p0)s AS c FROM [CO]", {"p0": "CO"}),
        (
            "SELECT a FROM t WHERE b = '{x}' OR c = '{x}' OR d = {y}",
            "x: CO\ny: 1",
            "SELECT a FROM t WHERE b = %(p0)s OR c = %(p0)s OR d = %(p1)s",
            {"p0": "CO", "p1": 1},
        ),
        (
            "SELECT a FROM t WHERE b IN ({x})",
            "x: [CO, PE]",
            "SELECT a FROM t WHERE b IN (%(p0)s, %(p1)s)",
            {"p0": "CO", "p1": "PE"},
        ),
        ("SELECT a FROM {x}", "x: dbo.[my.table]", "SELECT a FROM [dbo].[my.table]", {}),
        ("SELECT a FROM [{x}]", "x: dbo.t", "SELECT a FROM [dbo.t]", {}),
        ("SELECT t.{x}, {x}.y FROM t", "x: c", "SELECT t.[c], [c].y FROM t", {}),
        ("SELECT a + {x:expression} AS c FROM t", "x: b * 2", "SELECT a + (b * 2) AS c FROM t", {}),
        ("SELECT a + {x:identifier} AS c FROM t", "x: b", "SELECT a + [b] AS c FROM t", {}),
        (
            "SELECT {x}, SUM(b) AS s FROM t GROUP BY {x} ORDER BY {x} DESC",
            "x: a % 10",
            "SELECT a %% 10, SUM(b) AS s FROM t GROUP BY a %% 10 ORDER BY a %% 10 DESC",
            {},
        ),
        ("SELECT TOP ({x}) a FROM t ORDER BY a", "x: 10", "SELECT TOP (%(p0)s) a FROM t ORDER BY a", {"p0": 10}),
        ("SELECT a FROM {t.x}", "t: {x: u}\nx: w\nkinds: {x: literal}", "SELECT a FROM [u]", {}),
    ],
)
def test_what_a_placeholder_becomes(text: str, own: str, statement: str, values: dict[str, object]) -> None:
    if own.startswith("t:"):
        text = text.replace("FROM", ", {x} AS x FROM").replace("a ,", "a,")
        statement, values = "SELECT a, %(p0)s AS x FROM [u]", {"p0": "w"}
    found = job(text, own)
    assert found.statement == statement
    assert found.values == values
    assert [type(value) for value in found.values.values()] == [type(value) for value in values.values()]


@pytest.mark.parametrize(
    ("text", "own", "said"),
    [
        (
            "SELECT a FROM t WHERE b = {x}",
            "x: CO",
            "queries/q.sql:1:27: 'x' is a text where a value or a column can stand: it could be a value or a column. "
            "Write '{x}' for the text, [{x}] for a name, or {x:expression}.",
        ),
        ("SELECT COALESCE({x}, 0) AS c", "x: b", "1:17: 'x' is a text where a value or a column can stand"),
        ("SELECT a FROM t WHERE b IN ({x})", "x: CO", "1:29: 'x' is a text inside IN (…)"),
        (
            "SELECT a FROM t\nWHERE b = {y}",
            "x: 1",
            "queries/q.sql:2:11: X has no parameter 'y'. Add it to common_params.yaml or X.yaml.",
        ),
        ("SELECT a FROM {purchase_table}", "tables: {purchases_table: t}", "Did you mean {purchases_table}?"),
        ("SELECT a FROM {n}", "t: {n: a}\nu: {n: b}", "1:15: {n} can be t.n or u.n. Write the whole path."),
        ("SELECT a FROM {x}", "x: t\nkinds: {x: literal}", "'x' is to be a value"),
        ("SELECT a FROM t WHERE b = {x}", "x: ~", "1:27: the parameter 'x' has no value. Give it one at X.yaml:1:4."),
        ("SELECT a FROM {x}", "x: 5", "X.yaml:1:4: it becomes a name in queries/q.sql:1:15, but is no text"),
        (
            "SELECT a FROM {x}",
            "x: my table",
            "X.yaml:1:4: it becomes a name in queries/q.sql:1:15, but it is not a name. "
            "Put a name with other characters into brackets.",
        ),
        ("SELECT a FROM {x}", "x: 'a.b.c.d'", "is a table of another server"),
        ("SELECT a FROM [{x}]", "x: '#t'", "X.yaml:1:4: it becomes a name in queries/q.sql:1:15"),
        ("SELECT a FROM [{x}]", "x: '" + "n" * 129 + "'", "128 are allowed"),
        (
            "SELECT {x}",
            "x: 'a FROM t'",
            "X.yaml:1:4: it becomes an expression in queries/q.sql:1:8, but FROM is refused there",
        ),
        ("SELECT {x} AS y", "x: a AS b", "queries/q.sql: filled in for X, it cannot be understood near"),
        ("SELECT a + {x:expression} AS c", "x: b AS d", "AS can only stand"),
        ("SELECT a FROM t WHERE b = {x}", "x: [1, 2]", "1:27: 'x' is a list. Lists stand in IN ({x}), without quotes."),
        ("SELECT a FROM t WHERE b IN ('{x}')", "x: [CO]", "'x' is a list"),
        ("SELECT a FROM t WHERE b = {x}", "x: " + "9" * 39, "X.yaml:1:4: the number has more than 38 digits"),
        ("SELECT a FROM {x:literal}", "x: t", "1:15: 'x' is to be a value, and stands where only a name can stand"),
        (
            "SELECT 1 AS a",
            "x: 1\ntabels: {y: 2}",
            "No query uses these parameters of X: X.yaml:2:13: tabels.y; X.yaml:1:4: x.",
        ),
        ("SELECT 1 AS a", "database: 5", "X.yaml:1:11: the database's name is no text"),
    ],
)
def test_what_is_refused_is_named_with_its_place(text: str, own: str, said: str) -> None:
    assert said in refusal(text, own)


def test_a_parameter_is_unused_only_when_no_query_of_the_folder_uses_it() -> None:
    queries = [sql("SELECT 1 AS a", "one"), sql("SELECT a FROM t WHERE b = {x}", "two")]
    assert len(plan_jobs(queries, [land("x: 1\ncountry_code: CO\ndatabase: d")], query_globs=["one"])) == 1


def test_the_digest_says_whether_the_same_rows_are_asked_for() -> None:
    text = "SELECT a FROM t WHERE b = {x}"
    digests = {
        job(text, own).digest
        for own in ("x: 1", "x: '1'\nkinds: {x: literal}", "x: 1.0", "x: true", "x: 1\ndatabase: d")
    }
    digests.add(job("-- partition: a, 2\n" + text, "x: 1").digest)
    assert len(digests) == 6
    assert job(text, "x: 1", job_id="a").digest == job(text, "x: 1", job_id="b").digest


def test_secrets_are_not_shown() -> None:
    found = job("SELECT a FROM t WHERE b = '{api_key}'", "api_key: s3cr3t")
    assert found.parameters == {"api_key": "***"}


def test_two_thousand_values_are_bound_and_not_more() -> None:
    items = "[" + ", ".join("1" * 1 for _ in range(1000)) + "]"
    text = "SELECT a FROM t WHERE b IN ({x}) OR b IN ({y})"
    assert len(job(text, f"x: {items}\ny: {items}").values) == 2000
    assert "2,000 values at most" in refusal(text + " OR c = {z}", f"x: {items}\ny: {items}\nz: 1")


@pytest.mark.parametrize(
    ("own", "given", "value"),
    [
        ("x: 1", {"x": 2}, 2),
        ("x: 1", {"x": "2"}, 2),
        ("x: 1", {"x": 2.0}, 2),
        ("x: 0.5", {"x": 0.25}, Decimal("0.25")),
        ("x: 0.5", {"x": "1e-3"}, Decimal("0.001")),
        ("x: 1e3", {"x": "2"}, 2.0),
        ("x: 2024-01-15", {"x": "2024-02-29"}, date(2024, 2, 29)),
        ("x: 2024-01-15 00:00:00", {"x": "2024-02-29T10:00:00"}, datetime.fromisoformat("2024-02-29 10:00")),
        ("x: a", {"x": "' OR 1=1 --"}, "' OR 1=1 --"),
        ("x: a", {"x": 5}, "5"),
        ("", {"x": "new"}, "new"),
        ("", {"x": 7}, 7),
        ("x: ~", {"x": "a"}, "a"),
        ("x: 1", {"x": None}, 1),
        ("t: {x: 1}", {"x": 2}, 2),
        ("t: {x: 1}", {"t.x": 2}, 2),
        ("x: true", {"x": False}, False),
    ],
)
def test_given_values_are_bound_in_the_type_of_the_files(own: str, given: dict[str, object], value: object) -> None:
    found = job("SELECT a FROM t WHERE b = {x}", own, given=given)
    assert found.statement == "SELECT a FROM t WHERE b = %(p0)s"
    assert found.values == {"p0": value}
    assert type(found.values["p0"]) is type(value)


def test_given_lists_go_into_lists() -> None:
    assert job("SELECT a FROM t WHERE b IN ({x})", "x: [1]", given={"x": ["2", 3]}).values == {"p0": 2, "p1": 3}


@pytest.mark.parametrize(
    ("text", "own", "given", "said"),
    [
        ("SELECT a FROM {x}", "x: t", {"x": "u"}, "queries/q.sql:1:15: 'x' is a name. Only files say names and SQL"),
        ("SELECT a FROM [{x}]", "", {"x": "u"}, "'x' is a name"),
        ("SELECT '{database}' AS d", "database: a", {"database": "b"}, "Only files say the database"),
        ("SELECT {x}", "x: a", {"x": "b"}, "'x' is an expression"),
        ("SELECT a FROM t WHERE {x} = 1", "x: a", {"x": "b"}, "'x' is an expression"),
        ("SELECT a + {x:expression} AS c", "x: a", {"x": "b"}, "'x' is an expression"),
        ("SELECT a + {x} AS c", "x: a\nkinds: {x: identifier}", {"x": "b"}, "'x' is a name"),
        ("SELECT a FROM t WHERE b = {x}", "x: 1", {"x": "one"}, "of another type (int)"),
        ("SELECT a FROM t WHERE b = {x}", "x: 1", {"x": 1.5}, "of another type (int)"),
        ("SELECT a FROM t WHERE b = {x}", "x: 1", {"x": True}, "of another type (int)"),
        ("SELECT a FROM t WHERE b = {x}", "x: 2024-01-15", {"x": "today"}, "of another type (date)"),
        ("SELECT a FROM t WHERE b = {x}", "x: 1", {"x": "9" * 400}, "of another type (int)"),
        ("SELECT a FROM t WHERE b = {x}", "x: 1", {"x": "nan"}, "of another type (int)"),
        ("SELECT a FROM t WHERE b = {x}", "", {"x": float("inf")}, "no finite number"),
        ("SELECT a FROM t WHERE b = {x}", "", {"x": "\0"}, "holds a NUL"),
        ("SELECT a FROM t WHERE b = {x}", "", {"x": "\udc00"}, "half of a surrogate"),
        ("SELECT a FROM t WHERE b = {x}", "", {"x": {"a": 1}}, "no text, number"),
        ("SELECT a FROM t WHERE b = {x}", "", {"x": [1]}, "'x' is a list"),
        ("SELECT a FROM t WHERE b IN ({x})", "", {"x": []}, "1 to 1000 items"),
        ("SELECT a FROM t WHERE b IN ({x})", "", {"x": [1, "a"]}, "different types"),
        ("SELECT a FROM t WHERE b = {x}", "x: 1", {"y": 1}, "no chosen query uses 'y'. The queries use x."),
        ("SELECT a FROM t WHERE b = {n}", "t: {n: 1}\nu: {n: 2}", {"n": 1}, "it can be t.n or u.n"),
        ("SELECT a FROM t WHERE b = {x}", "x: 1", {"a b.x": 1}, "it is no name"),
    ],
)
def test_given_values_never_become_sql(text: str, own: str, given: dict[str, object], said: str) -> None:
    assert said in refusal(text, own, given=given)

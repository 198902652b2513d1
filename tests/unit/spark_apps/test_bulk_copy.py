"""The program that copies on a cluster: whatever happens, the token is written last and says that all is there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.sql.identifiers import quoted
from spark_apps import bulk_copy
from tests.support.spark import FakeSpark, SparkError, Table, parsed

SOURCE, STAGED = ("lake", "flights", "trips"), ("main", "flights", "trips__icebridge_p1")
FIELDS = [
    {"name": "id", "type": "long", "nullable": False, "metadata": {}},
    {"name": "where from", "type": "string", "nullable": True, "metadata": {"comment": "it's `here`\n"}},
]
MARKS = {"icebridge.plan-id": "p1", "icebridge.state": "staged", "icebridge.source": "lake.flights.trips"}


def job(method: str = "deep_clone", **given: Any) -> dict[str, Any]:
    token = given.get("token", "t1")
    return {
        "token": token,
        "method": method,
        "source": list(SOURCE),
        "staged": list(STAGED),
        "properties": {**MARKS, "icebridge.token": token},
        "suffix": "__icebridge_p1",
        **given,
    }


def spark(**given: Any) -> FakeSpark:
    made = FakeSpark(**given)
    made.tables[SOURCE] = Table(FIELDS, 7)
    return made


def run(made: FakeSpark, *jobs: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[dict[str, Any]]]:
    code = bulk_copy.main(["--jobs", json.dumps(jobs), "--parallel", "2"], made)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("ICEBRIDGE_RESULT ")
    return code, json.loads(last.removeprefix("ICEBRIDGE_RESULT "))["tables"]


@pytest.mark.parametrize("method", ["deep_clone", "insert_select"])
def test_a_table_is_copied_and_marked(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = spark()
    code, [result] = run(made, job(method), capsys=capsys)
    assert (code, result["state"], result["token"]) == (0, "done", "t1")
    assert made.tables[STAGED].rows == 7
    assert made.tables[STAGED].properties == {**MARKS, "icebridge.token": "t1"}
    assert "icebridge.token" in made.statements[-1]
    assert sum("icebridge.token" in statement for statement in made.statements) == 1


def test_a_finished_table_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    made = spark()
    run(made, job(), capsys=capsys)
    before = len(made.statements)
    code, [result] = run(made, job(), capsys=capsys)
    assert (code, result["state"]) == (0, "found")
    assert len(made.statements) == before + 1


@pytest.mark.parametrize("method", ["deep_clone", "insert_select"])
def test_it_may_die_before_and_after_every_statement(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    counted = spark()
    run(counted, job(method), capsys=capsys)
    for dies_at in range(len(counted.statements)):
        for after in (False, True):
            made = spark()
            _die(made, dies_at, after=after, method=method)
            marked = made.tables.get(STAGED)
            assert marked is None or "icebridge.token" not in marked.properties or marked.rows == 7
            code, [result] = run(made, job(method), capsys=capsys)
            assert (code, made.tables[STAGED].rows, made.tables[STAGED].properties["icebridge.token"]) == (0, 7, "t1")
            assert result["state"] in {"done", "found"}


class Killed(BaseException):
    pass


def _die(made: FakeSpark, at: int, *, after: bool, method: str) -> None:
    run_one, left = made._run, [at]

    def dying(tree: exp.Expression, text: str) -> Any:
        left[0] -= 1
        if left[0] == -1 and not after:
            raise Killed
        try:
            return run_one(tree, text)
        finally:
            if left[0] == -1:
                raise Killed

    made._run = dying  # type: ignore[method-assign]
    with pytest.raises(Killed):
        bulk_copy.copy_one(made, job(method))
    made._run = run_one  # type: ignore[method-assign]


def test_a_clone_that_brings_marks_of_an_earlier_migration_is_ours_by_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = spark()
    made.tables[SOURCE].properties = {"icebridge.token": "old", "icebridge.plan-id": "p0"}
    made.sql(f"CREATE TABLE {quoted(*STAGED)} DEEP CLONE {quoted(*SOURCE)}")
    code, _ = run(made, job(), capsys=capsys)
    assert (code, made.tables[STAGED].properties["icebridge.token"]) == (0, "t1")


def test_a_stranger_under_the_staged_name_is_not_touched(capsys: pytest.CaptureFixture[str]) -> None:
    made = spark()
    made.tables["main", "flights", "mine"] = stranger = Table(FIELDS, 3, {"icebridge.plan-id": "p2"})
    code, [result] = run(made, job(staged=["main", "flights", "mine"]), capsys=capsys)
    assert (code, result["state"]) == (1, "failed")
    assert "did not make" in result["problem"]
    assert made.tables["main", "flights", "mine"] is stranger
    assert stranger.rows == 3


def test_one_failing_table_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    made = spark()
    lost = job(token="t2", source=["lake", "flights", "gone"], staged=["main", "flights", "gone__icebridge_p1"])
    code, results = run(made, lost, job(), capsys=capsys)
    assert (code, [result["state"] for result in results]) == (1, ["failed", "done"])
    assert results[0]["problem"].startswith("[TABLE_OR_VIEW_NOT_FOUND]")
    assert "at org.apache" not in results[0]["problem"]


def test_a_spark_that_does_not_answer_is_no_failure_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    def gone(statement: str) -> None:
        if "DEEP CLONE" in statement or statement == "SELECT 1":
            raise ConnectionError("connection reset")

    code, [result] = run(spark(before=gone), job(), capsys=capsys)
    assert (code, result["state"]) == (2, "lost")


def test_rows_are_those_that_insert_tells(capsys: pytest.CaptureFixture[str]) -> None:
    _, [result] = run(spark(), job("insert_select"), capsys=capsys)
    assert result["rows"] == 7


def test_a_foreign_source_is_refreshed_before_it_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    made = spark()
    run(made, job(refresh=True), capsys=capsys)
    words = [statement.split(" ", 1)[0] for statement in made.statements]
    assert words == ["SHOW", "REFRESH", "CREATE", "ALTER"]


def test_insert_keeps_order_types_partitions_and_comments(capsys: pytest.CaptureFixture[str]) -> None:
    made = spark()
    run(made, job("insert_select", columns=["where from", "id"], partition_by=["where from"]), capsys=capsys)
    staged = made.tables[STAGED]
    assert [item["name"] for item in staged.fields] == ["where from", "id"]
    assert staged.partitioned == ["where from"]
    create = next(statement for statement in made.statements if statement.startswith("CREATE"))
    [first, second] = [item.sql("databricks") for item in parsed(create).this.expressions]
    assert first == "`where from` STRING COMMENT 'it\\'s `here`\\n'"
    assert second == "`id` BIGINT NOT NULL"


def test_a_table_that_somebody_else_put_there_meanwhile_is_not_taken_for_ours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def meddle(statement: str) -> None:
        if statement.startswith("INSERT"):
            made.tables[STAGED] = Table(FIELDS, 0, {**MARKS, "icebridge.state": "copying elsewhere"})

    made = spark(before=meddle)
    code, [result] = run(made, job("insert_select"), capsys=capsys)
    assert (code, result["state"]) == (1, "failed")
    assert "icebridge.token" not in made.tables[STAGED].properties


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1]", '[{"token": "t"}]', '[{"token":"t","method":"register","source":["a"],"staged":["b"]}]'],
)
def test_a_broken_job_file_is_infrastructure(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "jobs.json").write_text(text)
    assert bulk_copy.main([str(tmp_path / "jobs.json")], spark()) == 2
    said = json.loads(capsys.readouterr().out.splitlines()[-1].removeprefix("ICEBRIDGE_RESULT "))
    assert said["tables"] == []
    assert said["problem"]


def test_without_spark_all_jobs_are_lost(capsys: pytest.CaptureFixture[str]) -> None:
    code, [result] = run(None, job(), capsys=capsys)  # type: ignore[arg-type]  # this environment has no pyspark
    assert (code, result["state"], result["token"]) == (2, "lost", "t1")


def test_it_needs_nothing_of_icebridge() -> None:
    command = [sys.executable, "-I", "-S", str(Path(bulk_copy.__file__)), "--help"]  # the standard library, no more
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


# Names, texts and types in SQL

HOSTILE = [
    "a`b",
    "``",
    "a.b",
    "it's",
    'say "x"',
    "; DROP TABLE x",
    "/* c */",
    "-- c",
    "ü\u00a0€",
    "select",
    "1",
    "\\",
    "a" * 255,
]
UNFIT = ["", "a\nb", "\x00", "a\x7f", "\u2028", "a" * 256]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_quoted_as_in_the_package(name: str) -> None:
    assert bulk_copy.quoted([name, "x"]) == quoted(name, "x")


@pytest.mark.parametrize("name", UNFIT)
def test_names_that_cannot_be_are_refused_as_in_the_package(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        bulk_copy.quoted([name])
    with pytest.raises(ConfigurationError):
        quoted(name)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=255))
def test_any_name_comes_back_from_the_parser(name: str) -> None:
    tree = sqlglot.parse_one(f"SELECT {bulk_copy.quoted([name])}", read="databricks")
    assert [column.name for column in tree.expressions] == [name]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_the_parser(text: str) -> None:
    [found] = sqlglot.parse_one(f"SELECT {bulk_copy.literal(text)}", read="databricks").expressions
    assert (type(found), found.this) == (exp.Literal, text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "INT"),
        ("short", "SMALLINT"),
        ("byte", "TINYINT"),
        ("decimal(38,10)", "DECIMAL(38,10)"),
        ("timestamp_ntz", "TIMESTAMP_NTZ"),
        ({"type": "array", "elementType": "long", "containsNull": True}, "ARRAY<BIGINT>"),
        ({"type": "map", "keyType": "string", "valueType": "date", "valueContainsNull": True}, "MAP<STRING, DATE>"),
        (
            {
                "type": "struct",
                "fields": [
                    {"name": "a`b", "type": "double", "nullable": False, "metadata": {}},
                    {"name": "c", "type": {"type": "array", "elementType": "binary"}, "metadata": {"comment": "x"}},
                ],
            },
            "STRUCT<`a``b`: DOUBLE NOT NULL, `c`: ARRAY<BINARY> COMMENT 'x'>",
        ),
    ],
)
def test_types_are_spelt_as_sql_does(kind: Any, text: str) -> None:
    assert bulk_copy.type_text(kind) == text
    parsed(f"CREATE TABLE `a`.`b`.`c` (`x` {text}) USING ICEBERG")


def test_a_type_that_no_table_can_have_is_refused() -> None:
    with pytest.raises(ValueError, match="udt"):
        bulk_copy.type_text({"type": "udt"})


def test_conditions_are_read_of_old_and_new_sparks() -> None:
    class Old(Exception):
        def getErrorClass(self) -> str:  # noqa: N802 - pyspark's name
            return "TABLE_OR_VIEW_NOT_FOUND"

    assert bulk_copy.condition_of(Old("x")) == "TABLE_OR_VIEW_NOT_FOUND"
    assert bulk_copy.condition_of(SparkError("UNRESOLVED_COLUMN.WITH", "x")) == "UNRESOLVED_COLUMN"
    assert bulk_copy.condition_of(RuntimeError("[TABLE_OR_VIEW_NOT_FOUND] x")) == "TABLE_OR_VIEW_NOT_FOUND"
    assert bulk_copy.condition_of(RuntimeError("no [X] here")) == ""

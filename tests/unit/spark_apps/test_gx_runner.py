"""The program that compares on a cluster: what it says, who judged, and its exit code."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from spark_apps import gx_runner
from tests.support.spark import SparkError

SUMS = [(3, 2, 10, 20, 30, 40, 5, 6), (1, 1, 1, 1, 1, 1, 1, None)]


@dataclass
class Answer:
    """A DataFrame, as far as the program looks at one: pyspark's rows are tuples."""

    rows: list[tuple[Any, ...]]

    def collect(self) -> list[tuple[Any, ...]]:
        return self.rows


@dataclass
class Cluster:
    """Answers statements with what stands under their text."""

    answers: dict[str, list[tuple[Any, ...]]]
    statements: list[str] = field(default_factory=list)
    dead: bool = False

    def sql(self, text: str) -> Answer:
        self.statements.append(text)
        if self.dead or text not in self.answers:
            raise SparkError("TABLE_OR_VIEW_NOT_FOUND", "gone\n\tat org.apache")
        return Answer(self.answers[text])


def job(name: str, target: str) -> dict[str, str]:
    return {"token": name, "table": name, "refresh": "REFRESH", "source": "SOURCE", "target": target}


def run(
    cluster: Cluster, folder: Path, capsys: pytest.CaptureFixture[str], *jobs: dict[str, str]
) -> tuple[int, list[dict[str, Any]]]:
    path = folder / "jobs.json"
    path.write_text(json.dumps(jobs))
    code = gx_runner.main([str(path)], cluster)
    last = capsys.readouterr().out.splitlines()[-1]
    return code, json.loads(last.removeprefix("ICEBRIDGE_RESULT "))["tables"]


ANSWERS = {
    "SELECT 1": [(1,)],
    "REFRESH": [],
    "SOURCE": SUMS,
    "SAME": SUMS[::-1],
    "LAST": [SUMS[0], (1, 1, 1, 1, 1, 1, 2, 0)],
    "LESS": SUMS[:1],
}


def test_the_same_rows_pass_judged_by_great_expectations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("great_expectations")
    code, [found] = run(Cluster(ANSWERS), tmp_path, capsys, job("a", "SAME"))
    assert (code, found["state"], found["source_rows"], found["target_rows"]) == (0, "same", 3, 3)
    assert found["judge"].startswith("great_expectations 1.")


def test_one_sum_too_many_or_one_row_less_fails_and_names_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [job("a", "SAME"), job("b", "LAST"), job("c", "LESS"), job("d", "NOWHERE")]
    code, found = run(Cluster(ANSWERS), tmp_path, capsys, *jobs)
    assert code == 1
    assert [table["state"] for table in found] == ["same", "different", "different", "failed"]
    assert found[3]["problem"] == "[TABLE_OR_VIEW_NOT_FOUND] gone"


def test_without_great_expectations_the_program_judges(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "great_expectations", None)
    code, found = run(Cluster(ANSWERS), tmp_path, capsys, job("a", "SAME"), job("b", "LAST"))
    assert (code, [table["state"] for table in found]) == (1, ["same", "different"])
    assert {table["judge"] for table in found} == {"gx_runner"}


def test_a_cluster_that_is_gone_is_infrastructure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, [found] = run(Cluster({}, dead=True), tmp_path, capsys, job("a", "SAME"))
    assert (code, found["state"]) == (2, "lost")


def test_no_jobs_prove_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = run(Cluster(ANSWERS), tmp_path, capsys)
    assert (code, found) == (2, [])

"""The program that catches copies up: stopped anywhere and run again, it ends with the source's rows and one token."""

from __future__ import annotations

import ast
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from spark_apps import incremental_sync
from tests.support.spark import Answer, SparkError

SOURCE = {"eu": [1, 2, 3], "us": [4], "new": [5]}
COPY = {"eu": [1], "us": [4], "gone": [6]}
JOB = {
    "token": "t2",
    "based_on": "t1",
    "staged": ["main", "s", "t"],
    "properties": "PROPERTIES",
    "begin": "BEGIN",
    "refresh": "REFRESH",
    "replace": [
        {"delete": "DELETE", "insert": "INSERT", "values": {"p0_0": "eu", "p1_0": "gone"}},
        {"delete": "DELETE", "insert": "INSERT", "values": {"p0_0": "new"}},
    ],
    "finish": "FINISH",
}


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Copy:
    """A staged copy; statements of :data:`JOB` change it. ``dies`` names the statement at which the process ends."""

    rows: dict[str, list[int]] = field(default_factory=lambda: {name: list(held) for name, held in COPY.items()})
    properties: dict[str, str] = field(default_factory=lambda: {"icebridge.token": "t1", "icebridge.state": "staged"})
    statements: list[str] = field(default_factory=list)
    dies: int = -1
    after: bool = False
    broken: str = ""

    def sql(self, text: str, args: dict[str, Any] | None = None) -> Answer:
        self.statements.append(text)
        if text == self.broken:
            raise SparkError("INSUFFICIENT_PERMISSIONS", "no\n\tat org.apache")
        dies = len(self.statements) - 1 == self.dies
        if dies and not self.after:
            raise Killed
        answer = self._run(text, list((args or {}).values()))
        if dies:
            raise Killed
        return answer

    def _run(self, text: str, names: list[str]) -> Answer:
        if text == "PROPERTIES":
            return Answer(rows=list(self.properties.items()))
        if text == "BEGIN":
            self.properties["icebridge.state"] = "syncing t2"
        elif text == "DELETE":
            for name in names:
                self.rows.pop(name, None)
        elif text == "INSERT":
            found = {name: SOURCE[name] for name in names if name in SOURCE}
            for name, held in found.items():
                self.rows[name] = self.rows.get(name, []) + held
            return Answer(rows=[(sum(map(len, found.values())),)], names=("num_affected_rows",))
        elif text == "FINISH":
            self.properties = {"icebridge.token": "t2", "icebridge.state": "staged"}
        return Answer(rows=[(1,)], names=("1",))


def run(
    copy: Copy, folder: Path, capsys: pytest.CaptureFixture[str], job: dict[str, Any] | None = None
) -> tuple[int, dict[str, Any]]:
    path = folder / "jobs.json"
    path.write_text(json.dumps([job or JOB]))
    code = incremental_sync.main([str(path)], copy)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("ICEBRIDGE_RESULT ")
    return code, json.loads(last.removeprefix("ICEBRIDGE_RESULT "))["tables"][0]


def test_changed_partitions_are_replaced_and_the_token_is_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Copy()
    code, result = run(copy, tmp_path, capsys)
    assert (code, result["state"], result["rows"]) == (0, "done", 4)
    assert copy.rows == SOURCE
    assert copy.statements == [
        "PROPERTIES", "BEGIN", "REFRESH", "DELETE", "INSERT", "DELETE", "INSERT", "PROPERTIES", "FINISH",
    ]  # fmt: skip
    assert run(copy, tmp_path, capsys)[1]["state"] == "found"
    assert len(copy.statements) == 10


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("dies", range(9))
def test_it_may_die_before_and_after_every_statement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dies: int, after: bool
) -> None:
    copy = Copy(dies=dies, after=after)
    with pytest.raises(Killed):
        run(copy, tmp_path, capsys)
    assert copy.properties["icebridge.token"] == "t1" or copy.rows == SOURCE
    copy.dies = -1
    code, _ = run(copy, tmp_path, capsys)
    assert (code, copy.rows, copy.properties["icebridge.token"]) == (0, SOURCE, "t2")


@pytest.mark.parametrize(
    "properties",
    [
        {"icebridge.token": "other", "icebridge.state": "staged"},
        {"icebridge.token": "t1", "icebridge.state": "syncing t9"},
        {"icebridge.state": "syncing t2"},
        {},
    ],
)
def test_a_copy_that_is_another_one_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], properties: dict[str, str]
) -> None:
    copy = Copy(properties=properties)
    code, result = run(copy, tmp_path, capsys)
    assert (code, result["state"]) == (1, "failed")
    assert "not the one" in result["problem"]
    assert copy.rows == COPY


def test_a_failure_is_the_tables_own_and_leaves_the_old_token(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Copy(broken="INSERT")
    code, result = run(copy, tmp_path, capsys)
    assert (code, result["state"]) == (1, "failed")
    assert result["problem"] == "[INSUFFICIENT_PERMISSIONS] no"
    assert copy.properties == {"icebridge.token": "t1", "icebridge.state": "syncing t2"}


def test_what_is_no_job_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "jobs.json"
    path.write_text(json.dumps([{"token": "t"}]))
    assert incremental_sync.main([str(path)], Copy()) == 2
    assert "job 0 has no based_on" in capsys.readouterr().out
    assert incremental_sync.main([str(tmp_path / "none")], Copy()) == 2


@pytest.mark.parametrize("program", ["incremental_sync", "gx_runner"])
def test_it_needs_nothing_but_spark_and_the_standard_library(program: str) -> None:
    tree = ast.parse((Path(__file__).parents[3] / "spark_apps" / f"{program}.py").read_text())
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in top if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= set(sys.stdlib_module_names)

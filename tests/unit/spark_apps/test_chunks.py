"""A large copy is written some partitions at a time: wherever it stops, every row is there once and none again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from icebridge_provider.sql import sync
from spark_apps import bulk_copy
from tests.support.spark import Answer, FakeSpark, Table

SOURCE, STAGED = ("lake", "flights", "trips"), ("main", "flights", "trips__icebridge_p1")
FIELDS = [{"name": name, "type": "string", "nullable": True, "metadata": {}} for name in ("id", "part")]
HELD: dict[str | None, int] = {"a": 3, "b": 4, None: 5}
MARKS = {"icebridge.plan-id": "p1", "icebridge.state": "staged"}


class Killed(BaseException):
    pass


class Partitions(FakeSpark):
    """Counts rows by partition; dies at its ``dies``-th statement, before or after it."""

    def __init__(self, dies: int = -1, *, after: bool = False) -> None:
        super().__init__()
        self.tables[SOURCE] = Table(FIELDS, sum(HELD.values()))
        self.copied: dict[str | None, int] = {}
        self.dies, self.after, self.inserts = dies, after, 0

    def sql(self, text: str, args: dict[str, str | None] | None = None) -> Answer:
        dying, self.dies = self.dies == 0, self.dies - 1
        if dying and not self.after:
            raise Killed
        try:
            return self._chunk(text, list(args.values())) if args is not None else super().sql(text)
        finally:
            if text.startswith("DROP"):
                self.copied.clear()
            if dying:
                raise Killed

    def _chunk(self, text: str, parts: list[str | None]) -> Answer:
        assert STAGED in self.tables, "nothing is written where no table is"
        if text.startswith("DELETE"):
            for part in parts:
                self.copied.pop(part, None)
            return Answer()
        assert text.startswith("INSERT")
        self.inserts += 1
        for part in parts:
            self.copied[part] = self.copied.get(part, 0) + HELD[part]
        return Answer(rows=[(sum(HELD[part] for part in parts),)], names=("num_inserted_rows",))


def job(token: str = "t1", layout: str = "l1") -> dict[str, Any]:
    groups: list[list[tuple[str | None, ...]]] = [[("a",)], [("b",), (None,)]]
    columns = [("part", "STRING")]
    chunks = [
        {
            "delete": sync.delete_partitions(STAGED, columns, len(group)),
            "insert": sync.insert_partitions(STAGED, SOURCE, ["id", "part"], columns, len(group)),
            "values": sync.values(group),
        }
        for group in groups
    ]
    return {
        "token": token, "method": "insert_select", "source": list(SOURCE), "staged": list(STAGED),
        "columns": ["id", "part"], "partition_by": ["part"], "suffix": "__icebridge_p1",
        "properties": {**MARKS, "icebridge.token": token}, "chunks": chunks, "layout": layout,
    }  # fmt: skip


def run(spark: Partitions, given: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    bulk_copy.main(["--jobs", json.dumps([given])], spark)
    last = capsys.readouterr().out.splitlines()[-1]
    found: dict[str, Any] = json.loads(last.removeprefix("ICEBRIDGE_RESULT "))["tables"][0]
    return found


def test_all_chunks_are_written_and_the_token_is_last(capsys: pytest.CaptureFixture[str]) -> None:
    spark = Partitions()
    result = run(spark, job(), capsys)
    assert (result["state"], result["rows"], spark.copied) == ("done", 12, HELD)
    assert spark.tables[STAGED].properties == {**MARKS, "icebridge.token": "t1", "icebridge.chunks": "l1 2"}
    assert "icebridge.token" in spark.statements[-1]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("dies", range(13))
def test_another_run_goes_on_where_one_was_killed(dies: int, after: bool, capsys: pytest.CaptureFixture[str]) -> None:
    spark = Partitions(dies, after=after)
    with pytest.raises(Killed):
        bulk_copy.copy_one(spark, job())
    there = spark.tables[STAGED].properties if STAGED in spark.tables else {}
    noted = int(there.get("icebridge.chunks", "l1 0").partition(" ")[2])
    finished, spark.dies, spark.inserts = "icebridge.token" in there, -1, 0
    result = run(spark, job("t2"), capsys)
    assert (result["state"], spark.copied) == ("done", HELD)
    assert spark.inserts == (2 if finished else 2 - noted), "a chunk that is noted is not written again"
    assert spark.tables[STAGED].properties["icebridge.token"] == "t2"


def test_another_snapshot_is_another_layout_and_begins_anew(capsys: pytest.CaptureFixture[str]) -> None:
    spark = Partitions(dies=9)
    with pytest.raises(Killed):
        bulk_copy.copy_one(spark, job())
    spark.dies, spark.inserts = -1, 0
    assert run(spark, job("t2", "l2"), capsys)["state"] == "done"
    assert (spark.inserts, spark.copied) == (2, HELD)

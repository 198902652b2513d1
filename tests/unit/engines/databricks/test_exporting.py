"""What a runner makes of tags and answers, and when it starts anew; a warehouse in memory stands for the real one."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from icebridge_provider.catalogs.unity.statements import Rows, Statements
from icebridge_provider.catalogs.unity.workspace import Login, Workspace
from icebridge_provider.engines.databricks.exporting import LONGEST_TAG, WorkspaceRunner, query_tag
from icebridge_provider.model.running import Answer, QueryState, QueryStatus
from icebridge_provider.model.snowflake import Statement
from icebridge_provider.planning.snowflake.names import query_tag as tag_of
from icebridge_provider.ports import SqlRunner


@dataclass
class Memory:
    """Statements that are in the state a test puts them in; ``kept`` are the ids whose results are there."""

    name: str = "prod"
    states: dict[str, QueryState] = field(default_factory=dict)
    tags: list[tuple[str, str]] = field(default_factory=list)
    kept: set[str] = field(default_factory=set)
    rows: Rows = field(default_factory=lambda: Rows(columns=(), rows=()))

    def run(
        self, what: str, statement: str, values: Mapping[str, Any] | None = None, *, right: str = "", tag: str = ""
    ) -> Rows:
        return self.rows

    def begin(self, what: str, statement: str, values: Mapping[str, Any], tag: str, besides: str = "") -> str:
        assert besides == self.tagged(tag, 0)
        self.tags.append((tag, f"q{len(self.tags)}"))
        self.states[self.tags[-1][1]] = QueryState.RUNNING
        return self.tags[-1][1]

    def tagged(self, tag: str, seconds: float) -> str:
        return next((query_id for known, query_id in reversed(self.tags) if known == tag), "")

    def status(self, statement_id: str) -> QueryStatus:
        return QueryStatus(state=self.states[statement_id])

    def result(self, what: str, statement_id: str) -> Rows | None:
        return self.rows if statement_id in self.kept else None

    def cancel(self, statement_id: str) -> None:
        self.states[statement_id] = QueryState.CANCELLED


def test_it_fits_the_port() -> None:
    runner: SqlRunner = WorkspaceRunner(Memory())
    assert runner.name == "prod"
    assert WorkspaceRunner(Statements(Workspace("w", "https://x", Login(token="t")), "1")).name == "w"


def test_tags_are_letters_and_never_the_same_for_two() -> None:
    dice = random.Random(7)
    alphabet = ["a", "B", "1", ":", "-", ",", "\\", "ü", "\n", "_", "."]
    made = {"".join(dice.choices(alphabet, k=dice.randint(1, 300))) for _ in range(3000)}
    made |= {tag_of("ab" * 16, generation, "copy", number) for generation in range(30) for number in range(30)}
    found = {query_tag(tag) for tag in made}
    assert len(found) == len(made)
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+", tag) and len(tag) <= LONGEST_TAG for tag in found)
    assert query_tag(tag_of("ab" * 16, 1, "export")).startswith(f"icebridge-{'ab' * 16}-1-export-0-")


@pytest.mark.parametrize("text", ["INSERT OVERWRITE DIRECTORY 'x' USING PARQUET SELECT 1", " SELECT 1", "WITH a AS …"])
@pytest.mark.parametrize("state", QueryState)
@pytest.mark.parametrize("kept", [True, False])
def test_what_runs_or_is_done_is_not_started_again(text: str, state: QueryState, kept: bool) -> None:
    memory = Memory()
    runner, statement = WorkspaceRunner(memory), Statement(text=text)
    first = runner.start("try it", statement, "t")
    memory.states[first] = state
    memory.kept = {first} if kept else set()
    lost = state is QueryState.DONE and not kept and "INSERT" not in text
    again = runner.start("try it", statement, "t")
    assert (again == first) is (state in {QueryState.RUNNING, QueryState.DONE} and not lost)
    assert runner.start("try it", statement, "t") == again, "the newest one counts"
    assert runner.start("try it", statement, "other") not in {first, again}


def test_cells_become_pythons_values() -> None:
    kinds = ("BIGINT", "INT", "DECIMAL(38,0)", "DOUBLE", "BOOLEAN", "STRING", "DATE", "ARRAY<INT>", "TIMESTAMP")
    cells = ("9223372036854775807", "-1", "1" * 38, "NaN", "false", "5", "2024-01-01", "[1]", "2024-01-01T00:00:00Z")
    rows = Rows(columns=tuple("abcdefghi"), rows=(cells, (None,) * 9), types=kinds)
    answer = WorkspaceRunner(Memory(rows=rows)).run("read", Statement(text="SELECT 1"))
    first = answer.rows[0]
    assert first[:3] == (2**63 - 1, -1, Decimal("1" * 38))
    assert first[3] != first[3]
    assert first[4:] == (False, "5", "2024-01-01", "[1]", "2024-01-01T00:00:00Z")
    assert answer.rows[1] == (None,) * 9
    assert (answer.types, answer.affected) == (kinds, None)


def test_rows_of_unknown_types_stay_texts_and_affected_rows_are_told() -> None:
    plain = WorkspaceRunner(Memory(rows=Rows(columns=("a",), rows=(("1",),))))
    assert plain.run("read", Statement(text="SELECT 1")).rows == (("1",),)
    told = Rows(columns=("num_affected_rows", "num_inserted_rows"), rows=(("7", "7"),), types=("BIGINT", "BIGINT"))
    memory = Memory(rows=told, kept={"q"})
    assert WorkspaceRunner(memory).answer("q") == Answer(
        columns=told.columns, rows=((7, 7),), affected=7, types=told.types
    )

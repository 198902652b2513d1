"""How the tables of a wave become mapped tasks: one each while they are few, small ones together when they are many."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import CopyMethod, TablePlan
from icebridge_provider.model.settings import Settings
from icebridge_provider.operators.plan import batches

FEW = Settings(named_tasks=2, batch_tables=4, batch_bytes=100)


def tables(*sizes: int) -> list[TablePlan]:
    def planned(number: int, size: int) -> TablePlan:
        name = TableIdentifier(catalog="src", namespace=("lake",), name=f"t{number:02}")
        return TablePlan(
            source=name, target=name, staged=name, method=CopyMethod.COPY_FILES, table_uuid="", metadata_location="",
            snapshot_id=None, location="", files=1, bytes=size, rows=1,
        )  # fmt: skip

    return [planned(number, size) for number, size in enumerate(sizes)]


def sizes_of(given: list[dict[str, str]]) -> list[int]:
    return [len(json.loads(batch["tables"])) for batch in given]


def test_few_tables_have_a_task_each_named_after_them() -> None:
    made = batches(tables(10**12, 1), FEW, 1000)
    assert [batch["caption"] for batch in made] == ["lake.t00", "lake.t01"]
    assert batches([], FEW, 1000) == []


def test_many_share_tasks_by_number_and_bytes() -> None:
    made = batches(tables(1, 1, 1, 1, 1, 60, 60, 500, 10), FEW, 1000)
    assert sizes_of(made) == [4, 2, 1, 1, 1]
    assert made[0]["caption"] == "lake.t00 and 3 more"


def test_tables_that_a_cluster_copies_share_its_run_however_few_and_large() -> None:
    chosen = [replace(table, method=CopyMethod.DEEP_CLONE) for table in tables(10**12, 1, 1, 1, 1)]
    assert sizes_of(batches(chosen[:2], FEW, 1000)) == [2]
    assert sizes_of(batches(chosen, FEW, 1000)) == [4, 1]


@given(st.lists(st.integers(0, 200), max_size=40), st.integers(1, 12))
def test_every_table_is_in_one_task_in_order_and_airflow_can_map_them(sizes: list[int], most: int) -> None:
    chosen = tables(*sizes)
    made = batches(chosen, FEW, most)
    assert [name for batch in made for name in json.loads(batch["tables"])] == [str(table.source) for table in chosen]
    assert len(made) <= most

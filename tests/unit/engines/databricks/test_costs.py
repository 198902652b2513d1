"""What a connection says of costs and progress; tags of a run; a table of progress that others write too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from icebridge_provider.engines.databricks.engine import tags_of
from icebridge_provider.engines.databricks.jobs_table import TRIES, JobsTable
from icebridge_provider.engines.databricks.options import RunOptions
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from tests.support.run_tables import CLUSTER, Tables, job_of


def test_options_of_costs_and_progress() -> None:
    found = RunOptions.read(
        {"cluster": CLUSTER, "cost_center": "R+D", "rates": {"price_per_dbu": 0.1},
         "jobs_table": "main.`my.ops`.jobs"}
    )  # fmt: skip
    assert (found.cost_center, found.rates, found.jobs_table) == (
        "R+D", {"price_per_dbu": 0.1}, ("main", "my.ops", "jobs")
    )  # fmt: skip


@pytest.mark.parametrize(
    ("option", "value", "code"),
    [("cost_center", "a&b", "IB-445"), ("cost_center", 7, "IB-445"), ("cost_center", "x" * 256, "IB-445"),
     ("jobs_table", "ops.jobs", "IB-445"), ("jobs_table", "a.b.c.d", "IB-445"), ("rates", {"dbu": 1}, "IB-466")],
)  # fmt: skip
def test_options_that_cannot_be_are_refused(option: str, value: object, code: str) -> None:
    with pytest.raises(ConfigurationError, match=code):
        RunOptions.read({"cluster": CLUSTER, option: value})


def test_tags_name_plan_run_waves_and_who_pays() -> None:
    source = Tables("lake", is_foreign=True)
    jobs = [(replace(job_of(source, name, "p.1"), wave=wave), name) for name, wave in (("a", 1), ("b", 0), ("c", 1))]
    tags = tags_of(jobs, "4f" * 24, "cc-7")
    assert {**tags, "icebridge_plan": ""} == {
        "icebridge_plan": "", "icebridge_run": "4f" * 24, "icebridge_wave": "0+1", "cost_center": "cc-7"
    }  # fmt: skip
    assert tags["icebridge_plan"].startswith("p_1_"), "as the names of staged tables"
    assert "cost_center" not in tags_of(jobs, "r", "")


@dataclass
class Busy:
    """A warehouse that refuses so many statements, one after the other, for these reasons."""

    refusals: list[IceBridgeError] = field(default_factory=list)
    ran: list[tuple[str, str]] = field(default_factory=list)

    def run(self, what: str, statement: str, values: Mapping[str, str] | None = None, *, right: str = "") -> object:
        self.ran.append((statement.split(maxsplit=1)[0], (values or {}).get("rows", "")))
        if self.refusals:
            raise self.refusals.pop(0)
        return None


def refusal(code: str, error_class: str = "") -> Any:
    return ConfigurationError(code, "no", remedy="", error_class=error_class)


ROW = {"plan_id": "p", "source_table": "a", "event": 1}
CLASH, MISSING = refusal("IB-247", "DELTA_CONCURRENT_APPEND"), refusal("IB-243", "TABLE_OR_VIEW_NOT_FOUND")


def test_whoever_is_slower_tries_again() -> None:
    warehouse = Busy([CLASH, CLASH])
    JobsTable(warehouse, "a.b.c", pause_seconds=0.01).write([ROW])
    assert [verb for verb, _ in warehouse.ran] == ["MERGE"] * 3
    endless = Busy([CLASH] * 9)
    with pytest.raises(ConfigurationError, match="IB-247"):
        JobsTable(endless, "a.b.c", pause_seconds=0.01).write([ROW])
    assert len(endless.ran) == TRIES


def test_it_is_made_when_it_is_not_there_by_whoever_comes_first() -> None:
    for refused in ([MISSING], [MISSING, refusal("IB-247", "TABLE_OR_VIEW_ALREADY_EXISTS")]):
        warehouse = Busy(list(refused))
        JobsTable(warehouse, "a.b.c").write([ROW])
        assert [verb for verb, _ in warehouse.ran] == ["MERGE", "CREATE", "MERGE"]


def test_another_refusal_is_told_and_many_rows_are_few_statements() -> None:
    with pytest.raises(ConfigurationError, match="IB-241"):
        JobsTable(Busy([refusal("IB-241")]), "a.b.c").write([ROW])
    warehouse = Busy()
    JobsTable(warehouse, "a.b.c").write([ROW] * 1001)
    assert [rows.count("plan_id") for _, rows in warehouse.ran] == [500, 500, 1]


def test_a_name_that_is_none_is_told_when_it_is_written_to() -> None:
    table = JobsTable(Busy(), "jobs")
    with pytest.raises(ConfigurationError, match="IB-445"):
        table.write([ROW])

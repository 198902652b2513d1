"""A plan becomes a job, and the same plan the same job and token."""

from __future__ import annotations

from dataclasses import replace

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import CopyMethod, Estimate, MigrationPlan, MigrationRequest, Rates, TablePlan
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.strategies import STRATEGIES, job_for

SOURCE = TableIdentifier(catalog="foreign", namespace=("a",), name="t")
TARGET = TableIdentifier(catalog="managed", namespace=("a",), name="t")
TABLE = TablePlan(
    source=SOURCE,
    target=TARGET,
    staged=TARGET.named("t__icebridge_p"),
    method=CopyMethod.COPY_FILES,
    table_uuid="u",
    metadata_location="s3://a/old.json",
    snapshot_id=1,
    location="s3://b/t-p",
    files=1,
    bytes=1,
    rows=1,
    properties={"owner": "me"},
)
PLAN = MigrationPlan(
    plan_id="p",
    created_at="",
    request=MigrationRequest(source_conn_id="foreign", target_conn_id="managed"),
    tables=(TABLE,),
    waves=(),
    findings=(),
    estimate=Estimate(bytes=1, seconds=1, cost=0, throughput_mb_s=1, rates=Rates()),
).sealed()
LOADED = LoadedTable(identifier=SOURCE, metadata_location="s3://a/new.json", metadata={"current-snapshot-id": 2})


def test_every_method_has_a_strategy() -> None:
    assert set(STRATEGIES) == set(CopyMethod)
    for method in CopyMethod:
        job, _ = job_for(PLAN, replace(TABLE, method=method), LOADED, 0)
        assert job.method is method


def test_the_job_pins_the_head_that_was_found_not_the_planned_one() -> None:
    job, _ = job_for(PLAN, TABLE, LOADED, 0)
    assert (job.metadata_location, job.snapshot_id) == ("s3://a/new.json", 2)
    assert (job.plan_id, job.location, job.properties) == ("p", TABLE.location, {"owner": "me"})
    assert (job.source, job.staged) == (SOURCE, TABLE.staged)


def test_one_token_for_all_tries_of_a_copy_and_another_after_each_failure_and_for_each_head() -> None:
    moved = replace(LOADED, metadata_location="s3://a/newer.json")
    tokens = [job_for(PLAN, TABLE, loaded, number)[1] for loaded in (LOADED, moved) for number in (0, 1)]
    assert len(set(tokens)) == 4
    assert tokens == [job_for(PLAN, TABLE, loaded, number)[1] for loaded in (LOADED, moved) for number in (0, 1)]


def test_each_head_has_a_sync_of_its_own() -> None:
    moved = replace(LOADED, metadata_location="s3://a/newer.json")
    (first, one), (second, other) = (job_for(PLAN, TABLE, loaded, 0, "s3://b/copy.json") for loaded in (LOADED, moved))
    assert one != other != job_for(PLAN, TABLE, LOADED, 0)[1]
    assert first.previous_metadata_location == second.previous_metadata_location == "s3://b/copy.json"

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.cli import embedded
from icebridge_provider.cli.output import Output
from icebridge_provider.engines.local.engine import LocalEngine
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.event import Actor
from icebridge_provider.model.plan import Approval, MigrationPlan, MigrationRequest
from icebridge_provider.model.settings import Settings
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.plan import make_plan
from icebridge_provider.steps.site import Site
from icebridge_provider.steps.status import status
from tests.support import tables

OUTPUT = Output(stdout=io.StringIO(), stderr=io.StringIO())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = tables.open_catalog(tmp_path / "source")
    for name in ("first", "second"):
        tables.plain(made, name)
    target = IcebergCatalog("target", tables.catalog_properties(tmp_path / "target"))
    source = IcebergCatalog("source", tables.catalog_properties(tmp_path / "source"))
    ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.migrate()
    yield Site(
        source=source,
        target=target,
        ledger=ledger,
        engine=lambda progress: LocalEngine(source, target, ledger, progress),
        settings=Settings(allow_unapproved_cutover=True, purge_grace_days=0),
        actor=Actor(who="ada", origin="test"),
    )
    ledger.engine.dispose()


def planned(site: Site, approval: Approval = Approval.NONE) -> MigrationPlan:
    request = MigrationRequest(source_conn_id="source", target_conn_id="target", approval=approval)
    now = datetime.now(UTC)
    return make_plan(site.source, site.target, site.ledger, request, site.settings, site.actor, now, "p1")


def states(site: Site) -> dict[str, str]:
    return {row["source"]: row["state"] for row in status(site.ledger, "p1")}


def test_a_plan_goes_all_the_way_and_back_in_this_process(site: Site) -> None:
    plan = planned(site)
    answer = embedded.migrate(site, plan, plan.tables, OUTPUT)
    assert answer.ok
    assert {row["outcome"] for row in answer.document["tables"]} == {"cut over"}
    assert states(site) == {"source.lake.first": "cut over", "source.lake.second": "cut over"}
    assert embedded.rollback(site, plan, plan.tables, OUTPUT).ok
    assert set(states(site).values()) == {"rolled back"}


def test_without_leave_to_cut_over_it_stops_at_the_certificate(site: Site) -> None:
    plan = planned(site, Approval.REQUIRED)
    answer = embedded.migrate(site, plan, plan.tables, OUTPUT)
    assert answer.ok
    assert len(answer.document["certificate"]) == 64
    assert set(states(site).values()) == {"awaiting approval"}


def test_the_option_decides_not_the_plan_alone(site: Site) -> None:
    plan = planned(site)
    careful = replace(site, settings=Settings())
    embedded.migrate(careful, plan, plan.tables, OUTPUT)
    assert set(states(site).values()) == {"awaiting approval"}


def test_one_tables_failure_is_told_and_stops_no_other(site: Site) -> None:
    plan = planned(site)
    site.source.drop_entry(plan.tables[0].source)
    answer = embedded.migrate(site, plan, plan.tables, OUTPUT)
    assert not answer.ok
    outcomes = {row["table"]: row["outcome"] for row in answer.document["tables"]}
    assert sorted(outcomes.values()) == ["cut over", "failed"]
    failed = next(row for row in answer.document["tables"] if row["outcome"] == "failed")
    assert failed["code"] == "IB-601"
    assert failed["remedy"]


def test_purge_deletes_what_was_cut_over(site: Site) -> None:
    plan = planned(site)
    embedded.migrate(site, plan, plan.tables, OUTPUT)
    answer = embedded.purge(site, plan, plan.tables, OUTPUT)
    assert answer.ok, answer.document
    assert set(states(site).values()) == {"purged"}
    assert site.source.tables(("lake",)) == []


def test_tables_are_chosen_by_glob(site: Site) -> None:
    plan = planned(site)
    assert [table.source.name for table in embedded.chosen(plan, ["*.second"])] == ["second"]
    assert embedded.chosen(plan, None) == plan.tables
    with pytest.raises(ConfigurationError, match="IB-230"):
        embedded.chosen(plan, ["nothing.*"])


def test_a_plan_without_tables_is_told(site: Site) -> None:
    with pytest.raises(ConfigurationError, match="IB-749"):
        embedded.rollback(site, planned(site), (), OUTPUT)

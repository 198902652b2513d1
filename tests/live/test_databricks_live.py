"""A whole migration in a workspace: the local one always, a person's own one when its connection is given.

    ICEBRIDGE_LIVE_DATABRICKS='{"conn_type": "databricks", …}' pytest tests/live -v

It makes two schemas of its own in the connection's catalog and drops them again, whatever happens. With
``ICEBRIDGE_LIVE_FOREIGN`` it also copies the foreign tables named there, proves the copies and drops them; nobody's
privileges are touched. It takes one or two small job clusters for some minutes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.event import State
from icebridge_provider.model.plan import Approval, MigrationPlan, MigrationRequest, TablePlan
from icebridge_provider.steps.certify import certify_wave
from icebridge_provider.steps.copy import copy_table
from icebridge_provider.steps.cut_over import cut_over_table
from icebridge_provider.steps.plan import make_plan
from icebridge_provider.steps.rollback import rollback_table
from icebridge_provider.steps.site import Site
from icebridge_provider.steps.sweep import sweep
from icebridge_provider.steps.validate import validate_table
from tests.live.workspaces import FOREIGN, ROWS, WHY_NOT, Live, local, real
from tests.support.databricks import Workspace, databricks  # noqa: F401 - a fixture

pytestmark = pytest.mark.airflow
MINUTES = 40  # for a real cluster to start and copy
LOSSES = ("history", "refs", "old_schemas", "old_specs", "old_sort_orders", "format_version")


@pytest.fixture(scope="module", params=["local", "real"])
def live(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, airflow_cli_home: Any
) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("live")
    if request.param == "local":
        with local(folder, request.getfixturevalue("databricks")) as made:
            yield made
        return
    with real(folder) as found:
        if found is None:
            pytest.skip(WHY_NOT)
        yield found


def site(source: str) -> Site:
    from icebridge_provider.hooks.site import site_for

    return site_for(source, "live")


def planned(live: Live, source: str, tables: tuple[str, ...], schema: str, plan_id: str) -> MigrationPlan:
    from datetime import UTC, datetime

    from icebridge_provider.hooks.settings import settings

    request = MigrationRequest(
        source_conn_id=source, target_conn_id="live", tables=tables, mapping=(f"prefix:{schema}.={live.target}.",),
        accept_losses=LOSSES, approval=Approval.NONE,
    )  # fmt: skip
    at = site(source)
    return make_plan(at.source, at.target, at.ledger, request, settings(), at.actor, datetime.now(UTC), plan_id)


def waited(act: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Do a step again until its run is over, as the triggerer does."""
    until = time.monotonic() + MINUTES * 60
    while True:
        try:
            return act()
        except IceBridgeError as error:
            if error.code != "IB-608" or time.monotonic() > until:
                raise
            time.sleep(1)


def proven(at: Site, plan: MigrationPlan, table: TablePlan) -> None:
    waited(lambda: copy_table(at, plan, table))
    validate_table(at, plan, table)


def test_the_connection_may_do_what_a_migration_does(live: Live) -> None:
    from icebridge_provider.catalogs.unity.check import check_unity

    rows = check_unity(live.catalog)
    assert [row for row in rows if row["outcome"] == "failed"] == []
    assert {row["check"] for row in rows if row["outcome"] == "passed"} >= {"run SQL", "create a table"}


def test_a_managed_table_is_copied_proven_cut_over_and_taken_back(live: Live) -> None:
    plan = planned(live, "live_source", (f"{live.source}.orders",), live.source, f"live-{live.mark}")
    [table] = plan.tables
    at = site("live_source")
    proven(at, plan, table)
    certified = certify_wave(at, plan, plan.tables)
    cut_over_table(at, plan, table, certified["digest"], "live", False)
    assert at.ledger.state(plan.plan_id, str(table.source)).state is State.CUT_OVER
    count = f"SELECT count(*), sum(amount) FROM {live.name(live.target, 'orders')}"
    [(rows, total)] = live.sql(count)
    assert (int(rows or 0), float(total or 0)) == (ROWS, sum(range(ROWS)) / 100)
    rollback_table(at, plan, table)
    assert at.ledger.state(plan.plan_id, str(table.source)).state is State.ROLLED_BACK
    assert at.source.load(table.source) is not None, "the source has its name again"
    assert {row["outcome"] for row in sweep(at, plan)} <= {"kept", "swept"}


def test_foreign_tables_that_are_named_are_copied_and_proven(live: Live) -> None:
    if not live.foreign:
        pytest.skip(f"{FOREIGN} names no foreign catalog, so none of a real workspace was copied")
    names = tuple(json.loads(live.foreign)["tables"])
    schema = names[0].partition(".")[0]
    plan = planned(live, "live_foreign", names, schema, f"live-{live.mark}-foreign")
    at = site("live_foreign")
    for table in plan.tables:
        proven(at, plan, table)
        rollback_table(at, plan, table)
        assert at.target.load(table.staged) is None

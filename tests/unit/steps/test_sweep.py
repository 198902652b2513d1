"""What is left behind is found; what anybody can need stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from icebridge_provider.model.event import Outcome, State, Step
from icebridge_provider.steps.copy import copy_table
from icebridge_provider.steps.remote_copy import start_copies
from icebridge_provider.steps.rollback import rollback_table
from icebridge_provider.steps.sweep import leftovers, sweep
from tests.support import tables as shapes
from tests.support.elsewhere import RemoteMigration
from tests.support.migration import Migration

STAGED = ("lake", "t__icebridge_p1")


@pytest.fixture
def m(tmp_path: Path) -> RemoteMigration:
    return RemoteMigration(tmp_path)


def copied(m: RemoteMigration) -> RemoteMigration:
    start_copies(m.site, m.plan, [m.table])
    m.elsewhere.work()
    copy_table(m.site, m.plan, m.table)
    return m


def half_made(m: RemoteMigration) -> None:
    """A clone that was killed before its marks were written."""
    m.target.native.create_namespace_if_not_exists("lake")
    m.target.native.create_table(STAGED, m.source.native.load_table("lake.t").schema())


def rolled_back(m: RemoteMigration) -> None:
    m.site.record(m.plan.plan_id, str(m.table.source), Step.COPY, Outcome.STARTED, {})
    rollback_table(m.site, m.plan, m.table)


def there(m: RemoteMigration) -> bool:
    return m.target.native.table_exists(STAGED)


def outcomes(m: RemoteMigration, **more: bool) -> list[str]:
    return [row["outcome"] for row in sweep(m.site, m.plan, **more)]


def test_a_half_made_clone_of_a_table_that_was_rolled_back_is_swept(m: RemoteMigration) -> None:
    rolled_back(m)
    half_made(m)
    assert outcomes(m, dry_run=True) == ["would be swept"]
    assert there(m)
    assert outcomes(m) == ["swept"]
    assert not there(m)
    assert outcomes(m) == []


@pytest.mark.parametrize("begun", [False, True])
def test_what_a_live_plan_may_use_is_not_even_listed(m: RemoteMigration, begun: bool) -> None:
    plan = m.plan
    half_made(m)
    if begun:
        m.site.record(plan.plan_id, str(m.table.source), Step.COPY, Outcome.STARTED, {})
    assert leftovers(m.site, m.plan) == []
    assert there(m)


def test_a_finished_copy_of_a_live_plan_is_not_listed(m: RemoteMigration) -> None:
    assert leftovers(copied(m).site, m.plan) == []


def test_a_run_that_outlived_the_rollback_left_a_copy(m: RemoteMigration) -> None:
    start_copies(m.site, m.plan, [m.table])
    rollback_table(m.site, m.plan, m.table)
    m.elsewhere.work()
    assert outcomes(m) == ["swept"]
    assert not there(m)


def test_a_copy_that_somebody_wrote_to_is_kept(m: RemoteMigration) -> None:
    copied(m)
    table = m.target.native.load_table(STAGED)
    table.append(table.scan().to_arrow())
    rollback_table(m.site, m.plan, m.table)
    [row] = sweep(m.site, m.plan)
    assert (row["outcome"], "nowhere else" in row["why"]) == ("kept", True)
    assert there(m)


def test_another_plans_table_is_kept(m: RemoteMigration) -> None:
    rolled_back(m)
    half_made(m)
    with m.target.native.load_table(STAGED).transaction() as change:
        change.set_properties({"icebridge.plan-id": "other", "icebridge.source": str(m.table.source)})
    [row] = sweep(m.site, m.plan)
    assert (row["outcome"], row["why"]) == ("kept", "this plan did not make it")
    assert there(m)


def test_a_table_that_another_process_works_on_is_kept(m: RemoteMigration) -> None:
    rolled_back(m)
    half_made(m)
    m.ledger.acquire(str(m.table.target), "somebody else", 60)
    [row] = sweep(m.site, m.plan)
    assert (row["outcome"], "Another process" in row["why"]) == ("kept", True)
    assert there(m)


def test_a_table_that_is_begun_again_while_we_look_is_kept(m: RemoteMigration, monkeypatch: pytest.MonkeyPatch) -> None:
    rolled_back(m)
    half_made(m)
    site, found = m.site, m.ledger.acquire

    def begun_meanwhile(*given: object) -> object:
        m.ledger.append(site.event(m.plan.plan_id, str(m.table.source), Step.COPY, Outcome.STARTED))
        return found(*given)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(site.ledger, "acquire", begun_meanwhile)
    assert [row["outcome"] for row in sweep(site, m.plan)] == ["kept"]
    assert there(m)


def test_a_local_copy_that_was_in_use_is_listed_and_kept(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched()
    assert leftovers(m.site, m.plan) == []
    rollback_table(m.site, m.plan, m.table)
    [item] = leftovers(m.site, m.plan)
    assert (item.name, item.swept) == ("dst.lake.t__icebridge_p1", False)
    assert sweep(m.site, m.plan)[0]["outcome"] == "kept"
    assert m.site.target.load(m.table.staged) is not None


def test_the_target_is_listed_by_schema(tmp_path: Path) -> None:
    m = RemoteMigration(tmp_path)
    for name in ("a", "b", "c"):
        shapes.plain(m.source.native, name)
    for table in m.plan.tables:
        m.site.record(m.plan.plan_id, str(table.source), Step.COPY, Outcome.REFUSED, {})
    asked: list[str] = []
    site = m.site
    m.target.native.create_namespace_if_not_exists("lake")
    listed, loaded = site.target.tables, site.target.load
    site.target.tables = lambda space: asked.append("list") or listed(space)  # type: ignore[method-assign, func-returns-value]
    site.target.load = lambda name: asked.append("load") or loaded(name)  # type: ignore[method-assign, func-returns-value]
    assert site.ledger.state(m.plan.plan_id, str(m.table.source)).state is State.REFUSED
    assert leftovers(site, m.plan) == []
    assert asked == ["list"]

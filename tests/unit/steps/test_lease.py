"""One owner at a time: a second one waits, and one that was taken for dead is fenced off when it wakes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.engines.local.engine import LocalEngine
from icebridge_provider.exceptions import FencedOut, TransientError
from icebridge_provider.model.event import Outcome, State, Step
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.job import JobRef, JobSpec
from icebridge_provider.model.settings import Settings
from icebridge_provider.ports import Progress
from icebridge_provider.steps.copy import copy_table
from icebridge_provider.steps.cut_over import cut_over_table
from icebridge_provider.steps.lease import lease_on
from icebridge_provider.steps.leftovers import take_back
from icebridge_provider.steps.rollback import rollback_table
from tests.support import tables as shapes
from tests.support.migration import Migration

STAGED = "t__icebridge_p1"


def test_a_second_process_waits(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    with lease_on(m.site, m.table), pytest.raises(TransientError, match="IB-600") as caught:
        copy_table(m.site, m.plan, m.table)
    assert "free again 300 s after its last" in str(caught.value)
    assert m.entries("target") == set()
    assert copy_table(m.site, m.plan, m.table)["already"] is False


def test_the_lease_is_given_back_when_the_step_fails(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    with pytest.raises(ZeroDivisionError), lease_on(m.site, m.table):
        raise ZeroDivisionError
    with lease_on(m.site, m.table) as held:
        assert held.lease.epoch == 2


def test_it_is_extended_only_when_a_third_is_gone_or_it_is_asked_for(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    with lease_on(m.site, m.table) as held:
        first = held.lease.expires_at
        assert held.keep().expires_at == first
        time.sleep(0.05)  # the ledger's clock counts milliseconds
        assert held.keep(now=True).expires_at > first


def _lapsed(m: Migration) -> None:
    """Let the present owner of the table look dead."""
    m.settings = Settings(lease_seconds=300)
    time.sleep(0.25)


def test_a_zombie_cannot_publish_after_another_took_over(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    m.settings = Settings(lease_seconds=0.2)  # type: ignore[arg-type]
    zombie = m.site

    def sleeps() -> None:
        _lapsed(m)
        m.cut_over(digest)

    with pytest.raises(FencedOut, match="IB-110"):
        cut_over_table(replace(zombie, take_commit=sleeps), m.plan, m.table, digest, "eve", True)
    assert m.state.state is State.CUT_OVER
    assert len(m.events(Step.CUT_OVER, Outcome.INTENT)) == 3
    assert len(m.events(Step.CUT_OVER, Outcome.DONE)) == 1
    assert m.entries("target") == {"t"}
    assert m.state.approval["who"] == "eve"  # she approved before she stalled; the other went on


def test_a_zombie_copier_records_nothing_after_another_rolled_back(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    m.settings = Settings(lease_seconds=0.2)  # type: ignore[arg-type]

    class Slow(LocalEngine):
        def poll(self, job: JobRef):  # type: ignore[no-untyped-def]
            _lapsed(m)
            rollback_table(m.site, m.plan, m.table)
            return super().poll(job)

    def engine(progress: Progress) -> LocalEngine:
        return Slow(m.source, m.target, m.ledger, progress)

    with pytest.raises(FencedOut, match="IB-110"):
        copy_table(replace(m.site, engine=engine), m.plan, m.table)
    assert m.state.state is State.ROLLED_BACK
    assert m.events(Step.COPY, Outcome.DONE) == []
    assert m.target_files() == set()


def test_a_zombie_copier_enters_no_table_after_another_took_over(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    m.settings = Settings(lease_seconds=0.2)  # type: ignore[arg-type]

    class Stalls(LocalEngine):
        def submit(self, job: JobSpec, token: str) -> JobRef:
            _lapsed(m)
            m.cut_over(m.certified())
            return super().submit(job, token)

    def engine(progress: Progress) -> LocalEngine:
        return Stalls(m.source, m.target, m.ledger, progress)

    with pytest.raises(FencedOut, match="IB-110"):
        copy_table(replace(m.site, engine=engine), m.plan, m.table)
    assert m.entries("target") == {"t"}
    assert m.state.state is State.CUT_OVER


def test_what_a_zombie_entered_too_late_is_taken_back(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    m.settings = Settings(lease_seconds=0.2)  # type: ignore[arg-type]
    registered = []

    class Late(IcebergCatalog):
        """Asleep between the last look at the lease and the entry, which no catalog can fence."""

        def register(self, table: TableIdentifier, metadata_location: str) -> None:
            _lapsed(m)
            m.cut_over(m.certified())
            super().register(table, metadata_location)
            registered.append(self.load(table) is not None)

    late = Late("dst", shapes.catalog_properties(tmp_path / "target"))

    def engine(progress: Progress) -> LocalEngine:
        return LocalEngine(m.source, late, m.ledger, progress)

    with pytest.raises(FencedOut, match="IB-110"):
        copy_table(replace(m.site, engine=engine), m.plan, m.table)
    assert registered == [True]
    assert m.entries("target") == {"t"}
    assert m.state.state is State.CUT_OVER


def test_a_staged_entry_is_never_taken_from_its_owner(tmp_path: Path) -> None:
    m = Migration(tmp_path).copied()
    staged = m.target.load(m.table.staged)
    assert staged is not None
    take_back(m.site, m.plan, m.table, staged.properties["icebridge.token"])
    assert m.entries("target") == {STAGED}

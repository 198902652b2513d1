"""Watching sources that were cut over: a late writer is found once, and named."""

from __future__ import annotations

from pathlib import Path

from icebridge_provider.model.event import Outcome, Step
from icebridge_provider.steps.rollback import rollback_table
from icebridge_provider.steps.watch import FINDING, watch_table
from tests.support import tables as shapes
from tests.support.migration import Migration

ARCHIVED = "t__archived_20260110"


def test_a_quiet_source_is_fine(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched()
    assert watch_table(m.site, m.plan, m.table) == {"finding": ""}
    assert m.events(Step.WATCH) == []


def test_a_writer_of_the_archived_source_is_named_and_noted_once(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched()
    writer = {"engine-name": "spark", "app-id": "nightly-load"}
    m.native.load_table(("lake", ARCHIVED)).append(shapes.rows(9000, 1), snapshot_properties=writer)
    found = watch_table(m.site, m.plan, m.table)
    assert found["finding"] == FINDING
    assert "spark nightly-load" in found["writers"][0]
    assert "not in dst.lake.t" in found["message"]
    watch_table(m.site, m.plan, m.table)
    assert len(m.events(Step.WATCH, Outcome.DONE)) == 1


def test_every_new_head_is_noted(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched()
    for start in (9000, 9001):
        m.native.load_table(("lake", ARCHIVED)).append(shapes.rows(start, 1))
        watch_table(m.site, m.plan, m.table)
    assert len(m.events(Step.WATCH, Outcome.DONE)) == 2


def test_a_writer_of_a_read_only_source_is_found(tmp_path: Path) -> None:
    m = Migration(tmp_path, read_only=True).switched()
    assert watch_table(m.site, m.plan, m.table)["finding"] == ""
    m.append()
    assert watch_table(m.site, m.plan, m.table)["finding"] == FINDING


def test_a_source_that_a_writer_made_anew_under_its_old_name_is_found(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched()
    m.occupy("source", "t")
    found = watch_table(m.site, m.plan, m.table)
    assert found["finding"] == FINDING
    assert "src.lake.t is there again" in found["message"]


def test_only_what_is_cut_over_is_watched(tmp_path: Path) -> None:
    m = Migration(tmp_path).validated()
    m.append()
    assert watch_table(m.site, m.plan, m.table) == {"finding": ""}
    m.append(2000)
    rollback_table(m.site, m.plan, m.table)
    assert watch_table(m.site, m.plan, m.table) == {"finding": ""}

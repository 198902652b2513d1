"""Purge: when it may begin, what it proves first, and how it goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from icebridge_provider.exceptions import ConfigurationError, ValidationFailed
from icebridge_provider.model.event import State, Step
from icebridge_provider.model.settings import Settings
from icebridge_provider.steps.purge import purge_table
from icebridge_provider.steps.rollback import rollback_table
from tests.support import tables as shapes
from tests.support.migration import PLAN, Migration, Stopped, StoppingLedger

ARCHIVED = "t__archived_20260110"


def _files(m: Migration) -> set[Path]:
    return {path for path in (m.folder / "source" / "warehouse").rglob("*") if path.is_file()}


def test_after_the_grace_period_the_archived_source_and_its_files_are_gone(tmp_path: Path) -> None:
    m = Migration(tmp_path, shapes.position_deletes).switched().later(days=31)
    before = m.rows("target", "t")
    done = purge_table(m.site, m.plan, m.table, "ada")
    assert (done["already"], done["who"], done["archived"]) == (False, "ada", f"src.lake.{ARCHIVED}")
    assert m.entries("source") == set()
    assert _files(m) == set()
    assert m.rows("target", "t") == before
    assert m.state.state is State.PURGED
    assert purge_table(m.site, m.plan, m.table, "ada") == {"files": 0, "already": True}


def test_within_the_grace_period_it_is_refused(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched().later(days=29)
    with pytest.raises(ConfigurationError, match="IB-641") as caught:
        purge_table(m.site, m.plan, m.table, "ada")
    assert "kept until 2026-02-09" in str(caught.value)
    m.settings = Settings(purge_grace_days=29)
    assert purge_table(m.site, m.plan, m.table, "ada")["already"] is False


def test_nobody_approved_it(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched().later(days=40)
    with pytest.raises(ConfigurationError, match="IB-640"):
        purge_table(m.site, m.plan, m.table, "")
    assert m.entries("source") == {ARCHIVED}


def test_what_is_not_cut_over_is_not_purged(tmp_path: Path) -> None:
    m = Migration(tmp_path).validated().later(days=40)
    with pytest.raises(ConfigurationError, match="IB-640") as caught:
        purge_table(m.site, m.plan, m.table, "ada")
    assert "is validated" in str(caught.value)
    assert len(m.rows("source", "t")) == 100


def test_a_registered_table_shares_its_files_and_is_never_purged(tmp_path: Path) -> None:
    m = Migration(tmp_path, method="register").switched().later(days=40)
    with pytest.raises(ConfigurationError, match="IB-642"):
        purge_table(m.site, m.plan, m.table, "ada")
    assert len(m.rows("target", "t")) == 100


def test_a_read_only_source_is_not_ours_to_purge(tmp_path: Path) -> None:
    m = Migration(tmp_path, read_only=True).switched().later(days=40)
    with pytest.raises(ConfigurationError, match="IB-642"):
        purge_table(m.site, m.plan, m.table, "ada")
    assert len(m.rows("source", "t")) == 100


def test_a_file_that_another_table_uses_stops_it(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    table = m.native.load_table("lake.t")
    [path] = [task.file.file_path for task in table.scan().plan_files()]
    other = m.native.create_table("lake.other", table.schema())
    other.add_files([path.removeprefix("file://")])  # the same file, spelt another way
    m = m.switched().later(days=40)
    with pytest.raises(ValidationFailed, match="IB-643") as caught:
        purge_table(m.site, m.plan, m.table, "ada")
    assert "src.lake.other uses" in str(caught.value)
    assert len(m.rows("source", "other")) == 100 == len(m.rows("source", ARCHIVED))
    assert m.events(Step.PURGE) == []


def test_a_table_whose_files_cannot_be_told_stops_it(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    odd = m.occupy("source", "odd")
    snapshot = odd.current_snapshot()
    assert snapshot is not None
    Path(snapshot.manifest_list.removeprefix("file://")).unlink()
    m.request["tables"] = ("lake.t",)
    m = m.switched().later(days=40)
    with pytest.raises(ValidationFailed, match="IB-645") as caught:
        purge_table(m.site, m.plan, m.table, "ada")
    assert "src.lake.odd" in str(caught.value)
    assert len(m.rows("source", ARCHIVED)) == 100


def test_rows_that_came_after_the_cut_over_are_not_purged(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched().later(days=40)
    m.native.load_table(("lake", ARCHIVED)).append(shapes.rows(9000, 1))
    with pytest.raises(ConfigurationError, match="IB-644"):
        purge_table(m.site, m.plan, m.table, "ada")
    assert len(m.rows("source", ARCHIVED)) == 101


def test_the_last_copy_is_not_purged_when_the_new_table_is_gone(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched().later(days=40)
    m.target.drop_entry(m.table.target)
    with pytest.raises(ConfigurationError, match="IB-644"):
        purge_table(m.site, m.plan, m.table, "ada")
    assert len(m.rows("source", ARCHIVED)) == 100


class _StoppingStore:
    """A store whose process dies at its ``number``-th deletion."""

    def __init__(self, store: object, number: int) -> None:
        self._store = store
        self._left = number

    def delete(self, location: str) -> None:
        self._left -= 1
        if self._left < 0:
            raise Stopped
        self._store.delete(location)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


class _SourceWith:
    """A catalog with another store."""

    def __init__(self, catalog: object, store: object) -> None:
        self._catalog = catalog
        self._store = store

    def store(self) -> object:
        return self._store

    def __getattr__(self, name: str) -> object:
        return getattr(self._catalog, name)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_it_goes_on_after_a_crash_between_two_files(tmp_path: Path, number: int) -> None:
    m = Migration(tmp_path).switched().later(days=40)
    store = _StoppingStore(m.source.store(), number)
    site = replace(m.site, source=_SourceWith(m.source, store))  # type: ignore[arg-type]
    with pytest.raises(Stopped):
        purge_table(site, m.plan, m.table, "ada")
    left = len(_files(m))
    assert left > 0
    purge_table(m.site, m.plan, m.table, "ada")
    assert m.entries("source") == set()
    assert _files(m) == set()
    assert m.state.state is State.PURGED


def test_a_list_that_was_never_acted_upon_is_made_anew(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched().later(days=40)
    site = replace(m.site, ledger=StoppingLedger(m.ledger, 0))  # type: ignore[arg-type]
    with pytest.raises(Stopped):
        purge_table(site, m.plan, m.table, "ada")
    stale = m.ledger.document("purge", f"{PLAN}/src.lake.t")
    assert stale is not None
    rollback_table(m.site, m.plan, m.table)
    m.append()
    m.switched().later(days=40)
    [archived] = m.entries("source")
    purge_table(m.site, m.plan, m.table, "ada")
    fresh = m.ledger.document("purge", f"{PLAN}/src.lake.t")
    assert fresh is not None
    assert set(stale["files"]) < set(fresh["files"])
    assert _files(m) == set()
    assert archived not in m.entries("source")


def test_a_file_that_came_into_use_during_the_purge_stops_the_rest_of_it(tmp_path: Path) -> None:
    m = Migration(tmp_path).switched().later(days=40)
    store = _StoppingStore(m.source.store(), 0)
    site = replace(m.site, source=_SourceWith(m.source, store))  # type: ignore[arg-type]
    with pytest.raises(Stopped):
        purge_table(site, m.plan, m.table, "ada")
    loaded = m.native.load_table(("lake", ARCHIVED))
    m.native.register_table("lake.twin", loaded.metadata_location)
    with pytest.raises(ValidationFailed, match="IB-643"):
        purge_table(m.site, m.plan, m.table, "ada")
    assert len(m.rows("source", "twin")) == 100

"""Consumers put together from several sources, and names found in the files of DAGs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from icebridge_provider.catalogs.iceberg import IcebergCatalog, catalog_from
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.workspace import Login, Workspace
from icebridge_provider.model.consumer import Bundle, Consumer, Knowledge, Known, counts
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.steps import consumers
from icebridge_provider.steps.consumers import brief, consumers_of, dag_files
from tests.support import tables as shapes

TRIPS, FARES = (TableIdentifier(catalog="src", namespace=("Sales",), name=name) for name in ("trips", "fares"))


@pytest.fixture
def unity() -> UnityCatalog:
    """A catalog that is never asked: names are known without."""
    return UnityCatalog("src", Workspace("src", "https://nowhere.invalid", Login(token="x")), "lake")


@pytest.fixture
def plain(tmp_path: Path) -> IcebergCatalog:
    shapes.open_catalog(tmp_path / "plain")
    return catalog_from("src", shapes.catalog_properties(tmp_path / "plain"))


def bundle(folder: Path, **files: str) -> Bundle:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Bundle(name="dags", folder=folder)


def places(found: Knowledge) -> list[tuple[str, str]]:
    return [(one.table, one.id) for one in found.consumers]


def test_files_are_searched_with_line_and_only_whole_names_in_the_right_catalog_count(
    unity: UnityCatalog, tmp_path: Path
) -> None:
    made = bundle(
        tmp_path,
        etl_dot_py='a = 1\nSQL = "select * from lake.Sales.trips, other.sales.fares"\n',
        sub__q_dot_sql="SELECT * FROM `sales`.`fares` -- and sales.trips_old\n",
        sub__f_dot_py='name = f"{catalog}.sales.trips"\n',
        _hidden__x_dot_py="sales.trips",
        picture_dot_png="sales.trips",
    )
    (tmp_path / "_hidden").rename(tmp_path / ".hidden")
    found = dag_files(unity, [TRIPS, FARES], [made])
    assert places(found) == [
        ("lake.sales.trips", "dags:etl.py:2"),
        ("lake.sales.trips", "dags:sub/f.py:1"),
        ("lake.sales.fares", "dags:sub/q.sql:1"),
    ]
    assert (found.known, found.reason) == (Known.ASKED, "")


def test_what_was_not_read_is_counted_and_named(unity: UnityCatalog, tmp_path: Path) -> None:
    made = bundle(tmp_path, large_dot_py=" " * consumers.MOST_BYTES + " sales.trips", small_dot_py="x")
    closed = Bundle(name="git", folder=None, problem="it cannot be opened here (OSError)")
    absent = Bundle(name="gone", folder=tmp_path / "none")
    found = dag_files(unity, [TRIPS], [made, closed, absent])
    assert (found.known, found.unreadable, found.consumers) == (Known.PARTLY, 1, ())
    assert found.reason == (
        "bundle git: it cannot be opened here (OSError); bundle gone: its folder is not here;"
        " 1 files are too large, too many or cannot be read"
    )


def test_outside_unity_catalog_only_files_can_tell_and_the_rest_is_not_known(
    plain: IcebergCatalog, tmp_path: Path
) -> None:
    made = bundle(tmp_path / "b", x_dot_py="whatever.sales.trips")
    report = consumers_of(plain, [TRIPS], [made], new_names={TRIPS: "sales.trips"})
    assert [(one.table, one.id, one.new_name) for one in report.consumers] == [
        ("sales.trips", "dags:x.py:1", "sales.trips")
    ]
    assert [one.known for one in report.knowledge] == [Known.NOT_AVAILABLE] * 3 + [Known.ASKED]
    assert not report.complete
    assert brief(plain, [TRIPS]) == ""


def one(kind: str, identifier: str, how: str, source: str, **more: object) -> Consumer:
    return Consumer(table="t", kind=kind, id=identifier, how=how, sources=(source,), **more)


def merged(*found: Consumer) -> Sequence[Consumer]:
    return consumers._merged([Knowledge(source="x", known=Known.ASKED, consumers=found)])


def test_a_mention_of_a_known_reader_is_no_second_consumer() -> None:
    read = one("job", "7", "reads", "lineage", last_seen="2026-01-01", who="ann", times=5)
    wrote = one("job", "7", "writes", "lineage", last_seen="2026-01-01")
    said = one("job", "7", "mentions", "query history", last_seen="2026-02-01", who="bob", times=9)
    other = one("job", "8", "mentions", "query history")
    assert [(each.id, each.how, each.sources, each.last_seen, each.who, each.times) for each in merged(said, read)] == [
        ("7", "reads", ("lineage", "query history"), "2026-02-01", "bob", 9)
    ]
    assert sorted((each.id, each.how) for each in merged(said, read, wrote, other)) == [
        ("7", "reads"), ("7", "writes"), ("8", "mentions")
    ]  # fmt: skip


def test_statements_are_told_apart_by_who_ran_them_and_keep_their_clients() -> None:
    found = merged(
        one("statement", "", "reads", "lineage", who="ann"),
        one("statement", "Tableau", "mentions", "query history", who="ann"),
        one("statement", "dbt", "mentions", "query history", who="ann"),
        one("statement", "dbt", "mentions", "query history", who="bob"),
    )
    assert [(each.who, each.id, each.how) for each in found] == [
        ("ann", "Tableau, dbt", "reads"),
        ("bob", "dbt", "mentions"),
    ]


def test_things_are_counted_once_and_our_own_not_at_all() -> None:
    found = [
        one("job", "7", "reads", "lineage"),
        one("job", "7", "writes", "lineage"),
        one("job", "9", "reads", "lineage", own=True),
        one("dag file", "dags:a.py:1", "mentions", "DAG files"),
        one("dag file", "dags:a.py:9", "mentions", "DAG files"),
        one("statement", "dbt", "reads", "lineage", who="ann"),
        one("statement", "dbt", "reads", "lineage", who="bob"),
    ]
    assert counts(found) == {"dag file": 1, "job": 1, "statement": 2}

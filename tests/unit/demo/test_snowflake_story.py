"""What the demo of the share with Snowflake says before it starts anything, and how it judges."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from icebridge_provider.demo import data
from icebridge_provider.demo.snowflake import account, estate, proof, story
from icebridge_provider.demo.snowflake.account import LocalAccount
from icebridge_provider.demo.snowflake.estate import FLIGHTS, PLANES, TABLES, WEATHER, Kind
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.planning.snowflake.requests import ShareForm, read_requests

KEYED = estate.Shared(
    name="t", mode="upsert", selected="", columns=(("id", Kind.WHOLE), ("n", Kind.DECIMAL)), summed="n", key=("id",)
)


class Rows:
    """An account that has these rows in every table."""

    def __init__(self, rows: list[tuple[Any, ...]], total: Any) -> None:
        self._rows, self._total = rows, total

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return [(self._total,)] if "SUM(" in statement else self._rows


def compared(expected: proof.Expected, table: estate.Shared, rows: list[tuple[Any, ...]], total: Any) -> proof.Compared:
    return expected.compare(cast("LocalAccount", Rows(rows, total)), table)


def model(mode: str, *runs: list[tuple[Any, ...]]) -> tuple[proof.Expected, estate.Shared]:
    table = estate.Shared(name="t", mode=mode, selected="", columns=KEYED.columns, summed="n", key=KEYED.key)
    expected = proof.Expected()
    for rows in runs:
        expected.loaded(table, table.columns, rows)
    return expected, table


def test_the_form_asks_for_three_tables_by_three_modes() -> None:
    window, _ = estate.windows(0.05)
    form = story.request([table.line() for table in TABLES], window)
    asked = read_requests(ShareForm(tables=form["tables"], values=form["values"], stage=form["stage"]))
    assert [item.mode.value for item in asked] == ["append", "replace", "upsert"]
    assert [item.target for item in asked] == [table.target() for table in TABLES]
    assert [item.keys for item in asked] == [(), (), ("carrier", "flight", "Scheduled At")]
    assert asked[0].where == WEATHER.where
    assert asked[0].values == {"since": "2013-01-01", "until": "2013-01-08"}


def test_days_of_the_runs_meet_without_a_gap() -> None:
    for scale in (0.0, 0.02, 0.05, 1, 100):
        first, second = estate.windows(scale)
        assert first.until == second.since
        assert first.until - first.since == second.until - second.since >= timedelta(days=2)
        assert second.until <= date(2013, 3, 2)


def test_the_story_has_rows_to_correct_to_forget_and_to_drop() -> None:
    first, second = estate.windows(0)
    flights = estate._until(data.flights("flights"), second.until).to_pylist()
    early = [row for row in flights if row["time_hour"].date() < first.until]
    assert {"UA", "HA"} <= {row["carrier"] for row in early}
    assert len(flights) > len(early), "the second run has new ones"
    keys = {(row["carrier"], row["flight"], row["time_hour"]) for row in flights}
    assert len(keys) == len(flights), "an upsert's keys are unique"
    planes = data.flights("planes").to_pylist()
    assert any(row["year"] and row["year"] < 1985 for row in planes)
    assert len(planes) > story.POC_ROWS
    assert len(flights) > story.POC_ROWS


@pytest.mark.parametrize(
    ("mode", "rows"),
    [("append", [(1, 1), (2, 2), (2, 5), (3, 3)]), ("replace", [(2, 5), (3, 3)]), ("upsert", [(1, 1), (2, 5), (3, 3)])],
)
def test_the_model_goes_by_the_mode(mode: str, rows: list[tuple[Any, ...]]) -> None:
    expected, table = model(mode, [(1, Decimal(1)), (2, Decimal(2))], [(2, Decimal(5)), (3, Decimal(3))])
    held = [(number, Decimal(value)) for number, value in reversed(rows)]
    assert compared(expected, table, held, sum(value for _, value in held)).same


def test_a_lost_a_doubled_and_a_changed_row_are_seen() -> None:
    expected, table = model("append", [(1, Decimal(1)), (2, None)])
    assert compared(expected, table, [(2, None), (1, Decimal("1.0"))], Decimal(1)).same
    lost = compared(expected, table, [(1, Decimal(1))], Decimal(1))
    doubled = compared(expected, table, [(1, Decimal(1)), (2, None), (2, None)], Decimal(1))
    changed = compared(expected, table, [(1, Decimal(1)), (2, Decimal(0))], Decimal(1))
    assert [(item.missing, item.extra, item.same) for item in (lost, doubled, changed)] == [
        (1, 0, False), (0, 1, False), (1, 1, False),
    ]  # fmt: skip
    assert not compared(expected, table, [(1, Decimal(1)), (2, None)], Decimal(3)).same, "its own SUM counts as well"


def test_rows_from_before_a_new_column_have_none_in_it() -> None:
    expected, table = model("upsert", [(1, Decimal(1)), (2, Decimal(2))])
    expected.loaded(table, (*table.columns, estate.ADDED), [(2, Decimal(2), "new")])
    found = compared(expected, table, [(1, Decimal(1), None), (2, Decimal(2), "new")], 3)
    assert found.same


def test_a_value_is_the_same_from_either_side() -> None:
    paris = timezone(timedelta(hours=1))
    at = datetime(2013, 1, 1, 6, 0, 0, 5, UTC)
    for kind, text, native in (
        (Kind.WHOLE, "7", 7),
        (Kind.DECIMAL, "1.5000000000", Decimal("1.5")),
        (Kind.FLOAT, "1.0E-5", 0.00001),
        (Kind.BOOLEAN, "true", True),
        (Kind.BOOLEAN, "false", False),
        (Kind.DATE, "2013-01-01", date(2013, 1, 1)),
        (Kind.TIME, "2013-01-01T06:00:00.000005", at.replace(tzinfo=None)),
        (Kind.INSTANT, "2013-01-01T06:00:00.000005Z", at.astimezone(paris)),
        (Kind.BYTES, "00ff", bytearray(b"\x00\xff")),
        (Kind.JSON, '{"b":null,"a":"ß"}', '{\n  "a": "\\u00df",\n  "b": null\n}'),
    ):
        assert proof.plain(text, kind) == proof.plain(native, kind), kind
        assert proof.plain(None, kind) is None
    assert proof.plain("7", Kind.TEXT) != proof.plain("07", Kind.TEXT)


def test_only_statements_that_write_rows_or_tables_count() -> None:
    quiet = ("SELECT 1", 'MERGE INTO "A"."B"."ICEBRIDGE_LOADS" AS "t"', "LIST @z", "ALTER SESSION SET QUERY_TAG = 'x'")
    assert proof.writing(quiet) == 0
    assert proof.writing([*quiet, "copy  into x", "  INSERT INTO y", "Alter table x swap with y"]) == 3


def test_no_key_stands_in_what_administrators_run() -> None:
    said = " ".join((*estate.databricks_rights(), *estate.snowflake_rights())).upper()
    assert "AWS_KEY_ID" not in said
    assert "CREDENTIALS" not in said
    assert "ALL PRIVILEGES" not in said
    assert {PLANES.name, FLIGHTS.name}.isdisjoint(said.lower().split()), "tables are the bridge's to make"


def test_a_package_without_its_checkout_says_where_to_go(tmp_path: Path) -> None:
    account.refuse_package()
    with pytest.raises(ConfigurationError, match="IB-970"):
        account.refuse_package(tmp_path)

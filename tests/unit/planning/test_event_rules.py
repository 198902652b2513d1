from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError, PreflightFailed
from icebridge_provider.model.bridge import (
    Access,
    BridgeEvent,
    EventStatus,
    Grant,
    Rights,
    TargetColumn,
    TargetTable,
    Work,
)
from icebridge_provider.planning.event_outcome import judged, refused_keys
from icebridge_provider.planning.event_rules import check_permission, check_shape, check_spelling, work_of

TABLE = TargetTable(
    schema="dbo",
    name="Sales",
    columns=(
        TargetColumn(name="Id", type="int", nullable=False, identity=True),
        TargetColumn(name="Country", type="nvarchar(2)", nullable=False),
        TargetColumn(name="Amount", type="decimal(10,2)"),
        TargetColumn(name="Version", type="rowversion", nullable=False, writable=False),
        TargetColumn(name="At", type="datetime2(7)", nullable=False, has_default=True),
    ),
    keys=(("Country", "Id"),),
)
GRANT = Grant(table="dbo.Sales", access=Access.WRITE, max_delete_rows=7)


def event(operation: str = "UPDATE", **given: Any) -> BridgeEvent:
    given = {"primary_keys": ("Id", "Country"), "target_table": "dbo.Sales", **given}
    return BridgeEvent(event_id="e1", operation=operation, source_table="lake.shop.sales", **given)


def work(found: BridgeEvent, *columns: str, strict: bool = False) -> Work:
    return work_of(found, TABLE, columns or ("id", "country", "amount"), GRANT, strict=strict)[0]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"event_id": ""}, "1 to 255"),
        ({"event_id": "x" * 256}, "1 to 255"),
        ({"event_id": "a\nb"}, "printable"),
        ({"event_id": "a "}, "blank"),
        ({"operation": "TRUNCATE"}, "TRUNCATE"),
        ({"operation": "update"}, "none of"),
        ({"primary_keys": ()}, "needs primary_keys"),
        ({"primary_keys": ("Id", "ID")}, "twice"),
        ({"rows_expected": -1}, "negative"),
        ({"source_table": "a.b.c.d"}, "4 parts"),
        ({"source_table": "a..b"}, "missing"),
        ({"target_table": "Sales"}, "1 parts, 2 are meant"),
        ({"target_table": "x.dbo.Sales"}, "3 parts"),
        ({"target_table": "dbo.`Sales"}, "backtick"),
        ({"unreadable": "filters are no map"}, "filters are no map"),
    ],
)
def test_a_malformed_event_is_refused_by_what_is_wrong(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=f"IB-840.*{says}"):
        check_shape(replace(event(), **given))


def test_a_good_event_passes() -> None:
    check_shape(event())
    check_shape(event("INSERT", primary_keys=(), target_table="`my.schema`.`a table`"))


@pytest.mark.parametrize(
    ("access", "allowed"), [(Access.READ, False), (Access.WRITE, True), (Access.READ_WRITE, True), (None, False)]
)
@pytest.mark.parametrize("operation", ["INSERT", "UPDATE", "DELETE"])
def test_every_operation_needs_write(operation: str, access: Access | None, allowed: bool) -> None:
    grants = () if access is None else (Grant(table="dbo.Sales", access=access),)
    rights = Rights(user="maria", grants=(Grant(table="dbo.sales", access=Access.WRITE), *grants))
    if allowed:
        assert check_permission(event(operation), rights).access is access
    else:
        with pytest.raises(PreflightFailed, match=r"IB-842.*'maria'"):
            check_permission(event(operation), rights)


def test_one_spelling_of_a_table() -> None:
    check_spelling(event(), TABLE)
    for other in ("dbo.sales", "DBO.Sales", "`dbo`.Sales"):
        with pytest.raises(PreflightFailed, match=r"IB-841.*'dbo\.Sales'"):
            check_spelling(event(target_table=other), TABLE)


def test_columns_take_the_targets_spelling_keys_first() -> None:
    found, sources, filters = work_of(
        event(filter_conditions={"COUNTRY": "CO"}), TABLE, ("amount", "id", "country", "version"), GRANT, strict=True
    )
    assert (found.columns, found.keys) == (("Id", "Country", "Amount"), ("Id", "Country"))
    assert sources == {"Id": "id", "Country": "country", "Amount": "amount"}
    assert filters == {"country": "CO"}
    assert found.strict


def test_what_the_server_writes_is_left_out() -> None:
    assert work(event("INSERT", primary_keys=()), "id", "country", "version").columns == ("Id", "Country")
    by_country = replace(TABLE, keys=(("Country",),))
    found = work_of(event(primary_keys=("Country",)), by_country, ("id", "country", "amount"), GRANT, strict=False)[0]
    assert found.columns == ("Country", "Amount"), "an identity is never set"


def test_a_delete_brings_only_keys() -> None:
    found = work(event("DELETE"), "amount", "country", "id")
    assert (found.columns, found.most_deleted) == (("Id", "Country"), 7)


@pytest.mark.parametrize(("released", "most"), [(0, 7), (3, 7), (99, 99)])
def test_a_release_only_ever_raises_the_limit(released: int, most: int) -> None:
    columns = ("id", "country", "amount")
    assert work_of(event("DELETE"), TABLE, columns, GRANT, strict=False, released=released)[0].most_deleted == most


def test_the_event_itself_cannot_raise_its_limit() -> None:
    assert work(event("DELETE", released_rows=99)).most_deleted == 7


@pytest.mark.parametrize(
    ("given", "columns", "says"),
    [
        ({}, ("id", "country", "extra"), "IB-844.*'extra'"),
        ({}, ("id", "ID", "country"), "IB-844.*two columns for 'Id'"),
        ({}, ("country", "amount"), "IB-844.*key column 'Id'"),
        ({}, ("id", "country"), "IB-844.*no column to set"),
        ({"primary_keys": ("Nope",)}, ("id",), "IB-844.*'Nope'"),
        ({"primary_keys": ("Id",)}, (), "IB-845.*its keys are: Country, Id"),
        ({"operation": "DELETE", "primary_keys": ("Amount",)}, (), "IB-845"),
        ({"operation": "INSERT", "primary_keys": ()}, ("id",), "IB-844.*lacks 'Country'"),
        ({"filter_conditions": {"nope": "1"}}, (), "IB-844.*dbo.Sales has no column 'nope'"),
        ({"filter_conditions": {"At": "1"}}, (), "IB-844.*lake.shop.sales has no column 'At'"),
        ({"filter_conditions": {"Id": "1", "ID": "2"}}, (), "IB-844.*two filters"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(given: dict[str, Any], columns: tuple[str, ...], says: str) -> None:
    with pytest.raises(PreflightFailed, match=says):
        work(event(**given), *columns)


def test_all_columns_of_a_key_and_more_identify_a_row() -> None:
    wide = event(primary_keys=("Id", "Country", "Amount"))
    assert work_of(wide, TABLE, ("id", "country", "amount", "at"), GRANT, strict=False)[0].keys == wide.primary_keys


@pytest.mark.parametrize(
    ("affected", "expected", "discrepancy"), [(3, None, 0), (2, None, 1), (5, None, -2), (3, 10, 7)]
)
def test_a_discrepancy_is_expected_minus_affected(affected: int, expected: int | None, discrepancy: int) -> None:
    found = judged(work(event(rows_expected=expected)), staged=3, affected=affected)
    assert (found.status, found.rows_affected, found.discrepancy) == (EventStatus.COMPLETED, affected, discrepancy)
    assert bool(found.warning) == bool(discrepancy)


def test_a_strict_sync_fails_on_a_discrepancy() -> None:
    found = judged(work(event(), strict=True), staged=3, affected=2)
    assert (found.status, found.rows_affected) == (EventStatus.FAILED, None)
    assert judged(work(event(), strict=True), staged=3, affected=3).status is EventStatus.COMPLETED


@pytest.mark.parametrize(("affected", "status"), [(7, EventStatus.COMPLETED), (8, EventStatus.BLOCKED)])
def test_a_delete_may_hit_just_its_limit(affected: int, status: EventStatus) -> None:
    found = judged(work(event("DELETE")), staged=affected, affected=affected)
    assert found.status is status
    assert ("8 rows, 7 are allowed" in found.error_message) == (status is EventStatus.BLOCKED)


def test_the_limit_is_for_deletes_and_comes_before_strictness() -> None:
    assert judged(work(event()), staged=99, affected=99).status is EventStatus.COMPLETED
    assert judged(work(event("DELETE"), strict=True), staged=9, affected=8).status is EventStatus.BLOCKED


def test_keys_that_tell_nothing_apart_are_named() -> None:
    text = str(refused_keys(work(event()), nulls=2, twice=0))
    assert "IB-846" in text
    assert "Id, Country of dbo.Sales: 2 rows have a NULL" in text
    assert "1 keys stand in it more than once" in str(refused_keys(work(event()), nulls=0, twice=1))

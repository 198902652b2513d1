"""What every adapter of the source must do."""

from __future__ import annotations

import pytest

from icebridge_provider.exceptions import IceBridgeError
from tests.support.bridge import World


def test_columns_come_in_order_and_rows_as_they_are(world: World) -> None:
    table = f"{world.origin}.s"
    pin = world.source.pin(table)
    assert world.source.columns(table) == ["id", "name"]
    found = world.source.read(table, pin, ["name", "id"], {}).read_all()
    assert found.column_names == ["name", "id"]
    assert sorted(row["id"] for row in found.to_pylist()) == [1, 2, 3]


def test_a_filter_is_a_value_of_its_columns_type(world: World) -> None:
    table = f"{world.origin}.s"
    assert world.source.read(table, "", ["name"], {"id": "2"}).read_all().to_pylist() == [{"name": "two"}]
    assert world.source.read(table, "", ["id"], {"name": "two", "id": "3"}).read_all().num_rows == 0
    for hostile in ("2' OR '1'='1", "%", "TWO", "two ", "two\u0000"):
        try:
            found = world.source.read(table, "", ["id"], {"name": hostile}).read_all().num_rows
        except IceBridgeError:
            found = 0
        assert found == 0, hostile


def test_a_filter_that_is_no_value_of_its_column_is_refused(world: World) -> None:
    with pytest.raises(IceBridgeError, match="'id'") as refused:
        world.source.read(f"{world.origin}.s", "", ["id"], {"id": "1 OR 1=1"}).read_all()
    assert not refused.value.retryable


def test_a_table_that_is_not_there_is_refused(world: World) -> None:
    for name in (f"{world.origin}.nothing", f"{world.origin}.`s; DROP TABLE s`"):
        with pytest.raises(IceBridgeError) as refused:
            world.source.pin(name)
        assert not refused.value.retryable

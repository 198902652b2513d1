"""Every type of PostgreSQL that an event brings over arrives as it was."""

from __future__ import annotations

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.steps.events import emit, poll
from tests.support.bridge import an_event, postgres_world, site_of
from tests.support.postgres import PostgresServer

TYPES = {
    "id": "integer PRIMARY KEY", "a": "smallint", "b": "bigint", "c": "numeric(38,10)", "d": "numeric", "e": "real",
    "f": "double precision", "g": "varchar(20)", "h": "char(5)", "i": "bytea", "j": "date", "k": "timestamp(6)",
    "l": "timestamptz", "m": "uuid", "n": "boolean", "o": "jsonb", "p": 'text COLLATE "C"',
}  # fmt: skip
ROWS = [
    "1, -32768, 9223372036854775807, 1234567890123456789012345678.0123456789, 1e-20, 1.5, 0.1, 'ü😀''\"', 'ab', "
    "'\\x00ff', '0001-01-01', '9999-12-31 23:59:59.999999', '2024-02-29 23:00:00.000001-01', "
    "'6f9619ff-8b86-d011-b42d-00c04fc964ff', true, '{\"a\": [1, null]}', 'x'",
    "2" + ", NULL" * 16,
]


@pytest.mark.postgres
def test_types_arrive_as_they_were(postgres_server: PostgresServer) -> None:
    world = postgres_world(postgres_server.new_database())
    world.queue.create()
    world.target.prepare()
    columns = ", ".join(f"{name} {kind}" for name, kind in TYPES.items())
    with world.near.transaction() as cursor:
        cursor.execute(f"CREATE TABLE s ({columns}); CREATE TABLE t ({columns})")
        cursor.execute(f"INSERT INTO s VALUES {', '.join(f'({row})' for row in ROWS)}")
    wanted = {"m": "6F9619FF-8B86-D011-B42D-00C04FC964FF", "h": "ab   ", "k": "9999-12-31T23:59:59.999999"}
    delete = an_event(world, "3", "DELETE", filter_conditions=wanted)
    emit(world.queue, [an_event(world, "1"), an_event(world, "2", "UPDATE")])
    assert poll(site_of(world)).completed == ("1", "2")
    assert world.near.query("SELECT s::text FROM s EXCEPT SELECT t::text FROM t") == []
    emit(world.queue, [delete])
    assert poll(site_of(world)).completed == ("3",)
    assert [row[0] for row in world.rows("t")] == [2]
    world.close()


@pytest.mark.postgres
def test_a_moment_that_python_does_not_know_is_refused(postgres_server: PostgresServer) -> None:
    world = postgres_world(postgres_server.new_database())
    world.queue.create()
    world.target.prepare()
    with world.near.transaction() as cursor:
        cursor.execute(
            "CREATE TABLE s (id integer, at timestamp); CREATE TABLE t (id integer PRIMARY KEY, at timestamp)"
        )
        cursor.execute("INSERT INTO s VALUES (1, 'infinity')")
    emit(world.queue, [an_event(world, "1")])
    assert poll(site_of(world)).failed == ("1",)
    assert world.rows("t") == []
    world.close()


def test_a_filter_on_bytes_is_refused() -> None:
    from icebridge_provider.engines.dbapi.types import arrow_type, filter_value

    with pytest.raises(ConfigurationError, match="IB-847"):
        filter_value("00", arrow_type("bytea", "s", "i", "postgres"), "i")

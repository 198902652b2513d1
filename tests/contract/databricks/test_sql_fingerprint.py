"""The fingerprint that a SQL warehouse computes is the one of docs/fingerprint.md, for every type and every value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from pyiceberg.schema import Schema
from pyiceberg.table import Table

from icebridge_provider.catalogs.unity.statements import Statements
from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.engines.fingerprint.schema import read_schema
from icebridge_provider.engines.fingerprint.warehouse import fingerprint_by_sql
from icebridge_provider.model.report import Fingerprint
from tests.support import fingerprint_reference as reference
from tests.support import sql_types
from tests.support.databricks import Workspace
from tests.support.hashing import arrow_table, plain
from tests.support.sql_estate import WAREHOUSE, Estate, estate


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A foreign catalog over a real one, and a warehouse that reads it."""

    estate: Estate

    def table(self, name: str, fields: list[dict[str, Any]], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Make a table; gives its fields as the catalog numbered them."""
        schema = Schema.model_validate({"type": "struct", "schema-id": 0, "fields": fields})
        made: Table = self.estate.origin.create_table(("sales", name), schema)
        numbered: list[dict[str, Any]] = made.schema().model_dump(mode="json", by_alias=True)["fields"]
        made.append(arrow_table(rows, numbered))
        return numbered

    def read(self, name: str, fields: list[dict[str, Any]]) -> Fingerprint:
        server = self.estate.workspace
        warehouse = Statements(Client("dbx", server.url, Login(token=server.token("admin"))), WAREHOUSE)
        shapes = read_schema({"fields": fields}, name)
        return fingerprint_by_sql(warehouse, (self.estate.lake, "sales", name), shapes, 7)


@pytest.fixture(scope="module")
def bench(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(estate=estate(databricks, tmp_path_factory.mktemp("sums")))


def test_every_type_and_every_value_bit_for_bit(bench: Bench) -> None:
    rows = sql_types.rows(seed=20261121, count=150)
    rows += rows[:3]
    fields = bench.table("everything", sql_types.FIELDS, rows)
    bench.estate.refresh()
    found = bench.read("everything", fields)
    assert (found.encoding, found.snapshot_id) == ("icebridge-1", 7)
    assert plain(found) == reference.fingerprint(rows, fields)


ROWS: list[dict[str, Any]] = [{"id": number, "name": f"n{number}", "amount": number / 4} for number in range(50)]
FIELDS = [
    {"id": 1, "name": "id", "type": "long", "required": False},
    {"id": 2, "name": "name", "type": "string", "required": False},
    {"id": 3, "name": "amount", "type": "double", "required": False},
]
Damage = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
DAMAGES: dict[str, Damage] = {
    "lost": lambda rows: rows[1:],
    "twice": lambda rows: [*rows, rows[3]],
    "lost_and_twice": lambda rows: [*rows[1:], rows[3]],
    "swapped": lambda rows: [{**rows[0], "name": "n1"}, {**rows[1], "name": "n0"}, *rows[2:]],
    "null_for_empty": lambda rows: [{**rows[0], "name": None}, *rows[1:]],
    "last_bit": lambda rows: [*rows[:9], {**rows[9], "amount": 2.2500000000000004}, *rows[10:]],
    "none_left": lambda rows: [],
}


def test_every_planted_difference_is_found(bench: Bench) -> None:
    whole = [{**ROWS[0], "name": ""}, *ROWS[1:]]
    fields = bench.table("w", FIELDS, whole)
    for name, damage in DAMAGES.items():
        bench.table(name, FIELDS, damage(whole))
    bench.estate.refresh()
    sound = bench.read("w", fields)
    assert plain(sound) == reference.fingerprint(whole, fields)
    for name, damage in DAMAGES.items():
        found = bench.read(name, fields)
        assert plain(found) == reference.fingerprint(damage(whole), fields), name
        assert found.sum128 != sound.sum128, name

"""What docs/snowflake.md shows can be read as it stands there, and says what the code does."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

from icebridge_provider.model.snowflake import Mode, Publish
from icebridge_provider.planning.snowflake.presets import POC, PRODUCTION
from icebridge_provider.planning.snowflake.requests import ShareForm, read_requests
from icebridge_provider.planning.snowflake.routes import Route
from icebridge_provider.planning.snowflake.types import Way, way_of
from icebridge_provider.steps.share_runs import MOST_RUNS, Status

PAGE = (Path(__file__).parents[4] / "docs" / "snowflake.md").read_text()


def test_the_list_of_tables_can_be_read() -> None:
    (shown,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    form = ShareForm(tables=shown, stage="A.B.C", database="D", values={"since": "2024-01-01"})
    orders, items, stock, odd = read_requests(form)
    assert (orders.target, items.target) == (("D", "SALES", "ORDERS"), ("ANALYTICS", "PUBLIC", "ITEMS"))
    assert (stock.mode, stock.keys, stock.limit) == (Mode.UPSERT, ("id", "day"), 5000)
    assert (stock.values, orders.values) == ({"since": "2024-01-01"}, {})
    assert (odd.source, odd.target[2], odd.publish) == (("main", "odd schema", "t;1"), "My Table", Publish.SWAP)


def test_the_connections_and_the_request_are_json() -> None:
    shown = re.findall(r"^export (AIRFLOW_CONN_\w+)='(.*?)'$", PAGE, re.MULTILINE | re.DOTALL)
    kinds = [json.loads(text.replace("'\"'\"'", "'"))["conn_type"] for _, text in shown]
    assert kinds == ["databricks", "snowflake", "icebridge_catalog"]
    (body,) = re.findall(r"-d '(\{\"logical_date\".*?)'\n", PAGE, re.DOTALL)
    conf = json.loads(body)["conf"]
    known = {field.name for field in dataclasses.fields(ShareForm)}
    assert {*conf} - known == {"source_conn_id", "target_conn_id"}
    assert read_requests(ShareForm(tables=conf["tables"], stage=conf["stage"], database="D"))


def test_the_form_table_has_every_field() -> None:
    section = PAGE.split("## Start it")[1].split("### Which tables")[0]
    shown = {
        name for row in re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    }
    known = {field.name for field in dataclasses.fields(ShareForm)} - {"database"}
    assert shown == known | {"source_conn_id", "target_conn_id", "storage_conn_id", "zero_copy", "run_id"}


def test_states_presets_and_routes_are_those_of_the_code() -> None:
    assert all(f"`{status}`" in PAGE for status in Status)
    assert f"(1 to {MOST_RUNS})" in PAGE
    assert all(f"| `{route}`" in PAGE for route in Route)
    assert (POC.limit, POC.retries, PRODUCTION.timeout_seconds) == (1000, 0, 30 * 60)
    assert "After 30 minutes" in PAGE


@pytest.mark.parametrize(
    "row", re.findall(r"^\| ([a-z_, ()]+?) \| ([^|]+) \| (?:same|JSON text|micro)", PAGE, re.MULTILINE)
)
def test_the_table_of_types_is_that_of_the_code(row: tuple[str, str]) -> None:
    sizes = {"decimal(p,s)": "decimal(12,2)", "varchar(n)": "varchar(7)", "char(n)": "char(7)"}
    nested = {"array": "array<int>", "map": "map<string,int>", "struct": "struct<a:int>"}
    for name in re.split(r", (?!\d)", row[0]):
        way = way_of(sizes.get(name) or nested.get(name) or name)
        assert isinstance(way, Way), name
        assert way.target.family in row[1], name
    assert {"interval", "void", "geography"} & {name for name in ("interval", "void") if isinstance(way_of(name), str)}

"""Every operator has an example that loads and a line in the docs; every connection that the docs show can be read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.integration.test_dags import operators
from tests.support.airflow_cli import environment

pytestmark = pytest.mark.airflow
DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = sorted((DOCS / "operators" / "examples").glob("*.py"))
INTERNAL = {"ApprovalGateOperator"}


def test_examples_load_and_use_every_operator(airflow_cli_home: Path) -> None:
    from airflow.dag_processing.dagbag import DagBag

    folder = DOCS / "operators" / "examples"
    bag = DagBag(str(folder), bundle_path=folder, bundle_name="examples")
    assert bag.import_errors == {}
    assert len(bag.dags) == len(EXAMPLES)
    used = {task.task_type for dag in bag.dags.values() for task in dag.tasks}
    assert {kind.__name__ for kind in operators()} - INTERNAL <= used


def test_the_page_names_every_operator_its_arguments_and_its_example(airflow_cli_home: Path) -> None:
    page = (DOCS / "operators" / "index.md").read_text()
    for kind in operators():
        assert f"`{kind.__module__.removeprefix('icebridge_provider.')}.{kind.__name__}`" in page, kind
    linked = re.findall(r"\(examples/([a-z_]+\.py)\)", page)
    assert set(linked) == {path.name for path in EXAMPLES}


def test_the_connections_of_the_page_can_be_read(airflow_cli_home: Path) -> None:
    from icebridge_provider.hooks.catalog import TYPES, properties_of
    from icebridge_provider.hooks.connections import connection
    from icebridge_provider.hooks.ledger import LedgerHook

    shown = re.findall(r"export (AIRFLOW_CONN_\w+)='(.*?)'", (DOCS / "connections" / "index.md").read_text(), re.DOTALL)
    assert len(shown) == 5
    for name, text in shown:
        json.loads(text)
        with environment(**{name: text}):
            if name.endswith("_LEDGER"):
                assert not LedgerHook().open().is_local
                continue
            properties = properties_of(connection(name.removeprefix("AIRFLOW_CONN_").lower(), TYPES, "catalog"))
            assert properties["type"] in {"rest", "glue", "hive", "sql"}
            assert "read_only" not in properties
            if properties["type"] == "rest":
                assert properties["credential"] == "client-id:client-secret"

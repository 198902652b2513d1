"""A migration in one process whose connections and tables are full of credentials, for tests/system/test_canaries.py.

``python -m tests.support.canary_run FOLDER`` reads FOLDER/connections.json and FOLDER/properties.json, writes what it
makes into FOLDER/home and FOLDER/out, and prints a JSON summary as its last line.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from pyiceberg.catalog import Catalog, load_catalog
from sqlalchemy import text

from tests.support import tables as shapes
from tests.support.airflow_cli import migrate_home, prepare_home

PLAN = "canary"
GOOD, FAILS, BROKEN = "good", "fails", "broken"


def main(folder: Path) -> dict[str, Any]:
    connections = json.loads((folder / "connections.json").read_text())
    os.environ.update({f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()})
    prepare_home(folder / "home")
    migrate_home()
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "DEBUG"
    out = folder / "out"
    out.mkdir()
    source = native(connections, "src")
    native(connections, "dst")
    build(source, json.loads((folder / "properties.json").read_text()), connections["presigned"]["host"])
    codes = {"before": commands(out, "before", BEFORE)}
    lose_a_data_file(source)
    states = runs()
    codes["after"] = commands(out, "after", AFTER)
    (out / "metrics.txt").write_bytes(metrics())
    return {"codes": codes, "states": states}


def native(connections: dict[str, Any], name: str) -> Catalog:
    catalog = load_catalog(name, **connections[name]["extra"])
    catalog.create_namespace_if_not_exists(shapes.NAMESPACE)
    return catalog


def build(source: Catalog, properties: dict[str, str], presigned: str) -> None:
    """One table that moves, one whose copy will fail, and one whose metadata address holds credentials itself."""
    for name in (GOOD, FAILS):
        table = shapes.plain(source, name)
        with table.transaction() as transaction:
            transaction.set_properties(properties)
    with source.engine.begin() as connection:  # type: ignore[attr-defined]
        connection.execute(
            text(
                "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location,"
                f" iceberg_type) VALUES ('src', '{shapes.NAMESPACE}', '{BROKEN}', :m, 'TABLE')"
            ),
            {"m": presigned},
        )


def lose_a_data_file(source: Catalog) -> None:
    table = source.load_table((shapes.NAMESPACE, FAILS))
    (task,) = table.scan().plan_files()
    Path(task.file.file_path.removeprefix("file://")).unlink()


# The command line; {out} is replaced

UNREACHABLE = ("rest", "gone")
BEFORE = [
    ["db", "migrate"],
    ["init"],
    ["doctor", "--connections", "src", "dst", *UNREACHABLE, "--json"],
    *(["check-connection", name, "--json"] for name in ("src", *UNREACHABLE)),
    *(["check-connection", name] for name in UNREACHABLE),
    ["inventory", "src", "--json"],
    ["inventory", "src"],
    ["inventory", "rest", "--json"],
    ["assess", "src", "--target", "dst", "--out", "{out}/assessment.html"],
    ["plan", "--source", "src", "--target", "dst", "--approval", "none", "--dry-run"],
    ["plan", "--source", "src", "--target", "dst", "--approval", "none", "--out", "{out}/plan.json"],
    ["plan", "--source", "src", "--target", "dst", "--approval", "none", "--plan-id", PLAN, "--json"],
    ["plan", "--source", "gone", "--target", "dst", "--json"],
]
AFTER = [
    ["status", PLAN],
    ["status", PLAN, "--json"],
    ["status", "--all", "--json"],
    ["report", PLAN, "--out", "{out}/docs", "--json"],
    ["audit", "verify", "--json"],
    ["audit", "bundle", PLAN, "--out", "{out}/bundle.zip"],
    ["db", "backup", "{out}/backup.jsonl"],
]


def commands(out: Path, when: str, wanted: list[list[str]]) -> dict[str, int]:
    """Run commands of the console script in this process; what they print goes to ours."""
    from icebridge_provider.cli.main import main as icebridge

    codes = {}
    for number, command in enumerate(wanted):
        given = [part.replace("{out}", str(out)) for part in command]
        print(f"$ {when} {number}: icebridge {' '.join(command)}", flush=True)
        codes[" ".join(command)] = icebridge(given)
    return codes


# Airflow


def runs() -> dict[str, str]:
    """Run the shipped DAG for the kept plan and for each catalog that does not answer."""
    from tests.support import dag_runs

    dags = dag_runs.load_dags()
    confs: dict[str, dict[str, Any]] = {"migrate": {"plan_id": PLAN, "source_conn_id": "src", "target_conn_id": "dst"}}
    for name in UNREACHABLE:
        confs[name] = {"plan_id": f"from-{name}", "source_conn_id": name, "target_conn_id": "dst"}
    found = {}
    for name, conf in confs.items():
        found[name] = dag_runs.run(dags["icebridge_migrate"], {**conf, "approval": "none"}).state
    return found


def metrics() -> bytes:
    from icebridge_provider.hooks.ledger import LedgerHook
    from icebridge_provider.plugins.api.metrics import Metrics

    return Metrics(LedgerHook().ledger).text()


if __name__ == "__main__":
    print("\n" + json.dumps(main(Path(sys.argv[1]))))

"""Two catalogs behind connections, and whole DAG runs over them in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pyiceberg.catalog import Catalog

from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.status import status
from tests.support import tables
from tests.support.airflow_cli import connection, environment

POOL = "icebridge_writers"


@dataclass(frozen=True, kw_only=True)
class Lakes:
    """A source and a target catalog on disk, known to Airflow as ``src`` and ``dst``, and a ledger."""

    folder: Path

    @property
    def source(self) -> Catalog:
        return tables.open_catalog(self.folder / "src", "src")

    @property
    def target(self) -> Catalog:
        return tables.open_catalog(self.folder / "dst", "dst")

    @property
    def ledger(self) -> SqlLedger:
        return SqlLedger(f"sqlite:///{self.folder / 'ledger.db'}")

    def rows(self, plan_id: str) -> dict[str, dict[str, Any]]:
        """Return ``icebridge status`` by source name without the catalog."""
        return {row["source"].removeprefix("src."): row for row in status(self.ledger, plan_id)}

    def states(self, plan_id: str) -> dict[str, str]:
        return {name: row["state"] for name, row in self.rows(plan_id).items()}

    def names(self, side: str) -> list[str]:
        catalog = self.source if side == "src" else self.target
        return sorted(name for _, name in catalog.list_tables(tables.NAMESPACE))

    def files(self, side: str) -> dict[str, tuple[int, int]]:
        """Return size and time of every file of a warehouse."""
        found = (path for path in (self.folder / side / "warehouse").rglob("*") if path.is_file())
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in found}

    def change_a_byte(self, name: str, plan_id: str) -> None:
        """Flip one bit in the middle of a copied data file."""
        copy = self.target.load_table(f"{tables.NAMESPACE}.{name}__icebridge_{plan_id}")
        path = Path(next(iter(copy.scan().plan_files())).file.file_path.removeprefix("file://"))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    def request(self, **more: Any) -> dict[str, Any]:
        return {"source_conn_id": "src", "target_conn_id": "dst", "approval": "none", "plan_id": "p1", **more}


@contextmanager
def lakes(folder: Path, *, read_only: bool = False, **options: str) -> Iterator[Lakes]:
    """Make both catalogs, their connections and a migrated ledger; ``options`` are of ``[icebridge]``."""
    made = Lakes(folder=folder)
    made.source, made.target  # noqa: B018 - opening makes them
    extra = {"src": {"read_only": True} if read_only else {}, "dst": {}}
    values = {
        f"AIRFLOW_CONN_{name.upper()}": connection(
            "icebridge_catalog", extra={**tables.catalog_properties(folder / name), **extra[name]}
        )
        for name in ("src", "dst")
    }
    values["AIRFLOW_CONN_ICEBRIDGE_LEDGER"] = connection("icebridge_ledger", schema=str(folder / "ledger.db"))
    values |= {f"AIRFLOW__ICEBRIDGE__{name.upper()}": value for name, value in options.items()}
    with environment(**values):
        made.ledger.migrate()
        _pool()
        yield made


def _pool() -> None:
    from airflow.models.pool import Pool

    Pool.create_or_update_pool(POOL, slots=64, description="IceBridge", include_deferred=False)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How a DAG run ended, and where its tasks did."""

    state: str
    tasks: Mapping[str, list[str]]
    tries: Mapping[str, list[int]]


def load_dags() -> dict[str, Any]:
    """Load the shipped DAGs as Airflow does."""
    from airflow.dag_processing.dagbag import DagBag

    from icebridge_provider.bundle import IceBridgeDagBundle

    path = IceBridgeDagBundle(name="icebridge").path
    return dict(DagBag(str(path), bundle_path=path, bundle_name="icebridge").dags)


def run(dag: Any, conf: Mapping[str, Any]) -> Ran:
    """Run a DAG in this process, its triggers inline."""
    done = dag.test(run_conf=dict(conf))
    tasks: dict[str, list[str]] = {}
    tries: dict[str, list[int]] = {}
    for instance in sorted(done.get_task_instances(), key=lambda item: (item.task_id, item.map_index)):
        tasks.setdefault(instance.task_id, []).append(str(instance.state))
        tries.setdefault(instance.task_id, []).append(instance.try_number)
    return Ran(state=str(done.state), tasks=tasks, tries=tries)


def context(run_id: str = "manual", who: str = "maria") -> Any:
    """Return as much of a task's context as an operator looks at, with Airflow's own collector of asset events."""
    from airflow.sdk.execution_time.context import OutletEventAccessors

    run = SimpleNamespace(dag_id="d", run_id=run_id, triggering_user_name=who, start_date=datetime.now(UTC))
    task = SimpleNamespace(dag_id="d", run_id=run_id, task_id="t", try_number=1)
    return {"dag_run": run, "ti": task, "outlet_events": OutletEventAccessors()}

"""Two catalogs behind connections, and whole DAG runs over them in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
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
    """How a DAG run ended."""

    state: str
    tasks: Mapping[str, list[str]]
    problems: Mapping[str, str]

    @property
    def all_problems(self) -> str:
        return "\n".join(self.problems.values())


def run(dag: Any, conf: Mapping[str, Any]) -> Ran:
    """Run a DAG in this process, triggers inline, and collect what its tasks said when they failed."""
    heard = _Ear()
    with heard.listening():
        done = dag.test(run_conf=dict(conf))
    tasks: dict[str, list[str]] = {}
    for instance in sorted(done.get_task_instances(), key=lambda item: (item.task_id, item.map_index)):
        tasks.setdefault(instance.task_id, []).append(str(instance.state))
    return Ran(state=str(done.state), tasks=tasks, problems=heard.problems)

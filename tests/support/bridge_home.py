"""Event syncs over SQLite files, known to Airflow by connections and a file of syncs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icebridge_provider.model.bridge import BridgeEvent
from icebridge_provider.state.ledger import SqlLedger
from tests.support.airflow_cli import connection, environment

POLL_SECONDS = 0.05
TARGET = "main.orders"
_SYNC = """
  - name: {name}
    events: {{conn_id: bridge_side, table: {table}}}
    source: {{conn_id: bridge_side}}
    target: {{conn_id: bridge_target}}
    permissions_file: permissions.yaml
    user: writer
    poll_seconds: {poll}
"""
_PERMISSIONS = """
users:
  - name: writer
    permissions:
      - {table: main.orders, access: read_write, max_delete_rows: 2}
"""


@dataclass(frozen=True, kw_only=True)
class BridgeHome:
    """Two databases: one with the events and the rows to bring over, one that they are written to."""

    folder: Path

    @property
    def side(self) -> Path:
        return self.folder / "side.db"

    @property
    def target(self) -> Path:
        return self.folder / "target.db"

    @property
    def ledger(self) -> SqlLedger:
        return SqlLedger(f"sqlite:///{self.folder / 'ledger.db'}")

    def queue(self, sync: str = "orders") -> Any:
        from icebridge_provider.hooks.bridge import named, queue_of

        return queue_of(named(sync))

    def emit(self, event_id: str, operation: str = "INSERT", sync: str = "orders", **more: Any) -> None:
        keys = () if operation == "INSERT" else ("id",)
        event = BridgeEvent(
            event_id=event_id, operation=operation, source_table="main.fresh", target_table=TARGET, primary_keys=keys,
            **more,
        )  # fmt: skip
        self.queue(sync).emit([event])

    def rows(self) -> list[tuple[Any, ...]]:
        return self.run(self.target, "SELECT id, amount FROM orders ORDER BY id")

    def fill(self, path: Path, table: str, rows: Sequence[tuple[Any, ...]]) -> None:
        with closing(sqlite3.connect(path)) as opened, opened:
            opened.execute(f"DELETE FROM {table}")
            opened.executemany(f"INSERT INTO {table} VALUES (?, ?)", rows)

    def run(self, path: Path, statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path)) as opened, opened:
            return list(opened.execute(statement))


@contextmanager
def bridge_home(folder: Path, syncs: Sequence[str] = ("orders",), **options: str) -> Iterator[BridgeHome]:
    """Make the databases, the files and the connections; ``options`` are of ``[icebridge]``."""
    made = BridgeHome(folder=folder)
    made.run(made.side, "CREATE TABLE fresh (id INTEGER, amount TEXT)")
    made.run(made.target, "CREATE TABLE orders (id INTEGER NOT NULL PRIMARY KEY, amount TEXT)")
    entries = "".join(_SYNC.format(name=name, table=f"{name}_events", poll=POLL_SECONDS) for name in syncs)
    (folder / "syncs.yaml").write_text("syncs:" + entries)
    (folder / "permissions.yaml").write_text(_PERMISSIONS)
    values = {
        "AIRFLOW_CONN_BRIDGE_SIDE": connection("sqlite", host=str(made.side)),
        "AIRFLOW_CONN_BRIDGE_TARGET": connection("sqlite", host=str(made.target)),
        "AIRFLOW_CONN_ICEBRIDGE_LEDGER": connection("icebridge_ledger", schema=str(folder / "ledger.db")),
        "AIRFLOW__ICEBRIDGE__SYNCS_FILE": str(folder / "syncs.yaml"),
    }
    values |= {f"AIRFLOW__ICEBRIDGE__{name.upper()}": value for name, value in options.items()}
    with environment(**values):
        made.ledger.migrate()
        for name in syncs:
            made.queue(name).create()
        yield made


def block(home: BridgeHome) -> None:
    """Have a DELETE of five rows, where two are allowed, blocked; its metadata must not become part of any page."""
    from icebridge_provider.hooks.bridge import only, site_of
    from icebridge_provider.model.event import Actor
    from icebridge_provider.steps.event_polls import apply_waiting

    for path, table in ((home.side, "fresh"), (home.target, "orders")):
        home.fill(path, table, [(number, "x") for number in range(1, 6)])
    home.emit("much", "DELETE", metadata={"why": "<img src=x>|`a`\n# Approved"})
    assert apply_waiting(site_of(only("orders"), Actor()), 10)["blocked"] == 1
    assert len(home.rows()) == 5

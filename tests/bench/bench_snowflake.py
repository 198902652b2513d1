"""A share with Snowflake of few and of many rows: what the worker needs must be the same.

The worker is a process of its own. It reaches the object store and the account through doors that count: no data file
may be opened by it, and what goes through does not grow with the rows but for the looks at statements that run longer.
Both sides are stand-ins on this machine: wall time is theirs.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from icebridge_provider.model import codec
from icebridge_provider.model.share import Share
from icebridge_provider.model.snowflake import MANIFEST, Place, SourceColumn
from tests.bench.snowflake_worker import Warehouse
from tests.support.counted import Counted
from tests.support.s3 import BUCKET, s3_server
from tests.support.share_world import SourceWorld
from tests.support.snowflake import Account

ROWS = (100_000, 10_000_000)
FEW_ROWS = (2_000, 50_000)
COLUMNS = [
    SourceColumn(name="id", type="bigint"),
    SourceColumn(name="amount", type="decimal(18,2)"),
    SourceColumn(name="name", type="string"),
]
FILES = 4


def report(name: str, value: float, unit: str, goal: str = "", holds: bool = True) -> None:
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "goal": goal, "holds": holds}), flush=True)


def main(arguments: Sequence[str]) -> int:
    sizes = FEW_ROWS if "--fast" in arguments else ROWS
    with (
        tempfile.TemporaryDirectory(prefix="icebridge-bench-") as name,
        s3_server() as s3,
        Account(Path(name) / "account", s3) as account,
    ):
        few, many = (_measured(Path(name) / str(rows), account, rows) for rows in sizes)
    _told(few, many)
    return 0


def _told(few: dict[str, Any], many: dict[str, Any]) -> None:
    what = f"share of {many['rows']:,} rows, {many['bytes'] / 1e6:,.1f} MB"
    against = f"against {few['rows']:,}"
    growth = many["peak"] / few["peak"]
    report(f"{what}: peak memory of the worker {against}", growth, "x", "<= 1.1", growth <= 1.1)
    report(f"{what}: peak memory of the worker", many["peak"], "MB")
    through = many["through"] / few["through"]
    report(f"{what}: bytes through the worker {against}, looks included", through, "x", "<= 2", through <= 2)
    listed = many["stored"] / few["stored"]
    report(f"{what}: bytes between worker and object store {against}", listed, "x", "<= 1.1", listed <= 1.1)
    report(f"{what}: bytes through the worker", many["through"] / 1024, "KB")
    opened = few["data"] + many["data"]
    report(f"{what}: requests of the worker for data files", len(opened), "requests", "= 0", not opened)
    report(f"{what}: wall, by the stand-ins", many["wall"], "s")


def _measured(folder: Path, account: Account, rows: int) -> dict[str, Any]:
    """Share a table of so many rows, into a database of its own."""
    folder.mkdir()
    s3 = account.s3
    assert s3 is not None
    world = SourceWorld(folder / "source", s3)
    world.table("main.bench.rows", COLUMNS, _rows(rows), files=FILES)
    endpoint = urlsplit(s3["s3.endpoint"])
    with (
        _offered(world) as (address, key),
        Counted(str(endpoint.hostname), int(endpoint.port or 80)) as files,
        Counted(account.started["host"], account.started["port"]) as statements,
    ):
        database = account.database()
        account.stage(database)
        given = {
            "warehouse": address,
            "key": key,
            "ledger": str(folder / "ledger.db"),
            "account": {**account.arguments(database), "port": statements.port},
            "s3": {**s3, "s3.endpoint": f"http://127.0.0.1:{files.port}"},
            "share": codec.to_json(_share(database)),
        }
        found = _run(given)
        assert found["rows"] == rows, found
        loaded = account.connect(database).cursor().execute('SELECT COUNT(*) FROM "ROWS"').fetchone()
        assert loaded == (rows,), loaded
    data = [item for item in files.requests if _is_data(*item)]
    assert files.requests, "the worker wrote no manifest through the door"
    passed = [item.sent + item.received for item in (files, statements)]
    return {**found, "data": data, "stored": passed[0], "through": sum(passed)}


def _is_data(method: str, address: str) -> bool:
    """Whether a request opened or wrote an object other than a manifest; a listing has no name in its path."""
    path = unquote(urlsplit(address).path).strip("/")
    return path.removeprefix(BUCKET).strip("/") != "" and method != "HEAD" and not path.endswith(f"/{MANIFEST}")


def _share(database: str) -> Share:
    place = Place(
        target=(database, "PUBLIC", "ROWS"),
        stage=(database, "PUBLIC", "LAND"),
        stage_root=f"s3://{BUCKET}",
        control=(database, "PUBLIC"),
    )
    return Share(
        run_id=f"bench {database}",
        source=("main", "bench", "rows"),
        place=place,
        location=f"s3://{BUCKET}/share-{secrets.token_hex(4)}",
        columns=tuple(COLUMNS),
    )


def _rows(count: int) -> pa.Table:
    import duckdb

    return duckdb.sql(
        "SELECT i AS id, CAST(i % 1000 AS DECIMAL(18, 2)) AS amount, concat('row ', i) AS name"
        f" FROM range({int(count)}) AS r(i)"
    ).to_arrow_table()


@contextmanager
def _offered(world: SourceWorld) -> Iterator[tuple[tuple[str, int], str]]:
    """Offer the world's runner to the worker, from a thread of this process."""
    key, runner = secrets.token_bytes(16), world.runner()
    Warehouse.register("source", callable=lambda: runner, exposed=("run", "start", "find", "look", "answer", "cancel"))
    server = Warehouse(address=("127.0.0.1", 0), authkey=key).get_server()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.address, key.hex()
    server.stop_event.set()


def _run(given: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.snowflake_worker"],
        input=json.dumps(given), text=True, capture_output=True, check=False, env=dict(os.environ),
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-3000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The worker of the Snowflake bench: a process that does one share and tells its peak memory.

The warehouse's side runs in the bench's own process and is asked over a socket, as a real one would be: what the
worker holds in memory is then its own.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

from icebridge_provider.engines.snowflake.target import SnowflakeTarget
from icebridge_provider.model import codec
from icebridge_provider.model.running import Answer, QueryStatus
from icebridge_provider.model.share import Share, ShareResult
from icebridge_provider.model.snowflake import Statement
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.share import followed
from icebridge_provider.steps.share_site import ShareSite
from icebridge_provider.stores.object_store import ObjectStore


class Warehouse(BaseManager):
    """Where the bench offers its source."""


class RemoteSource:
    """A ``SqlRunner`` in another process."""

    name = "warehouse"

    def __init__(self, proxy: Any) -> None:
        self._proxy = proxy

    def run(self, what: str, statement: Statement, tag: str = "") -> Answer:
        answer: Answer = self._proxy.run(what, statement, tag)
        return answer

    def start(self, what: str, statement: Statement, tag: str) -> str:
        return str(self._proxy.start(what, statement, tag))

    def find(self, tag: str) -> str:
        return str(self._proxy.find(tag))

    def look(self, query_id: str) -> QueryStatus:
        status: QueryStatus = self._proxy.look(query_id)
        return status

    def answer(self, query_id: str) -> Answer:
        answer: Answer = self._proxy.answer(query_id)
        return answer

    def cancel(self, query_id: str) -> None:
        self._proxy.cancel(query_id)


def share(given: Mapping[str, Any]) -> ShareResult:
    """Do the share, with the product's own steps, engine, store and ledger."""
    import snowflake.connector

    Warehouse.register("source")
    warehouse = Warehouse(address=tuple(given["warehouse"]), authkey=bytes.fromhex(given["key"]))
    warehouse.connect()
    ledger = SqlLedger(f"sqlite:///{given['ledger']}")
    ledger.migrate()
    with SnowflakeTarget(lambda: snowflake.connector.connect(**given["account"]), name="account") as target:
        site = ShareSite(
            source=RemoteSource(warehouse.source()),  # type: ignore[attr-defined]
            target=target,
            store=ObjectStore(given["s3"]),
            ledger=ledger,
        )
        return followed(site, codec.from_json(Share, given["share"]))


def peak() -> float:
    """Most memory of this process so far, in MB; ``ru_maxrss`` would have that of the process that started it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    started = time.perf_counter()
    result = share(json.load(sys.stdin))
    told = {"rows": result.rows, "files": result.files, "bytes": result.bytes, "wall": time.perf_counter() - started}
    print(json.dumps({**told, "peak": peak()}))

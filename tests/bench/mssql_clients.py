"""Clients of the extraction bench; each runs in a process of its own: a login in, ``rows, cpu, wall, peak`` out."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# Four columns as they are common: a key, an amount, a time, a name. The server makes the rows while they are read.
STATEMENT = (
    "SELECT CAST(value AS int) AS id, CAST(value % 1000 AS decimal(18, 4)) AS amount, "
    "DATEADD(second, value % 1000000, CAST('2020-01-01' AS datetime2(6))) AS at, CONCAT(N'row ', value) AS name "
    "FROM GENERATE_SERIES(1, {rows})"
)
Given = Mapping[str, Any]


def icebridge(given: Given) -> int:
    """The product's own step, with ledger, counts, fingerprint and manifest."""
    from icebridge_provider.engines.mssql.connect import SqlServerLogin
    from icebridge_provider.engines.mssql.reading import SqlServerReader
    from icebridge_provider.model.extraction import Extraction
    from icebridge_provider.state.ledger import SqlLedger
    from icebridge_provider.steps.extract import ExtractionSite, extract
    from icebridge_provider.stores.object_store import ObjectStore

    out = Path(given["out"])
    out.mkdir(parents=True)
    ledger = SqlLedger(f"sqlite:///{out}/ledger.db")
    ledger.migrate()
    names = {name: given[name] for name in ("host", "port", "user", "secret", "database")}
    login = SqlServerLogin(**names, encrypt="yes", trust_certificate=True)
    site = ExtractionSite(
        reader=lambda _: SqlServerReader(login=login), store=ObjectStore(), root=str(out / "files"), ledger=ledger
    )
    statement = STATEMENT.format(rows=given["rows"]).replace("%", "%%")
    return extract(site, Extraction(job_id="bench", country="CO", query="rows", statement=statement)).rows


def bare(given: Given) -> int:
    """What anybody would write first: the driver's Arrow batches into a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = Path(given["out"])
    out.mkdir(parents=True)
    connection, reader = _arrow(given)
    rows = 0
    with pq.ParquetWriter(out / "rows.parquet", reader.schema, compression="zstd", compression_level=1) as writer:
        for batch in reader:
            writer.write_table(pa.Table.from_batches([batch]))
            rows += batch.num_rows
    connection.close()
    return rows


def dlt_arrow(given: Given) -> int:
    """dlt's pipeline to Parquet files by its shortest way: the driver's Arrow batches."""

    def batches() -> Iterator[Any]:
        connection, reader = _arrow(given)
        yield from reader
        connection.close()

    return _piped(given, batches)


def dlt_rows(given: Given) -> int:
    """dlt's pipeline to Parquet files as its guides show it: batches of rows."""
    import pymssql

    def batches() -> Iterator[Any]:
        connection = pymssql.connect(
            server=given["host"], port=str(given["port"]), user=given["user"], password=given["secret"],
            database=given["database"],
        )  # fmt: skip
        cursor = connection.cursor(as_dict=True)
        cursor.execute(STATEMENT.format(rows=given["rows"]))
        while batch := cursor.fetchmany(10_000):
            yield batch
        connection.close()

    return _piped(given, batches)


def _arrow(given: Given) -> tuple[Any, Any]:
    import mssql_python

    connection = mssql_python.connect(
        server=f"{given['host']},{given['port']}", database=given["database"], uid=given["user"],
        pwd=given["secret"], encrypt="yes", trustservercertificate="yes",
    )  # fmt: skip
    cursor = connection.cursor()
    cursor.execute(STATEMENT.format(rows=given["rows"]))
    return connection, cursor.arrow_reader(batch_size=65_536)


def _piped(given: Given, batches: Callable[[], Iterator[Any]]) -> int:
    import dlt as library

    out = Path(given["out"])
    os.environ.update(DLT_DATA_DIR=str(out / "data"), RUNTIME__DLTHUB_TELEMETRY="false")
    target = library.destinations.filesystem(bucket_url=f"file://{out}/files")
    pipeline = library.pipeline("bench", pipelines_dir=str(out / "work"), destination=target, dataset_name="bench")
    pipeline.run(library.resource(batches, name="rows", max_table_nesting=0), loader_file_format="parquet")
    return int(pipeline.last_trace.last_normalize_info.row_counts["rows"])


CLIENTS: dict[str, Callable[[Given], int]] = {
    "icebridge": icebridge, "bare": bare, "dlt_arrow": dlt_arrow, "dlt_rows": dlt_rows,
}  # fmt: skip


def main() -> int:
    given = json.load(sys.stdin)
    client = CLIENTS[given["client"]]
    before, started = _cpu(), time.perf_counter()
    rows = client(given)
    wall = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"rows": rows, "cpu": _cpu() - before, "wall": wall, "peak": peak}))
    return 0


def _cpu() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


if __name__ == "__main__":
    sys.exit(main())

"""Fingerprint of TPC-H lineitem against DataFusion and chdb, which compute only a CRC-32 of every row's text.

Both engines run the portable NULL-safe form, ``crc32(concat_ws(chr(31), coalesce(text of column, '\\N'), …))``: without
the coalesce ``concat_ws`` leaves nulls out, and a null moves a value into the next column unseen. As a second, harder
mark, chdb also runs the bare form, which is right only because lineitem has no nulls.

MB/s per core = compressed Parquet bytes / CPU seconds of this process, all engines with two threads, alternated in one
run on the same files; the best of the rounds counts for each. Ours computes far more (two hashes a row, two a cell, by
column and bucket), and yet the goal is the faster of the two.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog import load_catalog
from pyiceberg.table import Table

from icebridge_provider.engines.fingerprint.reader import fingerprint
from icebridge_provider.stores.object_store import ObjectStore
from tests.support.hashing import loaded

_DECIMALS = {"l_quantity", "l_extendedprice", "l_discount", "l_tax"}


def build(folder: Path, scale: float) -> Table:
    """Write lineitem as an Iceberg table of a few zstd files, as pyiceberg writes them."""
    tool = Path(sys.executable).with_name("tpchgen-cli")
    command = [str(tool), "parquet", "-s", str(scale), "--tables=lineitem", "-o", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    content = pq.read_table(folder / "lineitem.parquet")
    kinds = [pa.large_string() if pa.types.is_string_view(field.type) else field.type for field in content.schema]
    content = content.cast(pa.schema(list(zip(content.schema.names, kinds, strict=True))))
    catalog = load_catalog("bench", type="sql", uri=f"sqlite:///{folder}/c.db", warehouse=f"file://{folder}/lake")
    catalog.create_namespace("tpch")
    table = catalog.create_table("tpch.lineitem", content.schema)
    part = -(-len(content) // 4)
    for start in range(0, len(content), part):
        table.append(content.slice(start, part))
    return table


def engines(table: Table) -> dict[str, Callable[[], tuple[int, int, int]]]:
    """Ways to fingerprint the same files; all return rows, CRC sum and CRC xor of their own row encoding."""
    paths = [task.file.file_path.removeprefix("file://") for task in table.scan().plan_files()]
    source, store = loaded(table), ObjectStore({})
    columns = table.schema().as_arrow()

    def ours() -> tuple[int, int, int]:
        found = fingerprint(source, store, None, threads=2)
        return found.rows, found.crc_sum, found.crc_xor

    return {
        "icebridge": ours,
        "datafusion": _datafusion(paths, columns),
        "chdb": _chdb(paths, columns, "ifNull({text}, '\\\\N')"),
        "chdb, not NULL-safe": _chdb(paths, columns, "assumeNotNull({text})"),
    }


def _datafusion(paths: list[str], columns: pa.Schema) -> Callable[[], tuple[int, int, int]]:
    from datafusion import SessionConfig, SessionContext

    context = SessionContext(SessionConfig().with_target_partitions(2))
    context.enable_spark_functions()
    context.register_parquet("t", str(Path(paths[0]).parent))
    parts = (
        f"cast(cast({field.name} * 100 as bigint) as varchar)" if field.name in _DECIMALS
        else f"cast(cast({field.name} as int) as varchar)" if pa.types.is_date(field.type)
        else f"cast({field.name} as varchar)"
        for field in columns
    )  # fmt: skip
    texts = ", ".join(f"coalesce({part}, '\\\\N')" for part in parts)
    query = f"select count(*), sum(h), bit_xor(h) from (select crc32(concat_ws(chr(31), {texts})) h from t)"

    def run() -> tuple[int, int, int]:
        (batch,) = (part for part in context.sql(query).collect() if part.num_rows)
        return tuple(column[0].as_py() for column in batch.columns)  # type: ignore[return-value]

    return run


def _chdb(paths: list[str], columns: pa.Schema, wrapped: str) -> Callable[[], tuple[int, int, int]]:
    import chdb

    parts = (
        f"toString(toInt64({field.name} * 100))" if field.name in _DECIMALS
        else f"toString(toInt32({field.name}))" if pa.types.is_date(field.type)
        else f"toString({field.name})"
        for field in columns
    )  # fmt: skip
    texts = ", ".join(wrapped.format(text=part) for part in parts)
    folder = Path(paths[0]).parent
    query = (
        f"select count(), sum(h), groupBitXor(h) from (select CRC32(concatWithSeparator(char(31), {texts})) h "
        f"from file('{folder}/*.parquet', Parquet)) settings max_threads = 2"
    )

    def run() -> tuple[int, int, int]:
        return tuple(int(text) for text in str(chdb.query(query, "CSV")).strip().split(","))  # type: ignore[return-value]

    return run


def measure(runs: dict[str, Callable[[], tuple[int, int, int]]], rounds: int) -> dict[str, float]:
    """Least CPU seconds of each engine, alternated; the first round warms up and does not count."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    results = {}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            start = time.process_time()
            results[name] = run()
            spent[name].append(time.process_time() - start)
    if results["datafusion"] != results["chdb"] or results["icebridge"][0] != results["chdb"][0]:
        raise SystemExit(f"the engines disagree about the rows: {results}")
    print({name: [round(value, 2) for value in values] for name, values in spent.items()}, file=sys.stderr)
    return {name: min(values[1:]) for name, values in spent.items()}


def line(name: str, value: float, unit: str, goal: float, *, least: bool = True) -> None:
    """Print one figure; ``least`` says whether the goal is a floor or a ceiling."""
    holds = value >= goal if least else value <= goal
    print(json.dumps({"name": name, "value": round(value, 2), "unit": unit, "goal": round(goal, 2), "holds": holds}))


def main(arguments: list[str]) -> None:
    fast = "--fast" in arguments
    with tempfile.TemporaryDirectory() as folder:
        table = build(Path(folder), 0.01 if fast else 0.5)
        size = sum(task.file.file_size_in_bytes for task in table.scan().plan_files()) / 1e6
        rows = sum(task.file.record_count for task in table.scan().plan_files())
        spent = measure(engines(table), 1 if fast else 5)
    rates = {name: size / seconds for name, seconds in spent.items()}
    best = max(rates["datafusion"], rates["chdb"])
    line("fingerprint", rates["icebridge"], "MB/s per core", best)
    line("fingerprint against the faster NULL-safe engine", rates["icebridge"] / best, "ratio", 1.0)
    harder = rates["chdb, not NULL-safe"]
    line("fingerprint against chdb that is not NULL-safe", rates["icebridge"] / harder, "ratio", 1.0)
    for name in ("datafusion", "chdb", "chdb, not NULL-safe"):
        line(f"crc32 of row text by {name}", rates[name], "MB/s per core", rates[name])
    faster = min(spent["datafusion"], spent["chdb"])
    line("fingerprint per row", spent["icebridge"] / rows * 1e9, "ns", faster / rows * 1e9, least=False)


if __name__ == "__main__":
    main(sys.argv[1:])

"""``INSERT OVERWRITE DIRECTORY 'path' USING PARQUET query``: rows of a query as files of a folder, nobody's table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from tests.peers.databricks import exports
from tests.peers.databricks.sql_errors import syntax, unsupported
from tests.peers.databricks.sql_lexer import Reader, literal_of
from tests.peers.databricks.sql_query import Reading, parsed
from tests.peers.databricks.sql_result import Result, of


@dataclass(frozen=True, kw_only=True)
class Directory:
    """Where to, and the query as it was written."""

    path: str
    query: str


def read(text: str) -> Directory | None:
    """The statement's parts; None for any other one; raises SqlError for one that is not served."""
    reader = Reader(text)
    if not reader.take("INSERT", "OVERWRITE"):
        return None
    local = reader.take("LOCAL")
    if not reader.take("DIRECTORY"):
        return None
    if local:
        raise unsupported("INSERT OVERWRITE LOCAL DIRECTORY is not supported.")
    path = reader.literal() if reader.peek().kind == "string" else ""
    if not path or not reader.take("USING", "PARQUET"):
        raise unsupported("This workspace serves INSERT OVERWRITE DIRECTORY 'path' USING PARQUET query, nothing else.")
    if reader.take("OPTIONS"):
        raise unsupported("OPTIONS of INSERT OVERWRITE DIRECTORY are not served by this workspace.")
    if reader.over:
        raise syntax("end of input")
    return Directory(path=path, query=reader.rest())


def insert(reading: Reading, found: Directory, parameters: Any, tag: str) -> Result:
    """Authorise the query and the path, run the query, put its files in place of what the folder holds."""
    gateway, store = reading.gateway, exports.exports_of(reading.gateway.world)
    path = store.checked(found.path, reading.reader, write=True)
    tree = parsed(found.query)
    if not isinstance(tree, exp.Query):
        raise syntax(found.query.split(maxsplit=1)[0])
    query = reading.rewritten(found.query, tree)
    if store.files > 1:
        query = f"SELECT /*+ REPARTITION({store.files}) */ * FROM (\n{query}\n)"
    folder = store.scratch()
    try:
        where = literal_of(f"file://{folder}/out")
        gateway.execute(f"INSERT OVERWRITE DIRECTORY {where} USING PARQUET {query}", parameters, tag)
        store.replace(path, folder / "out", reading.reader, lambda: tag in gateway.stopped)
    finally:
        exports.forget(folder)
    return of([])

"""Compares what lies in the Volume, and in the tables that events wrote to, with what SQL Server itself says."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from icebridge_provider.demo.databricks.workspace import LocalWorkspace
from icebridge_provider.demo.sqlserver.countries import COLOMBIA, COUNTRIES, CountryData
from icebridge_provider.demo.sqlserver.estate import ANALYST, INBOX, LOCATION, SCHEMA
from icebridge_provider.demo.sqlserver.events import BRAND, UNKNOWN_PRODUCT
from icebridge_provider.demo.sqlserver.files import QUERIES
from icebridge_provider.demo.sqlserver.server import LocalSqlServer
from icebridge_provider.model.extraction import FUZZY, MANIFEST, SNAPSHOT

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient

WRITTEN = {"Produto": "idproduto", COLOMBIA.purchases: "idato", "Domicilio": "iddomicilio"}
WRITTEN_BACK = {
    "new_products": "idproduto, ean, descricao, marca, preco, atualizado_em",
    "new_prices": "idproduto, marca, preco",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """One query of one country, as its files in the Volume are.

    :param column: a decimal column; ``total`` is its sum over the files.
    :param control: rows and sum as the database says.
    """

    country: str
    query: str
    rows: int
    column: str
    total: Decimal
    control: tuple[int, Decimal]
    parts: int
    size: int
    isolation: str
    expected_isolation: str

    @property
    def same(self) -> bool:
        """Whether files, manifest and database agree."""
        return (self.rows, self.total) == self.control and self.isolation == self.expected_isolation


def compared(workspace: LocalWorkspace, server: LocalSqlServer) -> Iterator[Extracted]:
    """Read every manifest and every part back from the Volume and ask the databases."""
    client = workspace.client(ANALYST)
    for country in COUNTRIES:
        for name in QUERIES:
            yield _one(client, server, country, name)


def tables_digest(server: LocalSqlServer) -> str:
    """Return a digest of every row of the tables that events write to, and of how many events the inbox holds."""
    digest = hashlib.sha256()
    for table, key in WRITTEN.items():
        for row in server.rows(COLOMBIA.database, f"SELECT * FROM dbo.{table} ORDER BY {key}"):  # noqa: S608 - our names
            digest.update(repr(row).encode())
    digest.update(repr(settled(server)).encode())
    return digest.hexdigest()


def written_back(workspace: LocalWorkspace, server: LocalSqlServer) -> Iterator[str]:
    """Yield what SQL Server does not hold just as the analysts' tables on Databricks do."""
    for table, columns in WRITTEN_BACK.items():
        asked = f"SELECT {columns} FROM {SCHEMA}.{table}"  # noqa: S608 - our names
        if table == "new_prices":
            asked += f" WHERE marca = '{BRAND}' AND idproduto < {UNKNOWN_PRODUCT}"
        here = [tuple(row) for row in workspace.run(asked, ANALYST)]
        held = server.rows(COLOMBIA.database, f"SELECT {columns} FROM dbo.Produto")  # noqa: S608 - as above
        there = {tuple(map(_shown, row)) for row in held}
        yield from (f"SQL Server lacks {row} of {table}" for row in here if row not in there)


def settled(server: LocalSqlServer) -> list[tuple[Any, ...]]:
    """Return the inbox: each event, and how it ended."""
    columns = "event_id, status, rows_affected"
    return server.rows(COLOMBIA.database, f"SELECT {columns} FROM dbo.{INBOX} ORDER BY event_id")  # noqa: S608 - as above


def _one(client: WorkspaceClient, server: LocalSqlServer, country: CountryData, name: str) -> Extracted:
    check, folder = QUERIES[name], f"{LOCATION}/{country.code}/{name}"
    manifest = json.loads(_content(client, f"{folder}/{MANIFEST}"))
    rows, total = 0, Decimal(0)
    for part in manifest["parts"]:
        counted, summed = _added_up(_content(client, f"{folder}/{part['name']}"), check.column)
        rows, total = rows + counted, total + summed
    control = server.rows(country.database, check.control.format(purchases=country.purchases))[0]
    return Extracted(
        country=country.code,
        query=name,
        rows=rows if rows == manifest["rows"] else -1,
        column=check.column,
        total=total,
        control=(int(control[0]), Decimal(control[1])),
        parts=len(manifest["parts"]),
        size=sum(int(part["size"]) for part in manifest["parts"]),
        isolation=str(manifest["isolation"]),
        expected_isolation=SNAPSHOT if country.snapshot and not check.in_ranges else FUZZY,
    )


def _shown(value: Any) -> str | None:
    """Write a value as the workspace's SQL shows it."""
    if value is None or isinstance(value, str):
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _added_up(content: bytes, column: str) -> tuple[int, Decimal]:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(content), columns=[column])
    return table.num_rows, pc.sum(table[column]).as_py() or Decimal(0)


def _content(client: WorkspaceClient, path: str) -> bytes:
    contents = client.files.download(path).contents
    if contents is None:
        return b""
    with contents:
        return bytes(contents.read())

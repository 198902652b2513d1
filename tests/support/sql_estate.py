"""A workspace with rows in it: a managed catalog, a foreign one over a real catalog, and a way to say SQL to it."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
from databricks.sdk.service.sql import StatementParameterListItem, StatementResponse, StatementState
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.table import Table

from tests.support.databricks import Workspace

WAREHOUSE = "0123456789abcdef"
PATIENT = {"http_timeout_seconds": 120, "retry_timeout_seconds": 120}  # the engine starts meanwhile
RUNNING = {StatementState.PENDING, StatementState.RUNNING}
ORDERS = pa.schema(
    [
        pa.field("id", pa.int64()),
        pa.field("city", pa.string()),
        pa.field("amount", pa.decimal128(12, 2)),
        pa.field("at", pa.timestamp("us", "UTC")),
    ]
)


class Refused(Exception):
    """A statement that ended FAILED."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass
class Estate:
    """Names of what was made, with a mark of their own: tests share a workspace."""

    workspace: Workspace
    mark: str
    folder: Path
    origin: Catalog

    @property
    def main(self) -> str:
        return f"main_{self.mark}"

    @property
    def lake(self) -> str:
        return f"lake_{self.mark}"

    def orders(self, name: str, count: int = 3, **more: Any) -> Table:
        """A table of the origin with rows; the foreign catalog knows it after a refresh."""
        table = self.origin.create_table(("sales", name), ORDERS, **more)
        table.append(rows(count))
        return table

    def refresh(self) -> None:
        self.workspace.order("POST", f"/refresh/{self.lake}")

    def answer(self, statement: str, principal: str = "admin", **more: Any) -> StatementResponse:
        client = self.workspace.sdk(principal, **PATIENT).statement_execution
        text = statement.format(main=self.main, lake=self.lake)
        answer = client.execute_statement(text, WAREHOUSE, **{"wait_timeout": "10s", **more})
        limit = time.monotonic() + 120
        while answer.status is not None and answer.status.state in RUNNING and time.monotonic() < limit:
            time.sleep(0.2)
            answer = client.get_statement(answer.statement_id or "")
        return answer

    def sql(self, statement: str, principal: str = "admin", **parameters: str) -> list[list[Any]]:
        """Rows of a statement, every value a text; raises Refused."""
        given = [StatementParameterListItem(name=key, value=value) for key, value in parameters.items()] or None
        answer = self.answer(statement, principal, parameters=given)
        status = answer.status
        assert status is not None
        if status.state != StatementState.SUCCEEDED:
            assert status.error is not None and status.error.error_code is not None, status
            raise Refused(status.error.error_code.value, status.error.message or "")
        assert answer.result is not None
        return answer.result.data_array or []

    def reader(self, *tables: str) -> str:
        """Someone new who may read these tables, named ``catalog.schema.table``."""
        name = self.workspace.principal(f"reader-{uuid.uuid4().hex[:6]}")
        for table in tables:
            catalog, schema, _ = table.format(main=self.main, lake=self.lake).split(".")
            self.sql(f"GRANT USE CATALOG ON CATALOG {catalog} TO `{name}`")
            self.sql(f"GRANT USE SCHEMA ON SCHEMA {catalog}.{schema} TO `{name}`")
            self.sql(f"GRANT SELECT ON TABLE {table} TO `{name}`")
        return name

    def rest(self, principal: str = "admin") -> Catalog:
        """An unmodified Iceberg client of the managed catalog."""
        return load_catalog(
            "uc",
            type="rest",
            uri=f"{self.workspace.url}/api/2.1/unity-catalog/iceberg-rest",
            warehouse=self.main,
            token=self.workspace.token(principal),
        )

    def http(self, method: str, path: str, principal: str = "admin", **more: Any) -> httpx.Response:
        bearer = {"Authorization": f"Bearer {self.workspace.token(principal)}"}
        return httpx.request(method, f"{self.workspace.url}{path}", headers=bearer, timeout=60, **more)


def rows(count: int, first: int = 1) -> pa.Table:
    numbers = range(first, first + count)
    return pa.table(
        {
            "id": list(numbers),
            "city": [None if n % 3 == 0 else f"city-{n}" for n in numbers],
            "amount": [Decimal(n) / 4 for n in numbers],
            "at": [datetime(2024, 1, n % 28 + 1, tzinfo=UTC) for n in numbers],
        },
        schema=ORDERS,
    )


def estate(workspace: Workspace, folder: Path) -> Estate:
    """Make it: a schema ``sales`` in a managed and in a foreign catalog, the latter with ``orders`` and ``few``."""
    mark = uuid.uuid4().hex[:8]
    options = {"type": "sql", "uri": f"sqlite:///{folder}/{mark}.db", "warehouse": f"file://{folder}/{mark}"}
    origin = load_catalog("origin", **options)
    origin.create_namespace("sales")
    made = Estate(workspace, mark, folder, origin)
    made.orders("Orders")
    made.orders("few", 1)
    workspace.connection(f"glue_{mark}", options, "GLUE")
    client = workspace.sdk(**PATIENT)
    client.catalogs.create(made.lake, connection_name=f"glue_{mark}")
    client.catalogs.create(made.main)
    client.schemas.create("sales", made.main)
    workspace.settings(external_access_enabled=True)
    return made

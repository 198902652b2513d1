"""What analysts ask for on Databricks: tables with rows to write back, and events that say what is to be done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from icebridge_provider.demo.databricks.workspace import LocalWorkspace
from icebridge_provider.demo.sqlserver.countries import COLOMBIA, HOUSEHOLD_TO_FORGET, ITS_PURCHASES
from icebridge_provider.demo.sqlserver.estate import ANALYST, LOCATION, SCHEMA
from icebridge_provider.demo.sqlserver.files import EVENTS_TABLE

PRODUCT, HOUSEHOLD, PURCHASE = "dbo.Produto", "dbo.Domicilio", f"dbo.{COLOMBIA.purchases}"
FORGET = "forget-household"
COMPLETED, FAILED, BLOCKED = "completed", "failed", "blocked"
BRAND, UNKNOWN_PRODUCT = "Café Águila", 9001


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One event of the story, and how it must end.

    :param key: column that identifies a row.
    :param status: how it ends.
    :param rows: rows of the target that it changed.
    :param missing: rows of the source that the target has not.
    """

    event_id: str
    operation: str
    source: str
    target: str
    key: str
    status: str
    rows: int = 0
    missing: int = 0
    priority: int = 0
    filters: dict[str, str] = field(default_factory=dict)


ASKED = (
    Asked(
        event_id="new-products", operation="INSERT", source="new_products", target=PRODUCT, key="idproduto",
        status=COMPLETED, rows=3,
    ),
    Asked(
        event_id="new-prices", operation="UPDATE", source="new_prices", target=PRODUCT, key="idproduto",
        status=COMPLETED, rows=13, missing=1, filters={"marca": BRAND},
    ),
    Asked(
        event_id="discontinued", operation="DELETE", source="discontinued", target=PRODUCT, key="idproduto",
        status=COMPLETED, rows=2,
    ),
    Asked(
        event_id=FORGET, operation="DELETE", source="forgotten", target=PURCHASE, key="idato",
        status=COMPLETED, rows=len(ITS_PURCHASES),
    ),
    Asked(
        event_id="poison", operation="UPDATE", source="new_prices", target=PRODUCT, key="idproduto", priority=9,
        status=FAILED, filters={"idproduto": "1; DROP TABLE dbo.Produto --"},
    ),
    Asked(
        event_id="not-allowed", operation="DELETE", source="forgotten", target=HOUSEHOLD, key="iddomicilio",
        status=FAILED,
    ),
)  # fmt: skip

_LOADED = {
    "purchases": "pais, idato, iddomicilio, idproduto, data_compra, quantidade, preco_unitario, valor_pago, factor_rw,"
    " flg_scanner, recibo, observacao",
    "products": "pais, idproduto, ean, descricao, marca, peso_kg, preco, atualizado_em",
}
_NEW_PRODUCTS = (
    "CAST(idproduto AS INT) AS idproduto, ean, descricao, marca, CAST(peso_kg AS FLOAT) AS peso_kg,"
    " CAST(preco AS DECIMAL(18,4)) AS preco, CAST(atualizado_em AS TIMESTAMP_NTZ) AS atualizado_em"
    " FROM VALUES (101, '7790000000101', 'Piña colada 🍍', 'Ñapa', 0.25, '12.3456', '2025-06-01 12:00:00.000001'),"
    " (102, '7790000000102', 'Café tinto \\'suave\\'', NULL, NULL, '0.0001', NULL),"
    " (103, '7790000000103', 'Arequipe', 'Ñapa', 1.5, '99999999999999.9999', '9999-12-31 23:59:59.999999')"
    " AS rows(idproduto, ean, descricao, marca, peso_kg, preco, atualizado_em)"
)


def load(workspace: LocalWorkspace) -> None:
    """Make Databricks tables of the extracted files, with plain SQL, as an analyst does."""
    for name, columns in _LOADED.items():
        files = f"read_files('{LOCATION}/*/{name}', format => 'parquet')"
        _make(workspace, name, f"{columns} FROM {files}")


def prepare_rows(workspace: LocalWorkspace) -> None:
    """Make the tables whose rows are to be written back."""
    ours = f"FROM {SCHEMA}.products WHERE pais = '{COLOMBIA.code}'"
    prices = f"idproduto, marca, CAST(preco * 2 AS DECIMAL(18,4)) AS preco {ours} AND idproduto <= 40"
    unknown = f"UNION ALL SELECT {UNKNOWN_PRODUCT}, '{BRAND}', CAST(1 AS DECIMAL(18,4))"
    forgotten = f"FROM {SCHEMA}.purchases WHERE pais = '{COLOMBIA.code}' AND iddomicilio = {HOUSEHOLD_TO_FORGET}"
    _make(workspace, "new_products", _NEW_PRODUCTS)
    _make(workspace, "new_prices", f"{prices} {unknown}")
    _make(workspace, "discontinued", f"idproduto {ours} AND idproduto <= 2")
    _make(workspace, "forgotten", f"idato, iddomicilio {forgotten}")


def emit(workspace: LocalWorkspace) -> None:
    """Add the events, with plain SQL; said twice they stand there twice, as from a sender who lost the answer."""
    workspace.run(
        f"INSERT INTO {EVENTS_TABLE} (event_id, operation, source_table, target_table, primary_keys, priority, status,"
        f" filter_conditions, metadata, created_at) {' UNION ALL '.join(_selected())}",
        ANALYST,
    )


def _selected() -> Iterator[str]:
    for asked in ASKED:
        values = (asked.event_id, asked.operation, f"{SCHEMA}.{asked.source}", asked.target)
        pairs = ", ".join(f"{_text(key)}, {_text(value)}" for key, value in asked.filters.items())
        yield (
            f"SELECT {', '.join(map(_text, values))}, array({_text(asked.key)}), {asked.priority}, 'pending',"
            f" CAST(map({pairs}) AS MAP<STRING, STRING>), map('requested_by', '{ANALYST}'), current_timestamp()"
        )


def _make(workspace: LocalWorkspace, name: str, query: str) -> None:
    workspace.run(f"CREATE TABLE {SCHEMA}.{name} USING ICEBERG AS SELECT {query}", ANALYST)


def _text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"

"""The files a person writes: four queries, the countries' parameters, the sync and who may write what."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path

from icebridge_provider.demo.sqlserver.countries import COLOMBIA, COUNTRIES, CountryData

SYNC, USER = "panel", "pricing"
EVENTS_TABLE = "main.panel.bridge_events"
MOST_DELETED = 10
FROM_DATE = "2025-01-02"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A query, and how the database itself counts its rows and adds up one of its columns.

    :param control: T-SQL that gives both; ``{purchases}`` stands for the country's table.
    """

    text: str
    column: str
    control: str

    @property
    def in_ranges(self) -> bool:
        """Whether its rows are read in ranges at once: each range sees a state of its own."""
        return "-- partition:" in self.text


_SINCE = f"FROM dbo.{{purchases}} WHERE data_compra >= '{FROM_DATE}'"
QUERIES = {
    "purchases": Check(
        text="""-- What was bought since a date; read in two ranges of the key at once.
-- partition: idato, 2
SELECT '{country_code}' AS pais, a.idato, a.iddomicilio, a.idproduto, a.data_compra, a.quantidade,
       a.preco_unitario, a.valor_pago, {factor:expression}, a.{flg_scanner}, a.recibo, a.observacao
FROM dbo.{tables.purchases_table} AS a
WHERE a.data_compra >= {from_date}
""",
        column="quantidade",
        control=f"SELECT COUNT(*), SUM(quantidade) {_SINCE}",
    ),
    "households": Check(
        text="""SELECT '{country_code}' AS pais, iddomicilio, responsavel, cidade, nascimento, renda,
       cadastrado_em, ativo
FROM dbo.Domicilio
GO
""",
        column="renda",
        control="SELECT COUNT(*), SUM(renda) FROM dbo.Domicilio",
    ),
    "products": Check(
        text="""SELECT '{country_code}' AS pais, idproduto, ean, descricao, marca, peso_kg, preco, atualizado_em
FROM dbo.Produto
""",
        column="preco",
        control="SELECT COUNT(*), SUM(preco) FROM dbo.Produto",
    ),
    "reports/by_product": Check(
        text="""WITH scanned AS (
    SELECT idproduto, quantidade FROM dbo.{tables.purchases_table} WHERE data_compra >= {from_date}
)
SELECT '{country_code}' AS pais, p.idproduto, p.descricao, COUNT(*) AS compras, SUM(s.quantidade) AS quantidade
FROM scanned AS s INNER JOIN dbo.Produto AS p ON p.idproduto = s.idproduto
GROUP BY p.idproduto, p.descricao
""",
        column="quantidade",
        control=f"SELECT COUNT(DISTINCT idproduto), SUM(quantidade) {_SINCE}",
    ),
}
_COMMON = f"""# Every country's; a country's own value wins.
flg_scanner: flg_scanner
factor: factor_rw1 as factor_rw
from_date: {FROM_DATE}
"""


def write_extraction(folder: Path) -> None:
    """Write ``queries/`` and ``config/``."""
    for name, query in QUERIES.items():
        _write(folder / "queries" / f"{name}.sql", query.text)
    _write(folder / "config" / "common_params.yaml", _COMMON)
    for country in COUNTRIES:
        _write(folder / "config" / f"{country.code}.yaml", _country(country))


def write_sync(folder: Path) -> Path:
    """Write ``syncs.yaml`` and ``permissions.yaml``; return the first."""
    _write(folder / "permissions.yaml", _permissions(secrets.token_urlsafe(32)))
    _write(folder / "syncs.yaml", _syncs())
    return folder / "syncs.yaml"


def _country(country: CountryData) -> str:
    return f"""country_code: {country.code}
database: {country.database}
tables:
  purchases_table: {country.purchases}
"""


def _permissions(token: str) -> str:
    return f"""users:
  - name: {USER}
    token_sha256: {hashlib.sha256(token.encode()).hexdigest()}
    permissions:
      - table: dbo.Produto
        access: read_write
        max_delete_rows: {MOST_DELETED}
      - table: dbo.{COLOMBIA.purchases}
        access: write
        max_delete_rows: {MOST_DELETED}
      - table: dbo.Domicilio
        access: read
"""


def _syncs() -> str:
    return f"""syncs:
  - name: {SYNC}
    events:
      conn_id: databricks
      table: {EVENTS_TABLE}
    source:
      conn_id: databricks
    target:
      conn_id: sqlserver
    permissions_file: permissions.yaml
    user: {USER}
    poll_seconds: 3
"""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")

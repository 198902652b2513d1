"""Three countries' databases of a household panel: who lives there, what there is to buy, what was bought."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from icebridge_provider.demo.sqlserver.server import LocalSqlServer

ROWS_A_STATEMENT = 500  # SQL Server takes 1,000
PRODUCTS, FULL_SCALE = 60, 200_000
HOUSEHOLD_TO_FORGET, ITS_PURCHASES = 7, range(101, 126)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountryData:
    """A country: its database, the names that are its own, and how many of 10 purchases of the demo are its.

    :param snapshot: whether readers see one state of the database without blocking writers.
    """

    code: str
    database: str
    cities: tuple[str, ...]
    people: tuple[str, ...]
    brands: tuple[str | None, ...]
    share: int
    snapshot: bool

    @property
    def purchases(self) -> str:
        """Its table of purchases, without the schema."""
        return f"J_AtosCompra_{self.code}"


COUNTRIES = (
    CountryData(
        code="BR", database="KWP_Brasil", share=5, snapshot=True,
        cities=("São Paulo", "Goiânia", "Maceió"), people=("João Conceição", "Inês Araújo", "Luís D'Ávila"),
        brands=("Pão & Cia", "Açaí Já", None),
    ),
    CountryData(
        code="CL", database="KWP_Chile", share=2, snapshot=False,
        cities=("Ñuñoa", "Valparaíso", "Copiapó"), people=("Begoña Núñez", "Andrés Ibáñez", "Sofía Peña"),
        brands=("Ñandú", "Señorial", None),
    ),
    CountryData(
        code="CO", database="KWP_Colombia", share=3, snapshot=True,
        cities=("Bogotá", "Medellín", "Popayán"), people=("Lucía Gómez", "Iván Muñoz", "Zoë Ordóñez"),
        brands=("Café Águila", "Panadería 'El Niño'", None),
    ),
)  # fmt: skip
COLOMBIA = COUNTRIES[2]
SHARED = ("Domicilio", "Produto")

_TABLES = (
    "CREATE TABLE dbo.Domicilio (iddomicilio int NOT NULL CONSTRAINT PK_Domicilio PRIMARY KEY,"
    " responsavel nvarchar(80) NOT NULL, cidade nvarchar(60) NOT NULL, nascimento date NULL,"
    " renda decimal(19,4) NULL, cadastrado_em datetime NOT NULL, ativo bit NOT NULL)",
    "CREATE TABLE dbo.Produto (idproduto int NOT NULL CONSTRAINT PK_Produto PRIMARY KEY,"
    " ean char(13) NOT NULL, descricao nvarchar(120) NOT NULL, marca nvarchar(60) NULL,"
    " peso_kg real NULL, preco decimal(18,4) NOT NULL, atualizado_em datetime2(6) NULL)",
    "CREATE TABLE dbo.{purchases} (idato bigint NOT NULL CONSTRAINT PK_{purchases} PRIMARY KEY,"
    " iddomicilio int NOT NULL, idproduto int NOT NULL, data_compra datetime2(3) NOT NULL,"
    " quantidade decimal(12,3) NOT NULL, preco_unitario decimal(38,10) NULL, valor_pago money NULL,"
    " factor_rw1 float NOT NULL, flg_scanner bit NOT NULL, recibo uniqueidentifier NOT NULL,"
    " observacao nvarchar(200) NULL)",
)
_BEGIN = datetime(2025, 1, 1, 8)  # noqa: DTZ001 - datetime2 has no zone


def build(server: LocalSqlServer, country: CountryData, scale: float) -> int:
    """Make a country's database and fill it; the same rows every time. Return how many purchases it holds."""
    name = country.database
    server.run("master", f"CREATE DATABASE [{name}]")
    if country.snapshot:
        server.run("master", f"ALTER DATABASE [{name}] SET ALLOW_SNAPSHOT_ISOLATION ON")
    server.run(name, *(statement.format(purchases=country.purchases) for statement in _TABLES))
    purchases = max(int(FULL_SCALE * scale * country.share / 10), 200)
    chance = random.Random(country.code)  # noqa: S311 - data of a demo
    households = [_household(number, country) for number in range(1, purchases // 40 + 10)]
    products = [_product(number, country) for number in range(1, PRODUCTS + 1)]
    acts = [_purchase(number, len(households), chance) for number in range(1, purchases + 1)]
    for table, rows in (("Domicilio", households), ("Produto", products), (country.purchases, acts)):
        server.run(name, *_inserts(table, rows))
    return purchases


def _household(number: int, country: CountryData) -> Sequence[Any]:
    income = Decimal(number * 1_234_567) / 1000 if number % 6 else None
    born = date(1950, 1, 1) + timedelta(days=number * 97) if number % 9 else None
    since = _BEGIN - timedelta(days=number % 700)
    name = f"{country.people[number % 3]} {number}"
    return number, name, country.cities[number % 3], born, income, since, number % 10 != 0


def _product(number: int, country: CountryData) -> Sequence[Any]:
    brand = country.brands[number % 3]
    weight = number / 8 if number % 4 else None
    price = Decimal(number * 13_337) / 10_000
    updated = _BEGIN + timedelta(days=number, microseconds=number) if number % 5 else None
    return number, f"{7_790_000_000_000 + number}", f"Produto nº {number}", brand, weight, price, updated


def _purchase(number: int, households: int, chance: random.Random) -> Sequence[Any]:
    """One act of purchase; those of one household are few and known: the demo has them forgotten."""
    free = chance.randrange(HOUSEHOLD_TO_FORGET + 1, households + 1)
    household = HOUSEHOLD_TO_FORGET if number in ITS_PURCHASES else free
    amount = Decimal(chance.randrange(1, 9_000)) / 1000
    unit = Decimal(chance.randrange(10**12)) / 10**10 if number % 11 else None
    paid = (amount * unit).quantize(Decimal("0.0001")) if unit is not None else None
    at = _BEGIN + timedelta(milliseconds=number * 977_001)
    note = f"promoção “{number}” 🛒" if number % 7 == 0 else None
    receipt = UUID(int=chance.getrandbits(128), version=4)
    factor = chance.randrange(1, 4000) / 1024
    product = chance.randrange(1, PRODUCTS + 1)
    return number, household, product, at, amount, unit, paid, factor, number % 3 == 0, receipt, note


def _inserts(table: str, rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    for first in range(0, len(rows), ROWS_A_STATEMENT):
        values = (f"({', '.join(map(_literal, row))})" for row in rows[first : first + ROWS_A_STATEMENT])
        yield f"INSERT INTO dbo.{table} VALUES {', '.join(values)}"  # noqa: S608 - the demo's own rows


def _literal(value: Any) -> str:
    """Write one of our own values in T-SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int | Decimal):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    if isinstance(value, float):
        return f"{value:.16e}"
    if isinstance(value, datetime):
        digits = "microseconds" if value.microsecond % 1000 else "milliseconds"  # datetime takes no more than these
        return f"'{value.isoformat(timespec=digits)}'"
    text = str(value).replace("'", "''")
    return f"N'{text}'"

"""One source, one database with a stage, and a ledger: what tests of shares begin with."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from icebridge_provider.engines.snowflake.target import SnowflakeTarget
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.event import LedgerEvent
from icebridge_provider.model.share import Share, ShareResult
from icebridge_provider.model.snowflake import SourceColumn
from icebridge_provider.steps.share import followed
from icebridge_provider.steps.share_site import ShareSite
from tests.support.s3 import BUCKET
from tests.support.share_engine import client_of
from tests.support.share_world import SourceWorld, briefly, share_of, site_of, target_of
from tests.support.snowflake import Account

if TYPE_CHECKING:
    from tests.contract.snowflake.conftest import Sql

TABLE = ("main", "s", "t")
SOURCE = [
    SourceColumn(name=name, type=kind)
    for name, kind in (
        ("id", "bigint"), ("day", "date"), ("ts", "timestamp"), ("price", "decimal(10,2)"), ("f", "double"),
        ("b", "binary"), ("ok", "boolean"), ('odd "name%', "string"), ("st", "struct<a:int>"),
    )
]  # fmt: skip
ARROW = [pa.int64(), pa.date32(), pa.timestamp("us", "UTC"), pa.decimal128(10, 2), pa.float64(), pa.binary(),
         pa.bool_(), pa.string(), pa.struct([("a", pa.int32())])]  # fmt: skip
NOON = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)


def row(number: int, price: str | None = "-0.05") -> list[Any]:
    """A row whose cells differ by its number; every third has many NULLs."""
    if number % 3 == 0:
        return [number, None, None, price and Decimal(price), None, None, None, None, None]
    day = dt.date(2024, 1, number % 28 + 1)
    text = f"ü{number}"
    return [number, day, NOON, price and Decimal(price), number / 4, text.encode(), number % 2 == 0, text, {"a": None}]


@dataclass
class Stage:
    """One database with a stage, one source, and a ledger."""

    account: Account
    sql: Sql
    folder: Path
    world: SourceWorld
    target: SnowflakeTarget
    site: ShareSite = field(init=False)

    def __post_init__(self) -> None:
        self.site = site_of(self.folder, self.world, self.target)

    def rows(self, numbers: list[int], columns: int = len(SOURCE), **more: Any) -> None:
        """Let the source have these rows, of its first columns."""
        cells = list(zip(*[row(number, **more) for number in numbers], strict=True))[:columns]
        arrays = [pa.array(cell, kind) for cell, kind in zip(cells, ARROW, strict=False)]
        self.world.table(TABLE, SOURCE[:columns], pa.table(arrays, names=[item.name for item in SOURCE[:columns]]))

    def narrow(self, numbers: list[int]) -> None:
        """Let the source have one column, the id."""
        self.world.table(TABLE, SOURCE[:1], pa.table({"id": pa.array(numbers, pa.int64())}))

    def share(self, **more: Any) -> Share:
        return share_of(self.world, TABLE, self.sql.database, **more)

    def run(self, **more: Any) -> ShareResult:
        return followed(self.site, self.share(**more), sleep=briefly)

    def elsewhere(self) -> None:
        """Go on with a ledger that knows nothing."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        self.site = site_of(folder, self.world, self.target)

    def ids(self) -> list[int]:
        return [int(found[0]) for found in self.sql('SELECT "id" FROM T ORDER BY 1')]

    def prices(self) -> dict[int, Decimal]:
        return {int(number): price for number, price in self.sql('SELECT "id", "price" FROM T')}

    def comment(self) -> str:
        return str(self.sql.one("SELECT COMMENT FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_NAME = 'T'") or "")

    def tables(self) -> list[str]:
        names = self.sql("SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'PUBLIC'")
        return sorted(name for (name,) in names)

    def events(self) -> list[LedgerEvent]:
        """Of every share of every run."""
        return list(self.site.ledger.events())

    def objects(self) -> list[str]:
        found = client_of(self.world.s3).list_objects_v2(Bucket=BUCKET, Prefix=f"{self.sql.database}/")
        return [item["Key"] for item in found.get("Contents", ())]

    def object(self, key: str) -> bytes:
        found: bytes = client_of(self.world.s3).get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return found

    def replace_object(self, key: str, content: bytes | None) -> None:
        client = client_of(self.world.s3)
        if content is None:
            client.delete_object(Bucket=BUCKET, Key=key)
        else:
            client.put_object(Bucket=BUCKET, Key=key, Body=content)


@pytest.fixture
def stage(account: Account, sql: Sql, tmp_path: Path) -> Iterator[Stage]:
    account.stage(sql.database, prefix=f"{sql.database}/")
    assert account.s3 is not None
    world = SourceWorld(tmp_path / "source", account.s3)
    with target_of(account, sql.database) as target:
        made = Stage(account, sql, tmp_path, world, target)
        made.rows([1, 2, 3])
        yield made


def refused(stage: Stage, code: str, because: str, **more: Any) -> IceBridgeError:
    with pytest.raises(IceBridgeError) as raised:
        stage.run(**more)
    assert raised.value.code == code, f"{because}: {raised.value}"
    return raised.value

"""``read_files`` on the local workspace: Parquet files of a volume become a table, its privileges enforced."""

from __future__ import annotations

import io
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from databricks.sdk.service.catalog import VolumeType

from tests.support.databricks import Workspace
from tests.support.sql_estate import Estate, Refused, estate

ROWS = pa.table({
    "id": pa.array([1, 2], pa.int64()),
    "price": pa.array([Decimal("0.1000000001"), None], pa.decimal128(38, 10)),
    "at": pa.array([datetime(1, 1, 1, 0, 0, 0, 1), datetime(9999, 12, 31)], pa.timestamp("us")),  # noqa: DTZ001
    "city": pa.array(["São Paulo", "Bogotá"], pa.string()),
})  # fmt: skip


@pytest.fixture(scope="module")
def made(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Estate:
    found = estate(databricks, tmp_path_factory.mktemp("read-files"))
    databricks.sdk().volumes.create(found.main, "sales", "raw", VolumeType.MANAGED)
    for country in ("BR", "CO"):
        folder = f"/Volumes/{found.main}/sales/raw/{country}/q"
        for name, content in (("part-00000.parquet", parquet()), ("_manifest.json", b"{}")):
            databricks.sdk().files.upload(f"{folder}/{name}", io.BytesIO(content))
    return found


def parquet() -> bytes:
    target = io.BytesIO()
    pq.write_table(ROWS, target)
    return target.getvalue()


def called(made: Estate, path: str, rest: str = ", format => 'parquet'") -> str:
    return f"read_files('/Volumes/{made.main}/sales/raw/{path}'{rest})"


def test_files_of_several_folders_become_a_table(made: Estate) -> None:
    query = f"SELECT id, price, at, city FROM {called(made, '*/q')}"
    made.sql(f"CREATE TABLE {{main}}.sales.read USING ICEBERG AS {query}")
    found = made.sql("SELECT CAST(price AS STRING), CAST(at AS STRING), city FROM {main}.sales.read WHERE id = 1")
    assert found == [["0.1000000001", "0001-01-01 00:00:00.000001", "São Paulo"]] * 2
    assert made.sql("SELECT count(*), count(price) FROM {main}.sales.read") == [["4", "2"]]


def test_whoever_may_not_read_the_volume_is_refused(made: Estate) -> None:
    nobody = made.workspace.principal("nobody-files")
    with pytest.raises(Refused, match="INSUFFICIENT_PERMISSIONS"):
        made.sql(f"SELECT id FROM {called(made, 'CO/q')}", nobody)


@pytest.mark.parametrize("rest", ["", ", format => 'csv'", ", format => 'parquet', header => true"])
def test_what_it_does_not_serve_is_refused(made: Estate, rest: str) -> None:
    with pytest.raises(Refused, match="UNSUPPORTED_FEATURE"):
        made.sql(f"SELECT * FROM {called(made, 'CO/q', rest)}")


def test_a_path_cannot_leave_its_volume(made: Estate, tmp_path: Path) -> None:
    (tmp_path / "secret.parquet").write_bytes(parquet())
    for path in (f"../../../../../../..{tmp_path}", "CO/../../x"):
        with pytest.raises(Refused, match="INVALID_PARAMETER_VALUE"):
            made.sql(f"SELECT * FROM {called(made, path)}")

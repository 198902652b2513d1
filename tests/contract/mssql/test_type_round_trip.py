"""Every SQL Server type by its edges: server → Parquet → read again; equal, or refused by name."""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.extraction import Extraction
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.extract import ExtractionSite, extract
from icebridge_provider.stores.object_store import ObjectStore
from tests.support.mssql import SqlServer
from tests.support.mssql_reading import reader, run

DAY, MOMENT = dt.date.fromisoformat, dt.datetime.fromisoformat
GUID = uuid.UUID("6F9619FF-8B86-D011-B42D-00C04FC964FF")


def single(value: float) -> float:
    """What is left of a value in 32 bits."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


# declared type, T-SQL literal, what the file holds
EDGES: tuple[tuple[str, str, Any], ...] = (
    ("bit", "1", True), ("bit", "0", False),
    ("tinyint", "0", 0), ("tinyint", "255", 255),
    ("smallint", "-32768", -(2**15)), ("int", "-2147483648", -(2**31)), ("int", "2147483647", 2**31 - 1),
    ("bigint", "-9223372036854775808", -(2**63)), ("bigint", "9223372036854775807", 2**63 - 1),
    ("decimal(38,0)", "99999999999999999999999999999999999999", Decimal("9" * 38)),
    ("decimal(38,38)", "-0.99999999999999999999999999999999999999", Decimal("-0." + "9" * 38)),
    ("decimal(38,10)", "-1234567890123456789012345678.0123456789",
     Decimal("-1234567890123456789012345678.0123456789")),
    ("decimal(1,0)", "-9", Decimal(-9)), ("numeric(19,19)", "0.0000000000000000001", Decimal("1E-19")),
    ("money", "-922337203685477.5808", Decimal("-922337203685477.5808")),
    ("money", "922337203685477.5807", Decimal("922337203685477.5807")),
    ("smallmoney", "-214748.3648", Decimal("-214748.3648")),
    ("real", "-3.40E+38", single(-3.40e38)), ("real", "0.1", single(0.1)), ("float(24)", "0.1", single(0.1)),
    ("float", "1.7976931348623157E+308", 1.7976931348623157e308),
    ("float", "-2.2250738585072014E-308", -2.2250738585072014e-308),
    ("date", "'0001-01-01'", DAY("0001-01-01")), ("date", "'9999-12-31'", DAY("9999-12-31")),
    ("datetime", "'1753-01-01T00:00:00.003'", MOMENT("1753-01-01T00:00:00.003")),
    ("datetime", "'9999-12-31T23:59:59.997'", MOMENT("9999-12-31T23:59:59.997")),
    ("smalldatetime", "'2079-06-06T23:59:00'", MOMENT("2079-06-06T23:59:00")),
    ("datetime2(0)", "'0001-01-01T00:00:00'", MOMENT("0001-01-01T00:00:00")),
    ("datetime2(3)", "'1582-10-10T12:00:00.123'", MOMENT("1582-10-10T12:00:00.123")),
    ("datetime2(6)", "'9999-12-31T23:59:59.999999'", MOMENT("9999-12-31T23:59:59.999999")),
    ("datetime2(7)", "'0001-01-01T00:00:00.0000010'", MOMENT("0001-01-01T00:00:00.000001")),
    ("datetime2(7)", "'9999-12-31T23:59:59.9999990'", MOMENT("9999-12-31T23:59:59.999999")),
    ("time(7)", "'23:59:59.9999999'", "23:59:59.9999999"), ("time(0)", "'00:00:00'", "00:00:00"),
    ("time(3)", "'12:34:56.789'", "12:34:56.789"),
    ("datetimeoffset(7)", "'2024-02-29T23:59:59.9999999+05:30'", "2024-02-29 23:59:59.9999999 +05:30"),
    ("datetimeoffset(0)", "'0001-01-02T00:00:00-14:00'", "0001-01-02 00:00:00 -14:00"),
    ("uniqueidentifier", f"'{GUID}'", str(GUID).upper()),
    ("char(5)", "'ab'", "ab   "), ("varchar(10)", "''", ""), ("varchar(10)", "'a  '", "a  "),
    ("nchar(3)", "N'é'", "é  "), ("nvarchar(20)", "N'😀 𝄞'", "😀 𝄞"),
    ("nvarchar(20)", "N'a' + NCHAR(0) + N'b'", "a\0b"),
    ("nvarchar(20)", "N'x' + NCHAR(65533)", "x\ufffd"), ("nvarchar(20)", "N'''; --%%s ?'", "'; --%s ?"),
    ("nvarchar(max)", "REPLICATE(CAST(N'é' AS nvarchar(max)), 9000)", "é" * 9000),
    ("varchar(max)", "REPLICATE(CAST('x' AS varchar(max)), 20000)", "x" * 20000),
    ("xml", "N'<a b=\"1\">é</a>'", '<a b="1">é</a>'), ("ntext", "N'é'", "é"), ("text", "'x'", "x"),
    ("binary(4)", "0x0102", b"\x01\x02\0\0"), ("varbinary(8)", "0x00FF", b"\x00\xff"), ("varbinary(8)", "0x", b""),
    ("varbinary(max)", "CAST(REPLICATE(CAST('ab' AS varchar(max)), 9000) AS varbinary(max))", b"ab" * 9000),
    ("image", "0x01", b"\x01"),
)  # fmt: skip
TYPES = sorted({declared for declared, _, _ in EDGES})


BY_TYPE = {declared: [(text, value) for kind, text, value in EDGES if kind == declared] for declared in TYPES}
MOST = max(len(edges) for edges in BY_TYPE.values())


@pytest.fixture(scope="session")
def database(mssql: SqlServer) -> str:
    """A table with a column for each type, called like it: its edges row by row, then NULL."""
    name = mssql.database(allow_snapshot=True)
    columns = ", ".join(f"[{declared}] {declared} NULL" for declared in TYPES)
    statements = [f"CREATE TABLE dbo.edges (n int NOT NULL PRIMARY KEY, {columns})"]
    for row in range(MOST + 1):
        given = {kind: edges[row][0].replace("%%", "%") for kind, edges in BY_TYPE.items() if row < len(edges)}
        names, values = "".join(f", [{kind}]" for kind in given), "".join(f", {text}" for text in given.values())
        statements.append(f"INSERT INTO dbo.edges (n{names}) VALUES ({row}{values})")
    run(mssql, name, *statements)
    return name


def extracted(folder: Path, source: Any, statement: str) -> list[dict[str, Any]]:
    """Rows as the files hold them, by n."""
    ledger = SqlLedger(f"sqlite:///{folder}/ledger.db")
    ledger.migrate()
    site = ExtractionSite(reader=lambda _: source, store=ObjectStore(), root=f"{folder}/out", ledger=ledger)
    manifest = extract(site, Extraction(job_id="j", country="co", query="q", statement=statement, digest="d"))
    tables = [pq.ParquetFile(f"{folder}/out/co/q/{part.name}").read() for part in manifest.parts]
    return sorted((row for table in tables for row in table.to_pylist()), key=lambda row: row["n"])


@pytest.mark.parametrize("client", ["odbc", "pymssql"])
def test_all_edges_of_all_types_arrive_as_they_are(
    mssql: SqlServer, database: str, tmp_path: Path, client: Any
) -> None:
    rows = extracted(tmp_path, reader(mssql, database, client), "SELECT * FROM dbo.edges")
    expected = {kind: [value for _, value in edges] for kind, edges in BY_TYPE.items()}
    padded = {kind: values + [None] * (MOST + 1 - len(values)) for kind, values in expected.items()}
    found = {kind: [row[kind] for row in rows] for kind in TYPES}
    assert found == padded
    assert {kind: type(values[0]) for kind, values in found.items()} == {
        kind: type(values[0]) for kind, values in padded.items()
    }


@pytest.mark.parametrize("client", ["odbc", "pymssql"])
@pytest.mark.parametrize(
    ("declared", "literal", "said"),
    [
        ("datetime2(7)", "'2024-01-01T00:00:00.1234567'", "2024-01-01 00:00:00.1234567 is finer than a microsecond"),
        ("nvarchar(10)", "N'a' + NCHAR(0xD800) + N'b'", "half a surrogate pair at character 2"),
    ],
)  # fmt: skip
def test_a_value_that_no_file_can_keep_is_refused_by_its_column(
    mssql: SqlServer, database: str, tmp_path: Path, declared: str, literal: str, said: str, client: Any
) -> None:
    statement = f"SELECT 1 AS n, CAST({literal} AS {declared}) AS odd"
    with pytest.raises(ConfigurationError, match="IB-831") as error:
        extracted(tmp_path, reader(mssql, database, client), statement)
    assert "Column 'odd'" in error.value.message
    assert said in error.value.message
    assert not list((tmp_path / "out").rglob("_manifest.json"))


@pytest.mark.parametrize("declared", ["sql_variant", "hierarchyid", "geography", "geometry"])
def test_a_type_that_no_file_has_is_refused_before_anything_is_read(
    mssql: SqlServer, database: str, tmp_path: Path, declared: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"IB-808.*'odd' is {declared}"):
        extracted(tmp_path, reader(mssql, database), f"SELECT 1 AS n, CAST(NULL AS {declared}) AS odd")


@pytest.mark.parametrize("client", ["odbc", "pymssql"])
def test_a_row_version_arrives_as_its_bytes(mssql: SqlServer, tmp_path: Path, client: Any) -> None:
    name = mssql.database()
    run(mssql, name, "CREATE TABLE dbo.t (n int, v rowversion)", "INSERT INTO dbo.t (n) VALUES (1), (2)")
    source = reader(mssql, name, client)
    rows = source.read("SELECT n, v FROM dbo.t ORDER BY n", {}, 100).read_all().to_pylist()
    assert [len(row["v"]) for row in rows] == [8, 8]
    assert rows[0]["v"] < rows[1]["v"]

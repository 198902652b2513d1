"""Every SQL Server type has one exact type in Parquet, or its column is refused by name with a way out."""

from __future__ import annotations

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.extraction import ColumnType
from icebridge_provider.planning.column_types import arrow_type, column_types

EXACT = {
    "bit": "bool",
    "tinyint": "int16",
    "smallint": "int16",
    "int": "int32",
    "bigint": "int64",
    "decimal(38,10)": "decimal128(38,10)",
    "decimal": "decimal128(18,0)",
    "numeric(5)": "decimal128(5,0)",
    "DECIMAL (1, 1)": "decimal128(1,1)",
    "dec(4,2)": "decimal128(4,2)",
    "money": "decimal128(19,4)",
    "smallmoney": "decimal128(10,4)",
    "real": "float32",
    "float": "float64",
    "float(24)": "float32",
    "float(25)": "float64",
    "float(53)": "float64",
    "date": "date32",
    "datetime": "timestamp[us]",
    "smalldatetime": "timestamp[us]",
    "datetime2(7)": "timestamp[us]",
    "datetime2": "timestamp[us]",
    "time(7)": "string",
    "datetimeoffset(0)": "string",
    "uniqueidentifier": "string",
    "char(10)": "string",
    "varchar(max)": "string",
    "nchar(1)": "string",
    "nvarchar(4000)": "string",
    "NVARCHAR(MAX)": "string",
    "text": "string",
    "ntext": "string",
    "sysname": "string",
    "xml": "string",
    "json": "string",
    "binary(8)": "binary",
    "varbinary(max)": "binary",
    "image": "binary",
    "timestamp": "binary",
    "rowversion": "binary",
    "[int]": "int32",
}
REFUSED = (
    "sql_variant",
    "hierarchyid",
    "geometry",
    "geography",
    "vector(3)",
    "table",
    "cursor",
    "dbo.Flag",
    "decimal(39,0)",
    "decimal(5,6)",
    "decimal(max)",
    "",
    "int; drop",
    "decimal(0)",
)


@pytest.mark.parametrize(("declared", "arrow"), EXACT.items())
def test_exact(declared: str, arrow: str) -> None:
    assert arrow_type(declared) == arrow


@pytest.mark.parametrize("declared", REFUSED)
def test_refused(declared: str) -> None:
    assert arrow_type(declared) == ""
    with pytest.raises(ConfigurationError, match="column 'c' is") as caught:
        column_types([("ok", "int", True), ("c", declared, True)])
    assert caught.value.code == "IB-808"
    assert "'ok'" not in caught.value.message


def test_columns_keep_name_declared_type_and_nullability() -> None:
    assert column_types([("a b", "money", False), ("É", "bit", True)]) == [
        ColumnType(name="a b", sql_type="money", arrow="decimal128(19,4)", nullable=False),
        ColumnType(name="É", sql_type="bit", arrow="bool", nullable=True),
    ]


def test_all_that_is_wrong_is_said_at_once_with_a_way_out() -> None:
    with pytest.raises(ConfigurationError) as caught:
        column_types(
            [
                ("a", "int", True),
                ("", "int", True),
                ("x", "geometry", True),
                ("v]", "sql_variant", True),
                ("h]", "hierarchyid", False),
                ("A", "int", True),
            ],
            "Peru/sales",
        )
    assert caught.value.message == (
        "Peru/sales cannot be kept exactly in Parquet: column 2 has no usable name: give it one by AS; "
        "2 columns are called 'A': rename them by AS; "
        "column 'x' is geometry: [x].STAsBinary() and [x].STSrid give shape and reference system; "
        "column 'v]' is sql_variant: SQL_VARIANT_PROPERTY and CAST(… AS nvarchar(4000)) say its type and value; "
        "column 'h]' is hierarchyid: [h]]].ToString() gives it as text."
    )


@pytest.mark.parametrize("name", [" ", "a\nb", "n" * 256, "\ud800", "a\u2028b"])
def test_names_that_no_reader_shows_are_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="column 1 has no usable name"):
        column_types([(name, "int", True)])


def test_the_same_name_twice_is_refused_and_no_columns_too() -> None:
    with pytest.raises(ConfigurationError, match="3 columns are called 'a'"):
        column_types([("a", "int", True)] * 3)
    with pytest.raises(ConfigurationError, match="gives no columns"):
        column_types([])
    many = [(f"c{number}", "sql_variant", True) for number in range(50)]
    with pytest.raises(ConfigurationError, match="and 40 more"):
        column_types(many)

from __future__ import annotations

import datetime as dt
import struct
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.engines.mssql.values import converter
from icebridge_provider.model.bridge import TargetColumn

UTC = dt.UTC
NOON = dt.datetime(2024, 2, 29, 12, 0)  # noqa: DTZ001 - of no zone


def staged(declared: str, value: Any) -> Any:
    return converter(TargetColumn(name="x", type=declared))(value)


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        ("int", 2**31 - 1, 2**31 - 1),
        ("bigint", "-9223372036854775808", -(2**63)),
        ("tinyint", Decimal("255.0"), 255),
        ("bit", True, 1),
        ("float", 1.7976931348623157e308, 1.7976931348623157e308),
        ("real", struct.unpack("f", struct.pack("f", 0.1))[0], struct.unpack("f", struct.pack("f", 0.1))[0]),
        ("decimal(38,38)", Decimal("0." + "9" * 38), "0." + "9" * 38),
        ("decimal(38,0)", Decimal("-" + "9" * 38), "-" + "9" * 38),
        ("decimal(10,2)", 0.1, "0.1"),
        ("decimal(10,2)", Decimal("1.500"), "1.500"),
        ("decimal(38,20)", Decimal("1E-10"), "0.0000000001"),
        ("decimal(5,2)", Decimal("-0E-500"), "0"),
        ("money", Decimal("922337203685477.5807"), "922337203685477.5807"),
        ("money", Decimal("-922337203685477.5808"), "-922337203685477.5808"),
        ("smallmoney", Decimal("214748.3647"), "214748.3647"),
        ("date", dt.date(1, 1, 1), "0001-01-01"),
        ("date", dt.datetime(9999, 12, 31), "9999-12-31"),  # noqa: DTZ001
        ("datetime", NOON.replace(microsecond=997000), "2024-02-29T12:00:00.997"),
        ("smalldatetime", NOON, "2024-02-29T12:00:00"),
        ("datetime2(7)", "9999-12-31 23:59:59.9999999", "9999-12-31T23:59:59.9999999"),
        ("datetime2(6)", NOON.replace(microsecond=1), "2024-02-29T12:00:00.000001"),
        ("datetime2(0)", NOON.replace(tzinfo=UTC), "2024-02-29T12:00:00"),
        ("datetime2(3)", dt.date(2024, 2, 29), "2024-02-29T00:00:00.000"),
        ("datetimeoffset(7)", "0001-01-01T00:00:00.1234567-14:00", "0001-01-01T00:00:00.1234567-14:00"),
        ("datetimeoffset(2)", NOON.replace(tzinfo=UTC), "2024-02-29T12:00:00.00+00:00"),
        ("time(7)", "23:59:59.9999999", "23:59:59.9999999"),
        ("time(0)", dt.time(1, 2, 3), "01:02:03"),
        ("uniqueidentifier", "6F9619FF-8B86-D011-B42D-00C04FC964FF", "6F9619FF-8B86-D011-B42D-00C04FC964FF"),
        ("nvarchar(2)", "\U0001f600", "\U0001f600x"),
        ("nvarchar(max)", "", "x"),
        ("nvarchar(5)", "a\0b ", "a\0b x"),
        ("varchar(10)", 12345, "12345x"),
        ("binary(2)", b"\0\1", b"\0\0\1"),
        ("varbinary(max)", b"", b"\0"),
    ],
)
def test_what_fits_is_staged_exactly(declared: str, value: Any, expected: Any) -> None:
    found = staged(declared, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("int", 2**31), ("int", 1.5), ("int", "1 "), ("int", "\uff11"), ("int", None), ("bit", 2), ("tinyint", -1),
        ("float", float("nan")), ("float", float("inf")), ("float", 2**53 + 1), ("float", "1_0"), ("float", True),
        ("real", 0.1), ("real", 1e39),
        ("decimal(10,2)", Decimal("1.234")), ("decimal(4,2)", 100), ("decimal(10,2)", "1_0"), ("decimal(10,2)", "NaN"),
        ("decimal(38,0)", 10**38), ("money", Decimal("0.00001")), ("money", Decimal("922337203685477.5808")),
        ("smallmoney", Decimal("-214748.3649")),
        ("date", NOON), ("date", "2024-02-30"), ("datetime", NOON.replace(microsecond=1000)),
        ("datetime", dt.datetime(1752, 12, 31)), ("smalldatetime", NOON.replace(second=1)),  # noqa: DTZ001
        ("smalldatetime", dt.datetime(2079, 6, 7)), ("datetime2(3)", NOON.replace(microsecond=1)),  # noqa: DTZ001
        ("datetime2(7)", "2024-01-01T00:00:00.12345678"), ("datetime2(7)", "2024-01-01T00:00:00+01:00"),
        ("datetime2(7)", 5), ("datetimeoffset(7)", NOON), ("time(3)", "00:00:00.0001"), ("time(7)", "24:00:00"),
        ("time(7)", NOON), ("uniqueidentifier", "6F9619FF-8B86-D011-B42D-00C04FC964FFx"), ("uniqueidentifier", b"1"),
        ("nvarchar(1)", "\U0001f600"), ("char(2)", "abc"), ("varchar(1)", "\U0001f600"), ("nvarchar(10)", NOON),
        ("xml", b"<a/>"),
        ("binary(3)", b"12"), ("varbinary(1)", b"12"), ("varbinary(1)", "1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(declared: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        staged(declared, value)


@given(st.decimals(allow_nan=False, allow_infinity=False), st.integers(1, 38), st.integers(0, 38))
def test_a_staged_decimal_is_the_value_and_fits(value: Decimal, precision: int, scale: int) -> None:
    scale = min(scale, precision)
    try:
        text = staged(f"decimal({precision},{scale})", value)
    except ValueError:
        return
    assert Decimal(text) == value
    whole, _, places = text.lstrip("-").partition(".")
    assert len(whole.lstrip("0")) <= precision - scale
    assert len(places.rstrip("0")) <= scale


@given(st.datetimes(), st.integers(0, 7))
def test_a_staged_moment_is_the_value(value: dt.datetime, places: int) -> None:
    try:
        text = staged(f"datetime2({places})", value)
    except ValueError:
        assert value.microsecond % 10 ** max(6 - places, 0)
        return
    assert dt.datetime.fromisoformat(text) == value
    assert len(text) == 19 + (places and places + 1)


@given(st.uuids())
def test_a_guid_is_itself(value: uuid.UUID) -> None:
    assert staged("uniqueidentifier", value) == staged("uniqueidentifier", str(value)) == str(value)

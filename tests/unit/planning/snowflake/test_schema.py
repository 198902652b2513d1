"""Types keep every value or are refused by name; an existing table is widened, never narrowed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.snowflake import Carried, Mode, SchemaChange, SnowflakeColumn, SourceColumn
from icebridge_provider.planning.snowflake.schema import SchemaOptions, fit_columns, key_columns
from icebridge_provider.planning.snowflake.types import Kind, Way, kind_of, takes, way_of, widened

NEW = {
    "boolean": "BOOLEAN", "tinyint": "NUMBER(3,0)", "BYTE": "NUMBER(3,0)", "smallint": "NUMBER(5,0)",
    "int": "NUMBER(10,0)", "INTEGER": "NUMBER(10,0)", "bigint": "NUMBER(19,0)", "long": "NUMBER(19,0)",
    "float": "FLOAT",
    "real": "FLOAT", "double": "FLOAT", "decimal": "NUMBER(10,0)", "decimal(10,2)": "NUMBER(10,2)",
    "DECIMAL(38, 37)": "NUMBER(38,37)", "dec(5)": "NUMBER(5,0)", "string": "VARCHAR", "varchar(20)": "VARCHAR(20)",
    "char(3)": "VARCHAR(3)", "string collate UTF8_LCASE": "VARCHAR", "varchar(2147483647)": "VARCHAR",
    "binary": "BINARY", "date": "DATE", "timestamp": "TIMESTAMP_LTZ(6)", "timestamp_ntz": "TIMESTAMP_NTZ(6)",
    "array<int>": "ARRAY", "map<string,int>": "VARIANT", "struct<a:int,b:struct<c:string>>": "VARIANT",
    "variant": "VARIANT",
}  # fmt: skip
REFUSED = ("void", "interval day to second", "interval year", "geography(4326)", "geometry(0)", "object",
    "decimal(39,0)",
           "decimal(38,38)", "decimal(5,6)", "decimal(0)", "varchar", "nonsense", "", "array<int", "udt(x)",
           "int; drop")  # fmt: skip


def source(*columns: tuple[str, str]) -> list[SourceColumn]:
    return [SourceColumn(name=name, type=kind) for name, kind in columns]


def target(*columns: tuple[str, str]) -> list[SnowflakeColumn]:
    return [SnowflakeColumn(name=name, type=kind) for name, kind in columns]


@pytest.mark.parametrize("declared", NEW)
def test_a_new_column_has_the_type_that_keeps_every_value(declared: str) -> None:
    way = way_of(declared)
    assert isinstance(way, Way)
    assert way.target.sql == NEW[declared]
    assert takes(way.target, way, declared), "what we create must take what we load"
    understood = kind_of(way.target.sql)
    assert understood == way.target, "what we create must be understood when it is described"


@pytest.mark.parametrize("declared", REFUSED)
def test_a_type_that_nothing_keeps_is_refused_with_its_column_and_a_remedy(declared: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        fit_columns(source(("ok", "int"), ("bad one", declared)), None)
    assert caught.value.code == "IB-905"
    assert "'bad one'" in caught.value.message
    assert "'ok'" not in caught.value.message


def test_instants_go_as_microseconds_and_nested_values_as_json() -> None:
    plan = fit_columns(source(("t", "timestamp"), ("n", "timestamp_ntz"), ("s", "struct<a:int>"), ("a b", "int")), None)
    carried = {item.source: (item.carried, item.file_name, item.staged_type) for item in plan.columns}
    assert carried == {
        "t": (Carried.MICROS, "t", "NUMBER(19,0)"),
        "n": (Carried.PLAIN, "n", "TIMESTAMP_NTZ(6)"),
        "s": (Carried.JSON, "s", "VARCHAR"),
        "a b": (Carried.PLAIN, "c4", "NUMBER(10,0)"),
    }
    assert [item.note != "" for item in plan.columns] == [False, False, True, False]
    assert [(change.kind, change.column) for change in plan.changes] == [
        ("create", "t"), ("create", "n"), ("create", "s"), ("create", "a b"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("declared", "there", "wanted"),
    [
        ("int", "NUMBER(38,0)", "fits"), ("int", "NUMBER(10,0)", "fits"), ("int", "NUMBER(12,2)", "fits"),
        ("int", "NUMBER(9,0)", "NUMBER(10,0)"), ("int", "NUMBER(10,2)", "NUMBER(12,2)"), ("bigint", "FLOAT", "refused"),
        ("int", "FLOAT", "fits"), ("int", "VARCHAR(20)", "refused"), ("decimal(10,2)", "NUMBER(10,0)", "refused"),
        ("decimal(10,2)", "NUMBER(9,2)", "NUMBER(10,2)"), ("decimal(10,2)", "NUMBER(10,3)", "NUMBER(11,3)"),
        ("decimal(38,2)", "NUMBER(38,3)", "refused"), ("decimal(10,2)", "FLOAT", "refused"),
        ("string", "VARCHAR(16777216)", "fits"), ("string", "VARCHAR(134217728)", "fits"), ("string", "TEXT", "fits"),
        ("string", "VARCHAR(10)", "VARCHAR"), ("varchar(5)", "VARCHAR(10)", "fits"), ("varchar(5)", "CHAR",
        "VARCHAR(5)"),
        ("string", "VARCHAR(16777216) COLLATE 'en-ci'", "fits"), ("binary", "BINARY(8388608)", "fits"),
        ("binary", "BINARY(100)", "refused"), ("timestamp", "TIMESTAMP_LTZ(9)", "fits"),
        ("timestamp", "TIMESTAMP_TZ(9)", "fits"), ("timestamp", "TIMESTAMP_NTZ(9)", "refused"),
        ("timestamp", "TIMESTAMP_LTZ(3)", "refused"), ("timestamp_ntz", "TIMESTAMP_NTZ(9)", "fits"),
        ("timestamp_ntz", "TIMESTAMP_LTZ(9)", "refused"), ("timestamp_ntz", "TIMESTAMP_NTZ(0)", "refused"),
        ("date", "DATE", "fits"), ("date", "TIMESTAMP_NTZ(9)", "refused"), ("double", "NUMBER(38,10)", "refused"),
        ("double", "DOUBLE PRECISION", "fits"), ("boolean", "BOOLEAN", "fits"), ("boolean", "NUMBER(1,0)", "refused"),
        ("array<int>", "VARIANT", "fits"), ("array<int>", "ARRAY", "fits"), ("array<int>", "OBJECT", "refused"),
        ("struct<a:int>", "OBJECT", "fits"), ("struct<a:int>", "ARRAY", "refused"), ("variant", "OBJECT", "refused"),
        ("array<int>", "ARRAY(NUMBER(5,0))", "refused"), ("array<int>", "VARCHAR(100)", "refused"),
        ("int", "GEOGRAPHY", "refused"), ("int", "VECTOR(FLOAT, 3)", "refused"), ("string", "TIMESTAMP", "refused"),
    ],
)  # fmt: skip
def test_an_existing_column_fits_is_widened_or_is_refused(declared: str, there: str, wanted: str) -> None:
    if wanted == "refused":
        with pytest.raises(ConfigurationError) as caught:
            fit_columns(source(("a", declared)), target(("A", there)))
        assert caught.value.code == "IB-906"
        assert "'A'" in caught.value.message
        assert there in caught.value.message
        return
    plan = fit_columns(source(("a", declared)), target(("A", there)))
    if wanted == "fits":
        assert plan.changes == ()
    else:
        assert plan.changes == (SchemaChange(kind="widen", column="A", type=wanted, before=there),)
        assert plan.columns[0].target_type == wanted


numbers = st.tuples(st.integers(1, 38), st.integers(0, 37)).filter(lambda pair: pair[1] <= pair[0])


@settings(max_examples=500, deadline=None)
@given(wanted=numbers, there=numbers)
def test_a_number_is_taken_exactly_when_its_largest_and_smallest_digits_have_a_place(
    wanted: tuple[int, int], there: tuple[int, int]
) -> None:
    """Held against the values themselves: the largest one and the smallest step of the source."""
    way = way_of(f"decimal({wanted[0]},{wanted[1]})")
    assert isinstance(way, Way)
    column = Kind(family="NUMBER", size=there[0], scale=there[1])
    largest, unit = 10 ** wanted[0] - 1, 10 ** max(there[1] - wanted[1], 0)
    fits = there[1] >= wanted[1] and largest * unit <= 10 ** there[0] - 1
    assert takes(column, way, "decimal") == fits
    longer = widened(column, way)
    if longer is not None:
        assert longer.scale == column.scale, "Snowflake changes no scale"
        assert longer.size >= column.size, "no value of the target is narrowed"
        assert longer.size <= 38
        assert takes(longer, way, "decimal")
    elif there[1] >= wanted[1]:
        assert wanted[0] - wanted[1] + there[1] > 38


def test_new_columns_are_added_and_the_others_stay_empty() -> None:
    plan = fit_columns(source(("id", "int"), ("new", "date")), target(("ID", "NUMBER(38,0)"), ("KEPT", "DATE")))
    assert plan.changes == (SchemaChange(kind="add", column="new", type="DATE"),)
    assert plan.unfilled == ("KEPT",)
    upper = fit_columns(source(("new", "date")), target(("KEPT", "DATE")), SchemaOptions(upper=True))
    assert upper.changes[0].column == "NEW"


def test_changes_that_are_off_are_refused_by_name() -> None:
    for kinds, options, word in (
        ((("new", "date"),), SchemaOptions(add_columns=False), "add_columns"),
        ((("a", "bigint"),), SchemaOptions(widen_columns=False), "widen_columns"),
    ):
        with pytest.raises(ConfigurationError, match=word) as caught:
            fit_columns(source(*kinds), target(("A", "NUMBER(5,0)")), options)
        assert caught.value.code == "IB-906"


def test_a_target_column_that_must_have_a_value_needs_one() -> None:
    must = SnowflakeColumn(name="MUST", type="DATE", nullable=False)
    with pytest.raises(ConfigurationError, match="'MUST' of the target is NOT NULL"):
        fit_columns(source(("a", "int")), [*target(("a", "NUMBER(38,0)")), must])
    given = SnowflakeColumn(name="MUST", type="DATE", nullable=False, has_default=True)
    assert fit_columns(source(("a", "int")), [*target(("a", "NUMBER(38,0)")), given]).unfilled == ("MUST",)


def test_columns_meet_by_exact_name_first_and_are_never_guessed() -> None:
    plan = fit_columns(source(("id", "int")), target(("ID", "DATE"), ("id", "NUMBER(38,0)")))
    assert plan.columns[0].target == "id"
    with pytest.raises(ConfigurationError, match="2 columns of the target are called 'id'"):
        fit_columns(source(("id", "int")), target(("ID", "NUMBER(38,0)"), ("Id", "NUMBER(38,0)")))
    with pytest.raises(ConfigurationError, match="2 columns are called 'a'") as caught:
        fit_columns(source(("a", "int"), ("A", "int")), None)
    assert caught.value.code == "IB-905"


def test_two_columns_that_capitals_make_one_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="2 columns would be called 'SS'"):
        fit_columns(source(("ß", "int"), ("ss", "int")), None, SchemaOptions(upper=True))


def test_keys_are_columns_that_can_be_compared() -> None:
    plan = fit_columns(source(("id", "int"), ("f", "double"), ("s", "struct<a:int>"), ("t", "string")), None)
    assert [item.source for item in key_columns(plan, ["ID", "t"], Mode.UPSERT)] == ["id", "t"]
    assert key_columns(plan, [], Mode.APPEND) == ()
    for keys in ([], ["f"], ["s"], ["nope"], ["id", "ID"]):
        with pytest.raises(ConfigurationError) as caught:
            key_columns(plan, keys, Mode.UPSERT)
        assert caught.value.code == "IB-907"
    there = [SnowflakeColumn(name="t", type="VARCHAR(16777216)", collation="en-ci")]
    with pytest.raises(ConfigurationError, match="collation"):
        key_columns(plan, ["t"], Mode.UPSERT, there)


def test_the_digest_tells_of_the_files_and_not_of_the_target() -> None:
    one = fit_columns(source(("a", "int")), None)
    wide = fit_columns(source(("a", "int")), target(("A", "NUMBER(38,0)")))
    other = fit_columns(source(("a", "bigint")), None)
    assert one.digest == wide.digest
    assert one.digest != other.digest

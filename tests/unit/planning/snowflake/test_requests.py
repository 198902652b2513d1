"""What a person writes is read as it is meant, or refused with its place; names never become anything else."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.share import Share
from icebridge_provider.model.snowflake import Export, Mode, Place, Publish, SourceColumn
from icebridge_provider.planning.snowflake.lines import write_line, write_snowflake_name
from icebridge_provider.planning.snowflake.names import export_location, stage_path
from icebridge_provider.planning.snowflake.requests import MOST_TABLES, ShareForm, ShareRequest, read_requests
from icebridge_provider.planning.snowflake.schema import fit_columns
from icebridge_provider.sql import snowflake as target_sql
from icebridge_provider.sql.snowflake_export import export

STAGE = "DB.PUBLIC.LAND"


def read(tables: Any, **more: Any) -> tuple[ShareRequest, ...]:
    return read_requests(ShareForm(**{"tables": tables, "stage": STAGE, "database": "LAKE", **more}))


def one(tables: Any, **more: Any) -> ShareRequest:
    (found,) = read(tables, **more)
    return found


def refused(tables: Any, code: str, **more: Any) -> str:
    with pytest.raises(ConfigurationError) as error:
        read(tables, **more)
    assert error.value.code == code
    return error.value.message


def test_a_line_says_what_the_form_does_not() -> None:
    made = read(
        """
        # orders go first
        main.sales.orders
        main.sales.items -> Analytics.public."My Items"; mode=upsert; keys=id, `a,b`; limit=5
        main.sales.stock -> A.B.C; Mode = replace; publish=swap; where=day >= :since AND name = 'x; y -> z'
        """,
        where="ok",
        values='{"since": "2024-01-01"}',
        control="ctl.own",
        location="s3://bucket/in/",
    )
    assert [(item.source[2], item.target) for item in made] == [
        ("orders", ("LAKE", "SALES", "ORDERS")), ("items", ("ANALYTICS", "PUBLIC", "My Items")),
        ("stock", ("A", "B", "C")),
    ]  # fmt: skip
    orders, items, stock = made
    assert (orders.mode, orders.keys, orders.where, orders.values, orders.limit) == (Mode.APPEND, (), "ok", {}, None)
    assert (items.mode, items.keys, items.limit) == (Mode.UPSERT, ("id", "a,b"), 5)
    assert (stock.mode, stock.publish) == (Mode.REPLACE, Publish.SWAP)
    assert (stock.where, stock.values) == ("day >= :since AND name = 'x; y -> z'", {"since": "2024-01-01"})
    assert {(item.stage, item.control, item.location) for item in made} == {
        (("DB", "PUBLIC", "LAND"), ("CTL", "OWN"), "s3://bucket/in")
    }


def test_lines_json_and_lists_say_the_same() -> None:
    line = 'main.s.t -> D.P.T; mode=upsert; keys=id,day; where=x > :low; values={"low": 5}; limit=7'
    entry = {"source": "main.s.t", "target": ["D", "P", "T"], "mode": "upsert", "keys": ["id", "day"],
             "where": "x > :low", "values": {"low": 5}, "limit": 7}  # fmt: skip
    same = [one(line), one([line]), one(entry), one([entry]), one(json.dumps(entry)), one(json.dumps([entry]))]
    assert [item == same[0] for item in same] == [True] * 6
    assert (same[0].target, same[0].keys, same[0].values, same[0].limit) == (
        ("D", "P", "T"),
        ("id", "day"),
        {"low": 5},
        7,
    )


def test_the_poc_takes_a_thousand_rows_unless_a_table_says_another_number() -> None:
    first, second = read("a.b.c\na.b.d; limit=20", preset="poc")
    assert (first.limit, second.limit) == (1000, 20)
    assert one("a.b.c").limit is None
    assert one("a.b.c", limit="50").limit == 50


def test_form_settings_reach_only_the_tables_they_are_for() -> None:
    append, upsert, replace = read(
        "a.b.c\na.b.d; mode=upsert\na.b.e; mode=replace", keys="id", publish="swap", upper=True, add_columns=False
    )
    assert [item.keys for item in (append, upsert, replace)] == [(), ("id",), ()]
    assert [item.publish.value for item in (append, upsert, replace)] == ["rewrite", "rewrite", "swap"]
    assert (append.upper, append.add_columns, append.widen_columns) == (True, False, True)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ("a.b.c\n\n# x\na.b", "line 4: 'a.b' is not catalog.schema.table"),
        ("a.b.c; mod=upsert", "line 1: there is no setting 'mod'; did you mean 'mode'?"),
        ("a.b.c; mode=upser", "did you mean 'upsert'?"),
        ("a.b.c; mode=upsert", "an upsert needs keys"),
        ("a.b.c; keys=id", "keys go with mode=upsert"),
        ("a.b.c; publish=swap", "publish=swap goes with mode=replace"),
        ("a.b.c; mode=append; mode=append", "is there twice"),
        ("a.b.c; limit=0", "no whole number of rows"),
        ("a.b.c; limit=1e9", "no whole number of rows"),
        ("a.b.c; swap", "'swap' is not name=value"),
        ("a.b.c ->", "after -> stands no DB.SCHEMA.TABLE"),
        ("a.b.c -> D.S", "'D.S' is not DB.SCHEMA.TABLE"),
        ("a.b.c -> D.S.my table", "is not DB.SCHEMA.TABLE"),
        ("a.b.c -> D.S.`t`", "names of Snowflake stand in double quotes"),
        ("a.b.c -> D.S.T -> D.S.U", "-> stands there twice"),
        ("a.b.*", "the part '*' must stand in backticks"),
        ("a.b.c d", "the part 'c d' must stand in backticks"),
        ("a.b.`c", "a quote ` stays open"),
        ("a.b.c; where=x = 'a", "a quote ' stays open"),
        ("a.b.c; where=x > :low", ""),
        ("a.b.``", "a name of 0 characters"),
        ("a.b.`" + "x" * 256 + "`", "a name of 256 characters"),
        ("a.b.`x\x07`", "holds control characters"),
        ('{"source": "a.b.c", "souce": 1}', "did you mean 'source'?"),
        ('{"source": "a.b.c", "source": "a.b.d"}', "the key 'source' is there twice"),
        ('{"target": "A.B.C"}', "no source is named"),
        ('[{"source": ["a", "b"]}]', "the source is no name"),
        ('{"source": "a.b.c", "values": {"x": 1}}', "the value 'x' is not used in where"),
        ('{"source": "a.b.c", "where": "y = :x", "values": {"x": [1]}}', "the value 'x' must be a text"),
        ('{"source": "a.b.c", "where": 5}', "where is no text"),
        ("[" * 100_000, "it is no JSON"),
        ('["a.b.c", 5]', "entry 2: it is a int"),
        (["a.b.c\na.b.d"], "entry 1: an entry of a list is one line"),
        (7, "it is a int"),
        ("", "0 tables are named"),
        ([], "0 tables are named"),
        ([f"a.b.c{n}" for n in range(MOST_TABLES + 1)], "1001 tables are named"),
        ("x" * 1_000_001, "characters"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_with_its_place(tables: Any, said: str) -> None:
    if said:
        assert said in refused(tables, "IB-923")
    else:
        assert one(tables).where == "x > :low", "what a condition may say is checked with the table's columns"


def test_every_wrong_line_is_told_at_once() -> None:
    message = refused("a.b\na.b.c\nc\n" + "x\n" * 20, "IB-923")
    assert "line 1: " in message
    assert "line 2: " not in message
    assert "line 3: " in message
    assert message.endswith("and 12 more.")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("stage", "", "it is empty"), ("stage", "PUBLIC.LAND", "is not DB.SCHEMA.STAGE"),
        ("control", "X", "is not DB.SCHEMA"), ("mode", "upsertt", "did you mean 'upsert'?"),
        ("publish", "x", "there are rewrite, swap"), ("keys", "a,,b", "no list"), ("keys", 5, "no list"),
        ("values", "[1]", "no object"), ("values", {"a b": 1}, "must be a text"),
        ("values", {"x": float("nan")}, "must be a text"), ("values", {"since": "x"}, "no condition names :since"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_taken_is_named(field: str, value: Any, said: str) -> None:
    message = refused("a.b.c", "IB-924", **{field: value})
    assert message.startswith(f"The field {field} cannot be taken")
    assert said in message


@pytest.mark.parametrize(("field", "value"), [("preset", "fast"), ("limit", "-1"), ("limit", True)])
def test_presets_and_limits_are_refused_by_their_own_code(field: str, value: Any) -> None:
    refused("a.b.c", "IB-908", **{field: value})


def test_two_tables_may_not_go_to_one_target() -> None:
    assert "2 go to D.S.T" in refused("a.b.c -> D.S.T\na.b.d -> D.S.T", "IB-925")
    assert "2 go to LAKE.B.STRASSE" in refused("a.b.`straße`\na.b.strasse", "IB-925")
    assert len(read('a.b.c -> D.S.T\na.b.d -> D.S."t"\na.b.c -> D.S.U')) == 3


def test_a_target_without_a_database_must_be_written_out() -> None:
    assert "the Snowflake connection names no database" in refused("a.b.c", "IB-923", database="")
    assert one("a.b.c -> d.s.t", database="").target == ("D", "S", "T")


# Names


_PIECES = ('"', "'", "\\", ";", "--", "/*", "*/", "%", "%s", "%(x)s", ":a", "?", "`", "``", "ß", "表", "🧊", " ", ".",
           "a", "Z", "SELECT", "->", "=", "#", "{", "[", ",", "${x}", "{{y}}", "$$", "@", "../", "\\\\",
           "'; DROP TABLE x; --",
           '"; DROP TABLE x; --', "`; DROP TABLE x; --", "\u00a0", "\u0301", "_", "1")  # fmt: skip


def odd_names(count: int, seed: int) -> list[str]:
    source = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(source.choices(_PIECES, k=source.randint(1, 6)))[:255]] = None
    return list(found)


def test_two_thousand_odd_names_are_read_as_they_were_written() -> None:
    names = odd_names(2000, 1)
    wanted = {(f"c{n}", name, names[-n]): (names[-n - 1], name, f"T{n}") for n, name in enumerate(names)}
    lines = [write_line(source, target) for source, target in wanted.items()]
    read_back: list[ShareRequest] = []
    for start in range(0, len(lines), MOST_TABLES):
        read_back += read("\n".join(lines[start : start + MOST_TABLES]))
    assert [(item.source, item.target) for item in read_back] == list(wanted.items())
    assert {(item.mode, item.where, item.keys) for item in read_back} == {(Mode.APPEND, "", ())}


def test_two_thousand_odd_names_stay_names_in_every_statement_and_path() -> None:
    """One statement each way, and every name of it, as another parser sees it, is the one that was asked for."""
    names = odd_names(2000, 2)
    folders = set()
    for number, name in enumerate(names):
        other = names[number - 1]
        request = one(write_line(("main", name, other), (other, "S", name)))
        share = planned(request, (name, other) if name.casefold() != other.casefold() else (name,))
        folder = export_location(share.location, share.run_id, (*share.source, *share.place.target))
        folders.add(folder)
        assert stage_path("s3://bucket/in", folder).startswith("runs/")
        schema = fit_columns(share.columns, None)
        work = Export(run_id="r", source=share.source, location=folder, columns=schema.columns)
        if number % 4 == 0:  # parsing takes the time
            assert names_in(export(work).text.split(" USING PARQUET ")[1], "databricks") >= {"main", name, other}
            into = target_sql.insert_rows(share.place.target, ("D", "S", "G"), schema.columns)
            assert names_in(into, "snowflake") >= {other, "S", name}
    assert len(folders) == 2000


def planned(request: ShareRequest, columns: tuple[str, ...]) -> Share:
    place = Place(target=request.target, stage=request.stage, stage_root="s3://bucket/in", control=request.control)
    return Share(
        run_id="manual__1", source=request.source, place=place, location="s3://bucket/in",
        columns=tuple(SourceColumn(name=name, type="int") for name in columns),
    )  # fmt: skip


def names_in(text: str, dialect: str) -> set[str]:
    (tree,) = sqlglot.parse(text, dialect=dialect)
    assert isinstance(tree, exp.Select | exp.Insert)
    return {str(node.this) for node in tree.find_all(exp.Identifier)}


HOSTILE = (
    "a.b.c; where=1=1; DROP TABLE x", "a.b.c -> A.B.C; DROP TABLE x", "a.b.c;\nDROP TABLE x", "a.b.c -> A.B.C'",
    "a.b.c' OR 1=1", 'a.b.c"', "a.b.c--", "a.b.(SELECT 1)", "a.b.c@x", "../../etc/passwd", "s3://b/x.y.z",
    "a.b.c -> A.B.C COMMENT", 'a.b.c -> A.B."C" "D"', "a.b.c -> A.B.C; keys=id); DROP TABLE x", "a..c", ".",
)  # fmt: skip


@pytest.mark.parametrize("line", HOSTILE)
def test_hostile_lines_are_refused(line: str) -> None:
    assert "The list of tables cannot be read" in refused(line, "IB-923")


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=60) | st.lists(st.sampled_from(_PIECES), max_size=8).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Never another error; and what is read is read the same when it is written again."""
    try:
        found = read(text)
    except ConfigurationError as error:
        assert error.code in {"IB-923", "IB-925"}
        return
    again = read("\n".join(write_line(item.source, item.target) for item in found))
    assert [(item.source, item.target) for item in again] == [(item.source, item.target) for item in found]


def test_a_snowflake_name_is_quoted_when_it_is_not_in_capitals() -> None:
    assert write_snowflake_name(("DB", "Public", 'a"b')) == 'DB."Public"."a""b"'


def test_blanks_around_a_key_are_its_own_in_an_object_and_nobodys_in_the_form() -> None:
    entry = {"source": "main.s.t", "target": "D.P.T", "mode": "upsert", "keys": [" id", "day "]}
    assert read_requests(ShareForm(tables=[entry], stage="A.B.C"))[0].keys == (" id", "day ")
    form = ShareForm(tables="main.s.t -> D.P.T", stage="A.B.C", mode="upsert", keys=[" id", "day "])
    assert read_requests(form)[0].keys == ("id", "day")

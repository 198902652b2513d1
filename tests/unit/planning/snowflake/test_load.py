"""A load's statements: in the right order, safe to repeat, and without DDL between BEGIN and COMMIT."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import sqlglot
from sqlglot import exp

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.snowflake import (
    ExportedFile,
    LoadPlan,
    Mode,
    Place,
    Publish,
    ShareManifest,
    SnowflakeColumn,
    SourceColumn,
)
from icebridge_provider.planning.snowflake import load
from icebridge_provider.planning.snowflake.schema import fit_columns, key_columns

SOURCE = [SourceColumn(name=name, type=kind) for name, kind in
          (("id", "bigint"), ("at", "timestamp"), ("od%d", "string"), ("s", "struct<a:int>"))]  # fmt: skip
SCHEMA = fit_columns(SOURCE, None)
PLACE = Place(target=("DB", "S", "T%"), stage=("DB", "S", "ST"), stage_root="s3://bucket", control=("DB", "C%"))


def manifest(files: int = 3, limited: str = "", **changes: object) -> ShareManifest:
    made = ShareManifest(
        run_id="r", source="c.s.t", location="s3://bucket/runs/r/t", asked="", columns=SCHEMA.columns, rows=files * 2,
        created_at="", limited=limited,
        files=tuple(ExportedFile(name=f"part-{n:05}.parquet", size=9, rows=2) for n in range(files)),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def plan(mode: Mode, publish: Publish = Publish.REWRITE, files: int = 3, limited: str = "") -> LoadPlan:
    made = manifest(files, limited)
    options = load.LoadOptions(mode=mode, publish=publish, keys=key_columns(SCHEMA, ["id"], mode))
    return load.plan_load(made, SCHEMA, PLACE, load.new_record(made, PLACE, mode), options)


def tree(text: str) -> exp.Expression:
    return sqlglot.parse_one(re.sub(r"%\((\w+)\)s", r":\1", text), dialect="snowflake")


CASES = [(Mode.APPEND, Publish.REWRITE), (Mode.UPSERT, Publish.REWRITE), (Mode.REPLACE, Publish.REWRITE),
         (Mode.REPLACE, Publish.SWAP)]  # fmt: skip


@pytest.mark.parametrize(("mode", "publish"), CASES)
def test_nothing_between_begin_and_commit_commits(mode: Mode, publish: Publish) -> None:
    made = plan(mode, publish)
    inside = [made.claim, made.before, *made.publish, made.after]
    kinds = [type(tree(item.text)) for item in inside]
    assert set(kinds) <= {exp.Update, exp.Select, exp.Insert, exp.Merge, exp.Delete}
    assert kinds[0] is exp.Update, "the claim fences other tries before a row of the target is touched"
    for item in inside:
        assert not re.match(r"CREATE|ALTER|DROP|TRUNCATE|COMMENT|GRANT|COPY", item.text)


@pytest.mark.parametrize(("mode", "publish"), CASES)
def test_the_target_is_touched_in_the_transaction_only(mode: Mode, publish: Publish) -> None:
    made = plan(mode, publish)
    writes = (exp.Insert, exp.Merge, exp.Delete, exp.Update)
    for item in (*made.prepare, *made.copies, *made.measure, *made.keys, *made.label, *made.clean):
        found = tree(item.text)
        if isinstance(found, writes):
            assert "ICEBRIDGE_LOADS" in item.text
        assert not re.match(r'(DROP TABLE IF EXISTS|CREATE OR REPLACE (TRANSIENT )?TABLE) "DB"\."S"\."T%"', item.text)
    into = [tree(item.text).find(exp.Table).name for item in made.publish]
    wanted = "ICEBRIDGE_NEXT" if publish is Publish.SWAP else "T%"
    assert all(name.startswith(wanted) for name in into)


def test_every_mode_publishes_by_its_own_statements() -> None:
    heads = {case: [item.text.split(" ", 1)[0] for item in plan(*case).publish] for case in CASES}
    assert heads == {
        (Mode.APPEND, Publish.REWRITE): ["INSERT"],
        (Mode.UPSERT, Publish.REWRITE): ["MERGE"],
        (Mode.REPLACE, Publish.REWRITE): ["DELETE", "INSERT"],
        (Mode.REPLACE, Publish.SWAP): ["DELETE", "INSERT"],
    }
    assert [len(plan(*case).keys) for case in CASES] == [0, 2, 0, 0]
    assert [len(plan(*case).swap) for case in CASES] == [0, 0, 0, 5]


def test_a_swap_is_marked_looked_for_done_and_recorded_in_this_order() -> None:
    made = plan(Mode.REPLACE, Publish.SWAP)
    assert [item.text.split(" ", 1)[0] for item in made.swap] == ["COMMENT", "SELECT", "ALTER", "UPDATE", "DROP"]
    assert made.claim.values["after"] == "swapping"
    assert made.swap[3].values["before"] == "swapping"
    assert made.swap[3].values["after"] == "loaded"
    said = load.comment(manifest(), made.record, "what people wrote\nicebridge run old/1, 5 rows of x")
    assert said.splitlines()[0] == "what people wrote"
    assert "old/1" not in said
    assert load.is_marked(said, made.record)
    assert not load.is_marked(said, replace(made.record, generation=2))
    assert not load.is_marked(said.splitlines()[0], made.record)


@pytest.mark.parametrize(
    ("files", "sizes"), [(0, []), (1, [1]), (1000, [1000]), (1001, [1000, 1]), (2001, [1000, 1000, 1])]
)
def test_files_are_named_a_thousand_at_a_time(files: int, sizes: list[int]) -> None:
    made = plan(Mode.APPEND, files=files)
    named = [re.findall(r"'(part-\d+\.parquet)'", item.text) for item in made.copies]
    assert [len(item) for item in named] == sizes
    assert [name for chunk in named for name in chunk] == [item.name for item in manifest(files).files]
    for item in made.copies:
        assert '\'@"DB"."S"."ST"/runs/r/t/\'' in item.text
        assert "ON_ERROR = ABORT_STATEMENT" in item.text
        assert "FORCE" not in item.text
        assert made.staging[2] in item.text


def test_a_file_without_rows_is_not_loaded() -> None:
    files = (ExportedFile(name="e.parquet", size=4, rows=0), ExportedFile(name="f.parquet", size=5, rows=1))
    made = manifest(files=1, rows=1)
    made = replace(made, files=files)
    text = (
        load.plan_load(made, SCHEMA, PLACE, load.new_record(made, PLACE, Mode.APPEND), load.LoadOptions())
        .copies[0]
        .text
    )
    assert "e.parquet" not in text


def test_every_try_has_a_staging_table_of_its_own() -> None:
    made = manifest()
    record = load.new_record(made, PLACE, Mode.APPEND)
    tries = [load.plan_load(made, SCHEMA, PLACE, replace(record, generation=n), load.LoadOptions()) for n in (1, 2)]
    assert tries[0].staging != tries[1].staging
    assert tries[0].claim.values["generation"] == 1
    assert tries[1].claim.values["generation"] == 2


def test_an_existing_target_is_changed_before_rows_move_and_otherwise_left() -> None:
    target = [SnowflakeColumn(name="ID", type="NUMBER(10,0)"), SnowflakeColumn(name="AT", type="TIMESTAMP_LTZ(9)"),
              SnowflakeColumn(name="S", type="VARIANT")]  # fmt: skip
    schema = fit_columns(SOURCE, target)
    made = manifest(columns=schema.columns)
    texts = [item.text for item in load.plan_load(
        made, schema, PLACE, load.new_record(made, PLACE, Mode.APPEND), load.LoadOptions()).prepare]  # fmt: skip
    assert not any(text.startswith('CREATE TABLE IF NOT EXISTS "DB"."S"."T%"') for text in texts)
    assert 'ALTER TABLE "DB"."S"."T%" ADD COLUMN IF NOT EXISTS "od%d" VARCHAR' in texts
    assert 'ALTER TABLE "DB"."S"."T%" ALTER COLUMN "ID" SET DATA TYPE NUMBER(19,0)' in texts


def test_percent_signs_are_doubled_where_values_are_bound_and_nowhere_else() -> None:
    made = plan(Mode.UPSERT)
    for item in (*made.prepare, *made.publish, *made.keys, made.claim, made.before):
        sent = item.text % dict.fromkeys(item.values, "?") if item.values else item.text
        assert "%%" not in sent
    assert '"T%"' in made.publish[0].text
    assert '"C%%"' in made.claim.text


def test_limited_rows_are_labelled_on_the_table_itself() -> None:
    assert plan(Mode.APPEND).label == ()
    label = plan(Mode.APPEND, limited="at most 1000 rows").label[0].text
    assert label.startswith('COMMENT ON TABLE "DB"."S"."T%" IS ')
    assert "LIMITED: at most 1000 rows" in label
    assert "LIMITED" in plan(Mode.REPLACE, Publish.SWAP, limited="at most 1000 rows").swap[0].text


def test_files_outside_of_the_stage_are_refused() -> None:
    made = manifest(location="s3://elsewhere/runs/r/t")
    with pytest.raises(ConfigurationError) as caught:
        load.plan_load(made, SCHEMA, PLACE, load.new_record(made, PLACE, Mode.APPEND), load.LoadOptions())
    assert caught.value.code == "IB-902"

"""The planned statements of a load, run by an unmodified connector on the stand-in: every mode, twice."""

# ruff: noqa: DTZ001 - TIMESTAMP_NTZ has no zone
from __future__ import annotations

import datetime as dt
import json
import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from icebridge_provider.model.snowflake import (
    CopiedFile,
    Export,
    ExportedFile,
    LoadPlan,
    Mode,
    Place,
    Publish,
    SchemaPlan,
    ShareManifest,
    SnowflakeColumn,
    SourceColumn,
    Statement,
)
from icebridge_provider.planning.snowflake import gate, load
from icebridge_provider.planning.snowflake.manifest import differences, refuse_differences
from icebridge_provider.planning.snowflake.names import export_location, stage_path
from icebridge_provider.planning.snowflake.schema import fit_columns, key_columns
from icebridge_provider.sql import snowflake as statements
from icebridge_provider.sql.snowflake_fingerprint import sums
from icebridge_provider.steps.share_manifest import staged_files
from tests.contract.snowflake.conftest import Sql
from tests.support.snowflake import Account
from tests.support.snowflake_sums import sums_of

SOURCE = [
    SourceColumn(name=name, type=kind)
    for name, kind in (
        ("id", "bigint"), ("date", "date"), ("ts", "timestamp"), ("ntz", "timestamp_ntz"), ("price", "decimal(10,2)"),
        ("f", "double"), ("b", "binary"), ("ok", "boolean"), ('odd "name%', "string"), ("st", "struct<a:int>"),
    )
]  # fmt: skip
ARROW = [pa.int64(), pa.date32(), pa.int64(), pa.timestamp("us"), pa.decimal128(10, 2), pa.float64(), pa.binary(),
         pa.bool_(), pa.string(), pa.string()]  # fmt: skip
ROWS = [
    [1, dt.date(2024, 1, 2), 1700000000123456, dt.datetime(1969, 12, 31, 23, 59, 59, 999999), Decimal("-0.05"), 1.5,
     b"\x00\xff", True, "ü", '{"a":1}'],
    [2, None, None, None, Decimal("10.10"), -2.25, None, False, None, None],
    [3, dt.date(1, 1, 1), -1, dt.datetime(2024, 2, 29), None, None, b"", None, "", '{"a":null}'],
]  # fmt: skip


class Share:
    """One exported run on the stage, and its load."""

    def __init__(self, account: Account, sql: Sql, schema: SchemaPlan, run: str, rows: list[list[Any]]) -> None:
        self.sql, self.schema = sql, schema
        base = f"s3://bucket/{sql.database}"
        location = export_location(base, run, ("main", "s", "t"))
        names = [item.file_name for item in schema.columns]
        files = []
        for number, part in enumerate(part for part in (rows[:1], rows[1:]) if part):
            cells = zip(*part, strict=True)
            table = pa.table([pa.array(cell, kind) for cell, kind in zip(cells, ARROW, strict=True)], names=names)
            key = f"{location.removeprefix('s3://bucket/')}/part-{number}.parquet"
            files.append(ExportedFile(name=f"part-{number}.parquet", size=account.put(key, table), rows=len(part)))
        scales = dict.fromkeys(names, 0) | {"price": 2}
        work = Export(run_id=run, source=("main", "s", "t"), location=location, columns=schema.columns)
        self.manifest = ShareManifest(
            run_id=run, source="main.s.t", location=location, asked=work.digest, columns=schema.columns,
            files=tuple(files), rows=len(rows), created_at="2026-11-21T00:00:00+00:00",
            fingerprint=sums_of([dict(zip(names, row, strict=True)) for row in rows], scales),
        )  # fmt: skip
        database = sql.database
        self.place = Place(
            target=(database, "PUBLIC", "T"), stage=(database, "PUBLIC", "LAND"), stage_root=base,
            control=(database, "PUBLIC"),
        )  # fmt: skip

    def plan(self, mode: Mode, publish: Publish = Publish.REWRITE, generation: int = 1) -> LoadPlan:
        record = replace(load.new_record(self.manifest, self.place, mode), generation=generation)
        keys = key_columns(self.schema, ["id"], mode)
        options = load.LoadOptions(mode=mode, publish=publish, keys=keys)
        return load.plan_load(self.manifest, self.schema, self.place, record, options)

    def run(self, item: Statement) -> list[tuple[Any, ...]]:
        cursor = self.sql.connection.cursor()
        return cursor.execute(item.text, dict(item.values) or None).fetchall()

    def stage(self, plan: LoadPlan) -> None:
        """Up to the gate."""
        for item in plan.prepare:
            self.run(item)
        path = stage_path(self.place.stage_root, self.manifest.location)
        listed = self.run(Statement(text=statements.list_stage(self.place.stage, path)))
        found = differences(self.manifest, staged_files([(row[0], row[1], row[2]) for row in listed], path))
        refuse_differences(self.manifest, found)
        copied = [
            CopiedFile(file=row[0], status=row[1], rows_parsed=row[2], rows_loaded=row[3])
            for item in plan.copies
            for row in self.run(item)
        ]
        rows, (fingerprint,) = self.run(plan.measure[0])[0][0], self.run(plan.measure[1])
        gate.refuse_unpublished(gate.staged(self.manifest, copied, rows, sums(fingerprint)), "T")
        if plan.keys:
            unfit, repeated = self.run(plan.keys[0])[0], self.run(plan.keys[1])[0][0]
            gate.refuse_unpublished(gate.keys([int(value) for value in unfit], int(repeated)), "T")

    def publish(self, plan: LoadPlan) -> bool:
        """The transaction; False when another try has published."""
        cursor = self.sql.connection.cursor()
        cursor.execute(statements.BEGIN)
        cursor.execute(plan.claim.text, plan.claim.values)
        if cursor.rowcount != 1:
            cursor.execute(statements.ROLLBACK)
            return False
        before = self.run(plan.before)[0][0]
        counts = [self.run(item)[0] for item in plan.publish]
        after = self.run(plan.after)[0][0]
        told = {"inserted": int(counts[-1][0])}
        if plan.record.mode is Mode.UPSERT:
            told["updated"] = int(counts[-1][1])
        if plan.record.mode is Mode.REPLACE:
            told["deleted"] = int(counts[0][0])
        gate.refuse_commit(gate.published(plan.record.mode, self.manifest.rows, before, after, **told), "T")
        cursor.execute(statements.COMMIT)
        for item in (*plan.swap, *plan.label, *plan.clean):
            self.run(item)
        return True

    def load(self, mode: Mode, publish: Publish = Publish.REWRITE, generation: int = 1) -> bool:
        plan = self.plan(mode, publish, generation)
        self.stage(plan)
        return self.publish(plan)

    def ids(self) -> list[int]:
        return [int(row[0]) for row in self.sql('SELECT "id" FROM t ORDER BY 1')]


@pytest.fixture
def land(account: Account, sql: Sql) -> None:
    account.stage(sql.database, prefix=f"{sql.database}/")
    sql(statements.SESSION)


def first(account: Account, sql: Sql, run: str = "manual__1", rows: list[list[Any]] = ROWS) -> Share:
    return Share(account, sql, fit_columns(SOURCE, None), run, rows)


@pytest.mark.usefixtures("land")
def test_every_value_arrives_and_a_second_load_changes_nothing(account: Account, sql: Sql) -> None:
    share = first(account, sql)
    assert share.load(Mode.APPEND)
    rows = sql("SELECT * FROM t ORDER BY 1")
    assert [tuple(row[:2]) + tuple(row[3:9]) for row in rows] == [tuple(row[:2]) + tuple(row[3:9]) for row in ROWS]
    instants = [None if row[2] is None else int(row[2].timestamp() * 10) for row in rows]
    assert instants == [17000000001, None, 0]
    assert [row[9] and json.loads(row[9]) for row in rows] == [{"a": 1}, None, {"a": None}]
    assert not share.load(Mode.APPEND), "its row says that it is loaded"
    assert not share.load(Mode.APPEND, generation=2), "and no later try may publish either"
    assert share.ids() == [1, 2, 3]
    key = share.plan(Mode.APPEND).record.run_key
    assert [row[6] for row in share.run(statements.look_load(share.place.control, key))] == ["loaded"]


@pytest.mark.usefixtures("land")
@pytest.mark.parametrize(
    ("mode", "publish", "ids"),
    [(Mode.APPEND, Publish.REWRITE, [1, 2, 2, 3, 4]), (Mode.UPSERT, Publish.REWRITE, [1, 2, 3, 4]),
     (Mode.REPLACE, Publish.REWRITE, [2, 4]), (Mode.REPLACE, Publish.SWAP, [2, 4])],
)  # fmt: skip
def test_a_second_run_goes_by_its_mode(
    account: Account, sql: Sql, mode: Mode, publish: Publish, ids: list[int]
) -> None:
    assert first(account, sql).load(Mode.APPEND)
    new = [[2, *ROWS[0][1:]], [4, *ROWS[1][1:]]]
    target = [SnowflakeColumn(name=name, type=kind) for name, kind in described(sql)]
    share = Share(account, sql, fit_columns(SOURCE, target), "manual__2", new)
    assert share.load(mode, publish)
    assert share.ids() == ids
    changed = sql('SELECT "price" FROM t WHERE "id" = 2 AND "ok"')
    assert [row[0] for row in changed] == [Decimal("-0.05")]
    assert not share.load(mode, publish, generation=2)
    assert share.ids() == ids


def described(sql: Sql) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in sql(statements.describe_table((sql.database, "PUBLIC", "T")))]


@pytest.mark.usefixtures("land")
def test_two_tries_cannot_both_publish(account: Account, sql: Sql) -> None:
    """An old try that wakes up after a newer one began finds that its claim fits no row any more."""
    share = first(account, sql)
    old = share.plan(Mode.APPEND)
    share.stage(old)
    assert len(share.run(statements.next_try(share.place.control, old.record))) == 1
    assert not share.publish(old)
    assert share.load(Mode.APPEND, generation=2)
    assert not share.publish(old)
    assert share.ids() == [1, 2, 3]


@pytest.mark.usefixtures("land")
def test_a_repeated_copy_after_a_lost_answer_is_judged_by_the_staging_table(account: Account, sql: Sql) -> None:
    share = first(account, sql)
    plan = share.plan(Mode.APPEND)
    for item in (*plan.prepare, *plan.copies):
        share.run(item)
    again = [CopiedFile(file=row[0], status=row[1], rows_parsed=row[2], rows_loaded=row[3])
             for row in share.run(plan.copies[0])]  # fmt: skip
    assert {item.status for item in again} == {"LOAD_SKIPPED"}
    (fingerprint,) = share.run(plan.measure[1])
    checks = gate.staged(share.manifest, again, share.run(plan.measure[0])[0][0], sums(fingerprint))
    assert all(item.passed for item in checks)
    assert share.publish(plan)
    assert share.ids() == [1, 2, 3]


@pytest.mark.usefixtures("land")
def test_after_65_days_the_run_is_still_known(account: Account, sql: Sql) -> None:
    share = first(account, sql)
    assert share.load(Mode.APPEND)
    account.advance(days=65)
    assert not share.load(Mode.APPEND, generation=2)
    assert share.ids() == [1, 2, 3]
    late = first(account, sql, "manual__late")
    account.advance(days=65)
    assert late.load(Mode.APPEND), "a staging table has no history that could be expired"
    assert share.ids() == [1, 1, 2, 2, 3, 3]


@pytest.mark.usefixtures("land")
def test_keys_that_repeat_are_refused_before_a_row_moves(account: Account, sql: Sql) -> None:
    from icebridge_provider.exceptions import ValidationFailed

    share = first(account, sql, rows=[ROWS[0], ROWS[0]])
    with pytest.raises(ValidationFailed, match="rows that share a key"):
        share.load(Mode.UPSERT)
    assert share.ids() == []
    assert first(account, sql, "manual__b", [ROWS[0], ROWS[0]]).load(Mode.APPEND)
    with pytest.raises(ValidationFailed, match="keys on several rows of the target"):
        first(account, sql, "manual__c", [ROWS[0]]).load(Mode.UPSERT)


def test_three_hundred_odd_names_work_as_tables_columns_and_keys(sql: Sql) -> None:
    """One table of many odd columns, and the same names for tables; unquoted or folded, one would miss or collide."""
    pieces = ('"', "'", "\\", ";", "--", "/*", "%", "%s", "%(x)s", ":a", "?", "`", "ß", "表", "🧊", " ", ".", "a", "Z",
              "SELECT")  # fmt: skip
    source = random.Random(6)
    odd = sorted({"".join(source.choices(pieces, k=source.randint(1, 5))).strip() for _ in range(420)} - {""})
    names = list({name.casefold(): name for name in odd}.values())[:300]
    assert len(names) == 300
    schema = fit_columns([SourceColumn(name=name, type="int") for name in names], None)
    staging, target = (sql.database, "PUBLIC", names[0]), (sql.database, "PUBLIC", names[1])
    sql(statements.create_table(staging, [(item.file_name, item.staged_type) for item in schema.columns], staging=True))
    sql(statements.create_table(target, [(item.target, item.target_type) for item in schema.columns]))
    sql(f"INSERT INTO {statements.name(*staging)} VALUES ({', '.join(map(str, range(300)))})")
    sql(statements.insert_rows(target, staging, schema.columns))
    sql(statements.merge_rows(target, staging, schema.columns, schema.columns[:2]))
    assert sql(f"SELECT {statements.names(names)} FROM {statements.name(*target)}") == [tuple(range(300))]
    assert [row[0] for row in sql(statements.describe_table(target))] == names

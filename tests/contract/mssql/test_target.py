"""SQL Server as the target of events, beyond what every target does (tests/contract/bridge)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from icebridge_provider.engines.mssql.target import SqlServerTarget, inbox_key
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.bridge import BridgeEvent, EventStatus, Operation, Settled, TargetTable, Work
from tests.support.bridge_mssql import MssqlWorld, login_of
from tests.support.mssql import SqlServer

_NIL = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def world(mssql: SqlServer, tmp_path: Path) -> Iterator[MssqlWorld]:
    made = MssqlWorld(mssql, tmp_path)
    made.target.prepare()
    yield made
    mssql.calm()
    made.close()


def work(
    table: TargetTable, columns: Sequence[str], keys: Sequence[str] = (), operation: Operation = Operation.INSERT,
    event_id: str = "a", attempt: int = 1, **more: Any,
) -> Work:  # fmt: skip
    event = BridgeEvent(
        event_id=event_id, operation=operation.value, source_table="c.s.t", target_table=table.path,
        primary_keys=tuple(keys), attempt=attempt,
    )  # fmt: skip
    return Work(event=event, table=table, columns=tuple(columns), keys=tuple(keys), **more)


def rows(**columns: pa.Array) -> pa.RecordBatchReader:
    table = pa.table(columns)
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=3))


EXACT: list[tuple[str, pa.Array]] = [
    ("bigint", pa.array([-(2**63), 2**63 - 1, None])),
    ("int", pa.array([-(2**31), 2**31 - 1, None])),
    ("smallint", pa.array([-(2**15), 2**15 - 1, None], pa.int16())),
    ("tinyint", pa.array([0, 255, None])),
    ("bit", pa.array([True, False, None])),
    ("decimal(38,10)", pa.array([Decimal("9" * 28 + "." + "9" * 10), Decimal("-1E-10"), None], pa.decimal128(38, 10))),
    ("decimal(38,38)", pa.array([Decimal("0." + "9" * 38), Decimal("-1E-38"), None], pa.decimal128(38, 38))),
    ("money", pa.array([Decimal("922337203685477.5807"), Decimal("-922337203685477.5808"), None])),
    ("smallmoney", pa.array([Decimal("214748.3647"), Decimal("-214748.3648"), None])),
    ("float", pa.array([1.7976931348623157e308, 5e-324, None])),
    ("real", pa.array([3.4028234663852886e38, 0.5, None], pa.float32())),
    ("date", pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31), None])),
    ("datetime", pa.array([dt.datetime(1753, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 997000), None])),  # noqa: DTZ001
    ("smalldatetime", pa.array([dt.datetime(1900, 1, 1), dt.datetime(2079, 6, 6, 23, 59), None])),  # noqa: DTZ001
    ("datetime2(6)", pa.array([dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999), None])),  # noqa: DTZ001
    ("uniqueidentifier", pa.array(["6F9619FF-8B86-D011-B42D-00C04FC964FF", _NIL, None])),
    ("nvarchar(50)", pa.array(["", "naïve 😀 '; -- %s ", None])),
    ("nvarchar(max)", pa.array(["x" * 9000, "", None])),
    ("varchar(20)", pa.array(["plain", "", None])),
    ("varbinary(max)", pa.array([b"", bytes(range(256)) * 40, None])),
    ("binary(4)", pa.array([b"\0\0\0\0", b"\xff\0\xfe\1", None])),
]  # fmt: skip


def test_every_type_arrives_as_it_was_at_its_edges(world: MssqlWorld) -> None:
    names = [f"c{place}" for place in range(len(EXACT))]
    listed = ", ".join(f"[{name}] {kind} NULL" for name, (kind, _) in zip(names, EXACT, strict=True))
    world.run(f"CREATE TABLE dbo.[all] (id int NOT NULL PRIMARY KEY, {listed})")
    table = world.target.table("dbo.all")
    assert [column.type for column in table.columns[1:]] == [kind for kind, _ in EXACT]
    given = {"id": pa.array([1, 2, 3])} | dict(zip(names, (values for _, values in EXACT), strict=True))
    settled = world.target.apply(work(table, ["id", *names], ["id"]), rows(**given))
    assert (settled.status, settled.rows_affected) == (EventStatus.COMPLETED, 3)
    found = world.run("SELECT * FROM dbo.[all] ORDER BY id")
    for place, (kind, values) in enumerate(EXACT, 1):
        expected = values.to_pylist()
        got = [row[place] for row in found]
        assert [_plain(value) for value in got] == [_plain(value) for value in expected], kind


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("datetime2(7)", "9999-12-31T23:59:59.9999999"),
        ("time(7)", "23:59:59.9999999"),
        ("datetimeoffset(7)", "0001-01-01T12:00:00.1234567+14:00"),
    ],
)
def test_times_of_100_nanoseconds_arrive_whole(world: MssqlWorld, kind: str, text: str) -> None:
    world.run(f"CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, at {kind} NULL)")
    table = world.target.table("dbo.t")
    world.target.apply(work(table, ["id", "at"], ["id"]), rows(id=pa.array([1]), at=pa.array([text])))
    ((found,),) = world.run("SELECT CONVERT(varchar(40), at, 121) FROM dbo.t")
    assert found.replace(" ", "T", 1 if kind != "time(7)" else 0).replace(" ", "") == text


def test_a_value_that_would_be_rounded_is_refused_by_its_column(world: MssqlWorld) -> None:
    world.run("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, price decimal(10,2) NULL)")
    table = world.target.table("dbo.t")
    given = rows(id=pa.array([1, 2, 3, 4]), price=pa.array([1.0, 2.25, 3.5, 4.125]))
    with pytest.raises(ConfigurationError, match=r"IB-864.*'price' in row 4 .*decimal\(10,2\)") as refused:
        world.target.apply(work(table, ["id", "price"], ["id"]), given)
    assert "4.125" not in str(refused.value)
    assert world.run("SELECT * FROM dbo.t") == []
    again = rows(id=pa.array([1]), price=pa.array([1.0]))
    assert world.target.apply(work(table, ["id", "price"], ["id"]), again).rows_affected == 1


def test_identity_computed_and_row_versions(world: MssqlWorld) -> None:
    world.run(
        "CREATE TABLE dbo.t (id int IDENTITY(1,1) NOT NULL PRIMARY KEY, code nvarchar(10) NOT NULL UNIQUE,"
        " twice AS (id * 2), stamp rowversion, made datetime2(0) NOT NULL DEFAULT SYSUTCDATETIME())"
    )
    table = world.target.table("dbo.t")
    facts = {column.name: (column.writable, column.identity, column.has_default) for column in table.columns}
    assert facts == {
        "id": (True, True, False), "code": (True, False, False), "twice": (False, False, False),
        "stamp": (False, False, False), "made": (True, False, True),
    }  # fmt: skip
    assert table.keys == (("id",), ("code",))
    given = work(table, ["id", "code"], ["id"])
    assert world.target.apply(given, rows(id=pa.array([7, 41]), code=pa.array(["x", "y"]))).rows_affected == 2
    numbered = work(table, ["code"], event_id="b")
    assert world.target.apply(numbered, rows(code=pa.array(["z"]))).rows_affected == 1
    assert world.run("SELECT id, code, twice FROM dbo.t ORDER BY id") == [(7, "x", 14), (41, "y", 82), (42, "z", 84)]
    update = work(table, ["code", "id", "made"], ["code"], Operation.UPDATE, "c")
    when = pa.array([dt.datetime(2024, 1, 1)])  # noqa: DTZ001
    assert world.target.apply(update, rows(code=pa.array(["x"]), id=pa.array([99]), made=when)).rows_affected == 1
    assert world.run("SELECT id, made FROM dbo.t WHERE code = 'x'") == [(7, dt.datetime(2024, 1, 1))]  # noqa: DTZ001


def test_keys_are_one_under_case_and_trailing_blanks(world: MssqlWorld) -> None:
    world.run("CREATE TABLE dbo.t (code nvarchar(10) COLLATE Latin1_General_100_CI_AS NOT NULL PRIMARY KEY, n int)")
    world.run("INSERT INTO dbo.t VALUES ('Key', 1), ('other', 1)")
    table = world.target.table("dbo.t")
    update = work(table, ["code", "n"], ["code"], Operation.UPDATE)
    assert world.target.apply(update, rows(code=pa.array(["kEY "]), n=pa.array([2]))).rows_affected == 1
    assert world.run("SELECT code, n FROM dbo.t ORDER BY code") == [("Key", 2), ("other", 1)]
    with pytest.raises(IceBridgeError, match="IB-846"):
        world.target.apply(work(table, ["code"], ["code"], Operation.DELETE, "b"), rows(code=pa.array(["KEY", "key "])))
    assert len(world.run("SELECT * FROM dbo.t")) == 2


def test_an_id_that_sql_server_takes_for_another_has_an_inbox_row_of_its_own(world: MssqlWorld) -> None:
    text = "naïve 😀"
    ids = ["a", "a ", "A", "é", "é" * 300, "sha256:" + "0" * 64, "a'b"]
    for name in ids:
        settled = Settled(
            event_id=name, payload=name[:5], attempt=1, status=EventStatus.FAILED, error_message=f"{text}\0"
        )
        assert world.target.settle(settled).error_message == text
    found = world.target.settled([*ids, "none"])
    assert {name: settled.payload for name, settled in found.items()} == {name: name[:5] for name in ids}
    assert len({inbox_key(name) for name in ids}) == len(ids)


# Faults


def setting(world: MssqlWorld, count: int = 3) -> tuple[TargetTable, pa.RecordBatchReader]:
    world.run("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, n int NULL)")
    return world.target.table("dbo.t"), rows(id=pa.array(range(count)), n=pa.array(range(count)))


def inserted(world: MssqlWorld) -> int:
    return int(world.run("SELECT COUNT(*) FROM dbo.t")[0][0])


def test_a_lost_answer_to_commit_is_looked_up_in_the_inbox(world: MssqlWorld) -> None:
    table, given = setting(world)
    world.server.fail("drop_after_commit")
    settled = world.target.apply(work(table, ["id", "n"], ["id"]), given)
    assert (settled.status, settled.rows_affected, inserted(world)) == (EventStatus.COMPLETED, 3, 3)
    assert world.server.waiting_faults() == []


def test_a_commit_that_was_not_done_leaves_no_trace_and_can_be_tried_again(world: MssqlWorld) -> None:
    table, given = setting(world)
    world.server.fail("drop_before_commit")
    with pytest.raises(TransientError, match="IB-820"):
        world.target.apply(work(table, ["id", "n"], ["id"]), given)
    assert inserted(world) == 0
    assert world.target.settled(["a"]) == {}
    again = rows(id=pa.array(range(3)), n=pa.array(range(3)))
    assert world.target.apply(work(table, ["id", "n"], ["id"], attempt=2), again).rows_affected == 3


@pytest.mark.parametrize(("text", "taken"), [("Grüße €", True), ("Ω", False), ("😀", False)])
def test_a_letter_that_the_code_page_lacks_is_refused_and_never_becomes_a_question_mark(
    world: MssqlWorld, text: str, taken: bool
) -> None:
    world.run("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, name varchar(20) NULL)")
    table = world.target.table("dbo.t")
    asked = work(table, ["id", "name"], ["id"]), rows(id=pa.array([1]), name=pa.array([text]))
    if taken:
        assert world.target.apply(*asked).rows_affected == 1
        assert world.run("SELECT name FROM dbo.t") == [(text,)]
        return
    with pytest.raises(IceBridgeError, match=r"IB-864.*'name'"):
        world.target.apply(*asked)
    assert world.run("SELECT * FROM dbo.t") == []


@pytest.mark.parametrize("counting", ["", "SET NOCOUNT ON; "])
def test_triggers_are_in_force_and_do_not_disturb_the_counts(world: MssqlWorld, counting: str) -> None:
    world.run("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, n int NULL)")
    world.run("CREATE TABLE dbo.seen (id int NOT NULL)")
    twice = "INSERT INTO dbo.seen SELECT id FROM inserted; " * 2
    world.run(f"CREATE TRIGGER dbo.watch ON dbo.t AFTER INSERT AS BEGIN {counting}{twice}END")
    table = world.target.table("dbo.t")
    settled = world.target.apply(work(table, ["id", "n"], ["id"]), rows(id=pa.array([1, 2, 3]), n=pa.array([1, 2, 3])))
    assert (settled.status, settled.rows_affected) == (EventStatus.COMPLETED, 3)
    assert len(world.run("SELECT * FROM dbo.seen")) == 6


@pytest.mark.parametrize("number", [1205, 3960, 1222])
def test_what_the_server_rolled_back_leaves_no_trace_and_can_be_tried_again(world: MssqlWorld, number: int) -> None:
    table, given = setting(world)
    world.server.fail(number, r"INSERT INTO \[dbo\]\.\[t\]")
    with pytest.raises(TransientError):
        world.target.apply(work(table, ["id", "n"], ["id"]), given)
    assert inserted(world) == 0
    again = rows(id=pa.array(range(3)), n=pa.array(range(3)))
    assert world.target.apply(work(table, ["id", "n"], ["id"]), again).rows_affected == 3


def test_a_load_that_is_cut_is_transient_and_leaves_no_trace(world: MssqlWorld) -> None:
    table, given = setting(world, 5000)
    world.server.fail("drop", "(?i)insert bulk")
    with pytest.raises(TransientError):
        world.target.apply(work(table, ["id", "n"], ["id"]), given)
    assert inserted(world) == 0


def test_of_several_workers_with_one_event_one_changes_the_rows(world: MssqlWorld) -> None:
    table, _ = setting(world)

    def run(attempt: int) -> Settled:
        target = SqlServerTarget(world.login, lock_seconds=10)
        try:
            given = rows(id=pa.array(range(50)), n=pa.array(range(50)))
            return target.apply(work(table, ["id", "n"], ["id"], attempt=attempt), given)
        finally:
            target.close()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, range(1, 5)))
    assert len(set(found)) == 1
    assert inserted(world) == 50


def test_a_delete_is_counted_inside_its_transaction(world: MssqlWorld) -> None:
    table, given = setting(world)
    world.target.apply(work(table, ["id", "n"], ["id"]), given)
    world.server.forget_statements()
    delete = work(table, ["id"], ["id"], Operation.DELETE, "b", most_deleted=2)
    blocked = world.target.apply(delete, rows(id=pa.array([0, 1, 2, 3])))
    assert (blocked.status, inserted(world)) == (EventStatus.BLOCKED, 3)
    later = replace(delete, event=replace(delete.event, attempt=2), most_deleted=3)
    settled = world.target.apply(later, rows(id=pa.array([0, 1, 2, 3])))
    assert (settled.rows_expected, settled.rows_affected, settled.discrepancy) == (4, 3, 1)
    assert inserted(world) == 0
    said = [entry["text"] for entry in world.server.statements()]
    assert not [text for text in said if "COUNT(" in text and "[dbo].[t]" in text], "nothing counts before it deletes"


# Rights


def test_what_the_login_may_not_do_is_said(world: MssqlWorld, mssql: SqlServer) -> None:
    world.run("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY)")
    world.run("CREATE TABLE dbo.unseen (id int NOT NULL)")
    world.run("CREATE LOGIN bridge_user WITH PASSWORD = 'Str0ng-secret!'")
    world.run("CREATE USER bridge_user FOR LOGIN bridge_user")
    world.run("GRANT SELECT ON dbo.t TO bridge_user")
    world.run("GRANT SELECT, INSERT, UPDATE ON dbo.icebridge_inbox TO bridge_user")
    target = SqlServerTarget(login_of(mssql, world.database, user="bridge_user", secret="Str0ng-secret!"))
    try:
        table = world.target.table("dbo.t")
        with pytest.raises(ConfigurationError, match=r"IB-822.*INSERT ON dbo.t") as refused:
            target.apply(work(table, ["id"], ["id"]), rows(id=pa.array([1])))
        assert "Str0ng-secret!" not in str(refused.value)
        with pytest.raises(ConfigurationError, match="IB-861"):
            target.table("dbo.unseen")
        world.run("GRANT INSERT ON dbo.unseen TO bridge_user")
        with pytest.raises(ConfigurationError, match=r"IB-862.*GRANT VIEW DEFINITION ON dbo\.unseen"):
            target.table("dbo.unseen")
        world.run("GRANT VIEW DEFINITION ON dbo.unseen TO bridge_user")
        assert target.table("dbo.unseen").keys == ()
    finally:
        target.close()
    assert "secret" not in repr(target) + repr(login_of(mssql, "x", secret="secret-one"))


def test_an_inbox_with_other_columns_is_refused(world: MssqlWorld) -> None:
    world.run("CREATE SCHEMA other")
    world.run("CREATE TABLE other.icebridge_inbox (event_id int)")
    target = SqlServerTarget(world.login, inbox_schema="other")
    with pytest.raises(ConfigurationError, match=r"IB-867.*other\.icebridge_inbox"):
        target.prepare()
    target.close()


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value
    if isinstance(value, int | Decimal):
        return Decimal(value)
    return str(value).upper() if hasattr(value, "hex") and not isinstance(value, bytes) else value

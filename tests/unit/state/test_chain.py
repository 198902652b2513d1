"""Whoever changes the record in its database is found out, wherever and however."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from icebridge_provider.model.codec import canonical
from icebridge_provider.model.event import LedgerEvent, Outcome, Step
from icebridge_provider.state.chain import START, chained, event_of, fits, line, line_hash
from icebridge_provider.state.ledger import SqlLedger
from tests.support.ledgers import an_event, sqlite_ledger

EVENTS = 5 * len(Step)
TEXTS = ("plan_id", "table_name", "step", "outcome", "who", "origin", "at", "previous", "hash")
Row = dict[str, object]


@pytest.fixture
def ledger(tmp_path: Path) -> SqlLedger:
    made = sqlite_ledger(tmp_path)
    steps = [step for step in Step for _ in range(5)]
    made.append_many([replace(an_event(step, rows=n, note="a b"), plan_id=f"p{n % 3}") for n, step in enumerate(steps)])
    return made


@pytest.fixture
def rows(ledger: SqlLedger) -> Iterator[sqlite3.Connection]:
    """The database as an intruder sees it."""
    connection = sqlite3.connect(str(ledger.url.database), isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous=OFF")
    yield connection
    connection.close()


def _other_text(chance: random.Random, value: str) -> str:
    place = chance.randrange(len(value) + 1)
    changed = [
        value[:place] + chance.choice("aZ0 é'\"") + value[place:],
        value[: max(place - 1, 0)] + value[place:],
        value.swapcase(),
        "",
    ]
    return next((text for text in chance.sample(changed, len(changed)) if text != value), value + "x")


def change_text(chance: random.Random, rows: sqlite3.Connection) -> str:
    column, seq = chance.choice(TEXTS), chance.randint(1, EVENTS)
    (value,) = rows.execute(f"SELECT {column} FROM icebridge_events WHERE seq = ?", [seq]).fetchone()
    rows.execute(f"UPDATE icebridge_events SET {column} = ? WHERE seq = ?", [_other_text(chance, value), seq])
    return f"{column} of {seq}"


def change_data(chance: random.Random, rows: sqlite3.Connection) -> str:
    seq = chance.randint(1, EVENTS)
    (value,) = rows.execute("SELECT data FROM icebridge_events WHERE seq = ?", [seq]).fetchone()
    data = json.loads(value)
    changes: list[Callable[[], str]] = [
        lambda: json.dumps({**data, "rows": data["rows"] + 1}, sort_keys=True, separators=(",", ":")),
        lambda: json.dumps({**data, "more": None}, sort_keys=True, separators=(",", ":")),
        lambda: json.dumps(data),  # the same value in other words
        lambda: value.replace("{", '{"note":"first",', 1),  # a key twice: readers differ in which one counts
        lambda: "{}",
        lambda: "not json",
        lambda: value[:-1],
        lambda: f"{value} ",
    ]
    rows.execute("UPDATE icebridge_events SET data = ? WHERE seq = ?", [chance.choice(changes)(), seq])
    return f"data of {seq}"


def change_epoch(chance: random.Random, rows: sqlite3.Connection) -> str:
    seq, epoch = chance.randint(1, EVENTS), chance.choice([1, -1, 0.5, "x", 2**40])
    rows.execute("UPDATE icebridge_events SET epoch = ? WHERE seq = ?", [epoch, seq])
    return f"epoch of {seq}"


def delete_some(chance: random.Random, rows: sqlite3.Connection) -> str:
    first = chance.randint(1, EVENTS)
    last = min(EVENTS, first + chance.randint(0, 3))
    rows.execute("DELETE FROM icebridge_events WHERE seq BETWEEN ? AND ?", [first, last])
    return f"delete {first} to {last}"


def cut_off(chance: random.Random, rows: sqlite3.Connection) -> str:
    keep = chance.randint(0, EVENTS - 1)
    rows.execute("DELETE FROM icebridge_events WHERE seq > ?", [keep])
    if chance.random() < 0.5:
        rows.execute("UPDATE icebridge_head SET seq = ?", [keep])
    return f"cut off after {keep}"


def swap(chance: random.Random, rows: sqlite3.Connection) -> str:
    one, two = chance.sample(range(1, EVENTS + 1), 2)
    for old, new in ((one, -1), (two, one), (-1, two)):
        rows.execute("UPDATE icebridge_events SET seq = ? WHERE seq = ?", [new, old])
    return f"swap {one} and {two}"


def move(chance: random.Random, rows: sqlite3.Connection) -> str:
    seq, new = chance.randint(1, EVENTS), chance.choice([-5, 0, EVENTS + 7])
    rows.execute("UPDATE icebridge_events SET seq = ? WHERE seq = ?", [new, seq])
    return f"move {seq} to {new}"


def forge_one(chance: random.Random, rows: sqlite3.Connection) -> str:
    """Change an event and give it the hash that fits, which only a weak check would believe."""
    seq = chance.randint(1, EVENTS - 1)
    row = rows.execute("SELECT * FROM icebridge_events WHERE seq = ?", [seq]).fetchone()
    told = {name: row[name] for name in row.keys() if name not in {"table_name", "data"}}  # noqa: SIM118 - a row
    forged = line(event_of({**told, "table": row["table_name"], "data": {"rows": 10**6}}))
    values = [line_hash(forged), canonical(forged["data"]), seq]
    rows.execute("UPDATE icebridge_events SET hash = ?, data = ? WHERE seq = ?", values)
    return f"forge {seq}"


def add_one(chance: random.Random, rows: sqlite3.Connection) -> str:
    seq, last = chance.choice([EVENTS + 1, EVENTS + 5, 0]), rows.execute("SELECT hash FROM icebridge_head").fetchone()
    forged = line(next(chained([an_event()], EVENTS, last["hash"], "2026-01-01T00:00:00")))
    forged |= {"seq": seq, "data": json.dumps(dict(forged["data"])), "table_name": forged.pop("table")}
    names = ", ".join(forged)
    rows.execute(f"INSERT INTO icebridge_events ({names}) VALUES ({', '.join('?' * len(forged))})", [*forged.values()])
    return f"add {seq}"


def change_head(chance: random.Random, rows: sqlite3.Connection) -> str:
    change = chance.choice(["DELETE FROM icebridge_head", "UPDATE icebridge_head SET hash = 'x'"])
    rows.execute(chance.choice([change, "UPDATE icebridge_head SET seq = seq + 1"]))
    return "head"


TAMPERINGS = (
    change_text,
    change_data,
    change_epoch,
    delete_some,
    cut_off,
    swap,
    move,
    forge_one,
    add_one,
    change_head,
)


def test_of_1000_random_tamperings_each_is_found(ledger: SqlLedger, rows: sqlite3.Connection) -> None:
    assert ledger.verify_chain().intact
    backup = sqlite3.connect(":memory:")
    rows.backup(backup)
    missed, tried = [], dict.fromkeys(TAMPERINGS, 0)
    for seed in range(1000):
        chance = random.Random(seed)
        tamper = chance.choice(TAMPERINGS)
        rows.execute("BEGIN")
        what = tamper(chance, rows)
        rows.execute("COMMIT")
        tried[tamper] += 1
        if ledger.verify_chain().intact:
            missed.append((seed, what))
        rows.execute("BEGIN")
        for table in ("icebridge_events", "icebridge_head"):
            kept = backup.execute(f"SELECT * FROM {table}").fetchall()
            rows.execute(f"DELETE FROM {table}")
            rows.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(kept[0]))})", kept)
        rows.execute("COMMIT")
    assert missed == []
    assert min(tried.values()) > 60
    assert ledger.verify_chain().intact


def test_the_changed_event_is_named(ledger: SqlLedger, rows: sqlite3.Connection) -> None:
    rows.execute("UPDATE icebridge_events SET who = 'somebody else' WHERE seq = 17")
    (problem,) = ledger.verify_chain().problems
    assert problem.startswith("event 17 (")
    assert "was changed" in problem


def test_a_missing_event_is_named(ledger: SqlLedger, rows: sqlite3.Connection) -> None:
    rows.execute("DELETE FROM icebridge_events WHERE seq IN (20, 21)")
    problems = ledger.verify_chain().problems
    assert "events 20 to 21 are missing before event 22" in problems


def test_a_record_written_anew_is_found_by_a_noted_hash(ledger: SqlLedger, tmp_path: Path) -> None:
    noted = dict([ledger.head()])
    other = sqlite_ledger(tmp_path / "other")
    events = [replace(event, seq=0, at="", previous="", hash="") for event in ledger.events()]
    other.append_many([*events[:-1], an_event(Step.PURGE, Outcome.DONE)])
    assert other.verify_chain().intact
    assert other.head()[0] == ledger.head()[0]
    assert not other.verify_chain(noted).intact
    assert ledger.verify_chain(noted).intact
    assert not ledger.verify_chain({EVENTS + 5: "0" * 64}).intact


def test_an_empty_record_is_whole(tmp_path: Path) -> None:
    report = sqlite_ledger(tmp_path).verify_chain()
    assert (report.events, report.head, report.problems) == (0, START, ())


def test_a_line_covers_every_field_of_an_event() -> None:
    placed = next(chained([an_event(rows=1)], 0, START, "2026-01-01T00:00:00+00:00"))
    other = replace(placed.actor, who="eve"), replace(placed.actor, origin="elsewhere")
    changes: list[LedgerEvent] = [replace(placed, actor=actor) for actor in other]
    changes += [
        replace(placed, **{name: value})
        for name, value in {
            "plan_id": "x", "table": "x", "step": Step.PURGE, "outcome": Outcome.FAILED, "data": {}, "epoch": 7,
            "seq": 2, "at": "x", "previous": "x",
        }.items()
    ]  # fmt: skip
    assert fits(line(placed))
    assert [changed for changed in changes if fits(line(changed))] == []
    assert len(changes) == len(line(placed)) - 1  # all but the hash itself

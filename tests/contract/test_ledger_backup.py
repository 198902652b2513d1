from __future__ import annotations

import json
import random
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from icebridge_provider.exceptions import ConfigurationError, FencedOut, ValidationFailed
from icebridge_provider.model.event import Step
from icebridge_provider.ports import CopiedFile
from icebridge_provider.state.backup import backup, restore
from icebridge_provider.state.governor import CommitGovernor
from icebridge_provider.state.ledger import SqlLedger
from tests.support.ledgers import PLAN, TABLE, an_event, sqlite_ledger

pytestmark = pytest.mark.postgres


@pytest.fixture
def full(tmp_path: Path) -> SqlLedger:
    ledger = sqlite_ledger(tmp_path / "full")
    ledger.append_many([an_event(step, note="line\u2028break, 'é', \n") for step in Step] * 100)
    ledger.record_files(PLAN, TABLE, [CopiedFile(source="s3://a/1", target="s3://b/1", size=2**40, crc32=2**32 - 1)])
    ledger.save_document("report", "p1/x", {"passed": True, "text": "\x85\u2029"})
    CommitGovernor(ledger, 1).limit(7)
    return ledger


@pytest.fixture
def empty(ledger: SqlLedger) -> SqlLedger:
    return ledger


def test_what_was_backed_up_comes_back(full: SqlLedger, empty: SqlLedger, tmp_path: Path) -> None:
    file = tmp_path / "ledger.backup"
    rows = backup(full, file)
    assert rows == len(list(full.events())) + 4  # the head, a file, a document, the limit
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert restore(empty, file) == rows
    assert list(empty.events()) == list(full.events())
    assert empty.verify_chain(dict([full.head()])).intact
    assert empty.copied_files(PLAN, TABLE) == full.copied_files(PLAN, TABLE)
    assert empty.document("report", "p1/x") == full.document("report", "p1/x")
    assert CommitGovernor(empty, 1).current() == 7
    assert empty.append(an_event()).previous == full.head()[1]


def test_there_and_back_again_is_the_same_file(full: SqlLedger, empty: SqlLedger, tmp_path: Path) -> None:
    backup(full, tmp_path / "one")
    restore(empty, tmp_path / "one")
    backup(empty, tmp_path / "two")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_who_held_a_lease_before_can_change_nothing_after(full: SqlLedger, empty: SqlLedger, tmp_path: Path) -> None:
    before = full.acquire("k", "one", 600)
    assert before is not None
    backup(full, tmp_path / "file")
    restore(empty, tmp_path / "file")
    with pytest.raises(FencedOut):
        empty.append(an_event(), before)
    after = empty.acquire("k", "two", 600)
    assert after is not None
    assert after.epoch > before.epoch + 1


def test_only_an_empty_ledger_is_filled(full: SqlLedger, empty: SqlLedger, tmp_path: Path) -> None:
    backup(full, tmp_path / "file")
    empty.save_document("report", "mine", {})
    with pytest.raises(ConfigurationError, match="IB-117"):
        restore(empty, tmp_path / "file")
    assert empty.head()[0] == 0
    assert empty.document("report", "mine") == {}


def test_the_same_backup_again_changes_nothing(full: SqlLedger, empty: SqlLedger, tmp_path: Path) -> None:
    rows = backup(full, tmp_path / "file")
    assert restore(empty, tmp_path / "file") == restore(empty, tmp_path / "file") == rows
    assert empty.verify_chain().intact


def test_a_damaged_backup_is_refused_whole(full: SqlLedger, tmp_path: Path) -> None:
    empty = sqlite_ledger(tmp_path / "new")
    backup(full, tmp_path / "file")
    whole = (tmp_path / "file").read_bytes()
    lines = whole.splitlines(keepends=True)
    chance = random.Random(7)
    damages = [whole[: chance.randrange(len(whole))] for _ in range(20)]
    places = chance.sample(range(len(whole) - 1), 20)
    damages += [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in places]
    damages += [b"", b"{}\n", b"\x00\xff", b"".join(lines[:-1]), b"".join(lines[:3] + lines[4:]), whole + lines[5]]
    damages.append(b"".join([lines[0], lines[2], lines[1], *lines[3:]]))
    for damaged in damages:
        (tmp_path / "damaged").write_bytes(damaged)
        with pytest.raises(ValidationFailed) as caught:
            restore(empty, tmp_path / "damaged")
        assert caught.value.code == "IB-116"
    assert empty.head()[0] == 0
    assert restore(empty, tmp_path / "file")


def test_a_backup_of_another_revision_is_named(full: SqlLedger, tmp_path: Path) -> None:
    backup(full, tmp_path / "file")
    text = (tmp_path / "file").read_text(encoding="utf-8")
    (tmp_path / "file").write_text(text.replace('"revision":"0001"', '"revision":"0007"'), encoding="utf-8")
    with pytest.raises(ValidationFailed, match="0007"):
        restore(sqlite_ledger(tmp_path / "new"), tmp_path / "file")


def test_a_backup_taken_while_others_write_is_of_one_moment(empty: SqlLedger, tmp_path: Path) -> None:
    stop, busy = threading.Event(), empty
    busy.append_many([an_event(step) for step in Step] * 100)

    def write() -> None:
        while not stop.is_set():
            busy.append(replace(an_event(), table="lake.other"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            backup(busy, tmp_path / f"file{number}")
            restored = sqlite_ledger(tmp_path / f"new{number}")
            restore(restored, tmp_path / f"file{number}")
            assert restored.verify_chain().intact
    finally:
        stop.set()
        writer.join()


def test_a_folder_that_is_not_there_is_named(full: SqlLedger, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="IB-118"):
        backup(full, tmp_path / "nowhere" / "file")


def test_the_file_needs_no_icebridge_to_be_read(full: SqlLedger, tmp_path: Path) -> None:
    backup(full, tmp_path / "file")
    lines = [json.loads(line) for line in (tmp_path / "file").read_bytes().split(b"\n") if line]
    assert lines[0]["rows"] == len(lines) - 2
    assert {line["table"] for line in lines[1:-1]} >= {"icebridge_events", "icebridge_head"}

"""The evidence of a real migration: whole when nobody touched it, and every touch is found."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.event import Outcome, Step
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.state.signing import Ed25519Signer, keys_by_id, sealed
from icebridge_provider.steps.audit import bundle, verify_audit, verify_bundle
from icebridge_provider.steps.bundle import checkpoints_of
from icebridge_provider.steps.rollback import rollback_table
from tests.support import tables
from tests.support.copying import CopyLake
from tests.support.ledgers import an_event, sqlite_ledger
from tests.support.migrations import Migration, private_pem

SIGNER = Ed25519Signer(private_pem())
KEYS = keys_by_id([SIGNER.public_pem])
HOSTILE = "<img src=x onerror=alert(1)>"


def _fill(lake: CopyLake) -> None:
    tables.plain(lake.native)
    table = tables.position_deletes(lake.native)
    table.transaction().set_properties(comment=HOSTILE).commit_transaction()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Migration:
    """Two tables migrated and cut over, signed, between events of other plans."""
    folder = tmp_path_factory.mktemp("done")
    ledger = sqlite_ledger(folder)
    ledger.append(an_event())
    made = Migration(folder=folder, ledger=ledger, signer=SIGNER, fill=_fill).proven()
    ledger.append(an_event(secretive="of another plan"))
    ledger.append(
        replace(an_event(Step.WATCH, Outcome.PROGRESS, odd="line\u2028ends\x85"), plan_id=made.plan_id, table="")
    )
    made.cut_over()
    ledger.append(an_event())
    return made


@pytest.fixture
def copy(done: Migration, tmp_path: Path) -> SqlLedger:
    """A ledger of the same content that a test may spoil."""
    target = sqlite3.connect(tmp_path / "copy.db")
    source = sqlite3.connect(str(done.ledger.url.database))
    source.backup(target)
    source.close()
    target.close()
    return SqlLedger(f"sqlite:///{tmp_path}/copy.db")


@pytest.fixture(scope="module")
def packed(done: Migration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle(done.ledger, done.plan_id, tmp_path_factory.mktemp("packed") / "move1.zip", KEYS)


def execute(ledger: SqlLedger, statement: str, *values: Any) -> None:
    connection = sqlite3.connect(str(ledger.url.database))
    with connection:
        connection.execute(statement, values)
    connection.close()


# -- the ledger ------------------------------------------------------------------------------------------------------


def test_an_untouched_ledger_holds(done: Migration) -> None:
    found = verify_audit(done.ledger, KEYS)
    assert found["problems"] == []
    assert (found["ok"], found["plans"], found["certificates"], found["signed"], found["unsigned"]) == (
        True,
        1,
        2,
        2,
        0,
    )
    assert (found["events"], found["head"]) == done.ledger.head()
    assert found["notes"] == []
    assert verify_audit(done.ledger, KEYS, plan_id=done.plan_id)["ok"]


def test_without_the_key_a_signature_proves_nothing(done: Migration) -> None:
    problems = verify_audit(done.ledger, {})["problems"]
    assert len(problems) == 2
    assert all("which is not at hand" in problem for problem in problems)


def _document(ledger: SqlLedger, kind: str, change: Callable[[dict[str, Any]], Any], table: str = "plain") -> None:
    key = next(key for key, _ in ledger.documents(kind) if table in key or kind == "certificate_set")
    content = ledger.document(kind, key) or {}
    content = change(content) or content
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    execute(ledger, "UPDATE icebridge_documents SET content = ? WHERE kind = ? AND key = ?", text, kind, key)


def _forge(document: dict[str, Any]) -> dict[str, Any]:
    certificate = {**document["certificate"], "proof": {**document["certificate"]["proof"], "rows": 10**6}}
    return sealed(certificate, Ed25519Signer(private_pem()))


def _strip(document: dict[str, Any]) -> dict[str, Any]:
    return sealed(document["certificate"], None)


def _other_approver(document: dict[str, Any]) -> dict[str, Any]:
    certificate = {**document["certificate"], "approval": {**document["certificate"]["approval"], "who": "eve"}}
    return sealed(certificate, SIGNER)


def _other_plan(document: dict[str, Any]) -> dict[str, Any]:
    return sealed({**document["certificate"], "plan": {"id": "move1", "digest": "0" * 64}}, SIGNER)


def _unproven(document: dict[str, Any]) -> dict[str, Any]:
    return sealed({**document["certificate"], "approved_certificate": "1" * 64}, SIGNER)


TOUCHES: dict[str, tuple[Callable[[SqlLedger], None], str]] = {
    "content": (
        lambda ledger: _document(ledger, "certificate", lambda doc: doc["certificate"]["proof"].update(rows=1)),
        "its digest does not fit",
    ),
    "forged with another key": (lambda ledger: _document(ledger, "certificate", _forge), "which is not at hand"),
    "signature taken off": (lambda ledger: _document(ledger, "certificate", _strip), "not the one that was recorded"),
    "another approver, signed anew": (
        lambda ledger: _document(ledger, "certificate", _other_approver),
        "the approval in the certificate",
    ),
    "of another plan": (lambda ledger: _document(ledger, "certificate", _other_plan), "issued for another plan"),
    "never proposed": (lambda ledger: _document(ledger, "certificate", _unproven), "was never recorded"),
    "of another table": (
        lambda ledger: _document(
            ledger, "certificate", lambda _: ledger.document("certificate", "move1/foreign.lake.deletes")
        ),
        "is that of foreign.lake.deletes",
    ),
    "certificate deleted": (
        lambda ledger: execute(
            ledger, "DELETE FROM icebridge_documents WHERE kind='certificate' AND key LIKE '%plain'"
        ),
        "is missing",
    ),
    "not JSON": (
        lambda ledger: execute(ledger, "UPDATE icebridge_documents SET content='{' WHERE kind='certificate'"),
        "cannot be read any more",
    ),
    "approved list changed": (
        lambda ledger: _document(
            ledger, "certificate_set", lambda doc: doc["tables"].pop("foreign.lake.plain") and None
        ),
        "behind the approved digest",
    ),
    "plan edited": (
        lambda ledger: execute(ledger, "UPDATE icebridge_plans SET content=replace(content,'copy_files','register')"),
        "plan move1 was changed",
    ),
    "plan row exchanged": (
        lambda ledger: execute(ledger, "UPDATE icebridge_plans SET digest = ?", "0" * 64),
        "plan move1 was exchanged",
    ),
    "plan deleted": (lambda ledger: execute(ledger, "DELETE FROM icebridge_plans"), "plan move1 is missing"),
    "plan not JSON": (lambda ledger: execute(ledger, "UPDATE icebridge_plans SET content='x'"), "cannot be read"),
    "approval deleted": (
        lambda ledger: execute(ledger, "DELETE FROM icebridge_events WHERE step = 'approve'"),
        "never approved",
    ),
    "event changed": (
        lambda ledger: execute(ledger, "UPDATE icebridge_events SET data='{\"who\":\"eve\"}' WHERE step='approve'"),
        "was changed after it was recorded",
    ),
    "event with unreadable data": (
        lambda ledger: execute(ledger, "UPDATE icebridge_events SET data='[1' WHERE step='certify'"),
        "was changed after it was recorded",
    ),
    "end cut off": (
        lambda ledger: execute(
            ledger, "DELETE FROM icebridge_events WHERE seq = (SELECT max(seq) FROM icebridge_events)"
        ),
        "its end was cut off",
    ),
}


@pytest.mark.parametrize("touch", TOUCHES)
def test_every_touch_is_found_and_named(copy: SqlLedger, touch: str) -> None:
    assert verify_audit(copy, KEYS)["ok"]
    spoil, words = TOUCHES[touch]
    spoil(copy)
    found = verify_audit(copy, KEYS)
    assert not found["ok"]
    assert any(words in problem for problem in found["problems"]), found["problems"]


def test_a_run_that_was_stopped_before_its_last_record_is_a_note_not_an_alarm(tmp_path: Path) -> None:
    made = Migration(folder=tmp_path, ledger=sqlite_ledger(tmp_path), signer=SIGNER).cut_over()
    events = list(made.ledger.events())
    stopped = sqlite_ledger(tmp_path / "stopped")
    for table in ("icebridge_plans", "icebridge_documents"):
        rows = sqlite3.connect(str(made.ledger.url.database)).execute(f"SELECT * FROM {table}").fetchall()
        for row in rows:
            execute(stopped, f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", *row)
    stopped.append_many(events[:-1])
    found = verify_audit(stopped, KEYS)
    assert found["problems"] == []
    assert found["notes"] == [
        "the cut-over of foreign.lake.plain in plan move1 is not finished; run the migration again"
    ]


def test_a_rolled_back_migration_still_holds(tmp_path: Path) -> None:
    made = Migration(folder=tmp_path, ledger=sqlite_ledger(tmp_path), signer=SIGNER).cut_over()
    rollback_table(made.site, made.plan, made.plan.tables[0])
    assert verify_audit(made.ledger, KEYS)["problems"] == []


def test_an_unsigned_migration_says_unsigned(tmp_path: Path) -> None:
    made = Migration(folder=tmp_path, ledger=sqlite_ledger(tmp_path)).cut_over()
    found = verify_audit(made.ledger, {})
    assert (found["ok"], found["signed"], found["unsigned"]) == (True, 0, 1)
    path = bundle(made.ledger, made.plan_id, tmp_path / "b.zip", {})
    assert verify_bundle(path) == []
    page = zipfile.ZipFile(path).read("index.html").decode()
    assert "No certificate here is signed" in page


# -- the bundle ------------------------------------------------------------------------------------------------------


def test_a_bundle_is_checked_with_nothing_else(packed: Path, done: Migration) -> None:
    assert verify_bundle(packed) == []
    assert verify_bundle(packed, KEYS) == []
    strangers = verify_bundle(packed, keys_by_id([Ed25519Signer(private_pem()).public_pem]))
    assert len([problem for problem in strangers if "not at hand" in problem]) == 2
    assert len(done.plan.tables) == 2


def test_the_same_ledger_gives_the_same_bytes(packed: Path, done: Migration, tmp_path: Path) -> None:
    again = bundle(done.ledger, done.plan_id, tmp_path / "again.zip", KEYS)
    assert again.read_bytes() == packed.read_bytes()
    assert done.ledger.head()[0] > len(list(done.ledger.events(done.plan_id)))  # others go on meanwhile


def test_other_people_s_tools_can_check_it(packed: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    sums = dict(reversed(line.split("  ")) for line in files["SHA256SUMS"].decode().splitlines())
    assert sums == {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if name != "SHA256SUMS"}
    key = load_pem_public_key(files[f"keys/{SIGNER.key_id}.pem"])
    assert isinstance(key, Ed25519PublicKey)
    for number in ("00001", "00002"):
        key.verify(files[f"signed/{number}.sig"], files[f"signed/{number}.json"])
    previous = None
    for text in files["events.jsonl"].decode().split("\n")[:-1]:
        line = json.loads(text)
        assert previous in {None, line["previous"]}
        previous = line["hash"]
        if "data" in line:
            content = {name: value for name, value in line.items() if name not in {"hash", "previous"}}
            plain = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            assert hashlib.sha256((line["previous"] + plain).encode()).hexdigest() == line["hash"]


def test_it_holds_everything_an_auditor_asks_for(packed: Path, done: Migration) -> None:
    with zipfile.ZipFile(packed) as archive:
        names = set(archive.namelist())
        rows = json.loads(archive.read("tables.json"))
        approvals = json.loads(archive.read("approvals.json"))
    wanted = {
        "plan.json",
        "findings.json",
        "losses.json",
        "tables.json",
        "approvals.json",
        "events.jsonl",
        "chain.json",
    }
    assert names >= wanted | {"index.html", "verify.txt", "certificates/00001.json", "reports/00002.json"}
    assert {row["source"]: row["state"] for row in rows} == {str(t.source): "cut over" for t in done.plan.tables}
    assert all(row["before"]["snapshot_id"] == row["after"]["snapshot_id"] for row in rows)
    assert all(row["archived"].startswith(row["source"]) and row["signed"] for row in rows)
    assert [approval["who"] for approval in approvals] == ["maria", "maria"]


def test_other_plans_stay_at_home(packed: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        text = "".join(archive.read(name).decode("utf-8", "replace") for name in archive.namelist())
    assert "secretive" not in text
    assert "lake.sales.orders" not in text


def test_the_page_needs_nothing_and_runs_nothing(packed: Path) -> None:
    page = zipfile.ZipFile(packed).read("index.html").decode()
    for forbidden in ("<script", "http://", "https://", "<img", "javascript:", "@import", "url(", HOSTILE):
        assert forbidden not in page
    assert "default-src 'none'" in page
    assert "foreign.lake.plain" in page


def test_hostile_names_are_text(done: Migration) -> None:
    from icebridge_provider.steps.bundle_pages import derived, page
    from icebridge_provider.steps.evidence import StoredCertificate

    document = sealed({"names": {"source": HOSTILE, "archived": HOSTILE}, "doc": HOSTILE}, None)
    kept = [StoredCertificate(plan_id="move1", table=HOSTILE, document=document)]
    lines = [line for line in done.ledger.lines() if line["plan_id"] == done.plan_id]
    lines[0] = {**lines[0], "data": {"x": HOSTILE}, "who": HOSTILE}
    text = page(done.plan, derived(done.plan, lines, kept), kept, {"seq": 1, "hash": HOSTILE}, lines)
    assert HOSTILE not in text
    assert text.count("&lt;img src=x") >= 4


def _repacked(packed: Path, path: Path, change: Callable[[dict[str, bytes]], None], *, honest_sums: bool) -> Path:
    """Write a changed bundle, with sums that fit the change if the forger thought of them."""
    with zipfile.ZipFile(packed) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    if honest_sums:
        sums = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items() if name != "SHA256SUMS"]
        files["SHA256SUMS"] = "".join(sums).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_one_changed_byte_in_any_file_is_found(packed: Path, tmp_path: Path) -> None:
    names = zipfile.ZipFile(packed).namelist()
    assert len(names) >= 15
    chance = random.Random(3)
    for name in names:

        def flip(files: dict[str, bytes], name: str = name) -> None:
            place = chance.randrange(len(files[name]))
            files[name] = files[name][:place] + bytes([files[name][place] ^ 1]) + files[name][place + 1 :]

        assert verify_bundle(_repacked(packed, tmp_path / "x.zip", flip, honest_sums=False)), name


@pytest.mark.parametrize(
    "name",
    ["plan.json", "events.jsonl", "approvals.json", "tables.json", "losses.json", "findings.json", "chain.json",
     "certificates/00001.json", "signed/00001.json", "signed/00002.sig", "certificate_sets.json"],
)  # fmt: skip
def test_sums_that_were_mended_do_not_help_a_forger(packed: Path, tmp_path: Path, name: str) -> None:
    def change(files: dict[str, bytes]) -> None:
        digits = [place for place, byte in enumerate(files[name]) if chr(byte).isdigit()] or [0]
        place = digits[len(digits) // 2]
        other = b"1" if files[name][place : place + 1] != b"1" else b"2"
        files[name] = files[name][:place] + other + files[name][place + 1 :]

    if name in {"losses.json", "findings.json"}:

        def change(files: dict[str, bytes]) -> None:
            files[name] = b"[]\n"

    assert verify_bundle(_repacked(packed, tmp_path / "x.zip", change, honest_sums=True), KEYS), name


def test_missing_and_foreign_files_are_named(packed: Path, tmp_path: Path) -> None:
    gone = _repacked(
        packed, tmp_path / "a.zip", lambda files: files.__delitem__("reports/00001.json"), honest_sums=False
    )
    assert verify_bundle(gone) == ["reports/00001.json is missing"]
    more = _repacked(packed, tmp_path / "b.zip", lambda files: files.update({"extra.txt": b"x"}), honest_sums=False)
    assert verify_bundle(more) == ["extra.txt does not belong to the bundle"]


def test_what_is_no_bundle_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.writestr("plan.json", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("plan.json", "2")
    for name in ("text", "empty.zip", "two.zip", "nothing.zip"):
        (problem,) = verify_bundle(tmp_path / name)
        assert "is not a whole IceBridge bundle" in problem


def test_an_earlier_bundle_shows_a_ledger_that_was_written_anew(packed: Path, done: Migration, tmp_path: Path) -> None:
    noted = checkpoints_of(packed)
    assert verify_audit(done.ledger, KEYS, checkpoints=noted)["ok"]
    anew = sqlite_ledger(tmp_path)
    anew.append_many([event for event in done.ledger.events() if event.step != "approve"])
    assert anew.verify_chain().intact
    problems = verify_audit(anew, KEYS, checkpoints=noted)["problems"]
    assert any("is not the one that was noted elsewhere" in problem for problem in problems)


def test_a_plan_that_is_not_there_and_a_folder_that_is_not(done: Migration, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="IB-120"):
        bundle(done.ledger, "nothing", tmp_path / "x.zip", KEYS)
    with pytest.raises(ConfigurationError, match="IB-118"):
        bundle(done.ledger, done.plan_id, tmp_path / "no" / "x.zip", KEYS)
    assert not list(tmp_path.iterdir())


def test_a_plan_that_was_only_made_can_be_bundled(tmp_path: Path) -> None:
    made = Migration(folder=tmp_path, ledger=sqlite_ledger(tmp_path), signer=SIGNER)
    path = bundle(made.ledger, made.plan.plan_id, tmp_path / "x.zip", KEYS)
    assert verify_bundle(path) == []

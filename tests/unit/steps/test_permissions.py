from __future__ import annotations

import json
import logging
import threading
import time
from pathlib import Path

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.bridge import Access
from icebridge_provider.steps.permissions import PermissionsFile

STILL = 0.02


def content(rows: int, table: str = "dbo.Orders", user: str = "project") -> str:
    return (
        f"users:\n  - name: {user}\n    token_sha256: {'a' * 64}\n    permissions:\n"
        f"      - table: {table}\n        access: read_write\n        max_delete_rows: {rows}\n"
    )


def replace(path: Path, text: str) -> None:
    beside = path.with_suffix(f".{threading.get_ident()}")
    beside.write_text(text)
    beside.chmod(0o644)
    beside.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    replace(tmp_path / "permissions.yaml", content(5))
    return tmp_path / "permissions.yaml"


def test_rights_are_those_of_the_syncs_user(path: Path) -> None:
    rights = PermissionsFile(path, "project", still_seconds=STILL).rights()
    grant = rights.on("dbo.Orders")
    assert grant is not None
    assert (grant.access, grant.max_delete_rows) == (Access.READ_WRITE, 5)
    assert rights.on("dbo.orders") is None
    with pytest.raises(ConfigurationError, match=r"IB-875.*'nobody'"):
        PermissionsFile(path, "nobody", still_seconds=STILL).rights()


def test_a_new_content_counts_at_the_next_look(path: Path) -> None:
    file = PermissionsFile(path, "project", still_seconds=STILL)
    file.rights()
    replace(path, content(7))
    assert _limit(file) == 7


def test_a_user_who_is_taken_out_has_no_rights_any_more(path: Path) -> None:
    file = PermissionsFile(path, "project", still_seconds=STILL)
    file.rights()
    replace(path, content(7, user="other"))
    with pytest.raises(ConfigurationError, match="IB-875"):
        file.rights()


@pytest.mark.parametrize("broken", ["users: [", "users:\n  - name: 1\n    rights: all\n", "", "users: null\n"])
def test_a_broken_content_leaves_the_last_good_one(path: Path, broken: str, caplog: pytest.LogCaptureFixture) -> None:
    file = PermissionsFile(path, "project", still_seconds=STILL)
    file.rights()
    replace(path, broken)
    with caplog.at_level(logging.WARNING):
        assert [_limit(file), _limit(file)] == [5, 5]
    assert caplog.text.count("IB-876") == 1
    assert "IB-876" in file.problem
    replace(path, content(9))
    assert _limit(file) == 9
    assert not file.problem


def test_without_a_good_content_ever_the_problem_is_raised(path: Path) -> None:
    replace(path, "users: [")
    with pytest.raises(ConfigurationError, match="IB-80"):
        PermissionsFile(path, "project", still_seconds=STILL).rights()
    path.unlink()
    with pytest.raises(ConfigurationError, match="IB-801"):
        PermissionsFile(path, "project", still_seconds=STILL).rights()


def test_a_file_that_everybody_may_write_is_not_taken(path: Path) -> None:
    file = PermissionsFile(path, "project", still_seconds=STILL)
    file.rights()
    replace(path, content(7))
    path.chmod(0o666)
    assert _limit(file) == 5
    path.chmod(0o644)
    assert _limit(file) == 7


def test_a_content_that_is_still_being_written_does_not_count(path: Path) -> None:
    file = PermissionsFile(path, "project", still_seconds=STILL)
    assert _limit(file) == 5
    whole = content(7000)
    stop = threading.Event()
    begun = threading.Event()

    def write_slowly() -> None:
        with path.open("w") as out:
            for char in whole:
                out.write(char)
                out.flush()
                begun.set()
                time.sleep(STILL / 25)
        stop.set()

    writer = threading.Thread(target=write_slowly)
    writer.start()
    begun.wait(5)
    seen = set()
    while not stop.is_set():
        seen.add(_limit(file))
    writer.join()
    assert seen <= {5, 7000}
    assert _limit(file) == 7000


def test_a_thousand_flips_under_load_never_open_and_never_mix(path: Path) -> None:
    good = {content(rows, table) for rows, table in ((5, "dbo.Orders"), (50, "dbo.Other"))}
    allowed = {(("dbo.Orders", 5),), (("dbo.Other", 50),)}
    torn = content(500, "dbo.Orders")[:-4]
    flips = [*good, "users: [", torn.replace("read_write", "everything"), "users: &a [*a]", "\0"]
    file = PermissionsFile(path, "project", still_seconds=STILL)
    file.rights()
    seen: set[tuple[tuple[str, int], ...]] = set()
    problems: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        try:
            while not stop.is_set():
                seen.add(tuple((grant.table, grant.max_delete_rows) for grant in file.rights().grants))
                time.sleep(0.001)
        except BaseException as error:
            problems.append(error)
            raise

    readers = [threading.Thread(target=read) for _ in range(8)]
    for reader in readers:
        reader.start()
    for number in range(1000):
        replace(path, flips[number % len(flips)])
        if not number % 10:
            time.sleep(0.001)
    replace(path, content(50, "dbo.Other"))
    time.sleep(2.5 * STILL)
    stop.set()
    for reader in readers:
        reader.join()
    assert not problems
    assert seen <= allowed
    assert [grant.table for grant in file.rights().grants] == ["dbo.Other"]


def test_every_decision_is_a_line_of_json(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    audit = tmp_path / "audit.jsonl"
    file = PermissionsFile(path, "project", still_seconds=STILL, audit_file=audit, source_ip="10.0.0.1")
    with caplog.at_level(logging.INFO, logger="icebridge_provider.audit"):
        file.audit(event_type="permission_denied", resource='dbo.Or"ders\n{}', action="DELETE", detail="event-1")
        file.audit(event_type="event_completed", resource="dbo.Orders", action="INSERT")
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [sorted(line) for line in lines] == [
        ["action", "detail", "event_type", "resource", "source_ip", "timestamp", "user_name"],
        ["action", "event_type", "resource", "source_ip", "timestamp", "user_name"],
    ]
    assert lines[0]["resource"] == 'dbo.Or"ders\n{}'
    assert (lines[0]["user_name"], lines[0]["source_ip"], lines[0]["action"]) == ("project", "10.0.0.1", "DELETE")
    assert audit.stat().st_mode & 0o077 == 0
    assert [json.loads(message) for message in caplog.messages] == lines


def test_what_cannot_be_put_on_record_is_an_error(path: Path, tmp_path: Path) -> None:
    file = PermissionsFile(path, "project", still_seconds=STILL, audit_file=tmp_path)
    with pytest.raises(ConfigurationError, match="IB-877"):
        file.audit(event_type="permission_granted", resource="dbo.Orders", action="INSERT")


def test_a_token_in_the_clear_is_warned_of_and_never_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    replace(path, content(5).replace(f"token_sha256: {'a' * 64}", "token: very-secret"))
    with caplog.at_level(logging.WARNING):
        assert PermissionsFile(path, "project", still_seconds=STILL).rights().user == "project"
    assert "token_sha256" in caplog.text
    assert "very-secret" not in caplog.text


def test_a_link_that_moves_to_another_folder_is_followed(tmp_path: Path) -> None:
    """Kubernetes mounts files so."""
    for name, rows in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        replace(tmp_path / name / "permissions.yaml", content(rows))
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "permissions.yaml").symlink_to("..data/permissions.yaml")
    file = PermissionsFile(tmp_path / "permissions.yaml", "project", still_seconds=STILL)
    assert _limit(file) == 1
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").replace(tmp_path / "..data")
    assert _limit(file) == 2


def _limit(file: PermissionsFile) -> int:
    return file.rights().grants[0].max_delete_rows

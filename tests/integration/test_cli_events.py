"""The commands of the event sync, over SQLite databases behind Airflow connections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.airflow_cli import connection, environment
from tests.support.bridge_home import TARGET, BridgeHome, block, bridge_home
from tests.support.cli import icebridge

pytestmark = pytest.mark.airflow


@pytest.fixture
def home(airflow_cli_home: Path, tmp_path: Path) -> Iterator[BridgeHome]:
    with bridge_home(tmp_path) as made:
        yield made


@pytest.fixture
def blocked(home: BridgeHome) -> BridgeHome:
    block(home)
    return home


def test_a_sync_by_the_command_line(airflow_cli_home: Path, tmp_path: Path) -> None:
    with bridge_home(tmp_path) as home:
        home.run(home.side, "DROP TABLE orders_events")
        assert icebridge("events", "init", "--json").json == {"sync": "orders", "ready": True}
        assert icebridge("events", "init").code == 0
        home.fill(home.side, "fresh", [(1, "new 1"), (2, "new 2")])
        home.fill(home.target, "orders", [(1, "old 1")])
        said = icebridge(
            "events", "emit", "UPDATE", "main.fresh", TARGET, "--keys", "id", "--where", "amount=new 1", "--rows", "1",
            "--metadata", "ticket=T=1", "--event-id", "e1", "--json",
        )  # fmt: skip
        assert said.json == {"sync": "orders", "event_id": "e1"}
        assert dict(home.queue().event("e1").metadata)["ticket"] == "T=1"
        shown = icebridge("events", "preview", "e1")
        assert (shown.code, "UPDATE" in shown.out, "1 rows" in shown.out) == (0, True, True)
        assert home.rows() == [(1, "old 1")]
        assert icebridge("events", "apply", "--json").json["completed"] == 1
        assert home.rows() == [(1, "new 1")]
        found = icebridge("events", "status", "e1", "--json").json
        assert (found["status"], found["rows_affected"], found["discrepancy"]) == ("completed", 1, 0)


def test_a_blocked_event_by_the_command_line(blocked: BridgeHome) -> None:
    listed = icebridge("events", "status", "--status", "blocked", "--json").json
    assert [event["event_id"] for event in listed["syncs"][0]["events"]] == ["much"]
    assert listed["watching"] == ["orders: nobody has looked at its events yet"]
    assert icebridge("events", "release", "much", "--rows", "0", "--json").refusal == "IB-854"
    assert icebridge("events", "release", "much", "--rows", "5").code == 0
    assert icebridge("events", "release", "much", "--rows", "5", "--json").refusal == "IB-854"
    assert icebridge("events", "apply").code == 0
    assert blocked.rows() == []


def test_rejecting_by_the_command_line(blocked: BridgeHome) -> None:
    assert icebridge("events", "reject", "much", "--message", "wrong month").code == 0
    assert blocked.queue().event("much").error_message == "wrong month"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("events", "status", "gone"), "IB-886"),
        (("events", "preview", "gone"), "IB-854"),
        (("events", "status", "--sync", "nobody"), "IB-802"),
        (("events", "emit", "MERGE", "a", "b"), "IB-885"),
        (("events", "emit", "INSERT", "main.fresh", TARGET, "--where", "id"), "IB-892"),
        (("events", "emit", "INSERT", "main.fresh", TARGET, "--where", "id=1", "id=2"), "IB-892"),
    ],
    ids=lambda item: " ".join(item) if isinstance(item, tuple) else item,
)
def test_refusals_name_what_is_wrong(home: BridgeHome, arguments: tuple[str, ...], code: str) -> None:
    assert icebridge(*arguments, "--json").refusal == code


def test_without_a_file_of_syncs_every_command_says_so(airflow_cli_home: Path) -> None:
    assert icebridge("events", "status", "--json").refusal == "IB-880"


def test_a_connection_that_fits_no_side_is_refused_by_name(airflow_cli_home: Path, tmp_path: Path) -> None:
    with bridge_home(tmp_path), environment(AIRFLOW_CONN_BRIDGE_TARGET=connection("http", host="example.com")):
        said = icebridge("events", "apply", "--json")
    assert said.refusal == "IB-882"
    assert "bridge_target" in said.json["error"]["message"]

"""The sensor that says which syncs have events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError
from tests.support.bridge_home import BridgeHome, bridge_home
from tests.support.dag_runs import context

pytestmark = pytest.mark.airflow


@pytest.fixture
def home(airflow_cli_home: Path, tmp_path: Path) -> Iterator[BridgeHome]:
    with bridge_home(tmp_path, ("orders", "stock")) as made:
        yield made


def sensor(**more: Any) -> Any:
    from icebridge_provider.sensors.events import BridgeEventSensor

    return BridgeEventSensor(task_id="waiting", **more)


def test_syncs_with_events_are_named(home: BridgeHome) -> None:
    assert sensor().execute(context()) == []
    home.emit("e1", sync="stock")
    assert sensor().execute(context()) == ["stock"]
    assert sensor(sync="orders").execute(context()) == []


def test_one_that_cannot_be_looked_at_is_named_too(home: BridgeHome) -> None:
    home.run(home.side, "DROP TABLE orders_events")
    assert sensor().execute(context()) == ["orders"]


def test_it_waits_in_the_triggerer_only_when_told_to_and_nothing_is_to_be_done(home: BridgeHome) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    with pytest.raises(TaskDeferred) as met:
        sensor(wait=True, sync="orders").execute(context())
    assert met.value.trigger.serialize()[1] == {"sync": "orders", "shared": False}
    assert sensor().resume(context(), {"sync": "orders", "waiting": 1, "mark": "m", "problem": ""}) == ["orders"]
    home.emit("e1")
    assert sensor(wait=True, sync="orders").execute(context()) == ["orders"]


def test_poking_does_the_same_without_a_triggerer(home: BridgeHome) -> None:
    assert not sensor(wait=True).poke(context()).is_done
    home.emit("e1")
    found = sensor(wait=True).poke(context())
    assert (found.is_done, found.xcom_value) == (True, ["orders"])


def test_a_file_that_cannot_be_read_is_raised_where_a_person_looks(home: BridgeHome) -> None:
    (home.folder / "syncs.yaml").write_text("syncs: [")
    with pytest.raises(ConfigurationError, match=r"IB-800.*syncs.yaml:1"):
        sensor().execute(context())


def test_the_doctor_looks_at_every_sync_and_its_permissions(home: BridgeHome) -> None:
    from tests.support.cli import icebridge

    def syncs() -> dict[str, tuple[str, str]]:
        found = icebridge("doctor", "--json").json["checks"]
        return {item["matter"]: (item["level"], item["found"]) for item in found if item["matter"].startswith("sync ")}

    home.emit("e1")
    assert syncs() == {
        "sync orders": ("ok", "1 events wait; it writes as writer"),
        "sync stock": ("ok", "0 events wait; it writes as writer"),
    }
    home.run(home.side, "DROP TABLE stock_events")
    (home.folder / "permissions.yaml").write_text("users: []")
    assert [(level, found[:6]) for level, found in syncs().values()] == [("wrong", "IB-875")] * 2

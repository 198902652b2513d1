"""``init`` and ``doctor`` against a real Airflow: what is wrong is found, and the fix they name mends it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.airflow_cli import BUNDLES, connection, environment
from tests.support.cli import icebridge

pytestmark = pytest.mark.airflow
DAGS = Path(__file__).parents[2] / "dags"
PARTS = {"pool", "DAGs", "paused DAGs", "ledger", "event chain", "DAG bundle"}


@pytest.fixture
def ledger_path(airflow_cli_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A ledger of this test's own."""
    path = tmp_path / "ledger.db"
    with environment(AIRFLOW_CONN_ICEBRIDGE_LEDGER=connection("icebridge_ledger", schema=str(path))):
        yield path


def faults() -> dict[str, dict[str, Any]]:
    return {item["matter"]: item for item in icebridge("doctor", "--json").json["checks"] if item["level"] == "wrong"}


def test_init_mends_what_doctor_finds_and_may_be_repeated(ledger_path: Path) -> None:
    assert {"ledger"} <= set(faults())
    first = icebridge("init", "--json")
    assert first.code == 0, first.out
    assert sorted(first.json["dags"]["known"]) == sorted(path.stem for path in DAGS.glob("icebridge_*.py"))
    assert first.json["pool"] == {"name": "icebridge_writers", "slots": 64}
    assert faults() == {}
    assert icebridge("doctor").code == 0
    again = icebridge("init", "--json").json
    assert again["dags"]["unpaused"] == []
    assert again["pool"]["slots"] == 64


def test_init_prints_both_bundles(ledger_path: Path) -> None:
    with environment(**{BUNDLES: ""}):
        said = icebridge("init")
        assert set(faults()) >= {"DAG bundle"}
    assert "dags-folder" in said.out
    assert "icebridge_provider.bundle.IceBridgeDagBundle" in said.out


def test_init_keeps_slots_that_somebody_chose(ledger_path: Path) -> None:
    icebridge("init", "--slots", "7")
    assert icebridge("init", "--json").json["pool"]["slots"] == 7
    icebridge("init", "--slots", "64")


def test_limits_are_shown_and_changed_while_workers_run(ledger_path: Path) -> None:
    icebridge("init")
    assert icebridge("limits", "--json").json == {"writers": 64, "commits_per_minute": 800.0}
    changed = icebridge("limits", "--writers", "8", "--commits", "30", "--json").json
    assert changed == {"writers": 8, "commits_per_minute": 30.0} == icebridge("limits", "--json").json
    assert icebridge("limits", "--commits", "0", "--json").refusal == "IB-114"
    assert icebridge("limits", "--configured", "--json").json == {"writers": 64, "commits_per_minute": 800.0}


def test_a_paused_dag_is_named_with_the_command(ledger_path: Path) -> None:
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session

    icebridge("init")
    with create_session() as session:
        session.get(DagModel, "icebridge_migrate").is_paused = True
    assert "airflow dags unpause icebridge_migrate" in faults()["paused DAGs"]["fix"]
    assert icebridge("init", "--json").json["dags"]["unpaused"] == ["icebridge_migrate"]


def test_a_missing_pool_is_named(ledger_path: Path) -> None:
    from airflow.api.client import get_current_api_client

    icebridge("init")
    get_current_api_client().delete_pool("icebridge_writers")
    assert "icebridge init" in faults()["pool"]["fix"]
    icebridge("init")
    assert faults() == {}


def test_an_sqlite_ledger_does_not_fit_a_distributed_executor(ledger_path: Path) -> None:
    icebridge("init")
    with environment(AIRFLOW__CORE__EXECUTOR="CeleryExecutor"):
        assert "IB-112" in faults()["ledger"]["found"]


def test_a_ledger_connection_of_another_type_is_named(ledger_path: Path) -> None:
    with environment(AIRFLOW_CONN_ICEBRIDGE_LEDGER=connection("http")):
        assert "IB-103" in faults()["ledger"]["found"]


def test_an_option_that_cannot_be_read_is_named(ledger_path: Path) -> None:
    with environment(AIRFLOW__ICEBRIDGE__WAVE_TABLES="many"):
        found = faults()["settings"]
    assert "IB-101" in found["found"]
    assert "AIRFLOW__ICEBRIDGE__WAVE_TABLES" in found["fix"]


def test_the_signing_key_is_tried(ledger_path: Path) -> None:
    icebridge("init")
    key = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with environment(AIRFLOW__ICEBRIDGE__SIGNING_CONN_ID="signing"):
        assert "IB-102" in faults()["signing key"]["found"]
        with environment(AIRFLOW_CONN_SIGNING=connection("generic", password="not a key, but a secret")):
            said = icebridge("doctor", "--json")
            assert "IB-130" in faults()["signing key"]["found"]
            assert "but a secret" not in said.out + said.err
        with environment(AIRFLOW_CONN_SIGNING=connection("generic", password=key.decode())):
            assert faults() == {}


@pytest.mark.parametrize(("password", "well"), [("too short", False), ("long enough for a scraper", True)])
def test_the_scrapers_password_is_measured_not_shown(ledger_path: Path, password: str, well: bool) -> None:
    icebridge("init")
    scraper = connection("generic", password=password)
    with environment(AIRFLOW__ICEBRIDGE__SCRAPE_CONN_ID="scraper", AIRFLOW_CONN_SCRAPER=scraper):
        said = icebridge("doctor", "--json")
    assert (said.code == 0) is well
    assert password not in said.out + said.err


def test_connections_that_describe_no_catalog_are_named(ledger_path: Path, tmp_path: Path) -> None:
    icebridge("init")
    good = connection("icebridge_catalog", extra={"type": "sql", "uri": f"sqlite:///{tmp_path}/c.db"})
    with environment(AIRFLOW_CONN_GOOD=good, AIRFLOW_CONN_VAGUE=connection("icebridge_catalog")):
        found = faults()
        assert set(found) == {"connection vague"}
        assert found["connection vague"]["found"].startswith("IB-203")
        rows = icebridge("doctor", "--json", "--connections", "good", "nope").json["checks"]
    matters = {row["matter"]: row for row in rows}
    assert matters["good: list namespaces"]["level"] == "ok"
    assert "IB-102" in matters["nope"]["found"]


def test_a_changed_event_is_found(ledger_path: Path) -> None:
    import sqlite3

    from icebridge_provider.model.event import LedgerEvent, Outcome, Step
    from icebridge_provider.state.ledger import SqlLedger

    icebridge("init")
    ledger = SqlLedger(f"sqlite:///{ledger_path}")
    ledger.append(LedgerEvent(plan_id="p", table="c.n.t", step=Step.COPY, outcome=Outcome.DONE, data={"rows": 1}))
    ledger.engine.dispose()
    with sqlite3.connect(ledger_path) as database:
        database.executescript(
            "SELECT name FROM sqlite_master WHERE type = 'trigger';"
            + _without_triggers(database)
            + "UPDATE icebridge_events SET data = '{\"rows\":2}';"
        )
    assert "event 1" in faults()["event chain"]["found"]


def _without_triggers(database: Any) -> str:
    names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
    return "".join(f"DROP TRIGGER {name};" for name in names)

"""An answer to COMMIT that is lost on the way: the ledger looks before it reports."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from icebridge_provider.exceptions import TransientError
from icebridge_provider.state.ledger import SqlLedger
from tests.support.ledgers import an_event
from tests.support.lossy_postgres import LossyDoor
from tests.support.postgres import PostgresServer, postgres_server  # noqa: F401 - a fixture

pytestmark = pytest.mark.postgres


@pytest.fixture
def door(postgres_server: PostgresServer) -> Iterator[LossyDoor]:  # noqa: F811
    with tempfile.TemporaryDirectory(prefix="ib-door-", dir="/tmp") as folder:
        made = LossyDoor(Path(folder), postgres_server.folder)
        yield made
        made.close()


@pytest.fixture
def ledger(postgres_server: PostgresServer, door: LossyDoor) -> Iterator[SqlLedger]:  # noqa: F811
    direct = postgres_server.new_database()
    made = SqlLedger(direct.replace(str(postgres_server.folder), str(door.folder)))
    made.migrate()
    yield made
    made.close()


def test_an_event_whose_answer_was_lost_is_recorded_once(ledger: SqlLedger, door: LossyDoor) -> None:
    for number in range(20):
        door.lose(forward=True)
        recorded = ledger.append(an_event(number=number))
        assert recorded.seq == number + 1
    assert door.lost == 20
    assert [event.data["number"] for event in ledger.events()] == list(range(20))
    assert ledger.verify_chain().intact


def test_an_event_that_never_arrived_is_reported_as_worth_another_try(ledger: SqlLedger, door: LossyDoor) -> None:
    door.lose(forward=False)
    with pytest.raises(TransientError, match="IB-113"):
        ledger.append(an_event(number=1))
    assert door.lost == 1
    assert ledger.append(an_event(number=1)).seq == 1
    assert len(list(ledger.events())) == 1

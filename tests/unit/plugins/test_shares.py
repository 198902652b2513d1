"""The history of shares, as the API and the page tell it: what happened, in words, and every name only text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from icebridge_provider.model import codec
from icebridge_provider.model.event import LedgerEvent, Outcome, Step
from icebridge_provider.model.share import SHARE, Share
from icebridge_provider.model.snowflake import Place
from icebridge_provider.plugins.api.app import create_app
from icebridge_provider.plugins.api.headers import HEADERS
from icebridge_provider.plugins.api.shares import Shares
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.share_runs import opened
from tests.support.ledgers import sqlite_ledger

HOSTILE = "<script>alert(1)</script>\"'&/?#%2F"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    made = sqlite_ledger(tmp_path)
    yield made
    made.engine.dispose()


def plan(ledger: SqlLedger, run_id: str, name: str = "orders", **more: Any) -> Share:
    place = Place(
        target=("DB", "PUBLIC", name), stage=("DB", "PUBLIC", "LAND"), stage_root="s3://b", control=("DB", "C")
    )
    share = Share(run_id=run_id, source=("main", "sales", name), place=place, location="s3://b", columns=(), **more)
    opened(ledger, run_id)
    ledger.save_document(SHARE, share.document, codec.to_json(share))
    return share


def say(ledger: SqlLedger, share: Share, step: Step, outcome: Outcome, **data: Any) -> None:
    ledger.append(LedgerEvent(plan_id=share.run_id, table=share.name, step=step, outcome=outcome, data=data))


def client(ledger: Any) -> TestClient:
    async def everybody() -> None:
        """Let pass."""

    return TestClient(create_app(lambda: ledger, everybody, list), raise_server_exceptions=False)


def test_the_api_tells_a_run_with_the_fields_that_were_asked_for(ledger: SqlLedger) -> None:
    share = plan(ledger, "manual__2026-11-21T10:00:00+00:00/a", limit=1000, preset="poc")
    say(ledger, share, Step.EXPORT, Outcome.STARTED, **{"try": 1, "location": "s3://b/runs/x"})
    say(ledger, share, Step.EXPORT, Outcome.DONE, rows=1000, files=2, bytes=4096)
    asked = client(ledger)
    (listed,) = asked.get("/api/sync").json()
    found = asked.get(f"/api/sync/{share.run_id}").json()
    assert {key: found[key] for key in ("id", "status", "rows", "limited")} == {
        "id": share.run_id, "status": "EXPORTED", "rows": 1000, "limited": "at most 1000 rows",
    }  # fmt: skip
    assert found == listed
    assert [line.split(" ", 1)[1] for line in found["logs"]] == [
        f"export started {share.name}: try 1, to s3://b/runs/x",
        f"export done {share.name}: 1000 rows, 2 files, 4096 bytes",
    ]
    assert found["createdAt"] <= found["updatedAt"]
    (table,) = found["tables"]
    assert (table["name"], table["status"], table["bytes"]) == (share.name, "EXPORTED", 4096)


def test_unknown_runs_and_odd_limits_are_refused(ledger: SqlLedger) -> None:
    plan(ledger, "a/b")
    asked = client(ledger)
    assert asked.get("/api/sync/a").status_code == 404, "a run whose id begins with another's is another run"
    assert asked.get("/api/sync/").status_code == 404
    assert asked.get("/shares", params={"run": "a"}).status_code == 404
    assert {asked.get(f"/api/sync?limit={limit}").status_code for limit in ("0", "201", "x")} == {422}
    assert asked.get("/api/sync?limit=1").status_code == 200


def test_names_are_text_on_the_page_and_links_lead_to_their_run(ledger: SqlLedger) -> None:
    share = plan(ledger, HOSTILE, HOSTILE, where=f"note = '{HOSTILE}'")
    say(ledger, share, Step.LOAD, Outcome.FAILED, message=f"it broke {HOSTILE}")
    asked = client(ledger)
    listed = asked.get("/shares")
    href = listed.text.split("<a href='")[1].split("'")[0]
    one = asked.get(f"/{href}")
    assert (listed.status_code, one.status_code) == (200, 200)
    for page in (listed, one):
        assert "<script" not in page.text
        assert "FAILED" in page.text
        assert "LIMITED: only where" in page.text
        assert {name: page.headers.get(name) for name in HEADERS} == HEADERS
    assert "it broke &lt;script&gt;" in one.text
    assert "<pre>" in one.text


def test_a_page_asks_again_only_while_something_runs(ledger: SqlLedger) -> None:
    share = plan(ledger, "r")
    assert "http-equiv=refresh" in Shares(lambda: ledger).page("r")[1]
    say(ledger, share, Step.LOAD, Outcome.DONE, rows=1, again=True, warnings=["no comment was set"])
    _, page = Shares(lambda: ledger).page("r")
    assert "http-equiv=refresh" not in page
    assert "it had been loaded before, warning: no comment was set" in page
    assert "http-equiv=refresh" not in Shares(lambda: ledger).page("")[1]


def test_a_list_is_kept_for_five_seconds(ledger: SqlLedger) -> None:
    now = [100.0]
    shares = Shares(lambda: ledger, lambda: now[0])
    assert shares.recent(10) == (200, [])
    plan(ledger, "r")
    now[0] = 104.9
    assert shares.recent(10) == (200, [])
    assert len(shares.recent(11)[1]) == 1
    now[0] = 110.0
    assert len(shares.recent(10)[1]) == 1


@pytest.mark.parametrize("path", ["/shares", "/shares?run=r", "/api/sync", "/api/sync/r"])
def test_a_broken_ledger_says_nothing_of_itself(path: str) -> None:
    def broken() -> SqlLedger:
        raise RuntimeError("postgresql://me:c4n4ry@host/ledger")

    async def everybody() -> None:
        """Let pass."""

    answer = TestClient(create_app(broken, everybody, list), raise_server_exceptions=False).get(path)
    assert answer.status_code == 503
    assert "c4n4ry" not in answer.text


def test_there_are_no_runs_yet(ledger: SqlLedger) -> None:
    asked = client(ledger)
    assert json.loads(asked.get("/api/sync").text) == []
    assert "No run yet." in asked.get("/shares").text

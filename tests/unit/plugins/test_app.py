from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.testclient import TestClient

from icebridge_provider.model.settings import SHORTEST_SCRAPE_SECRET
from icebridge_provider.plugins.api import auth
from icebridge_provider.plugins.api.app import create_app
from icebridge_provider.plugins.api.headers import HEADERS
from icebridge_provider.plugins.api.health import Health

SECRET = "a-long-enough-scrape-secret"
OPEN = {"/health/live", "/health/ready", "/health/startup"}
SHARES = {"/shares", "/api/sync", "/api/sync/{run_id:path}"}
SYNC = {path.replace("/health/", "/health/sync/") for path in OPEN}


async def nobody(_: Request) -> None:
    raise HTTPException(401)


def broken() -> Any:
    raise ImportError("airflow moved it")


def failing_check() -> Callable[..., Any]:
    async def check(_: Request) -> None:
        raise RuntimeError("the auth manager's secret is hunter2")

    return check


def no_ledger() -> Any:
    raise RuntimeError("secret://user:hunter2@host/ledger")


def app(load_check: Any = lambda: nobody, secret: Any = lambda: SECRET, ledger: Any = no_ledger) -> FastAPI:
    return create_app(ledger, auth.guard(load_check, secret), list)


def get(made: FastAPI, path: str, **headers: str) -> Any:
    return TestClient(made, raise_server_exceptions=False).get(path, headers=headers)


def routes(made: FastAPI) -> list[str]:
    return [route.path for route in made.routes]


def test_there_are_these_routes_and_no_others() -> None:
    assert set(routes(app())) == {*OPEN, *SYNC, "/metrics", "/reports", *SHARES}


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/redoc", "/openapi.json", "/api/", "/metrics/", "/health", "/health/x"]
)
def test_all_else_is_404_with_the_headers(path: str) -> None:
    answer = get(app(), path)
    assert answer.status_code == 404
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_changed(method: str) -> None:
    client = TestClient(app())
    assert {client.request(method, path).status_code for path in routes(app())} == {405}


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        (f"Bearer {SECRET}", 200),
        (f"bearer  {SECRET}", 200),
        (f"Basic {base64.b64encode(f'x:{SECRET}'.encode()).decode()}", 401),
        (f"Bearer {SECRET}x", 401),
        (f"Bearer {SECRET[:-1]}", 401),
        ("Bearer ", 401),
        ("Bearer", 401),
        (SECRET, 401),
    ],
)
def test_the_scraper_needs_the_very_secret(header: str | None, status: int) -> None:
    headers = {"authorization": header} if header else {}
    assert get(app(), "/metrics", **headers).status_code == status


def test_bytes_that_are_no_ascii_are_refused_not_an_error() -> None:
    answer = TestClient(app(), raise_server_exceptions=False).get(
        "/metrics", headers=[(b"authorization", "Bearer pässword-ünïcode".encode())]
    )
    assert answer.status_code == 401


@pytest.mark.parametrize("secret", ["", "short", "x" * (SHORTEST_SCRAPE_SECRET - 1)])
def test_a_missing_or_short_secret_lets_nobody_in(secret: str) -> None:
    assert get(app(secret=lambda: secret), "/metrics", authorization=f"Bearer {secret}").status_code == 401


def test_an_unreadable_secret_lets_nobody_in_and_is_not_told() -> None:
    answer = get(app(secret=no_ledger), "/metrics", authorization=f"Bearer {SECRET}")
    assert answer.status_code == 401
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("path", ["/metrics", "/reports", "/shares", "/api/sync", "/api/sync/a/b"])
@pytest.mark.parametrize("load", [broken, failing_check])
def test_what_needs_a_credential_is_closed_when_airflows_check_breaks(load: Any, path: str) -> None:
    answer = get(app(load_check=load), path)
    assert answer.status_code == 503
    assert "hunter2" not in answer.text


def test_a_broken_check_still_lets_the_scraper_in() -> None:
    assert get(app(load_check=broken), "/metrics", authorization=f"Bearer {SECRET}").status_code == 200


@pytest.mark.parametrize("path", sorted(OPEN - {"/health/live"}))
def test_health_says_no_more_than_not_ok(path: str) -> None:
    answer = get(app(), path)
    assert (answer.status_code, answer.json()) == (503, {"status": "not ok"})


def test_live_needs_no_ledger() -> None:
    assert get(app(), "/health/live").json() == {"status": "ok"}


class Opened:
    """A ledger that is migrated while ``good``; counts how often it was asked."""

    def __init__(self) -> None:
        self.good, self.asked = True, 0

    def check_migrated(self) -> None:
        self.asked += 1
        if not self.good:
            raise RuntimeError


def test_probes_ask_the_ledger_once_in_five_seconds_and_startup_stays() -> None:
    now, ledger = [0.0], Opened()
    health = Health(lambda: ledger, lambda: now[0])
    assert [health.ready() for _ in range(100)] == [True] * 100
    assert ledger.asked == 1
    ledger.good, now[0] = False, 5.0
    assert health.ready() is False
    assert health.started() is True
    assert ledger.asked == 2

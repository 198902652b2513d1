"""Every route of the plugin for every credential, in Airflow's own API server app."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.routing import Mount, Route

from icebridge_provider.plugins.api.headers import HEADERS
from tests.support.airflow_cli import connection, environment

pytestmark = pytest.mark.airflow
SECRET = "a-secret-of-the-scraper"
REPORTS = "/icebridge/reports"  # for people: the scraper's secret does not open it
SHARES = {"/icebridge/shares": 200, "/icebridge/api/sync": 200, "/icebridge/api/sync/{run_id:path}": 404}  # likewise
HEALTH = {f"/icebridge/health{of}/{probe}" for of in ("", "/sync") for probe in ("live", "ready", "startup")}
LET_IN = {"scraper", "viewer", "user", "op", "admin"}
REFUSED = {
    "none": 401,
    "empty": 401,
    "garbage": 403,
    "expired": 401,
    "foreign": 403,
    "no role": 403,
    "wrong secret": 403,
}


@pytest.fixture(scope="module")
def server(airflow_cli_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Airflow's API server app with the plugin as the entry point brings it, and a migrated ledger."""
    from icebridge_provider.plugins.api import app as plugin_app
    from icebridge_provider.state.ledger import SqlLedger

    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    values = {
        "AIRFLOW_CONN_ICEBRIDGE_LEDGER": connection("icebridge_ledger", schema=str(path)),
        "AIRFLOW_CONN_SCRAPER": connection("generic", password=SECRET),
        "AIRFLOW__ICEBRIDGE__SCRAPE_CONN_ID": "scraper",
        "_AIRFLOW_PROCESS_CONTEXT": "server",
    }
    with environment(**values):
        ledger = SqlLedger(f"sqlite:///{path}")
        ledger.migrate()
        ledger.engine.dispose()
        plugin_app._configured_ledger.cache_clear()
        from airflow.api_fastapi.app import create_app

        yield TestClient(create_app("core"), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def credentials(server: TestClient) -> dict[str, dict[str, str]]:
    import jwt
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def token(role: str | None, **options: Any) -> str:
        return str(get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="x", role=role), **options))

    foreign = jwt.encode({"sub": "x", "role": "ADMIN", "aud": "apache-airflow", "exp": 9e9}, "f" * 64, "HS512")
    bearers = {
        "empty": "",
        "garbage": "garbage",
        "expired": token("ADMIN", expiration_time_in_seconds=-60),
        "foreign": foreign,
        "no role": token(None),
        "wrong secret": SECRET[:-1],
        "scraper": SECRET,
        "viewer": token("VIEWER"),
        "user": token("USER"),
        "op": token("OP"),
        "admin": token("ADMIN"),
    }
    return {"none": {}, **{name: {"Authorization": f"Bearer {bearer}"} for name, bearer in bearers.items()}}


def walk(routes: Any, prefix: str = "") -> Iterator[str]:
    for route in routes:
        if isinstance(route, Mount):
            yield from walk(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            yield prefix + route.path


@pytest.fixture(scope="module")
def paths(server: TestClient) -> list[str]:
    return [path for path in walk(server.app.routes) if path.startswith("/icebridge")]


def test_the_plugin_is_found_by_its_entry_point_with_these_routes(paths: list[str]) -> None:
    assert set(paths) == {*HEALTH, "/icebridge/metrics", REPORTS, *SHARES}


@pytest.mark.parametrize("who", [*REFUSED, *sorted(LET_IN)])
def test_every_route_for_every_credential(
    who: str, server: TestClient, paths: list[str], credentials: dict[str, dict[str, str]]
) -> None:
    answers = {path: server.get(path, headers=credentials[who]) for path in paths}
    wanted = dict.fromkeys(paths, 200)
    wanted["/icebridge/metrics"] = REFUSED.get(who, 200)
    for path, found in {REPORTS: 404, **SHARES}.items():  # 404: no plan is named, no run has such an id
        wanted[path] = 403 if who == "scraper" else REFUSED.get(who, found)
    assert {path: answer.status_code for path, answer in answers.items()} == wanted
    for answer in answers.values():
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    body = answers["/icebridge/metrics"].text
    assert ("icebridge_up 1.0" in body) is (who in LET_IN)


@pytest.mark.parametrize("path", ["/", "/docs", "/redoc", "/openapi.json", "/metrics/", "/api", "/health"])
def test_other_paths_are_not_there_even_for_admins(
    path: str, server: TestClient, credentials: dict[str, dict[str, str]]
) -> None:
    answer = server.get(f"/icebridge{path}", headers=credentials["admin"], follow_redirects=False)
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_no_route_changes_anything(
    method: str, server: TestClient, paths: list[str], credentials: dict[str, dict[str, str]]
) -> None:
    assert {server.request(method, path, headers=credentials["admin"]).status_code for path in paths} == {405}


def test_a_session_cookie_reads_metrics_as_its_user(server: TestClient, credentials: dict[str, dict[str, str]]) -> None:
    token = credentials["viewer"]["Authorization"].removeprefix("Bearer ")
    with TestClient(server.app, cookies={"_token": token}) as browser:
        assert browser.get("/icebridge/metrics").status_code == 200
        wrong = browser.get("/icebridge/metrics", headers={"Authorization": "Bearer garbage"})
        assert wrong.status_code == 403


def test_the_scrapers_secret_opens_nothing_of_airflow(
    server: TestClient, credentials: dict[str, dict[str, str]]
) -> None:
    assert server.get("/api/v2/dags", headers=credentials["scraper"]).status_code in {401, 403}


def test_the_secret_is_in_no_answer(
    server: TestClient, paths: list[str], credentials: dict[str, dict[str, str]]
) -> None:
    for headers in credentials.values():
        assert [path for path in paths if SECRET in server.get(path, headers=headers).text] == []


def test_the_menu_leads_to_the_page_of_shares(
    server: TestClient, paths: list[str], credentials: dict[str, dict[str, str]]
) -> None:
    (plugin,) = (
        item
        for item in server.get("/api/v2/plugins", headers=credentials["admin"]).json()["plugins"]
        if item["name"] == "icebridge"
    )
    assert [f"/{view['href']}" in paths for view in plugin["external_views"]] == [True]

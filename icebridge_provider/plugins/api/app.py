"""The app: six health routes that anybody may ask, all others behind a credential, 404 for what is none of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse

from icebridge_provider.plugins.api import auth
from icebridge_provider.plugins.api.headers import SecurityHeaders
from icebridge_provider.plugins.api.health import Health
from icebridge_provider.plugins.api.metrics import CONTENT_TYPE, Metrics
from icebridge_provider.plugins.api.reports import Reports
from icebridge_provider.plugins.api.shares import LISTED, Shares
from icebridge_provider.plugins.api.sync_health import SyncHealth, Watched, configured_syncs
from icebridge_provider.steps.share_runs import MOST_RUNS

if TYPE_CHECKING:
    from icebridge_provider.ports import Ledger

OpenLedger = Callable[[], "Ledger"]


def create_app(
    open_ledger: OpenLedger | None = None,
    guard: Callable[..., Any] | None = None,
    watched: Callable[[], Watched] | None = None,
) -> FastAPI:
    """Return the app.

    :param open_ledger: opens the ledger or raises; by default the one of ``[icebridge] ledger_conn_id``.
    :param guard: FastAPI dependency of all routes that need a credential; by default :func:`auth.guard`.
    :param watched: which syncs are watched; by default those of ``[icebridge] syncs_file``.
    """
    open_ledger = open_ledger or _configured_ledger
    app = FastAPI(title="IceBridge", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.add_middleware(SecurityHeaders)
    _add_health(app, Health(open_ledger))
    _add_sync_health(app, SyncHealth(open_ledger, watched or configured_syncs))
    _add_metrics(app, Metrics(open_ledger), guard or auth.guard())
    _add_reports(app, Reports(open_ledger), guard or auth.guard(scrape_secret=_no_scraper))
    _add_shares(app, Shares(open_ledger), guard or auth.guard(auth.share_check, _no_scraper))
    return app


def _add_health(app: FastAPI, health: Health) -> None:
    """Add probes; kubelets have no credential, so these say ``ok`` or ``not ok`` and nothing more."""

    @app.get("/health/live")
    def live() -> JSONResponse:
        return _verdict(True)

    @app.get("/health/ready")
    def ready() -> JSONResponse:
        return _verdict(health.ready())

    @app.get("/health/startup")
    def startup() -> JSONResponse:
        return _verdict(health.started())


def _add_sync_health(app: FastAPI, health: SyncHealth) -> None:
    """Add probes of the event syncs: well where there are none. They say no more than the others."""

    @app.get("/health/sync/live")
    def live() -> JSONResponse:
        return _verdict(health.live())

    @app.get("/health/sync/ready")
    def ready() -> JSONResponse:
        return _verdict(health.ready())

    @app.get("/health/sync/startup")
    def startup() -> JSONResponse:
        return _verdict(health.started())


def _add_metrics(app: FastAPI, metrics: Metrics, guard: Callable[..., Any]) -> None:
    @app.get("/metrics", dependencies=[Depends(guard)])
    def scrape() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE)


def _add_reports(app: FastAPI, reports: Reports, guard: Callable[..., Any]) -> None:
    """Add the verdicts, for people only: they name tables."""

    @app.get("/reports", dependencies=[Depends(guard)])
    def verdicts(plan: str = "", table: str = "") -> HTMLResponse:
        status, page = reports.page(plan, table)
        return HTMLResponse(page, status)


def _add_shares(app: FastAPI, shares: Shares, guard: Callable[..., Any]) -> None:
    """Add the history of shares with Snowflake, for people only: it names tables.

    A run is started by Airflow's own ``POST /api/v2/dags/…/dagRuns``, which checks the caller's right to do so.
    """

    @app.get("/api/sync", dependencies=[Depends(guard)])
    def recent(limit: Annotated[int, Query(ge=1, le=MOST_RUNS)] = LISTED) -> JSONResponse:
        status, found = shares.recent(limit)
        return JSONResponse(found, status)

    @app.get("/api/sync/{run_id:path}", dependencies=[Depends(guard)])
    def one(run_id: str) -> JSONResponse:
        status, found = shares.one(run_id)
        return JSONResponse(found, status)

    @app.get("/shares", dependencies=[Depends(guard)])
    def page(run: str = "") -> HTMLResponse:
        status, shown = shares.page(run)
        return HTMLResponse(shown, status)


def _no_scraper() -> str:
    return ""


def _verdict(ok: bool) -> JSONResponse:
    return JSONResponse({"status": "ok" if ok else "not ok"}, 200 if ok else 503)


@cache
def _configured_ledger() -> Ledger:
    """Open the ledger once a process; a failure is not remembered."""
    from icebridge_provider.hooks.ledger import LedgerHook

    return LedgerHook().open()

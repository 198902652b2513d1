"""Who may read what: a user whom Airflow lets see the runs of the pipeline's DAG, and for the metrics the scraper.

Airflow does not authenticate plugin apps, so every route asks here. When Airflow's own check cannot be had, nobody
gets in: closed is the safe side.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool

from icebridge_provider.model.settings import SHORTEST_SCRAPE_SECRET

DAG_ID, SHARE_DAG_ID = "icebridge_migrate", "icebridge_databricks_to_snowflake"
Check = Callable[..., Any]


def guard(load_check: Callable[[], Check] | None = None, scrape_secret: Callable[[], str] | None = None) -> Check:
    """Return a FastAPI dependency that lets only users of Airflow and the scraper pass.

    :param load_check: imports Airflow's check; when it raises, every request is answered 503.
    :param scrape_secret: reads what a scraper must send as bearer; empty means that no scraper is let in.
    """
    try:
        users = (load_check or _airflow_check)()
    except Exception:  # noqa: BLE001 - whatever broke, the door stays shut
        users = _closed
    secret = scrape_secret or _configured_secret

    async def check(request: Request) -> None:
        if not await run_in_threadpool(_matches, _bearer(request), secret):
            await _ask(users, request)

    return check


async def _ask(users: Check, request: Request) -> None:
    try:
        await users(request)
    except HTTPException:
        raise
    except Exception:  # noqa: BLE001 - a check that breaks is a check that was not passed
        await _closed(request)


def share_check() -> Check:
    """Return Airflow's check of who may see the runs of shares.

    :raises Exception: whatever importing it raises; :func:`guard` then lets nobody in.
    """
    return _airflow_check(SHARE_DAG_ID)


def _airflow_check(dag_id: str = DAG_ID) -> Check:
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
    from airflow.api_fastapi.core_api.security import bearer_scheme, get_user, requires_access_dag

    allowed = requires_access_dag("GET", DagAccessEntity.RUN, dag_id)

    async def users(request: Request) -> None:
        user = await get_user(request, None, await bearer_scheme(request))
        await run_in_threadpool(allowed, request, user)

    return users


async def _closed(request: Request) -> None:  # noqa: ARG001 - the shape of a check
    raise HTTPException(503, "Airflow's authentication is not available, so nobody is let in.")


def _bearer(request: Request) -> bytes:
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip().encode() if kind.lower() == "bearer" else b""


def _matches(given: bytes, secret: Callable[[], str]) -> bool:
    """Compare digests in constant time; a short secret lets nobody in."""
    if not given:
        return False
    wanted = _read(secret).encode()
    same = hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(wanted).digest())
    return same and len(wanted) >= SHORTEST_SCRAPE_SECRET


def _read(secret: Callable[[], str]) -> str:
    try:
        return secret()
    except Exception:  # noqa: BLE001 - an unreadable secret is no secret; Airflow's users still get in
        return ""


def _configured_secret() -> str:
    from icebridge_provider.hooks.settings import settings

    conn_id = settings().scrape_conn_id
    if not conn_id:
        return ""
    from airflow.sdk.bases.hook import BaseHook

    return BaseHook.get_connection(conn_id).password or ""

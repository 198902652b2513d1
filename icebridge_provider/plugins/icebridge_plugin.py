"""Adds ``/icebridge/metrics`` and ``/icebridge/health/…`` to Airflow's API server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/icebridge"


class _Late:
    """A list of one app that is built when the API server asks: every Airflow process loads every plugin."""

    def __init__(self) -> None:
        self._made: list[dict[str, Any]] = []

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if not self._made:
            from icebridge_provider.plugins.api.app import create_app

            self._made.append({"app": create_app(), "url_prefix": PREFIX, "name": "IceBridge"})
        return iter(self._made)

    def __len__(self) -> int:
        return 1


class IceBridgePlugin(AirflowPlugin):
    """Airflow finds this class by the entry point ``airflow.plugins``."""

    name = "icebridge"
    fastapi_apps = cast("list[Any]", _Late())

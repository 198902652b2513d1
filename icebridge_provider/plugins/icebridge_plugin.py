"""Adds metrics, verdicts, the history of shares and probes to Airflow's API server, below ``/icebridge``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/icebridge"
# The address is relative, because Airflow may stand below a path of its host; its pages say where that is.
_VIEWS: list[Any] = [
    {"name": "Shares with Snowflake", "href": "icebridge/shares", "destination": "nav", "category": "browse"}
]


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
    external_views = _VIEWS

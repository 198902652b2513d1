"""Reads connections, and says what is wrong with one without showing what is in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.hook import BaseHook
from airflow.sdk.exceptions import AirflowException

from icebridge_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow.sdk import Connection


def connection(conn_id: str, types: Collection[str], purpose: str) -> Connection:
    """Return a connection of one of the given types.

    :raises ConfigurationError: IB-102 when it is not defined, IB-103 when its type does not fit.
    """
    found = find(conn_id)
    if found is None:
        raise ConfigurationError(
            "IB-102",
            f"The connection {conn_id!r} ({purpose}) is not defined.",
            remedy=f"Add it in Admin > Connections, or set AIRFLOW_CONN_{conn_id.upper()}.",
            conn_id=conn_id,
        )
    if found.conn_type not in types:
        raise ConfigurationError(
            "IB-103",
            f"The connection {conn_id!r} is of type {found.conn_type!r}; the {purpose} needs {' or '.join(types)}.",
            remedy="Change its type, or name another connection.",
            conn_id=conn_id,
        )
    return found


def switched_on(extra: Mapping[str, Any], key: str) -> bool:
    """Whether a switch in an extra is on, however it is written."""
    return str(extra.get(key, "")).strip().lower() in {"true", "1", "yes", "on"}


def find(conn_id: str) -> Connection | None:
    """Return a connection, None when no backend knows it."""
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowException as error:  # AirflowNotFoundException, or the task's server saying it has none
        if "isn't defined" in str(error) or "not found" in str(error).lower():
            return None
        raise

"""Connections of Iceberg catalogs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.hook import BaseHook

from icebridge_provider.catalogs.iceberg import IcebergCatalog, catalog_from
from icebridge_provider.hooks.connections import connection, find

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from icebridge_provider.ports import Catalog

TYPES = ("icebridge_catalog", "iceberg")
CATALOG_TYPES = (*TYPES, "databricks")
_OURS = ("read_only",)


def catalog_for(conn_id: str) -> Catalog:
    """Return the catalog behind a connection, whatever kind it is; nothing is asked of it yet.

    :raises ConfigurationError: IB-102, IB-103, IB-203 (``icebridge_catalog``, ``iceberg``) or IB-257 (``databricks``).
    """
    found = find(conn_id)
    if found is None or found.conn_type not in CATALOG_TYPES:
        connection(conn_id, CATALOG_TYPES, "catalog")  # raises, naming the types that fit
    elif found.conn_type == "databricks":
        from icebridge_provider.hooks.unity import UnityCatalogHook

        return UnityCatalogHook(conn_id).catalog()
    return IcebergCatalogHook(conn_id).catalog()


def tested(catalog: Callable[[], Catalog]) -> tuple[bool, str]:
    """Answer Airflow's test button: try what a migration does."""
    from icebridge_provider.catalogs.check import check_connection

    try:
        rows = check_connection(catalog())
    except Exception as error:  # noqa: BLE001 - whatever it is, the button shows it
        return False, str(error)
    failed = [row for row in rows if row["outcome"] == "failed"]
    return not failed, "; ".join(f"{row['message']} {row['remedy']}" for row in failed) or "All rights are there."


class IcebergCatalogHook(BaseHook):
    """Opens the catalog behind a connection of type ``icebridge_catalog``; Airflow's own ``iceberg`` is taken too.

    The connection's extra holds pyiceberg's properties of the catalog (``type, uri, warehouse, s3.…``); ``read_only``
    true means that IceBridge never changes it. ``host`` stands for ``uri``, ``login`` and ``password`` for the OAuth
    client of a REST catalog, a ``password`` alone for its bearer token.

    :param conn_id: the connection.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "icebridge_catalog"
    conn_type = "icebridge_catalog"
    hook_name = "IceBridge catalog"

    def __init__(self, conn_id: str) -> None:
        super().__init__()
        self.conn_id = conn_id

    def catalog(self) -> IcebergCatalog:
        """Return the catalog; nothing is asked of it yet.

        :raises ConfigurationError: IB-102, IB-103, or IB-203 when its properties describe no catalog.
        """
        found = connection(self.conn_id, TYPES, "catalog")
        extra = dict(found.extra_dejson or {})
        read_only = str(extra.get("read_only", "")).strip().lower() in {"true", "1", "yes", "on"}
        return catalog_from(self.conn_id, properties_of(found), read_only)

    def get_conn(self) -> IcebergCatalog:
        """Return the catalog, as every Airflow hook returns its client."""
        return self.catalog()

    def test_connection(self) -> tuple[bool, str]:
        """Answer Airflow's test button: list, read, write and delete a probe."""
        return tested(self.catalog)


def properties_of(found: Connection) -> dict[str, Any]:
    """Return pyiceberg's properties of a connection.

    In ``icebridge_catalog`` the extra wins over the fields. In Airflow's own ``iceberg`` the fields win, the type is
    ``rest`` unless the extra says otherwise, and the client is for REST catalogs only: so does its own hook.
    """
    extra = {key: value for key, value in (found.extra_dejson or {}).items() if key not in _OURS and value is not None}
    given: dict[str, Any] = {}
    if found.host:
        given["uri"] = found.host if found.port is None else f"{found.host}:{found.port}"
    if found.conn_type == "iceberg":
        return _like_airflow(found, given, extra)
    if found.login and found.password:
        given["credential"] = f"{found.login}:{found.password}"
    elif found.password:
        given["token"] = found.password
    if found.schema:
        given["warehouse"] = found.schema
    return {**given, **{key: value for key, value in extra.items() if value != ""}}


def _like_airflow(found: Connection, given: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
    merged = {"type": "rest", **extra, **given}
    if "uri" in given:
        merged["uri"] = str(found.host).rstrip("/")
    if merged["type"] == "rest" and found.login and found.password:
        merged["credential"] = f"{found.login}:{found.password}"
    return merged

"""Connections of Iceberg catalogs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from icebridge_provider.catalogs.iceberg import IcebergCatalog, catalog_from
from icebridge_provider.hooks.base import CatalogHook
from icebridge_provider.hooks.connections import connection, find, switched_on

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


class IcebergCatalogHook(CatalogHook):
    """Opens the catalog behind a connection of type ``icebridge_catalog``; Airflow's own ``iceberg`` is taken too.

    The connection's extra holds pyiceberg's properties of the catalog (``type, uri, warehouse, s3.…``); ``read_only``
    true means that IceBridge never changes it. ``host`` stands for ``uri``, ``login`` and ``password`` for the OAuth
    client of a REST catalog, a ``password`` alone for its bearer token.

    :param conn_id: the connection.
    """

    default_conn_name = "icebridge_catalog"
    conn_type = "icebridge_catalog"
    hook_name = "IceBridge catalog"

    def catalog(self) -> IcebergCatalog:
        """Return the catalog; nothing is asked of it yet.

        :raises ConfigurationError: IB-102, IB-103, or IB-203 when its properties describe no catalog.
        """
        found = connection(self.conn_id, TYPES, "catalog")
        extra = dict(found.extra_dejson or {})
        return catalog_from(self.conn_id, properties_of(found), switched_on(extra, "read_only"))


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

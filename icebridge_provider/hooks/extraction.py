"""Where an extraction reads and where its files go, behind Airflow's connections or the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.hooks.connections import connection, find
from icebridge_provider.hooks.mssql import MsSqlBridgeHook, masked
from icebridge_provider.hooks.settings import settings

if TYPE_CHECKING:
    from icebridge_provider.catalogs.unity.workspace import Workspace
    from icebridge_provider.model.event import Actor
    from icebridge_provider.ports import FileStore, Progress
    from icebridge_provider.steps.extract import ExtractionSite

VOLUMES = "/Volumes/"
_VOLUME = ("DATABRICKS_CATALOG", "DATABRICKS_SCHEMA", "DATABRICKS_VOLUME")
_CATALOGS = ("icebridge_catalog", "iceberg")


def extraction_site(
    source_conn_id: str, target_conn_id: str, location: str, actor: Actor, progress: Progress | None = None
) -> ExtractionSite:
    """Return what an extraction works with.

    :param source_conn_id: SQL Server; empty takes ``SQLSERVER_…`` of the environment.
    :param target_conn_id: what may write to ``location``; empty takes ``DATABRICKS_…`` for a Volume, and the worker's
        own rights elsewhere.
    :param location: folder of the files, see :func:`location_of`.
    :param progress: told what the ledger is told.
    :raises ConfigurationError: IB-102, IB-103, IB-257, IB-826, IB-883, IB-884, IB-889.
    """
    from icebridge_provider.hooks.ledger import LedgerHook
    from icebridge_provider.steps.extract import ExtractionSite

    place = location_of(location, os.environ)
    return ExtractionSite(
        reader=MsSqlBridgeHook(source_conn_id).reader,
        store=store_for(target_conn_id, place),
        root=place,
        ledger=LedgerHook().ledger(),
        actor=actor,
        settings=settings(),
        progress=progress,
    )


def location_of(given: str, environment: Mapping[str, str]) -> str:
    """Return the folder that files go to: the given one, else the Volume that ``DATABRICKS_…`` names.

    :raises ConfigurationError: IB-883 when neither says one.
    """
    if given.strip():
        return given.strip().rstrip("/") or "/"
    missing = [name for name in _VOLUME if not environment.get(name)]
    if missing:
        raise ConfigurationError(
            "IB-883",
            f"No location is given, and the environment lacks {', '.join(missing)}.",
            remedy="Name a folder, for example /Volumes/main/raw/landing, or set the variables on the workers.",
        )
    return VOLUMES + "/".join(environment[name] for name in _VOLUME)


def folder_of(given: str) -> str:
    """Return the folder with ``queries/`` and ``config/``: the given one, else ``[icebridge] extraction_folder``.

    :raises ConfigurationError: IB-888 when neither says one.
    """
    folder = given.strip() or settings().extraction_folder
    if folder:
        return folder
    raise ConfigurationError(
        "IB-888",
        "No folder of queries is given.",
        remedy="Name one with queries/ and config/ in it, or set [icebridge] extraction_folder.",
    )


def store_for(conn_id: str, location: str) -> FileStore:
    """Return what writes files below a location: a Volume's Files API, an object store, or this host's folders.

    :raises ConfigurationError: IB-102, IB-257, IB-883, IB-889 for a connection that cannot write there.
    """
    if location.startswith(VOLUMES):
        from icebridge_provider.stores.volume import VolumeStore

        return VolumeStore(_workspace(conn_id, location))
    if not conn_id:
        from icebridge_provider.stores.object_store import ObjectStore

        return ObjectStore()
    found = find(conn_id)
    if found is None or found.conn_type not in _CATALOGS:
        raise _unfit(conn_id, location, f"a connection of type {' or '.join(_CATALOGS)} with its keys, or none")
    from icebridge_provider.hooks.catalog import IcebergCatalogHook

    return IcebergCatalogHook(conn_id).catalog().store()


def _workspace(conn_id: str, location: str) -> Workspace:
    from icebridge_provider.hooks.unity import workspace_of

    if not conn_id:
        return workspace_of_environment(os.environ)
    found = find(conn_id)
    if found is not None and found.conn_type != "databricks":
        raise _unfit(conn_id, location, "a connection of type databricks")
    return workspace_of(connection(conn_id, ("databricks",), "Volume"))


def workspace_of_environment(given: Mapping[str, str]) -> Workspace:
    """Return the workspace of ``DATABRICKS_HOST`` with ``_TOKEN``, or with ``_CLIENT_ID`` and ``_CLIENT_SECRET``.

    :raises ConfigurationError: IB-883 naming the variables that are missing.
    """
    from urllib.parse import urlsplit

    from icebridge_provider.catalogs.unity.workspace import Login, Workspace

    host, token = given.get("DATABRICKS_HOST", "").strip(), given.get("DATABRICKS_TOKEN", "")
    client, secret = given.get("DATABRICKS_CLIENT_ID", ""), given.get("DATABRICKS_CLIENT_SECRET", "")
    if not host or not (token or (client and secret)):
        wanted = "DATABRICKS_HOST, and DATABRICKS_TOKEN or DATABRICKS_CLIENT_ID with DATABRICKS_CLIENT_SECRET"
        raise ConfigurationError(
            "IB-883",
            f"No connection is named for the Volume, and the environment lacks some of {wanted}.",
            remedy="Name a connection of type databricks, or set the variables on the workers.",
        )
    masked(token or secret)
    login = Login(token=token) if token else Login(client_id=client, client_secret=secret)
    bare = urlsplit(host if "://" in host else f"https://{host}")
    return Workspace("DATABRICKS_HOST", f"{bare.scheme}://{bare.netloc}", login)


def _unfit(conn_id: str, location: str, wanted: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-889",
        f"The connection {conn_id!r} cannot write to {location}.",
        remedy=f"Name {wanted}.",
        conn_id=conn_id,
    )

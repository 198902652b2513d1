"""The configured event syncs: their queues, sources and targets, whatever kind of connection each of them is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.hooks.connections import connection, find
from icebridge_provider.hooks.settings import settings

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from icebridge_provider.catalogs.unity.statements import Statements
    from icebridge_provider.engines.dbapi.database import DbApi
    from icebridge_provider.model.event import Actor
    from icebridge_provider.model.syncs import SyncConfig
    from icebridge_provider.ports import EventQueue, RowSource, SyncTarget
    from icebridge_provider.steps.sync_site import SyncSite

DATABRICKS, MSSQL = "databricks", "mssql"
_DIALECTS = {"postgres": "postgres", "postgresql": "postgres"}


def configured() -> tuple[SyncConfig, ...]:
    """Return the syncs of ``[icebridge] syncs_file``.

    :raises ConfigurationError: IB-880 when there is no such file in the configuration; IB-800 to IB-803 for what is
        wrong with it.
    """
    from icebridge_provider.specs.syncs import read_syncs

    return read_syncs(_file())


def named(name: str) -> SyncConfig:
    """Return one sync.

    :raises ConfigurationError: as :func:`configured`; IB-802 when there is none of that name.
    """
    from icebridge_provider.specs.syncs import read_syncs, sync_named

    path = _file()
    return sync_named(read_syncs(path), name, str(path))


def only(name: str) -> SyncConfig:
    """Return the sync of that name; without a name the only one there is.

    :raises ConfigurationError: as :func:`named`; IB-881 when there are several and none is named.
    """
    if name:
        return named(name)
    syncs = configured()
    if len(syncs) == 1:
        return syncs[0]
    raise ConfigurationError(
        "IB-881",
        f"{settings().syncs_file} has {len(syncs)} syncs, and none was named.",
        remedy=f"Name one of {', '.join(item.name for item in syncs)}." if syncs else "Add one to the file.",
    )


def site_of(sync: SyncConfig, actor: Actor) -> SyncSite:
    """Return what a poll of a sync works with."""
    from icebridge_provider.hooks.ledger import LedgerHook
    from icebridge_provider.steps.permissions import PermissionsFile
    from icebridge_provider.steps.sync_site import SyncOptions, SyncSite

    return SyncSite(
        queue=queue_of(sync),
        source=source_for(sync.source_conn_id),
        target=target_for(sync.target_conn_id),
        permissions=PermissionsFile(sync.permissions_file, sync.user, audit_file=settings().audit_file or None),
        ledger=LedgerHook().ledger(),
        options=SyncOptions(
            name=sync.name,
            max_events_per_poll=sync.max_events_per_poll,
            lease_seconds=sync.lease_seconds,
            max_attempts=sync.max_attempts,
            strict=sync.strict,
        ),
        actor=actor,
    )


def queue_of(sync: SyncConfig) -> EventQueue:
    """Return a sync's events table."""
    return queue_for(sync.events_conn_id, sync.events_table)


def queue_for(conn_id: str, table: str) -> EventQueue:
    """Return the events table behind a connection, or in the workspace of ``DATABRICKS_…`` where none is named.

    :raises ConfigurationError: IB-102, IB-257, IB-883, IB-882 for a type of connection that can hold no events.
    """
    found = _found(conn_id, "events table")
    if found is None or found.conn_type == DATABRICKS:
        from icebridge_provider.engines.databricks.bridge import WorkspaceEventQueue

        return cast("EventQueue", WorkspaceEventQueue(statements_of(found), table))
    from icebridge_provider.engines.dbapi.queue import DbApiEventQueue

    return cast("EventQueue", DbApiEventQueue(_database(found, "events table"), table))


def source_for(conn_id: str) -> RowSource:
    """Return the tables behind a connection, or in the workspace of ``DATABRICKS_…``, to read rows of.

    :raises ConfigurationError: IB-102, IB-257, IB-882, IB-883.
    """
    found = _found(conn_id, "source of rows")
    if found is None or found.conn_type == DATABRICKS:
        from icebridge_provider.engines.databricks.row_source import WorkspaceRowSource

        return cast("RowSource", WorkspaceRowSource(statements_of(found)))
    from icebridge_provider.engines.dbapi.source import DbApiRowSource

    return cast("RowSource", DbApiRowSource(_database(found, "source of rows")))


def target_for(conn_id: str) -> SyncTarget:
    """Return the database behind a connection, or of ``SQLSERVER_…``, to write rows to.

    :raises ConfigurationError: IB-102, IB-826, IB-882 to IB-884.
    """
    found = _found(conn_id, "target")
    if found is None or found.conn_type == MSSQL:
        from icebridge_provider.hooks.mssql import MsSqlBridgeHook

        return MsSqlBridgeHook(conn_id).target()
    from icebridge_provider.engines.dbapi.target import DbApiSyncTarget

    return cast("SyncTarget", DbApiSyncTarget(_database(found, "target")))


def statements_of(found: Connection | None) -> Statements:
    """Return the SQL warehouse of a Databricks connection; None takes ``DATABRICKS_…`` of the environment.

    :raises ConfigurationError: IB-257, IB-883.
    """
    from icebridge_provider.catalogs.unity.statements import Statements
    from icebridge_provider.hooks.extraction import workspace_of_environment
    from icebridge_provider.hooks.unity import warehouse_of, workspace_of

    if found is None:
        return Statements(workspace_of_environment(os.environ), os.environ.get("DATABRICKS_WAREHOUSE_ID", ""))
    return Statements(workspace_of(found), warehouse_of(dict(found.extra_dejson or {})))


def _file() -> Path:
    name = settings().syncs_file
    if name:
        return Path(name)
    raise ConfigurationError(
        "IB-880",
        "No file of syncs is configured.",
        remedy="Write syncs.yaml (docs/sqlserver.md shows one) and name it in [icebridge] syncs_file.",
    )


def _found(conn_id: str, purpose: str) -> Connection | None:
    """Return a connection; None where none is named, which means the environment."""
    if not conn_id:
        return None
    found = find(conn_id)
    return found if found is not None else connection(conn_id, (), purpose)  # raises IB-102


def _database(found: Connection, purpose: str) -> DbApi:
    """Return a database of a DB-API connection; Airflow's own hook opens it where its provider is installed."""
    from icebridge_provider.engines.dbapi.database import DbApi

    kind = str(found.conn_type)
    if kind == "sqlite":  # by ourselves: a look may run in another thread than the last
        return DbApi(lambda: _sqlite(found), kind)
    hook = _hook(found)
    dialect = _DIALECTS.get(str(getattr(hook, "dialect_name", "") or kind), "")
    if dialect and hook is not None:
        return DbApi(hook.get_conn, dialect)
    if dialect:
        return DbApi(lambda: _postgres(found), dialect)
    raise ConfigurationError(
        "IB-882",
        f"The connection {found.conn_id!r} of type {kind!r} cannot be the {purpose} of a sync.",
        remedy="Name one of type databricks (events, source), mssql (target), postgres or sqlite (all three).",
        conn_id=str(found.conn_id),
    )


def _hook(found: Connection) -> Any:
    """Return Airflow's hook of a connection, None where no provider has one for this type or its driver is missing."""
    from airflow.sdk.exceptions import AirflowException

    try:
        return found.get_hook()  # type: ignore[no-untyped-call]  # Airflow has no type for it
    except (AirflowException, ImportError):
        return None


def _sqlite(found: Connection) -> Any:
    import sqlite3

    return sqlite3.connect(found.host or found.schema or "", timeout=60, check_same_thread=False)


def _postgres(found: Connection) -> Any:
    import psycopg2  # type: ignore[import-untyped]  # it has no types

    return psycopg2.connect(
        host=found.host, port=found.port or 5432, dbname=found.schema, user=found.login, password=found.password
    )

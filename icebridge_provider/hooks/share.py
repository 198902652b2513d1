"""Both ends of a share with Snowflake, behind Airflow's connections."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from icebridge_provider.hooks.connections import connection, find
from icebridge_provider.hooks.settings import settings

if TYPE_CHECKING:
    from icebridge_provider.catalogs.unity.workspace import Workspace
    from icebridge_provider.model.event import Actor
    from icebridge_provider.planning.snowflake.presets import Preset
    from icebridge_provider.ports import FileStore, Progress
    from icebridge_provider.ports.share import SqlRunner
    from icebridge_provider.steps.share_site import ShareSite

SOURCE, TARGET = "source", "target"
SOURCE_TYPES, TARGET_TYPES = ("databricks",), ("snowflake",)
_ACCOUNT = re.compile(r"[A-Za-z0-9_.-]{1,250}")
_OFFICIAL = ".snowflakecomputing.com"


@contextmanager
def share_site(
    source_conn_id: str,
    target_conn_id: str,
    storage_conn_id: str = "",
    *,
    actor: Actor,
    preset: str = "production",
    progress: Progress | None = None,
) -> Iterator[ShareSite]:
    """Open what a share works with; sessions with Snowflake are closed at the end.

    :param source_conn_id: of type ``databricks``, with the SQL warehouse that exports.
    :param target_conn_id: of type ``snowflake``.
    :param storage_conn_id: catalog connection with the keys of the export's bucket, for listings and the manifest;
        empty: the worker's own rights.
    :param progress: told what the ledger is told.
    :raises ConfigurationError: IB-102, IB-103, IB-257, IB-889, IB-908.
    """
    from icebridge_provider.hooks.ledger import LedgerHook
    from icebridge_provider.steps.share_site import ShareSite

    chosen = paced(preset)
    ledger = LedgerHook().ledger()
    store = storage(storage_conn_id)
    with runner_of(SOURCE, source_conn_id) as source, runner_of(TARGET, target_conn_id) as target:
        yield ShareSite(
            source=source,
            target=target,
            store=store,
            ledger=ledger,
            actor=actor,
            settings=settings(),
            preset=chosen,
            progress=progress,
        )


@contextmanager
def runner_of(side: str, conn_id: str) -> Iterator[Any]:
    """Open one end: the SQL warehouse of ``source``, or the Snowflake account of ``target``.

    :raises ConfigurationError: IB-102, IB-103, IB-257.
    """
    if side == SOURCE:
        yield _warehouse(conn_id)
        return
    from icebridge_provider.hooks.snowflake import SnowflakeShareHook

    with SnowflakeShareHook(conn_id).target() as target:
        yield target


def paced(preset: str) -> Preset:
    """Return a preset with the pace of ``[icebridge] share_poll_seconds`` where that is set.

    :raises ConfigurationError: IB-908 when there is no such preset.
    """
    from icebridge_provider.planning.snowflake.presets import preset_of

    chosen, seconds = preset_of(preset), settings().share_poll_seconds
    return replace(chosen, poll_seconds=seconds) if seconds else chosen


def storage(conn_id: str) -> FileStore:
    """Return what lists the files of exports and keeps their manifests.

    A connection of type ``icebridge_catalog`` needs no catalog for this: its ``s3.…`` keys are enough.

    :raises ConfigurationError: IB-889 for a connection of another type, IB-203 for a catalog that cannot be opened.
    """
    from icebridge_provider.catalogs.entries import io_only
    from icebridge_provider.hooks.catalog import TYPES, properties_of
    from icebridge_provider.hooks.extraction import store_for
    from icebridge_provider.stores.object_store import ObjectStore

    found = find(conn_id) if conn_id else None
    properties = properties_of(found) if found is not None and found.conn_type in TYPES else {}
    if properties and not {"type", "uri", "warehouse"} & set(properties):
        return ObjectStore(io_only(properties))
    return store_for(conn_id, "s3://")


def cancel_share(source_conn_id: str, target_conn_id: str, storage_conn_id: str, document: str, actor: Actor) -> None:
    """Cancel what runs of a share, on either side.

    :raises ConfigurationError: as :func:`share_site`; IB-950 when there is no such share.
    """
    from icebridge_provider.hooks.ledger import LedgerHook
    from icebridge_provider.steps.share import cancel
    from icebridge_provider.steps.share_plan import share_of

    share = share_of(LedgerHook().ledger(), document)
    with share_site(source_conn_id, target_conn_id, storage_conn_id, actor=actor, preset=share.preset) as site:
        cancel(site, share)


def location_check(source_conn_id: str, runner: SqlRunner) -> Callable[[str], Any]:
    """Return what makes sure that the warehouse may write to and read from a location.

    :raises ConfigurationError: IB-102, IB-103, IB-257.
    """
    from icebridge_provider.catalogs.unity.external_locations import ExternalLocations
    from icebridge_provider.engines.databricks.export_rights import check_export

    rights = ExternalLocations(workspace(source_conn_id))
    return lambda location: check_export(location, runner, rights)


def workspace(source_conn_id: str) -> Workspace:
    """Return the workspace that a share exports from.

    :raises ConfigurationError: IB-102, IB-103, IB-257.
    """
    from icebridge_provider.hooks.unity import workspace_of

    return workspace_of(connection(source_conn_id, SOURCE_TYPES, "Databricks workspace"))


def database_of(target_conn_id: str) -> str:
    """Return the connection's own database, for tables whose target is not written out; empty when it has none.

    :raises ConfigurationError: IB-102, IB-103.
    """
    from icebridge_provider.hooks.snowflake import SnowflakeShareHook

    return SnowflakeShareHook(target_conn_id).database


def account_of(target_conn_id: str) -> str:
    """Return the account's identifier: ``organization-account``, or a locator with its region.

    :raises ConfigurationError: IB-102, IB-103.
    """
    from icebridge_provider.hooks.snowflake import SnowflakeShareHook

    return SnowflakeShareHook(target_conn_id).account


def source_page(source_conn_id: str, query_id: str) -> str:
    """Return the page of a statement in the workspace's query history."""
    return f"{workspace(source_conn_id).url}/sql/history?queryId={quote(query_id, safe='')}" if query_id else ""


def target_page(target_conn_id: str, query_id: str) -> str:
    """Return the page of a statement in Snowsight; empty for an account whose address cannot be told by its name."""
    extra = connection(target_conn_id, TARGET_TYPES, "Snowflake account").extra_dejson or {}
    account, host = account_of(target_conn_id), str(extra.get("host") or "")
    if not query_id or not _ACCOUNT.fullmatch(account) or (host and not host.endswith(_OFFICIAL)):
        return ""
    locator, _, region = account.partition(".")
    organization, dash, name = account.partition("-")
    if region:
        place = f"{region}/{locator}"
    elif dash:
        place = f"{organization}/{name}"
    else:
        return ""
    return f"https://app.snowflake.com/{place}/#/compute/history/queries/{quote(query_id, safe='')}/detail"


def _warehouse(conn_id: str) -> SqlRunner:
    from icebridge_provider.catalogs.unity.statements import Statements
    from icebridge_provider.engines.databricks.exporting import WorkspaceRunner
    from icebridge_provider.hooks.unity import warehouse_of, workspace_of

    found = connection(conn_id, SOURCE_TYPES, "Databricks workspace")
    return WorkspaceRunner(Statements(workspace_of(found), warehouse_of(dict(found.extra_dejson or {}))))

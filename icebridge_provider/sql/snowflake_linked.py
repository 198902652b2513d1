"""Snowflake's statements for reading a lakehouse in place, generated for an administrator to look at and run.

None of them is sent by IceBridge. The one secret they need stands as :data:`SECRET`, to be filled in by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.sql.snowflake import name, text

SECRET = "<client secret>"  # noqa: S105 - a place for one
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}(?:\.[A-Za-z0-9][A-Za-z0-9-]{0,62}){1,9}")


def catalog_integration(integration: str, host: str, catalog: str, schema: str, client_id: str) -> str:
    """Let Snowflake read a Unity Catalog over its Iceberg REST endpoint, with credentials for each table.

    :param host: of the workspace, such as ``dbc-1.cloud.databricks.com``.
    :param client_id: application id of a service principal that has EXTERNAL USE SCHEMA.
    :raises ConfigurationError: IB-909 for a host that is none.
    """
    if not _HOST.fullmatch(host):
        raise ConfigurationError(
            "IB-909",
            f"{host[:200]!r} is no host of a workspace.",
            remedy="Give it without https:// and without a path.",
        )
    return (
        f"CREATE CATALOG INTEGRATION IF NOT EXISTS {name(integration)} CATALOG_SOURCE = ICEBERG_REST"
        f" TABLE_FORMAT = ICEBERG CATALOG_NAMESPACE = {text(schema)} REST_CONFIG = ("
        f"CATALOG_URI = {text(f'https://{host}/api/2.1/unity-catalog/iceberg-rest')} WAREHOUSE = {text(catalog)}"
        " ACCESS_DELEGATION_MODE = VENDED_CREDENTIALS) REST_AUTHENTICATION = (TYPE = OAUTH"
        f" OAUTH_TOKEN_URI = {text(f'https://{host}/oidc/v1/token')} OAUTH_CLIENT_ID = {text(client_id)}"
        f" OAUTH_CLIENT_SECRET = {text(SECRET)} OAUTH_ALLOWED_SCOPES = ('all-apis')) ENABLED = TRUE"
    )


def linked_database(database: str, integration: str, schemas: Iterable[str], sync_seconds: int = 60) -> str:
    """Show every table of some schemas, for reading only: without it the default allows writes."""
    listed = ", ".join(text(schema) for schema in schemas)
    return (
        f"CREATE DATABASE IF NOT EXISTS {name(database)} LINKED_CATALOG = (CATALOG = {text(integration)},"
        f" ALLOWED_NAMESPACES = ({listed}), ALLOWED_WRITE_OPERATIONS = NONE,"
        f" SYNC_INTERVAL_SECONDS = {int(sync_seconds)})"
    )


def external_table(table: Sequence[str], integration: str, volume: str, schema: str, source: str) -> str:
    """Show one table, its snapshots taken over by themselves."""
    return (
        f"CREATE ICEBERG TABLE IF NOT EXISTS {name(*table)} EXTERNAL_VOLUME = {text(volume)}"
        f" CATALOG = {text(integration)} CATALOG_NAMESPACE = {text(schema)} CATALOG_TABLE_NAME = {text(source)}"
        " AUTO_REFRESH = TRUE"
    )


def iceberg_table(table: Sequence[str], columns: Iterable[tuple[str, str]], volume: str, base: str) -> str:
    """Create an Iceberg table that Snowflake manages, for :func:`add_files`."""
    listed = ", ".join(f"{name(column)} {kind}" for column, kind in columns)
    return (
        f"CREATE ICEBERG TABLE IF NOT EXISTS {name(*table)} ({listed}) CATALOG = 'SNOWFLAKE'"
        f" EXTERNAL_VOLUME = {text(volume)} BASE_LOCATION = {text(base)}"
    )


def add_files(table: Sequence[str], stage: Sequence[str], path: str, files: Sequence[str]) -> str:
    """Copy whole Parquet files into an Iceberg table, on the server, without reading their rows."""
    listed = ", ".join(text(file) for file in files)
    return (
        f"COPY INTO {name(*table)} FROM {text(f'@{name(*stage)}/{path}')} FILES = ({listed}) FILE_FORMAT ="
        " (TYPE = PARQUET USE_VECTORIZED_SCANNER = TRUE) LOAD_MODE = ADD_FILES_COPY"
        " MATCH_BY_COLUMN_NAME = CASE_SENSITIVE ON_ERROR = ABORT_STATEMENT"
    )

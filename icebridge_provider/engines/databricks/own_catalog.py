"""The route on which the cluster reads the source from its own REST catalog, not through Unity Catalog.

The cluster's ``spark_conf`` defines that catalog. What is secret in it reaches the cluster as
``{{secrets/<scope>/<key>}}``, which Databricks fills in there: no credential of the source is in a request of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from icebridge_provider.engines.databricks.peer import DatabricksWorkspace, UnityTables
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.model.table import LoadedTable

NAME = "icebridge_origin"
PREFIX = f"spark.sql.catalog.{NAME}"
_SECRET = re.compile(r"(?i)(^header\.|secret|password|token$|credential$|access[-.]key|private[-.]key)")
_NOT_SECRET = frozenset({"oauth2-server-uri", "token-refresh-enabled", "s3.remote-signing-enabled"})
_KEPT = re.compile(r"uri|warehouse|prefix|scope|audience|resource|oauth2-server-uri|client\.region|s3\..+")
_KEY = re.compile(r"[^\w\-@.]")
_ALLOWED = re.compile(r"[\w\-@.]{1,128}")


def spark_conf(conn_id: str, properties: Mapping[str, Any], scope: str) -> dict[str, str]:
    """Return the settings that define the source's catalog on a cluster; secret ones are references only.

    :param conn_id: connection of the catalog; keys in the scope are ``<conn_id>.<property>``.
    :param properties: pyiceberg's, as the connection gives them.
    :raises ConfigurationError: IB-454 when it is no REST catalog, or the scope's name cannot be one.
    """
    if str(properties.get("type", "rest")) != "rest" or not properties.get("uri"):
        raise _unfit(f"{conn_id} is no REST catalog", "Leave origin_secret_scope out: Unity Catalog is read then.")
    if "@" in urlsplit(str(properties["uri"])).netloc:
        raise _unfit("its address holds a credential", "Put login and password into fields of the connection.")
    if not _ALLOWED.fullmatch(scope):
        raise _unfit("the secret scope's name cannot be one", "Take letters, digits, dash, underscore, @ and dot.")
    plain = {f"{PREFIX}.{key}": str(value) for key, value in properties.items() if _is_plain(key)}
    hidden = {f"{PREFIX}.{key}": f"{{{{secrets/{scope}/{name}}}}}" for key, name in _hidden(conn_id, properties)}
    return {
        PREFIX: "org.apache.iceberg.spark.SparkCatalog",
        f"{PREFIX}.type": "rest",
        f"{PREFIX}.header.X-Iceberg-Access-Delegation": "vended-credentials",
        **plain,
        **hidden,
    }


def secret_keys(conn_id: str, properties: Mapping[str, Any]) -> list[str]:
    """Return the keys that the scope must hold."""
    return sorted(name for _, name in _hidden(conn_id, properties))


def prove_readable(workspace: DatabricksWorkspace, scope: str, keys: Iterable[str]) -> None:
    """Make sure that the principal may read the scope and that it holds the keys; no value is asked for.

    :raises ConfigurationError: IB-455 when the scope cannot be read, IB-456 naming the keys that are missing.
    """
    try:
        told = workspace.get(
            "list the keys of the secret scope", "/api/2.0/secrets/list", {"scope": scope}, "READ on it"
        )
    except IceBridgeError as error:
        if error.retryable:
            raise
        raise ConfigurationError(
            "IB-455",
            f"The secret scope {scope} cannot be read: {error.message}",
            remedy=f"Make it and give the principal READ: databricks secrets put-acl {scope} <principal> READ.",
            scope=scope,
        ) from None
    there = {str(item.get("key", "")) for item in told.get("secrets") or ()}
    missing = sorted(set(keys) - there)
    if missing:
        raise ConfigurationError(
            "IB-456",
            f"The secret scope {scope} lacks {', '.join(missing)}.",
            remedy=f"Put each there: databricks secrets put-secret {scope} {missing[0]}.",
            scope=scope,
        )


def refuse_method(method: str) -> None:
    """Make sure that rows are copied by a statement that can read another catalog.

    :raises ConfigurationError: IB-457.
    """
    if method != CopyMethod.INSERT_SELECT.value:
        raise ConfigurationError(
            "IB-457",
            f"The source is to be read from its own catalog, which method {method} cannot.",
            remedy="Plan with method insert_select, or take origin_secret_scope out of the source's connection.",
            method=method,
        )


class Finds(Protocol):
    """The catalog behind the foreign one, asked by the names that Unity Catalog shows."""

    def load(self, table: TableIdentifier) -> LoadedTable | None:
        """Return the table under its own name."""


class OwnCatalogTables:
    """The source's tables under the names that the cluster knows them by; all else is the Unity catalog's."""

    def __init__(self, shown: UnityTables, origin: Finds) -> None:
        self._shown = shown
        self._origin = origin

    @property
    def is_foreign(self) -> bool:
        """False: nothing of what Unity Catalog keeps of it is read, so nothing has to be refreshed."""
        return False

    def parts(self, table: TableIdentifier) -> tuple[str, str, str]:
        """The name on the cluster: the origin's own spelling, below the catalog that ``spark_conf`` defines."""
        found = self._origin.load(table)
        name = table if found is None else found.identifier
        return NAME, name.namespace[0], name.name

    def load(self, table: TableIdentifier) -> LoadedTable | None:
        """As the Unity catalog loads it."""
        return self._shown.load(table)


def _is_plain(key: str) -> bool:
    return bool(_KEPT.fullmatch(key)) and not _is_secret(key)


def _is_secret(key: str) -> bool:
    return key not in _NOT_SECRET and bool(_SECRET.search(key))


def _hidden(conn_id: str, properties: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return secret properties with their keys in the scope."""
    return [(key, _KEY.sub("_", f"{conn_id}.{key}")) for key, value in properties.items() if _is_secret(key) and value]


def _unfit(why: str, remedy: str) -> ConfigurationError:
    return ConfigurationError("IB-454", f"The source cannot be read from its own catalog: {why}.", remedy=remedy)

"""Opens pyiceberg catalogs from the properties of a connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from icebridge_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

KINDS = ("sql", "rest", "glue", "hive")
CATALOG_NAME = "catalog-name"
TIMEOUT = "rest.timeout-seconds"
_BY_SCHEME = {
    "http": "rest",
    "https": "rest",
    "thrift": "hive",
    "sqlite": "sql",
    "postgresql": "sql",
    "postgres": "sql",
    "mysql": "sql",
}


def kind_of(name: str, properties: Mapping[str, Any]) -> str:
    """Return which kind of catalog the properties describe: their ``type``, else what the ``uri`` looks like.

    :raises ConfigurationError: IB-203 when it is none that we speak to.
    """
    given = str(properties.get("type", "")).lower()
    scheme = str(properties.get("uri", "")).partition(":")[0].partition("+")[0].lower()
    kind = given or _BY_SCHEME.get(scheme, "")
    if kind not in KINDS:
        shown = f"type {given!r}" if given else "no type" if scheme == "" else f"an address of kind {scheme!r}"
        raise _misconfigured(name, f"has {shown}, and IceBridge speaks to {', '.join(KINDS)}")
    if kind != "glue" and not properties.get("uri"):
        raise _misconfigured(name, f"of type {kind!r} has no uri")
    return kind


def open_native(name: str, properties: Mapping[str, Any], *, read_only: bool) -> Catalog:
    """Open the catalog. A read-only connection never creates the tables of an SQL catalog.

    :raises ConfigurationError: IB-203 when the properties do not describe a catalog.
    """
    from pyiceberg.catalog import load_catalog

    kind = kind_of(name, properties)
    given = {key: _text(value) for key, value in properties.items() if key != CATALOG_NAME}
    given["type"] = kind
    spelled = str(properties.get(CATALOG_NAME, ""))
    if kind == "rest":
        from icebridge_provider.catalogs.rest import TimedRestCatalog

        return TimedRestCatalog(spelled or name, **given)
    if kind != "sql":
        return load_catalog(spelled or name, **given)
    if read_only:
        given.setdefault("init_catalog_tables", "false")
    catalog = load_catalog(spelled or name, **given)
    if not spelled:
        catalog.name = _name_in_database(catalog, name)
    return catalog


def _name_in_database(native: Any, name: str) -> str:
    """Return the ``catalog_name`` of the rows in an SQL catalog's database: several catalogs can share one.

    Without ``catalog-name`` in the connection, a database that holds one catalog is that catalog; an empty one gets
    the connection's id.

    :raises ConfigurationError: IB-203 when several are there and none has the connection's id.
    """
    from sqlalchemy import text

    query = text("SELECT catalog_name FROM iceberg_namespace_properties UNION SELECT catalog_name FROM iceberg_tables")
    with native.engine.connect() as connection:
        names = sorted(row[0] for row in connection.execute(query))
    if not names or name in names:
        return name
    if len(names) == 1:
        return str(names[0])
    raise _misconfigured(name, f"points at a database that holds the catalogs {', '.join(names)}")


def _misconfigured(name: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-203",
        f"Connection {name!r} {what}.",
        remedy='Set its extra, for example {"type": "rest", "uri": "https://…", "warehouse": "…"} or {"type": "sql", '
        f'"uri": "postgresql://…", "warehouse": "s3://…", "{CATALOG_NAME}": "…"}}.',
        catalog=name,
    )


def _text(value: Any) -> Any:
    """Pyiceberg takes texts; only its ``auth`` and ``ssl`` sections are objects."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str | Mapping) else str(value)

"""What the catalog adapter refuses by itself, before or instead of asking the catalog."""

from __future__ import annotations

from icebridge_provider.exceptions import ConfigurationError, TransientError
from icebridge_provider.model.identifier import TableIdentifier


def read_only(catalog: str, what: str) -> ConfigurationError:
    """A change over a connection that is declared read-only."""
    return ConfigurationError(
        "IB-207",
        f"Connection {catalog!r} is read-only and cannot {what}.",
        remedy=f"Take read_only out of the extra of connection {catalog!r} if IceBridge may change it.",
        catalog=catalog,
    )


def dotted(catalog: str, namespace: tuple[str, ...]) -> ConfigurationError:
    """A namespace that an SQL catalog would take for another one."""
    return ConfigurationError(
        "IB-213",
        f"An SQL catalog cannot hold the namespace {namespace!r}: it separates levels by dots.",
        remedy="Map it to another namespace, for example with the mapping rule prefix:`a.b`.=a_b.",
        catalog=catalog,
    )


def taken(table: TableIdentifier) -> ConfigurationError:
    """A name that another table has."""
    return ConfigurationError(
        "IB-206",
        f"The name {table} is taken by another table.",
        remedy="Rename or drop that table, or map this one to another name.",
        table=str(table),
    )


def gone(table: TableIdentifier) -> ConfigurationError:
    """A table that is to be changed and has no entry."""
    return ConfigurationError(
        "IB-208",
        f"There is no table {table}.",
        remedy="It was renamed or dropped meanwhile; see who did in the catalog's own log.",
        table=str(table),
    )


def no_folder(catalog: str) -> ConfigurationError:
    """A catalog that does not say where its tables lie."""
    return ConfigurationError(
        "IB-205",
        f"Catalog {catalog!r} does not tell where new tables go.",
        remedy=f'Add {{"location": "s3://bucket/folder"}} to the extra of connection {catalog!r}.',
        catalog=catalog,
    )


def unknown_outcome(error: TransientError, what: str) -> TransientError:
    """A change whose answer was lost, and a catalog that then could not be asked either."""
    return TransientError(
        error.code,
        error.message,
        remedy=error.remedy,
        changed=f"Whether it could {what} is not known; trying again is safe.",
        **error.facts,
    )

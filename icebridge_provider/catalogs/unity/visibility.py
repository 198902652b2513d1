"""Compares what one principal is shown of a schema by every way there is to ask: seeing less is no error anywhere.

The REST list, ``system.information_schema`` and the catalog behind a foreign one each leave out what the principal may
not see, and say nothing. Where they differ, "0 tables" may mean "0 privileges".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from icebridge_provider.catalogs.unity.listing import Listed
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.sql import databricks as sql

if TYPE_CHECKING:
    from icebridge_provider.catalogs.unity.catalog import UnityCatalog


@dataclass(frozen=True, slots=True, kw_only=True)
class Visibility:
    """Names of one schema's tables and views, in lower case, by who shows them.

    ``in_sql`` is None when ``information_schema`` could not be asked (``problem`` says why), ``in_origin`` is None for
    a managed catalog, or without an origin connection.
    """

    schema: str
    listed: frozenset[str]
    in_sql: frozenset[str] | None = None
    in_origin: frozenset[str] | None = None
    problem: str = ""

    @property
    def hidden(self) -> tuple[str, ...]:
        """Tables of the origin that Unity Catalog does not show."""
        return tuple(sorted((self.in_origin or frozenset()) - self.listed))

    @property
    def finding(self) -> str:
        """What a person should know, empty when every way to ask gives the same answer."""
        said = []
        if self.hidden:
            said.append(
                f"{self.schema} shows {len(self.listed)} of the {len(self.in_origin or ())} tables of its source; "
                f"not shown: {_some(self.hidden)}. Grant the principal SELECT or BROWSE on them, "
                f"or refresh the schema (REFRESH FOREIGN SCHEMA) if they are new."
            )
        if self.in_sql is not None and self.in_sql != self.listed:
            apart = tuple(sorted(self.in_sql ^ self.listed))
            said.append(
                f"{self.schema} has {len(self.listed)} tables by the REST interface and {len(self.in_sql)} by "
                f"information_schema; they differ in {_some(apart)}. The principal may see names, but not read, there."
            )
        return " ".join(said)


def visibility_of(catalog: UnityCatalog, namespace: tuple[str, ...]) -> Visibility:
    """Ask every way there is."""
    listed = frozenset(item.name.casefold() for item in catalog.listed(namespace))
    in_sql, problem = _in_sql(catalog, namespace)
    return Visibility(
        schema=f"{catalog.catalog}.{'.'.join(namespace)}",
        listed=listed,
        in_sql=in_sql,
        in_origin=_in_origin(catalog, namespace),
        problem=problem,
    )


def hidden_names(catalog: UnityCatalog, namespace: tuple[str, ...]) -> list[str]:
    """Names of the origin's tables that the catalog does not show, without asking a warehouse."""
    behind = _in_origin(catalog, namespace)
    if not behind:
        return []
    return sorted(behind - {item.name.casefold() for item in _shown(catalog, namespace)})


def hidden_schemas(catalog: UnityCatalog) -> list[tuple[str, ...]]:
    """Namespaces of the origin that the catalog does not show: nested ones, which it never does, too."""
    if catalog.origin is None or not catalog.is_foreign:
        return []
    shown = {tuple(part.casefold() for part in namespace) for namespace in catalog.namespaces()}
    behind = {tuple(part.casefold() for part in namespace) for namespace in catalog.origin.namespaces()}
    return sorted(behind - shown)


def _shown(catalog: UnityCatalog, namespace: tuple[str, ...]) -> list[Listed]:
    """Tables that are shown; none of a schema that may not be used, which is refused and not left empty."""
    try:
        return catalog.listed(namespace)
    except IceBridgeError as error:
        if error.code == "IB-241":
            return []
        raise


def _in_sql(catalog: UnityCatalog, namespace: tuple[str, ...]) -> tuple[frozenset[str] | None, str]:
    if not catalog.statements.warehouse_id:
        return None, "no SQL warehouse is configured"
    values = {"catalog": catalog.catalog.casefold(), "schema": ".".join(namespace).casefold()}
    try:
        found = catalog.statements.run(f"count the tables of {values['schema']}", sql.listed_tables(), values)
    except IceBridgeError as error:
        return None, error.message
    return frozenset(str(row[0]).casefold() for row in found.rows), ""


def _in_origin(catalog: UnityCatalog, namespace: tuple[str, ...]) -> frozenset[str] | None:
    origin = catalog.origin
    if origin is None or not catalog.is_foreign:
        return None
    wanted = tuple(part.casefold() for part in namespace)
    spaces = [found for found in origin.namespaces() if tuple(part.casefold() for part in found) == wanted]
    return frozenset(table.name.casefold() for space in spaces for table in origin.tables(space))


def _some(names: tuple[str, ...], shown: int = 5) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more

"""Tries a Unity connection the way a migration will use it, and names the privilege that is missing."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from icebridge_provider.catalogs.unity.optimization import in_force
from icebridge_provider.catalogs.unity.rights import answered
from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.planning.unity_facts import Told
from icebridge_provider.sql import databricks as sql

if TYPE_CHECKING:
    from icebridge_provider.catalogs.unity.catalog import UnityCatalog

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
PROBE = "icebridge_probe"
_UNITY_SUMMARY = "/api/2.1/unity-catalog/metastore_summary"

Result = dict[str, str]


def check_unity(catalog: UnityCatalog) -> list[Result]:
    """List, compare what is shown, read by SQL and by the tables' own metadata, create and drop a probe table.

    Nothing stays behind; a foreign catalog and a read-only connection are only read.

    :returns: one ``{"check", "outcome", "message", "remedy"}`` a check; outcome is passed, failed or skipped.
    """
    probe = _Probe(catalog)
    namespaces = probe.attempt("list schemas", catalog.namespaces, lambda found: f"{len(found)} schemas")
    if namespaces is None:
        return probe.results
    tables = probe.attempt("list tables", lambda: _tables(catalog, namespaces), lambda found: f"{len(found)} seen")
    probe.see(namespaces)
    probe.run_sql()
    if not catalog.is_foreign:
        probe.external_access()
        probe.optimization(namespaces)
    probe.read(tables or [])
    probe.create(namespaces)
    return probe.results


class _Probe:
    """The checks of one catalog, in order."""

    def __init__(self, catalog: UnityCatalog) -> None:
        self._catalog = catalog
        self.results: list[Result] = []

    def see(self, namespaces: list[tuple[str, ...]]) -> None:
        """Whether the principal is shown less than there is."""
        found = self.attempt(
            "see all tables",
            lambda: " ".join(filter(None, (self._catalog.visibility(space).finding for space in namespaces[:5]))),
            lambda text: text or "every way to ask gives the same tables",
        )
        if found:
            self.results[-1].update(
                outcome=FAILED,
                remedy="Grant SELECT or BROWSE, or refresh the foreign catalog; then run the check again.",
            )

    def run_sql(self) -> None:
        """Whether the warehouse runs statements."""
        if not self._catalog.statements.warehouse_id:
            said = "the connection names no SQL warehouse: changes and table comparison need one"
            self._note("run SQL", SKIPPED, said)
            return
        right = "CAN USE on the SQL warehouse"
        self.attempt("run SQL", lambda: self._catalog.statements.run("run SQL", "SELECT 1", right=right), _warehouse)

    def external_access(self) -> None:
        """Whether the metastore lets external engines in: yes, no, or not to be told to this principal."""
        try:
            summary = self._catalog.workspace.get("read the metastore's summary", _UNITY_SUMMARY)
        except IceBridgeError as error:
            self._note("external data access", SKIPPED, f"cannot be told: {error.message}", error.remedy)
            return
        allowed = summary.get("external_access_enabled")
        if allowed is None:
            self._note("external data access", SKIPPED, "the metastore does not tell")
        elif allowed:
            self._note("external data access", PASSED, "the metastore allows it")
        else:
            remedy = "A metastore admin switches it on: Catalog > gear > Metastore > External data access."
            self._note("external data access", FAILED, "the metastore forbids it", remedy)

    def optimization(self, namespaces: list[tuple[str, ...]]) -> None:
        """Whether predictive optimization is in force where tables would go: clones into managed Iceberg need it."""
        check, catalog = "predictive optimization", self._catalog
        if catalog.is_foreign or not namespaces:
            self._note(check, SKIPPED, "there is no schema to look at")
            return
        below = answered(lambda: catalog.access.access_below((catalog.catalog, *namespaces[0])))
        force = in_force(below.info) if below else Told.UNKNOWN
        schema = ".".join((catalog.catalog, *namespaces[0]))
        if force is Told.YES:
            self._note(check, PASSED, f"in force on {schema}")
        elif force is Told.UNKNOWN:
            self._note(check, SKIPPED, f"whether it is in force on {schema} cannot be told")
        elif catalog.enables_optimization:
            self._note(check, PASSED, f"not in force on {schema} yet: the first copy switches it on")
        else:
            statement = sql.predictive_optimization("SCHEMA", (catalog.catalog, *namespaces[0]), "ENABLE")
            said = f"not in force on {schema}: tables are copied by insert_select, and nothing will compact them"
            self._note(
                check, SKIPPED, said, f'Run: {statement}; or add "predictive_optimization": "enable" to the extra.'
            )

    def read(self, tables: list[TableIdentifier]) -> None:
        """SELECT through the warehouse, and metadata without it."""
        if not tables:
            self._note("read a table", SKIPPED, "there is no table to read")
            return
        first = tables[0]
        full_name = self._catalog.full_name(first)
        if self._catalog.statements.warehouse_id:
            statement, right = sql.read_nothing(self._catalog.parts(first)), f"SELECT on {full_name}"
            what = f"select from {full_name}"
            self.attempt(
                "select", lambda: self._catalog.statements.run(what, statement, right=right), lambda _: full_name
            )
        how = "read from its source" if self._catalog.is_foreign else "read over Iceberg REST"
        self.attempt(how, lambda: self._load(first), lambda found: str(found.metadata_location))

    def create(self, namespaces: list[tuple[str, ...]]) -> None:
        """Create a managed Iceberg table, find it over Iceberg REST, rename and drop it."""
        if self._catalog.is_foreign or not self._catalog.writable():
            why = "foreign catalogs are only read" if self._catalog.is_foreign else "the connection is read-only"
            self._note("create a table", SKIPPED, why)
        elif not self._catalog.statements.warehouse_id:
            self._note("create a table", SKIPPED, "the connection names no SQL warehouse")
        elif not namespaces:
            self._note("create a table", SKIPPED, "there is no schema to create one in")
        else:
            self._create(namespaces[0])

    def _create(self, namespace: tuple[str, ...]) -> None:
        catalog = self._catalog
        table = TableIdentifier(catalog=catalog.name, namespace=namespace, name=f"{PROBE}_{secrets.token_hex(4)}")
        statement = sql.create_managed(catalog.parts(table), [("probe", "INT")])
        what, schema = f"create {catalog.full_name(table)}", ".".join((catalog.catalog, *namespace))
        right = f"USE CATALOG, USE SCHEMA and CREATE TABLE on {schema}"
        renamed = table.named(f"{table.name}_2")
        try:
            with side_effect("check.create"):
                made = self.attempt(
                    "create a table", lambda: catalog.statements.run(what, statement, right=right), lambda _: str(table)
                )
            if made is None:
                return
            self.attempt(
                "read it over Iceberg REST", lambda: self._load(table), lambda _: f"EXTERNAL USE SCHEMA on {schema}"
            )
            with side_effect("check.rename"):
                self.attempt("rename it", lambda: catalog.rename(table, renamed.name), lambda _: str(renamed))
        finally:
            self._drop(table, renamed)

    def _drop(self, *tables: TableIdentifier) -> None:
        for table in tables:
            with side_effect("check.drop"):
                try:
                    self._catalog.drop_entry(table)
                except IceBridgeError as error:
                    self._note("drop it", FAILED, f"[{error.code}] {error.message}", error.remedy)

    def _load(self, table: TableIdentifier) -> Any:
        loaded = self._catalog.load(table)
        if loaded is None:
            schema = ".".join((self._catalog.catalog, *table.namespace))
            raise ConfigurationError(
                "IB-259",
                f"{table} is listed and cannot be found where its metadata is read.",
                remedy=f"Grant the principal EXTERNAL USE SCHEMA on {schema}."
                if not self._catalog.is_foreign
                else "Check that origin_conn_id leads to the catalog behind the federation.",
                table=str(table),
            )
        return loaded

    def attempt(self, check: str, act: Callable[[], Any], told: Callable[[Any], str]) -> Any:
        """Make one check and note how it went; None when it failed."""
        try:
            found = act()
        except IceBridgeError as error:
            self._note(check, FAILED, f"[{error.code}] {error.message}", error.remedy)
            return None
        self._note(check, PASSED, told(found))
        return found

    def _note(self, check: str, outcome: str, message: str, remedy: str = "") -> None:
        self.results.append({"check": check, "outcome": outcome, "message": message, "remedy": remedy})


def _tables(catalog: UnityCatalog, namespaces: list[tuple[str, ...]]) -> list[TableIdentifier]:
    found: list[TableIdentifier] = []
    for namespace in namespaces:
        found.extend(catalog.tables(namespace))
        if len(found) >= 20:
            break
    return found


def _warehouse(_: object) -> str:
    return "the SQL warehouse answers"

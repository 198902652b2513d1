"""What Databricks knows of who uses some tables: lineage, query history, texts of views. Reads only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.me import Me
from icebridge_provider.catalogs.unity.statements import Rows, Statements
from icebridge_provider.catalogs.unity.workspace import UNITY, in_path
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model.consumer import Consumer, Knowledge, Known
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.sql import lineage as sql
from icebridge_provider.sql.identifiers import quoted

LINEAGE, HISTORY, VIEWS = "lineage", "query history", "views"
TABLES_A_STATEMENT = 500
_KINDS = {
    "JOB": "job", "NOTEBOOK": "notebook", "PIPELINE": "pipeline", "DASHBOARD_V3": "dashboard",
    "DBSQL_DASHBOARD": "dashboard", "DBSQL_QUERY": "query",
}  # fmt: skip
_CONVERTIBLE = frozenset({"HIVE_METASTORE", "GLUE"})
_LIMITS = {
    LINEAGE: "Databricks keeps lineage for a year, shows it up to some hours late, and has none of accesses by path.",
    HISTORY: "Statements on classic clusters are not in it; a table named without its schema is not found.",
    VIEWS: "A view that the principal may not see at all is not counted.",
}
Row = Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    name: str
    schema: str
    statement: Callable[[], str]
    read: Callable[[Row], Consumer]


class UnityConsumers:
    """Asks one workspace who uses tables of one Unity catalog: one statement for each source and 500 tables.

    :param catalog: where the tables are.
    :param statements: the warehouse to ask; the catalog's own when left out.
    """

    def __init__(self, catalog: UnityCatalog, statements: Statements | None = None) -> None:
        self._catalog = catalog
        self._statements = statements or catalog.statements
        self._me = Me(catalog.workspace)

    def lineage(self, tables: Iterable[TableIdentifier], days: int) -> Knowledge:
        """Ask ``system.access.table_lineage``; a refusal is an answer, not an error."""
        return self._ask(
            _Source(name=LINEAGE, schema="access", statement=sql.table_lineage, read=self._moved), tables, days
        )

    def history(self, tables: Iterable[TableIdentifier], days: int) -> Knowledge:
        """Ask ``system.query.history``: statements whose text names a table."""
        return self._ask(
            _Source(name=HISTORY, schema="query", statement=sql.query_history, read=self._said), tables, days
        )

    def views(self, tables: Iterable[TableIdentifier], days: int) -> Knowledge:
        """Ask ``information_schema.views``: views whose text names a table."""
        source = _Source(name=VIEWS, schema="information_schema", statement=sql.views, read=self._view)
        return self._ask(source, tables, days)

    # Asking

    def _ask(self, source: _Source, tables: Iterable[TableIdentifier], days: int) -> Knowledge:
        parts = [self._catalog.parts(table) for table in tables]
        found: list[Row] = []
        cut = False
        try:
            for chunk in _chunks(parts):
                rows = self._rows(source, chunk, days)
                cut = cut or len(rows) > sql.MOST_ROWS
                found += rows[: sql.MOST_ROWS]
        except IceBridgeError as error:
            return _refused(source, error, _name(self._me))
        return _answered(source, found, cut)

    def _rows(self, source: _Source, chunk: Sequence[tuple[str, str, str]], days: int) -> list[Row]:
        values = {"tables": sql.wanted(chunk)}
        if source.name != VIEWS:
            values["days"] = str(days)
        what = f"read {_table(source)}"
        rows: Rows = self._statements.run(what, source.statement(), values, right=f"SELECT on {_table(source)}")
        return [dict(zip(rows.columns, row, strict=True)) for row in rows.rows]

    # Rows as consumers

    def _moved(self, row: Row) -> Consumer:
        view, kind = row["view_name"], _KINDS.get(row["entity_type"] or "", "")
        if view:
            return self._consumer(row, "view", view, "reads", row["created_by"], LINEAGE, dated=False)
        kind = kind or (row["entity_type"] or "statement").lower()
        return self._consumer(row, kind, row["entity_id"], row["how"] or "reads", row["created_by"], LINEAGE)

    def _said(self, row: Row) -> Consumer:
        for kind in ("job", "notebook", "dashboard", "pipeline", "query"):
            if row[f"{kind}_id"]:
                return self._consumer(row, kind, row[f"{kind}_id"], "mentions", row["executed_by"], HISTORY)
        return self._consumer(row, "statement", row["client"], "mentions", row["executed_by"], HISTORY)

    def _view(self, row: Row) -> Consumer:
        return self._consumer(row, "view", row["view_name"], "reads", row["owner"], VIEWS, dated=False)

    def _consumer(
        self, row: Row, kind: str, identifier: str | None, how: str, who: str | None, source: str, *, dated: bool = True
    ) -> Consumer:
        return Consumer(
            table=row["name"] or "", kind=kind, id=identifier or "", how=how, who=who or "", sources=(source,),
            last_seen=_iso(row.get("seen_ms")) if dated else "", times=int(row.get("times") or 1),
            own=bool(who) and who == _name(self._me) and kind != "view",
        )  # fmt: skip


def _answered(source: _Source, rows: Sequence[Row], cut: bool) -> Knowledge:
    """What came back; rows without a table count what was seen and could not be read."""
    named = tuple(source.read(row) for row in rows if row["name"])
    hidden = sum(int(row.get("times") or 1) for row in rows if not row["name"])
    things = "statements whose text is" if source.name == HISTORY else "views whose text is"
    reasons = [f"{hidden:,} {things} not shown to this principal"] * bool(hidden)
    reasons += [f"more than {sql.MOST_ROWS:,} rows, the newest are listed"] * cut
    return Knowledge(
        source=source.name,
        known=Known.PARTLY if reasons else Known.ASKED,
        consumers=named,
        unreadable=hidden,
        reason="; ".join(reasons),
        remedy=_hint(source, cut) if reasons else "",
        limits=_LIMITS[source.name],
    )


def _hint(source: _Source, cut: bool) -> str:
    if cut:
        return "Ask for fewer tables or days."
    if source.name == VIEWS:
        return "Run it as the owner of these views, or look at them in Catalog Explorer."
    return "Run it as an account admin without customer-managed keys for the history, or ask those who ran them."


def _refused(source: _Source, error: IceBridgeError, me: str) -> Knowledge:
    denied = error.code == "IB-241"
    return Knowledge(
        source=source.name,
        known=Known.NOT_PERMITTED if denied else Known.NOT_AVAILABLE,
        reason=error.message,
        remedy=_remedy(source, error, me or "principal"),
        limits=_LIMITS[source.name],
    )


def _remedy(source: _Source, error: IceBridgeError, me: str) -> str:
    """The statement that a metastore admin runs, or what the error itself says."""
    if error.code == "IB-241":
        return f"GRANT USE SCHEMA, SELECT ON SCHEMA {quoted('system', source.schema)} TO {quoted(me)}"
    if error.code == "IB-243":
        return f"An account admin enables it: databricks system-schemas enable METASTORE_ID {source.schema}"
    return error.remedy


def _name(me: Me) -> str:
    """The principal's name, empty when the workspace does not tell it."""
    try:
        return me.name
    except IceBridgeError:
        return ""


def _table(source: _Source) -> str:
    last = {LINEAGE: "table_lineage", HISTORY: "history", VIEWS: "views"}[source.name]
    return f"system.{source.schema}.{last}"


def _chunks(parts: Sequence[tuple[str, str, str]]) -> Iterator[Sequence[tuple[str, str, str]]]:
    for start in range(0, len(parts), TABLES_A_STATEMENT):
        yield parts[start : start + TABLES_A_STATEMENT]


def _iso(milliseconds: str | None) -> str:
    if not milliseconds:
        return ""
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC).isoformat(timespec="seconds")


def why_not_kept(source: UnityCatalog) -> tuple[str, str]:
    """Return why a catalog's name cannot be kept for its consumers, and what a person may do later; two requests.

    Managed Iceberg tables cannot stand in a foreign catalog, no table moves between catalogs, and a name is taken as
    long as its catalog is there. Only foreign catalogs over a Hive metastore or Glue can be made standard ones
    (``ALTER CATALOG … DROP CONNECTION``, preview, Databricks Runtime 17.3): for good, for all its tables.
    """
    info = source.workspace.get(f"look at catalog {source.catalog}", f"{UNITY}/catalogs/{in_path(source.catalog)}")
    name = str(info.get("connection_name") or "")
    found = _connection(source, name) if name else None
    kind = str((found or {}).get("connection_type") or "")
    head = f"{source.catalog} is a {info.get('catalog_type', 'catalog')} over a connection of "
    if kind and kind not in _CONVERTIBLE:
        return f"{head}type {kind}, and Databricks gives the name of such a catalog to no other", ""
    shown = f"type {kind}" if kind else "a type that is not shown to this principal"
    why = f"{head}{shown}, whose name Databricks frees by DROP CONNECTION if at all, which no rollback undoes"
    later = (
        f"After the grace period its owner may run: ALTER CATALOG {quoted(source.catalog)} DROP CONNECTION FORCE, and"
        " make views of the old names."
    )
    return why, later if kind else ""


def _connection(source: UnityCatalog, name: str) -> dict[str, Any] | None:
    try:
        return source.workspace.find(f"look at connection {name}", f"{UNITY}/connections/{in_path(name)}")
    except ConfigurationError:  # not shown
        return None

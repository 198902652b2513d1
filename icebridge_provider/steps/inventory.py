"""Takes the inventory of a source catalog: read-only, from metadata alone, many tables at once."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any

from icebridge_provider.catalogs.survey import FILES, LEVELS, METADATA, survey
from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model import codec
from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, Step
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.inventory import Evidence, Inventory
from icebridge_provider.model.report import Finding, Severity
from icebridge_provider.model.table import ForeignTable
from icebridge_provider.planning.inspection import inspect as judge
from icebridge_provider.planning.selection import select
from icebridge_provider.ports import Catalog, FileStore, Ledger

PAGE = 250
Seen = tuple[ForeignTable, tuple[Finding, ...]]


def take_inventory(
    catalog: Catalog,
    ledger: Ledger,
    actor: Actor,
    globs: Sequence[str] = ("*",),
    inspect: bool | str = True,
    workers: int = 8,
    inventory_id: str = "",
    now: datetime | None = None,
) -> dict[str, Any]:
    """Read the tables that ``globs`` select, inspect them, and keep the result in the ledger.

    ``inspect`` is how deep to look: ``metadata`` (False), ``manifests`` or ``files`` (True). One broken table is noted
    and does not stop the rest. With the ``inventory_id`` of an earlier call that ended, nothing is read again.

    :returns: ``inventory_id, tables, problems, findings``.
    :raises ConfigurationError: IB-230 when a glob matches nothing, IB-232 when ``inspect`` is none of the levels.
    """
    kept = ledger.document("inventory", inventory_id) if inventory_id else None
    if kept is not None:
        return _summary(kept)
    found = read_inventory(catalog, globs, inspect, workers, inventory_id, now)
    save_inventory(ledger, found)
    header = _header(found)
    event = LedgerEvent(
        plan_id=found.inventory_id,
        table="",
        step=Step.INVENTORY,
        outcome=Outcome.DONE,
        actor=actor,
        data=_summary(header),
    )
    with side_effect("inventory.record"):
        ledger.append(event)
    return _summary(header)


def read_inventory(
    catalog: Catalog,
    globs: Sequence[str] = ("*",),
    inspect: bool | str = True,
    workers: int = 8,
    inventory_id: str = "",
    now: datetime | None = None,
) -> Inventory:
    """Read and inspect the tables that ``globs`` select; nothing is recorded."""
    level = _level(inspect)
    moment = now or datetime.now(UTC)
    listed, hidden = _listed(catalog, workers)
    unseen = _in_unseen_namespaces(catalog, workers)
    wanted = select([*listed, *hidden, *unseen], globs)
    seen = list(_look(catalog, [table for table in wanted if table not in hidden | unseen], level, workers))
    seen += [_not_shown(catalog, table) for table in wanted if table in hidden]
    seen += [_in_unseen(catalog, table) for table in wanted if table in unseen]
    return Inventory(
        inventory_id=inventory_id or f"{catalog.name}-{moment:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
        catalog=catalog.name,
        taken_at=moment.isoformat(timespec="seconds"),
        globs=tuple(globs),
        level=level,
        tables=tuple(table for table, _ in seen),
        findings=tuple(finding for _, findings in seen for finding in findings),
    )


def _level(inspect: bool | str) -> str:
    level = {True: FILES, False: METADATA}.get(inspect, inspect) if isinstance(inspect, bool) else inspect
    if level not in LEVELS:
        raise ConfigurationError(
            "IB-232",
            f"Inspection level {inspect!r} is not known.",
            remedy=f"Use one of {', '.join(LEVELS)}.",
        )
    return str(level)


def _listed(catalog: Catalog, workers: int) -> tuple[list[TableIdentifier], set[TableIdentifier]]:
    """Return the tables that are shown, and those that are known to be there and are not."""
    namespaces = catalog.namespaces()
    with ThreadPoolExecutor(workers) as pool:
        shown = [table for tables in pool.map(catalog.tables, namespaces) for table in tables]
        hidden = {table for tables in pool.map(catalog.hidden, namespaces) for table in tables}
    return shown, hidden


def _in_unseen_namespaces(catalog: Catalog, workers: int) -> set[TableIdentifier]:
    """Tables of whole namespaces that are known to be there and are not shown."""
    with ThreadPoolExecutor(workers) as pool:
        return {table for tables in pool.map(catalog.hidden, catalog.hidden_namespaces()) for table in tables}


def _not_shown(catalog: Catalog, table: TableIdentifier) -> Seen:
    """A table that the connection is not shown: it is refused by name, never silently left out."""
    remedy = "Grant the principal SELECT or BROWSE on it; if the table is new, run REFRESH FOREIGN SCHEMA."
    return _kept_out(catalog, table, "SRC-020", "it", remedy)


def _in_unseen(catalog: Catalog, table: TableIdentifier) -> Seen:
    """A table of a namespace of which the connection is shown nothing."""
    space = ".".join(table.namespace)
    remedy = f"Grant the principal USE SCHEMA or BROWSE on {space}; if it is new, run REFRESH FOREIGN CATALOG."
    if len(table.namespace) > 1:
        remedy = "Unity Catalog shows namespaces of one level only: move it over a connection to that catalog."
    return _kept_out(catalog, table, "SRC-021", f"anything of {space}", remedy)


def _kept_out(catalog: Catalog, table: TableIdentifier, rule: str, what: str, remedy: str) -> Seen:
    problem = f"{table} is in the catalog behind {catalog.name}, which does not show {what} to this connection."
    finding = Finding(rule=rule, severity=Severity.BLOCKING, table=table, message=problem, remedy=remedy)
    return ForeignTable(identifier=table, problem=problem), (finding,)


def _look(catalog: Catalog, tables: Sequence[TableIdentifier], level: str, workers: int) -> Iterator[Seen]:
    with ThreadPoolExecutor(workers) as pool:
        for seen in pool.map(lambda table: look_at(catalog, table, level), tables):
            if seen is not None:
                yield seen


def look_at(catalog: Catalog, table: TableIdentifier, level: str = FILES) -> Seen | None:
    """Read and inspect one table; None when it is gone. What cannot be read becomes its ``problem``.

    :raises IceBridgeError: when the catalog as a whole does not answer any more.
    """
    try:
        loaded = catalog.load(table)
        if loaded is None:
            return None
        facts, evidence = survey(loaded, _store(catalog, loaded.io_properties), level)
    except IceBridgeError as error:
        if error.retryable:
            catalog.namespaces()  # one table may fail; a catalog that is gone ends the inventory
        return _with_problem(table, f"{error.message} {error.remedy}")
    except (OSError, KeyError, TypeError, ValueError) as error:
        return _with_problem(table, f"{type(error).__name__}: {str(error)[:300]}")
    foreign = ForeignTable(identifier=table, facts=facts)
    return foreign, judge(foreign, evidence)


def _with_problem(table: TableIdentifier, problem: str) -> Seen:
    foreign = ForeignTable(identifier=table, problem=problem)
    return foreign, judge(foreign, Evidence())


def _store(catalog: Catalog, io_properties: Any) -> FileStore:
    """Files by the credentials the catalog gave for this very table; its own where it gave none."""
    if not io_properties:
        return catalog.store()
    return _store_by(tuple(sorted(io_properties.items())))


@lru_cache(maxsize=16)
def _store_by(io_properties: tuple[tuple[str, str], ...]) -> FileStore:
    """One store, with its connections, for all tables that share their properties."""
    from icebridge_provider.stores.object_store import ObjectStore

    return ObjectStore(dict(io_properties))


# Keeping it


def save_inventory(ledger: Ledger, inventory: Inventory) -> None:
    """Keep an inventory: pages first, the header that makes it whole last."""
    pages = _pages(inventory)
    for number, page in enumerate(pages):
        with side_effect("inventory.save_page"):
            ledger.save_document("inventory", _page_key(inventory.inventory_id, number), page)
    with side_effect("inventory.save"):
        ledger.save_document("inventory", inventory.inventory_id, _header(inventory))


def load_inventory(ledger: Ledger, inventory_id: str) -> Inventory:
    """Return a kept inventory.

    :raises ConfigurationError: IB-233 when there is none.
    """
    header = ledger.document("inventory", inventory_id)
    if header is None:
        raise ConfigurationError(
            "IB-233",
            f"There is no inventory {inventory_id!r}.",
            remedy="Take one: airflow icebridge inventory",
            inventory_id=inventory_id,
        )
    pages = [ledger.document("inventory", _page_key(inventory_id, number)) or {} for number in range(header["pages"])]
    tables = tuple(codec.from_json(ForeignTable, item) for page in pages for item in page["tables"])
    findings = tuple(codec.from_json(Finding, item) for page in pages for item in page["findings"])
    kept = {key: header[key] for key in ("inventory_id", "catalog", "taken_at", "globs", "level")}
    return replace(codec.from_json(Inventory, kept), tables=tables, findings=findings)


def _header(inventory: Inventory) -> dict[str, Any]:
    return {
        "inventory_id": inventory.inventory_id,
        "catalog": inventory.catalog,
        "taken_at": inventory.taken_at,
        "globs": list(inventory.globs),
        "level": inventory.level,
        "tables": len(inventory.tables),
        "problems": len(inventory.problems),
        "findings": len(inventory.findings),
        "pages": len(_slices(inventory.tables)),
    }


def _summary(header: dict[str, Any]) -> dict[str, Any]:
    return {key: header[key] for key in ("inventory_id", "catalog", "tables", "problems", "findings")}


def _pages(inventory: Inventory) -> Iterator[dict[str, Any]]:
    findings = inventory.findings_by_table()
    for tables in _slices(inventory.tables):
        found = [finding for table in tables for finding in findings.get(table.identifier, ())]
        yield {"tables": codec.to_json(tables), "findings": codec.to_json(found)}


def _slices(tables: Iterable[ForeignTable]) -> list[list[ForeignTable]]:
    source = iter(tables)
    return list(iter(lambda: list(islice(source, PAGE)), []))


def _page_key(inventory_id: str, number: int) -> str:
    return f"{inventory_id}/{number:05d}"

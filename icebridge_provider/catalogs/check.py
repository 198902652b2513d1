"""Tries a connection the way a migration will use it, and names the right that is missing."""

from __future__ import annotations

import contextlib
import json
import secrets
import uuid
from collections.abc import Callable
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.ports import Catalog

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
PROBE = "icebridge_probe"
LOOKED_AT = 20

Result = dict[str, str]


def check_connection(catalog: Catalog) -> list[Result]:
    """List, read a byte, write and delete a probe file, register and drop a probe table.

    Stops asking where an answer makes the next question pointless. Nothing stays behind; a read-only connection is
    only read.

    :returns: one ``{"check", "outcome", "message", "remedy"}`` a check; outcome is passed, failed or skipped.
    """
    from icebridge_provider.catalogs.unity.catalog import UnityCatalog

    if isinstance(catalog, UnityCatalog):
        from icebridge_provider.catalogs.unity.check import check_unity

        return check_unity(catalog)
    results: list[Result] = []
    namespaces = _try(results, "list namespaces", catalog.namespaces, lambda found: f"{len(found)} namespaces")
    if namespaces is None:
        return results
    tables = _try(results, "list tables", lambda: _tables(catalog, namespaces), lambda found: f"{len(found)} seen")
    _check_reading(catalog, tables or [], results)
    if not catalog.writable():
        skipped = ("write and delete a file", "create a table")
        results.extend(_result(check, SKIPPED, "the connection is read-only") for check in skipped)
        return results
    _check_writing(catalog, namespaces, results)
    return results


def _tables(catalog: Catalog, namespaces: list[tuple[str, ...]]) -> list[TableIdentifier]:
    found: list[TableIdentifier] = []
    for namespace in namespaces:
        found.extend(catalog.tables(namespace))
        if len(found) >= LOOKED_AT:
            break
    return found


def _check_reading(catalog: Catalog, tables: list[TableIdentifier], results: list[Result]) -> None:
    if not tables:
        results.append(_result("read a table", SKIPPED, "there is no table to read"))
        return
    loaded = _try(
        results, "read a table", lambda: _first_readable(catalog, tables), lambda found: str(found.identifier)
    )
    if loaded is not None:
        _try(results, "read a byte", lambda: _read_byte(loaded), lambda found: found)


def _first_readable(catalog: Catalog, tables: list[TableIdentifier]) -> LoadedTable:
    """Load the first of some tables that is whole: one broken table says nothing of the connection."""
    problem: IceBridgeError | None = None
    for table in tables[:LOOKED_AT]:
        try:
            loaded = catalog.load(table)
        except IceBridgeError as error:
            problem = error
            if error.code != "IB-204":
                break
            continue
        if loaded is not None:
            return loaded
    raise problem or ConfigurationError(
        "IB-214", "The tables that were listed are gone again.", remedy="Run the check again."
    )


def _read_byte(loaded: LoadedTable) -> str:
    """Read one byte of the first file that the table's current state names: manifest list, else metadata file."""
    from icebridge_provider.catalogs.facts import current_snapshot
    from icebridge_provider.stores.object_store import ObjectStore

    location = (current_snapshot(loaded.metadata) or {}).get("manifest-list") or loaded.metadata_location
    with ObjectStore(loaded.io_properties).open(location) as source:
        source.read(1)
    return str(location)


def _check_writing(catalog: Catalog, namespaces: list[tuple[str, ...]], results: list[Result]) -> None:
    namespace = namespaces[0] if namespaces else ("icebridge",)
    table = TableIdentifier(catalog=catalog.name, namespace=namespace, name=f"{PROBE}_{secrets.token_hex(4)}")
    folder = _try(results, "find the folder for new tables", lambda: catalog.location_for(table, "probe"), str)
    if folder is None:
        return
    metadata = f"{folder}/metadata/00000-{uuid.uuid4()}.metadata.json"
    try:
        if _try(results, "write and delete a file", lambda: _write(catalog, folder), lambda _: folder) is None:
            return
        if not namespaces:
            results.append(_result("create a table", SKIPPED, "there is no namespace to create one in"))
            return
        _try(results, "create a table", lambda: _register(catalog, table, folder, metadata), lambda _: str(table))
    finally:
        with side_effect("check.clean"):
            catalog.store().delete(metadata)
            _remove_empty(folder)


def _write(catalog: Catalog, folder: str) -> bool:
    store, location = catalog.store(), f"{folder}/probe"
    with side_effect("check.write_file"):
        store.write(location, b"icebridge")
    try:
        if store.read(location) != b"icebridge":
            raise ConfigurationError(
                "IB-214",
                f"The probe file {location} reads differently from what was written.",
                remedy="Check the storage's caches and gateways.",
            )
    finally:
        with side_effect("check.delete_file"):
            store.delete(location)
    return True


def _register(catalog: Catalog, table: TableIdentifier, folder: str, metadata: str) -> bool:
    with side_effect("check.write_metadata"):
        catalog.store().write(metadata, json.dumps(_empty_table(folder)).encode())
    try:
        with side_effect("check.register"):
            catalog.register(table, metadata)
        if catalog.load(table) is None:
            raise ConfigurationError(
                "IB-214",
                f"The probe table {table} was registered and cannot be found.",
                remedy="See the catalog's log.",
            )
    finally:
        with side_effect("check.drop"):
            _drop(catalog, table)
    return True


def _remove_empty(folder: str) -> None:
    """Take the probe's folders away again where folders are things of their own, and only empty ones."""
    from pathlib import Path

    from icebridge_provider.stores.local import local_path

    path = local_path(folder)
    for empty in (f"{path}/metadata", path) if path else ():
        with contextlib.suppress(OSError):
            Path(empty).rmdir()


def _drop(catalog: Catalog, table: TableIdentifier) -> None:
    """Drop the probe; after a refused registration there is none, and the refusal is what counts."""
    try:
        there = catalog.load(table) is not None
    except IceBridgeError:
        there = False
    if there:
        catalog.drop_entry(table)


def _empty_table(folder: str) -> dict[str, Any]:
    schema = {
        "type": "struct",
        "schema-id": 0,
        "fields": [{"id": 1, "name": "probe", "required": False, "type": "int"}],
    }
    return {
        "format-version": 2,
        "table-uuid": str(uuid.uuid4()),
        "location": folder,
        "last-sequence-number": 0,
        "last-updated-ms": 0,
        "last-column-id": 1,
        "schemas": [schema],
        "current-schema-id": 0,
        "partition-specs": [{"spec-id": 0, "fields": []}],
        "default-spec-id": 0,
        "last-partition-id": 999,
        "sort-orders": [{"order-id": 0, "fields": []}],
        "default-sort-order-id": 0,
        "properties": {},
        "snapshots": [],
        "refs": {},
    }


def _try(results: list[Result], check: str, act: Callable[[], Any], told: Callable[[Any], str]) -> Any:
    """Make one check and note how it went; None when it failed."""
    try:
        found = act()
    except IceBridgeError as error:
        results.append(_result(check, FAILED, f"[{error.code}] {error.message}", error.remedy))
        return None
    except OSError as error:
        from icebridge_provider.catalogs.faults import said

        remedy = "Give the connection's file credentials (s3.*, gcs.*, adls.*) the right to do this in that folder."
        results.append(_result(check, FAILED, f"{type(error).__name__}: {said(error)}", remedy))
        return None
    results.append(_result(check, PASSED, told(found)))
    return found


def _result(check: str, outcome: str, message: str, remedy: str = "") -> Result:
    return {"check": check, "outcome": outcome, "message": message, "remedy": remedy}

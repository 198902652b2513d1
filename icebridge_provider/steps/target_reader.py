"""Reads the copy for its proof: by SQL, as its readers will, or from the table's files; which of them is on record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError, ValidationFailed
from icebridge_provider.model.access import PolicyKind
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import TablePlan
from icebridge_provider.model.report import Fingerprint
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.ports import Catalog
from icebridge_provider.steps.site import Site

if TYPE_CHECKING:
    from icebridge_provider.engines.fingerprint.schema import Field

FILES = "the table's files"
_LIMITS = {PolicyKind.ROW_FILTER: "policy (row filter)", PolicyKind.COLUMN_MASK: "policy (column mask)"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The copy's fingerprint, the entry it was read of, who read it, and why nobody else did."""

    found: Fingerprint
    loaded: LoadedTable
    reader: str
    reason: str = ""

    @property
    def by_sql(self) -> bool:
        """Whether a SQL warehouse read it."""
        return self.reader != FILES

    def readers(self) -> dict[str, str]:
        """Who read which side, as the report has it."""
        readers = {"source": FILES, "target": self.reader}
        return {**readers, "why": self.reason} if self.reason else readers


def read_copy(site: Site, table: TablePlan) -> Reading:
    """Take the fingerprint of the staged table by the reader that ``[icebridge] target_reader`` names.

    A table whose types SQL cannot express is read from its files all the same: ``reason`` then says so.

    :raises ConfigurationError: IB-550 when SQL is asked for and the target has none, IB-637 while a row filter or a
        mask stands on the copy.
    :raises ValidationFailed: IB-604 when it is gone.
    :raises TransientError: IB-551 when it was written meanwhile.
    """
    catalog = _by_sql(site)
    loaded = staged(site, table)
    if catalog is None:
        return _from_files(site, loaded, "")
    from icebridge_provider.engines.fingerprint.warehouse import fields_of
    from icebridge_provider.sql.fingerprint import unsayable

    fields = fields_of(loaded.metadata, str(table.staged))
    reason = unsayable(fields)
    return _from_files(site, loaded, reason) if reason else _from_sql(catalog, table, loaded, fields)


def _by_sql(site: Site) -> UnityCatalog | None:
    """Return the target when its warehouse is to read it."""
    choice, target = site.settings.target_reader, site.target
    able = isinstance(target, UnityCatalog) and bool(target.statements.warehouse_id)
    if choice == "files" or (choice == "auto" and not able):
        return None
    if isinstance(target, UnityCatalog) and able:
        return target
    raise ConfigurationError(
        "IB-550",
        f"[icebridge] target_reader is 'sql', and connection {target.name!r} has no SQL warehouse.",
        remedy=f'Add "warehouse_id" to the extra of {target.name!r}, or set target_reader to auto or files.',
        changed="Nothing was read.",
        conn_id=target.name,
    )


def _from_files(site: Site, loaded: LoadedTable, reason: str) -> Reading:
    from icebridge_provider.engines.fingerprint.reader import fingerprint
    from icebridge_provider.engines.local.engine import store_of

    found = fingerprint(loaded, store_of(site.target, loaded), loaded.current_snapshot_id)
    return Reading(found=found, loaded=loaded, reader=FILES, reason=reason)


def _from_sql(catalog: UnityCatalog, table: TablePlan, loaded: LoadedTable, fields: tuple[Field, ...]) -> Reading:
    from icebridge_provider.engines.fingerprint.warehouse import fingerprint_by_sql

    parts, before = catalog.parts(table.staged), loaded.current_snapshot_id
    found = fingerprint_by_sql(catalog.statements, parts, fields, before)
    after = catalog.load(table.staged)
    if after is None or after.current_snapshot_id != before:
        raise TransientError(
            "IB-551",
            f"{table.staged} was written while SQL read it, so it is not known which snapshot was read.",
            remedy="It is read again; nobody but the migration should write to a staged table.",
            changed="The copy stays under its staged name.",
            table=str(table.source),
        )
    return Reading(found=found, loaded=loaded, reader=f"SQL warehouse {catalog.statements.warehouse_id}")


def staged(site: Site, table: TablePlan) -> LoadedTable:
    """Load the copy.

    :raises ValidationFailed: IB-604 when it is gone.
    :raises ConfigurationError: IB-637 while a row filter or a mask stands on it: whoever is limited in what he reads
        proves nothing.
    """
    loaded = site.target.load(table.staged)
    if loaded is None:
        raise ValidationFailed(
            "IB-604",
            f"The copy {table.staged} is gone from its catalog.",
            remedy="Somebody dropped it. Roll the table back and run the migration again.",
            table=str(table.source),
        )
    return loaded


def limits_on(catalog: Catalog, table: TableIdentifier) -> tuple[str, ...]:
    """Return the row filters and masks on a table in words; none where the catalog does not tell."""
    if catalog.access is None:
        return ()
    try:
        access = catalog.access.access_of(table)
    except IceBridgeError:
        return ()
    found = [f"row filter {access.row_filter.function}"] if access.row_filter else []
    found += [f"mask {limit.function} of column {column}" for column, limit in access.masks.items()]
    found += [f"{_LIMITS[policy.kind]} {policy.name}" for policy in access.policies if policy.kind in _LIMITS]
    return tuple(found)

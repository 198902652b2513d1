"""Asks a workspace what planning must know, in a bounded number of requests: a few a schema, none a table.

Of single tables it uses what the lists of a schema carry: owner, row filter, masks, when an entry was read. Where a
schema's grants do not settle who may read its tables, one SQL statement a schema does, if there is a warehouse. A
question that is not answered is no failure: the plan says that it is open.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from icebridge_provider.catalogs.unity.below import Below
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.entries import entries_of
from icebridge_provider.catalogs.unity.me import Me
from icebridge_provider.catalogs.unity.names import fits, schema_of
from icebridge_provider.catalogs.unity.optimization import in_force
from icebridge_provider.catalogs.unity.rights import answered, right
from icebridge_provider.catalogs.unity.workspace import UNITY, in_path
from icebridge_provider.model.access import TableAccess
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.planning.unity_facts import Entry, Place, Told, UnityFacts
from icebridge_provider.ports import Catalog

WORKERS = 8
TABLES_IN_SCHEMA = 10_000  # Databricks: resource limits
_ASKED = ("USE_CATALOG", "USE_SCHEMA", "CREATE_TABLE", "EXTERNAL_USE_SCHEMA")
_ASKED_ABOVE = ("USE_CATALOG", "CREATE_SCHEMA", "EXTERNAL_USE_SCHEMA")


def ask(
    source: Catalog,
    target: UnityCatalog,
    wanted: Mapping[TableIdentifier, TableIdentifier],
    taken: Collection[TableIdentifier] = (),
) -> UnityFacts:
    """Ask what bears on moving the tables: gates, storage, quotas, rights, guards, readers.

    :param wanted: new names by source.
    :param taken: new names that are there already and need no more room.
    :raises TransientError: when the workspace does not answer at all.
    """
    asking = _Asking(target)
    names: dict[tuple[str, ...], list[TableIdentifier]] = {}
    for table in wanted.values():
        if fits(table.namespace):
            names.setdefault(table.namespace, []).append(table)
    with ThreadPoolExecutor(WORKERS) as pool:
        found = pool.map(
            lambda item: asking.place(item[0], [one for one in item[1] if one not in taken]), names.items()
        )
        places = dict(zip(names, found, strict=True))
    entries, mover = _entries(source, target, wanted, places)
    return UnityFacts(
        copier=asking.me.name,
        mover=mover,
        metastore_id=str(asking.metastore.get("metastore_id", "")),
        external_access=_yes_or_no(asking.metastore.get("external_access_enabled")),
        enables=target.enables_optimization,
        places=places,
        entries=entries,
    )


class _Asking:
    """The questions about target schemas, asked as the copier."""

    def __init__(self, target: UnityCatalog) -> None:
        self._target = target
        self.me = Me(target.workspace)
        workspace, what = target.workspace, "read the metastore's summary"
        self.metastore = answered(lambda: workspace.get(what, f"{UNITY}/metastore_summary")) or {}
        self._catalog = self._below((target.catalog,))

    def place(self, namespace: tuple[str, ...], tables: Sequence[TableIdentifier]) -> Place:
        """Everything about one schema into which ``tables`` go."""
        schema = schema_of(namespace)
        parts = (self._target.catalog, schema)
        below = self._below(parts)
        there = below is not None and below.there
        shown = below if below is not None and there else self._catalog
        storage, storage_of, told = self._storage(below, there=there)
        count, limit = self._quota(parts, namespace) if there else (0, TABLES_IN_SCHEMA)
        room = max(limit - count, 0)
        return Place(
            parts=parts,
            there=there,
            rights=self._rights(shown, _ASKED if there else _ASKED_ABOVE),
            storage=storage,
            storage_of=storage_of,
            storage_told=told,
            tables=count,
            limit=limit,
            crowded_out=frozenset(sorted(tables)[room:]),
            optimized=in_force(shown.info) if shown else Told.UNKNOWN,
            access=self._inherited(shown, ".".join(parts)),
            unanswered=_open_questions(shown, ".".join(parts), storage_told=told),
        )

    def _below(self, parts: tuple[str, ...]) -> Below | None:
        return answered(lambda: self._target.access.access_below(parts))

    def _rights(self, below: Below | None, wanted: Iterable[str]) -> dict[str, Told]:
        owners = self._owners()
        mine = self.me.identities
        return {one: right(below, one, mine, owners) if below else Told.UNKNOWN for one in wanted}

    def _owners(self) -> tuple[str, str]:
        catalog = self._catalog.access.owner if self._catalog else ""
        return catalog, str(self.metastore.get("owner", ""))

    def _storage(self, below: Below | None, *, there: bool) -> tuple[str, str, bool]:
        """Return the root of managed tables, what it is of, and whether all that could have one was told."""
        levels: list[tuple[str, Mapping[str, Any]]] = [
            (f"CATALOG {self._target.catalog}", self._catalog.info if self._catalog else {}),
            ("METASTORE", self.metastore),
        ]
        if there and below is not None:
            levels.insert(0, (f"SCHEMA {'.'.join(below.parts)}", below.info))
        elif self._target.managed_location:  # the schema is made with it
            return self._target.managed_location, "the migration", True
        for of, info in levels:
            if not info:
                return "", "", False
            if info.get("storage_root"):
                return str(info["storage_root"]), of, True
        return "", "", True

    def _quota(self, parts: tuple[str, str], namespace: tuple[str, ...]) -> tuple[int, int]:
        """Tables in the schema and how many it may have; counted where the service does not tell."""
        name = ".".join(parts)
        path = f"{UNITY}/resource-quotas/SCHEMA/{in_path(name)}/table-quota"
        found = answered(lambda: self._target.workspace.find(f"read the quota of {name}", path))
        quota = (found or {}).get("quota_info") or {}
        if "quota_count" in quota and "quota_limit" in quota:
            return int(quota["quota_count"]), int(quota["quota_limit"])
        return len(answered(lambda: self._target.listed(namespace)) or ()), TABLES_IN_SCHEMA

    def _inherited(self, below: Below | None, schema: str) -> TableAccess | None:
        """Who reads a new table of the schema, which the copier owns; None where that is not shown whole."""
        if below is None or not below.whole:
            return None
        found = below.access
        return TableAccess(
            table=f"new tables of {schema}", owner=self.me.name, grants=found.grants, policies=found.policies
        )


def _entries(
    source: Catalog,
    target: UnityCatalog,
    wanted: Mapping[TableIdentifier, TableIdentifier],
    places: Mapping[tuple[str, ...], Place],
) -> tuple[dict[TableIdentifier, Entry], str]:
    if not isinstance(source, UnityCatalog):
        return {}, ""
    open_to = {table: _open_to_some(places.get(new.namespace)) for table, new in wanted.items()}
    return entries_of(source, target, open_to)


def _open_to_some(place: Place | None) -> bool:
    """Whether anybody but the copier reads new tables of the place."""
    if place is None or place.access is None:
        return False
    reads = {"SELECT", "ALL_PRIVILEGES"}
    held = {grant.principal for grant in place.access.grants if grant.privilege in reads}
    given = {one for policy in place.access.policies if reads & set(policy.privileges) for one in policy.principals}
    return bool((held | given) - {place.access.owner})


def _open_questions(below: Below | None, schema: str, *, storage_told: bool) -> tuple[str, ...]:
    said = [] if storage_told else [f"where tables of {schema} are stored"]
    if below is None or not below.whole:
        said.append(f"who would read new tables of {schema}")
    if below is not None and in_force(below.info) is Told.UNKNOWN:
        said.append(f"whether predictive optimization is in force on {schema}")
    return tuple(said)


def _yes_or_no(value: object) -> Told:
    return Told.UNKNOWN if value is None else Told.YES if value else Told.NO

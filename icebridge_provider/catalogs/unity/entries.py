"""What Unity Catalog shows of source tables: who may read them, filters and masks, and when it last looked."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from icebridge_provider.catalogs.unity.below import Below
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.listing import Listed, Listing
from icebridge_provider.catalogs.unity.me import Me
from icebridge_provider.catalogs.unity.names import fits, schema_of
from icebridge_provider.catalogs.unity.rights import answered, owns, right
from icebridge_provider.catalogs.unity.workspace import UNITY, in_path
from icebridge_provider.model.access import Grant, Policy, TableAccess
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.planning.unity_facts import LIMITING, Entry, Told
from icebridge_provider.sql import preflight as sql

WORKERS = 8
_USES = ("USE_CATALOG", "USE_SCHEMA")
Rows = Mapping[str, tuple[Grant, ...]]


def entries_of(
    source: UnityCatalog, target: UnityCatalog, tables: Mapping[TableIdentifier, bool]
) -> tuple[dict[TableIdentifier, Entry], str]:
    """Return the entries of source tables, and the name of the principal that moves their readers.

    :param target: the copier's own connection: it is the copier who must be able to read.
    :param tables: which tables, and whether somebody else reads the place where each goes.
    """
    mover, copier = _Viewer(source, source), _Viewer(target, source)
    viewers = (mover, mover if copier.me.name == mover.me.name else copier)
    for viewer in set(viewers):
        viewer.owners()  # once for all schemas, which are looked at side by side
    schemas: dict[tuple[str, ...], list[TableIdentifier]] = {}
    for table in tables:
        if fits(table.namespace):
            schemas.setdefault(table.namespace, []).append(table)
    with ThreadPoolExecutor(WORKERS) as pool:
        found = pool.map(lambda item: _of_schema(*viewers, item[0], item[1], tables), schemas.items())
        return {table: entry for part in found for table, entry in part.items()}, mover.me.name


class _Viewer:
    """One principal that looks at the source's catalog: through its own connection, with its own eyes."""

    def __init__(self, by: UnityCatalog, catalog: UnityCatalog) -> None:
        self._by = by
        self.catalog = catalog.catalog
        self.me = Me(by.workspace)
        self._owners: tuple[str, ...] | None = None

    def below(self, schema: str) -> Below | None:
        """What the schema hands down, None where this principal is not told."""
        return answered(lambda: self._by.access.access_below((self.catalog, schema)))

    def listed(self, schema: str) -> list[Listed]:
        """Everything in the schema, with its columns."""
        found = answered(lambda: list(Listing(self._by.workspace, self.catalog).tables(schema, columns=True)))
        return found or []

    def owners(self) -> tuple[str, ...]:
        """Owners of the catalog and of the metastore, as far as told; asked once."""
        if self._owners is None:
            paths = (f"{UNITY}/catalogs/{in_path(self.catalog)}", f"{UNITY}/metastore_summary")
            self._owners = tuple(self._owner(path) for path in paths)
        return self._owners

    def _owner(self, path: str) -> str:
        found = answered(lambda: self._by.workspace.find("ask who the owner is", path, {"include_browse": "true"}))
        return str((found or {}).get("owner", ""))

    def rows(self, schema: str) -> Rows | None:
        """Grants that bear on each table of the schema, by its name; None without a warehouse to ask."""
        if not self._by.statements.warehouse_id:
            return None
        values = {"catalog": self.catalog, "schema": schema}
        what = f"read the privileges of the tables of {self.catalog}.{schema}"
        answer = answered(lambda: self._by.statements.run(what, sql.table_privileges(), values))
        if answer is None:
            return None
        found: dict[str, list[Grant]] = {}
        for table, grantee, privilege in answer.rows:
            one = Grant(principal=str(grantee), privilege=str(privilege).upper().replace(" ", "_"))
            found.setdefault(str(table).casefold(), []).append(one)
        return {table: tuple(grants) for table, grants in found.items()}


def _of_schema(
    mover: _Viewer,
    copier: _Viewer,
    namespace: tuple[str, ...],
    tables: Iterable[TableIdentifier],
    open_to_some: Mapping[TableIdentifier, bool],
) -> dict[TableIdentifier, Entry]:
    schema = schema_of(namespace)
    listed = {item.name.casefold(): item for item in mover.listed(schema)}
    view = _SchemaView(mover, copier, schema)
    return {
        table: view.entry(listed[table.name.casefold()], readers=open_to_some[table])
        for table in tables
        if table.name.casefold() in listed
    }


class _SchemaView:
    """One schema of the source in the eyes of who moves readers and of who copies."""

    def __init__(self, mover: _Viewer, copier: _Viewer, schema: str) -> None:
        self._mover, self._copier, self._schema = mover, copier, schema
        self._below_mover = mover.below(schema)
        self._below_copier = self._below_mover if copier is mover else copier.below(schema)
        self._rows: dict[_Viewer, Rows | None] = {}
        found = self._below_mover.access.policies if self._below_mover else ()
        self._guards = tuple(policy for policy in found if policy.kind.value in LIMITING)
        mine = copier.me.identities
        self._exempt = frozenset(policy.name for policy in self._guards if not _concerns(policy, mine))

    def entry(self, item: Listed, *, readers: bool) -> Entry:
        """One table; ``readers`` asks who reads it."""
        info, below = item.info, self._below_mover
        access, whole = self._access(item) if readers else (None, False)
        columns = info.get("columns") or ()
        return Entry(
            parts=(self._mover.catalog, self._schema, item.name),
            rights=self._rights(item),
            row_filter=str((info.get("row_filter") or {}).get("function_name", "")),
            masks={str(one["name"]): str(one["mask"].get("function_name", "")) for one in columns if one.get("mask")},
            policies=self._guards,
            exempt=self._exempt,
            access=access,
            access_whole=whole,
            updated_ms=int(info["updated_at"]) if info.get("updated_at") else None,
            unanswered=() if below and below.whole else (f"which policies stand on schema {self._schema}",),
        )

    def _rights(self, item: Listed) -> dict[str, Told]:
        below, mine = self._below_copier, self._copier.me.identities
        owners = self._copier.owners()
        found = {one: right(below, one, mine, owners) if below else Told.UNKNOWN for one in _USES}
        found["SELECT"] = self._right(item, "SELECT", self._copier, below)
        found["MANAGE"] = self._right(item, "MANAGE", self._mover, self._below_mover)
        return found

    def _right(self, item: Listed, privilege: str, who: _Viewer, below: Below | None) -> Told:
        """Whether somebody has a privilege on one table: from above, as its owner, or by a grant on it."""
        above = right(below, privilege, who.me.identities, who.owners()) if below else Told.UNKNOWN
        if above is Told.YES or item.info.get("owner") in who.me.identities:
            return Told.YES
        rows = self._rows_of(who)
        if rows is None:
            return Told.NO if item.browse_only else Told.UNKNOWN
        return Told.YES if _held(rows.get(item.name.casefold(), ()), privilege, who, below) else above

    def _rows_of(self, who: _Viewer) -> Rows | None:
        if who not in self._rows:
            self._rows[who] = who.rows(self._schema)
        return self._rows[who]

    def _access(self, item: Listed) -> tuple[TableAccess | None, bool]:
        """Who reads a table, and whether that is everybody: whoever merely has MANAGE is shown its own rows by SQL."""
        below = self._below_mover
        if below is None or not below.whole:
            return None, False
        rows = self._rows_of(self._mover)
        grants = () if rows is None else rows.get(item.name.casefold(), ())
        access = TableAccess(
            table=f"{self._mover.catalog}.{self._schema}.{item.name}",
            owner=str(item.info.get("owner", "")),
            grants=(*below.access.grants, *grants),
            policies=below.access.policies,
        )
        mine = self._mover.me.identities
        owner = item.info.get("owner") in mine or owns(below, "MANAGE", mine, self._mover.owners())
        return access, rows is not None and owner


def _held(rows: Iterable[Grant], privilege: str, who: _Viewer, below: Below | None) -> bool:
    """Whether a grant gives it to the viewer; of whoever is not shown all, every row is its own or a group's of it."""
    found, mine = list(rows), who.me.identities
    manages = any(one.privilege == "MANAGE" and one.principal in mine for one in found)
    all_shown = manages or (below is not None and below.whole)
    given = {privilege, "ALL_PRIVILEGES"} - ({"ALL_PRIVILEGES"} if privilege == "MANAGE" else set())
    return any(one.privilege in given and (one.principal in mine or not all_shown) for one in found)


def _concerns(policy: Policy, mine: Collection[str]) -> bool:
    """Whether a policy filters or masks what a principal reads."""
    return bool(set(policy.principals) & set(mine)) and not set(policy.except_principals) & set(mine)

"""A small Unity Catalog in memory: two catalogs whose privileges are enforced as the local workspace enforces them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from icebridge_provider.exceptions import ConfigurationError, TransientError
from icebridge_provider.model.access import Grant, GrantChange, TableAccess
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.protection import Limit, Policy, PolicyKind, ProtectionChange
from icebridge_provider.model.table import LoadedTable
from tests.peers.databricks import privileges
from tests.peers.databricks.model import ColumnRow, Policing, PolicyRow, Securable, State, TableRow

COPIER = "copier"
SOURCE_NAME, STAGED_NAME, TARGET_NAME = "f.s.t", "m.s.t__icebridge_w", "m.s.t"
CONNECTIONS = {"src": "f", "dst": "m"}
View = tuple[Any, ...]
_MAKES = ("name", "type", "for_type", "to", "excepted", "privileges", "function_name", "on_column", "using", "when")


@dataclass(kw_only=True)
class World:
    """Securables, who may do what with them, and the files behind the tables.

    ``changed`` is called after every single change. ``loses_answer`` counts down changes to the one whose answer is
    lost. ``read_only`` is the source's
    connection. ``tells_groups`` and ``tells_all_policies`` are how much the catalog shows.
    """

    state: State
    files: dict[str, dict[str, Any]]
    foreign: bool = True
    read_only: bool = False
    tells_groups: bool = False
    tells_all_policies: bool = False
    gone: set[str] = field(default_factory=set)
    loses_answer: int = 0
    changed: Callable[[], None] = lambda: None

    def users(self) -> list[str]:
        return sorted(self.state.principals)

    def name_of(self, uuid: str) -> str:
        """Name under which a table is now, empty when it is gone."""
        return next((name for name, held in self.files.items() if held["table-uuid"] == uuid), "")

    def sees(self, user: str, uuid: str) -> View | None:
        """What a user sees of a table's rows: filters and masks; None when the user cannot read it."""
        name = self.name_of(uuid)
        if not name or privileges.missing(self.state, Securable("TABLE", name), user, "SELECT") is not None:
            return None
        found = privileges.policed(self.state, name, user)
        return (tuple(sorted(found.filters)), tuple(sorted(found.masks.items())))

    def withholds(self, name: str) -> bool:
        """Whether a table's metadata is no longer given away: filters or masks stand on it."""
        found = privileges.policies_on(self.state, Securable("TABLE", name))
        return self.state.tables[name].policed or any(one.type in {"ROW_FILTER", "COLUMN_MASK"} for one in found)

    def opened(self, name: str) -> bool:
        """Whether anybody but its owner holds, or inherits, what reading a table takes."""
        on, owner = Securable("TABLE", name), self.state.tables[name].owner
        held = {
            one.principal
            for one in privileges.standings(self.state, on)
            if one.privilege in {"SELECT", "ALL_PRIVILEGES"}
        }
        given = {who for one in self.state.policies if one.type == "GRANT" for who in one.to}
        return bool((held | given) - {owner})

    def grants_on(self, name: str) -> dict[str, set[str]]:
        return self.state.grants.setdefault(Securable("TABLE", name), {})

    def after_change(self) -> None:
        self.changed()
        if self.loses_answer:
            self.loses_answer -= 1
            if self.loses_answer == 0:
                raise TransientError("IB-210", "No answer.", remedy="Try again.")

    def move(self, old: str, new: str) -> None:
        """Give a table another name: everything that stands on it goes along."""
        row = self.state.tables.pop(old)
        row.name = new.rsplit(".", 1)[1]
        self.state.tables[new] = row
        self.files[new] = self.files.pop(old)
        self.state.grants[Securable("TABLE", new)] = self.state.grants.pop(Securable("TABLE", old), {})
        for policy in self.state.policies:
            if policy.on == Securable("TABLE", old):
                policy.on = Securable("TABLE", new)


@dataclass(frozen=True, kw_only=True)
class WorldCatalog:
    """``ports.Catalog`` over one catalog of a world; ``src`` is foreign, or the connection read-only, as it says."""

    world: World
    name: str

    @property
    def read_only(self) -> bool:
        return self.name == "src" and self.world.read_only

    @property
    def access(self) -> WorldAccess:
        return WorldAccess(world=self.world, catalog=self)

    def writable(self) -> bool:
        return not self.read_only and not (self.name == "src" and self.world.foreign)

    def full(self, table: TableIdentifier) -> str:
        return ".".join((CONNECTIONS[self.name], *table.namespace, table.name))

    def load(self, table: TableIdentifier) -> LoadedTable | None:
        held = self.world.files.get(self.full(table))
        if held is None:
            return None
        if self.name == "dst" and self.world.withholds(self.full(table)):
            raise ConfigurationError("IB-637", f"{table} is not read from outside.", remedy="Take them off.")
        return LoadedTable(identifier=table, metadata_location=held["at"], metadata=held)

    def tables(self, namespace: tuple[str, ...]) -> list[TableIdentifier]:
        names = [name.split(".") for name in sorted(self.world.files)]
        return [
            TableIdentifier(catalog=self.name, namespace=namespace, name=name)
            for catalog, *schema, name in names
            if catalog == CONNECTIONS[self.name] and tuple(schema) == namespace
        ]

    def rename(self, table: TableIdentifier, name: str) -> None:
        if not self.writable():
            raise AssertionError(f"{table} was to be renamed in a read-only catalog")
        old, new = self.full(table), self.full(table.named(name))
        if new in self.world.files:
            raise ConfigurationError("IB-206", f"{new} is taken.", remedy="Rename it.")
        if old not in self.world.files:
            raise ConfigurationError("IB-208", f"{old} is gone.", remedy="Look for it.")
        self.world.move(old, new)
        self.world.after_change()

    def set_properties(self, table: TableIdentifier, properties: Mapping[str, str]) -> None:
        if not self.writable():
            raise AssertionError(f"{table} was to be changed in a read-only catalog")
        held = self.world.files[self.full(table)]
        held["properties"] = {**held["properties"], **properties}
        self.world.after_change()

    def drop_entry(self, table: TableIdentifier) -> None:
        name = self.full(table)
        for rows in (self.world.files, self.world.state.tables):
            rows.pop(name, None)
        self.world.state.grants.pop(Securable("TABLE", name), None)
        self.world.after_change()


@dataclass(frozen=True, kw_only=True)
class WorldAccess:
    """``ports.AccessControl`` over one catalog of a world, in the copier's name."""

    world: World
    catalog: WorldCatalog

    def writable(self) -> bool:
        return not self.catalog.read_only

    def access_of(self, table: TableIdentifier, tags_of: Collection[str] = ()) -> TableAccess:
        name = self.catalog.full(table)
        row = self.world.state.tables.get(name)
        if row is None:
            raise ConfigurationError("IB-208", f"{name} is gone.", remedy="Look for it.")
        grants = tuple(Grant(**one._asdict()) for one in privileges.standings(self.world.state, _table(name)))
        columns = {column.name: column for column in row.columns}
        return TableAccess(
            table=name,
            table_id=self.world.files[name]["table-uuid"],
            owner=row.owner,
            grants=grants,
            policies=tuple(self._policies(name)),
            row_filter=_shown(row.row_filter),
            masks={column: limit for column, found in columns.items() if (limit := _shown(found.mask))},
            comment=row.comment,
            tags=dict(row.tags) if tags_of else privileges._tags(self.world.state, _table(name)),
            column_tags={column: dict(found.tags) for column, found in columns.items() if found.tags},
        )

    def id_of(self, table: TableIdentifier) -> str | None:
        held = self.world.files.get(self.catalog.full(table))
        return None if held is None else str(held["table-uuid"])

    def mark(self, table: TableIdentifier) -> str:
        held = self.world.files.get(self.catalog.full(table))
        if held is None:
            raise ConfigurationError("IB-243", f"{table} is gone.", remedy="Look for it.")
        return str(held["at"])

    def commits_since(self, table: TableIdentifier, mark: str) -> list[str]:
        there = self.mark(table)
        return [] if there == mark else [there]

    def groups_of(self, principals: Collection[str], among: Collection[str]) -> dict[str, tuple[str, ...]]:
        if not self.world.tells_groups:
            return {}
        inside = {one: privileges.identities_of(self.world.state, one) - {one} for one in principals}
        return {one: tuple(sorted(groups & set(among))) for one, groups in inside.items()}

    def protect(self, table: TableIdentifier, change: ProtectionChange) -> None:
        """One statement after the other: the world is looked at, and an answer may be lost, after each."""
        name = self.catalog.full(table)
        if not self.writable() or not privileges.may_manage(self.world.state, _table(name), COPIER):
            raise ConfigurationError("IB-241", f"The copier may not protect {name}.", remedy="GRANT MANAGE.")
        row, policies = self.world.state.tables[name], self.world.state.policies
        for policy in change.remove.policies:
            policies[:] = [one for one in policies if (one.on, one.name) != (_table(name), policy.name)]
            self.world.after_change()
        for tag in change.add.tags:
            _tags_of(row, tag.column)[tag.name] = tag.value
            self.world.after_change()
        if change.remove.row_filter and not change.add.row_filter:
            row.row_filter = None
            self.world.after_change()
        for mask in change.remove.masks:
            _column(row, mask.column).mask = None
            self.world.after_change()
        for tag in change.remove.tags:
            _tags_of(row, tag.column).pop(tag.name, None)
            self.world.after_change()
        for mask in change.add.masks:
            _column(row, mask.column).mask = _policing(mask.limit)
            self.world.after_change()
        if change.add.row_filter:
            row.row_filter = _policing(change.add.row_filter)
            self.world.after_change()
        for policy in change.add.policies:
            if not any((one.on, one.name) == (_table(name), policy.name) for one in policies):
                policies.append(_row(policy, _table(name)))
            self.world.after_change()
        if change.add.comment != change.remove.comment:
            row.comment = change.add.comment
            self.world.after_change()

    def _policies(self, name: str) -> Iterator[Policy]:
        state = self.world.state
        for step in privileges.lineage(_table(name)):
            standing = [
                one for one in state.policies if one.on in privileges.lineage(step) and one.for_type == step.kind
            ]
            for row in standing if self.world.tells_all_policies else privileges.policies_on(state, step):
                if step.kind == "TABLE" or row.type in {"DENY", "GRANT"}:
                    yield _policy(row)

    def change(self, table: TableIdentifier, changes: Sequence[GrantChange]) -> None:
        name = self.catalog.full(table)
        if not self.writable() or not privileges.may_manage(self.world.state, _table(name), COPIER):
            raise ConfigurationError("IB-241", f"The copier may not grant on {name}.", remedy="GRANT MANAGE.")
        for change in changes:
            if change.principal in self.world.gone:
                raise ConfigurationError("IB-634", "No such principal.", remedy="Leave it.", principal=change.principal)
            if not {*change.add, *change.remove} <= privileges.APPLICABLE["TABLE"]:
                raise AssertionError(f"{change} is nothing to grant on a table")
        held = self.world.grants_on(name)
        for change in changes:
            held[change.principal] = (held.get(change.principal, set()) | set(change.add)) - set(change.remove)
            if not held[change.principal]:
                del held[change.principal]
        self.world.after_change()


def _table(name: str) -> Securable:
    return Securable("TABLE", name)


def _shown(policing: Policing | None) -> Limit | None:
    return Limit(function=policing.function_name, columns=policing.columns) if policing else None


def _policing(limit: Limit) -> Policing:
    return Policing(function_name=limit.function, columns=limit.columns)


def _column(row: TableRow, name: str) -> ColumnRow:
    return next(column for column in row.columns if column.name == name)


def _tags_of(row: TableRow, column: str) -> dict[str, str]:
    return _column(row, column).tags if column else row.tags


def _row(policy: Policy, on: Securable) -> PolicyRow:
    given = json.loads(policy.definition)
    return PolicyRow(**{key: tuple(item) if isinstance(item, list) else item for key, item in given.items()}, on=on)


def _policy(row: PolicyRow) -> Policy:
    when = " and ".join(filter(None, (row.when, *(condition for _, condition in row.match_columns))))
    return Policy(
        name=row.name,
        kind=PolicyKind(row.type),
        on=f"{row.on.kind} {row.on.name}",
        principals=row.to,
        except_principals=row.excepted,
        privileges=row.privileges,
        function=row.function_name,
        columns=tuple(filter(None, (row.on_column, *row.using))),
        when=when,
        definition=json.dumps({key: getattr(row, key) for key in _MAKES}),
    )

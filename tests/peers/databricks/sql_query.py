"""A statement made fit for the engine: every table in it authorised, named in full, filtered and masked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from tests.peers.databricks import privileges
from tests.peers.databricks.errors import ApiError
from tests.peers.databricks.foreign_reads import check_summary
from tests.peers.databricks.model import FunctionRow, Securable, TableRow
from tests.peers.databricks.sql_errors import SqlError, denied, from_api, no_table, syntax, unsupported
from tests.peers.databricks.sql_files import files_read
from tests.peers.databricks.sql_lexer import literal_of, quoted, spliced, words

if TYPE_CHECKING:
    from tests.peers.databricks.gateway import Gateway

Change = tuple[int, int, str]
_PATHS = {"parquet", "delta", "iceberg", "csv", "json", "orc", "avro", "text", "binaryfile", "hudi"}
_OUTSIDE = {"table_changes", "read_kafka", "cloud_files", "remote_query", "read_kinesis", "http_request"}
_MEMBER = {"IS_ACCOUNT_GROUP_MEMBER", "IS_MEMBER"}
_INNER = "`table of the policy`"  # functions may hold subqueries, in which a bare column could mean another
_USER = {"CURRENT_USER", "SESSION_USER", "USER"}


def parsed(text: str) -> exp.Expression:
    """One statement as a tree; raises SqlError for what is no SQL, or not one statement."""
    try:
        found = [one for one in sqlglot.parse(text, read="databricks") if one is not None]
    except SqlglotError as error:
        detail = error.errors[0] if getattr(error, "errors", None) else {}
        raise syntax(str(detail.get("highlight", "")), str(detail.get("description", error))) from None
    if len(found) != 1:
        raise syntax(";", "One statement at a time.")
    if isinstance(found[0], exp.Command):
        raise unsupported(f"Statement is not served by this workspace: {text.split(maxsplit=1)[0].upper()}")
    return found[0]


@dataclass(kw_only=True)
class Reading:
    """Who reads, and with what defaults for short names."""

    gateway: Gateway
    reader: str
    catalog: str
    schema: str
    owner: str = ""
    views: list[str] = field(default_factory=list)
    depth: int = 0
    reads: list[tuple[str, str]] = field(default_factory=list)
    writes: list[tuple[str, str]] = field(default_factory=list)

    @property
    def rights_of(self) -> str:
        """Inside a view or a function its owner's rights count."""
        return self.owner or self.reader

    def full_name(self, parts: Iterable[str]) -> tuple[str, str, str]:
        """Catalog, schema and table; short names are completed by the session's defaults."""
        found = [part.lower() for part in parts]
        if len(found) == 2 and found[0] in _PATHS:
            raise denied(f"User does not have permission SELECT on any file. Path access is not served: {found[1]}")
        if len(found) > 3:
            raise no_table(found)
        if len(found) < 3 and not self.catalog:
            raise no_table(found)
        defaults = [self.catalog, self.schema or "default"]
        catalog, schema, table = [*defaults[: 3 - len(found)], *found]
        return catalog, schema, table

    def rewritten(self, text: str, tree: exp.Expression, written: exp.Table | None = None) -> str:
        """The statement with every table named in full (or replaced by what the reader may see of it)."""
        changes: list[Change] = list(self._functions(text))
        changes += files_read(text, self.gateway.world, self.rights_of)
        for node in tree.find_all(exp.Table):
            changes += self._table(node, written)
        return spliced(text, changes)

    def _functions(self, text: str) -> Iterator[Change]:
        found = words(text)
        for at, word in enumerate(found):
            name = word.text.upper()
            if word.kind != "word" or name not in _MEMBER | _USER or (at and found[at - 1].text in {".", ":"}):
                continue
            rest = found[at + 1 : at + 4]
            called = bool(rest) and rest[0].text == "(" and rest[0].kind == "sign"
            if name in _MEMBER and called and len(rest) == 3 and rest[1].kind == "string":
                member = rest[1].text in self.gateway.world.groups_of(self.reader)
                yield word.start, rest[2].end, "TRUE" if member else "FALSE"
            elif name in _USER and called and rest[1].text == ")":
                yield word.start, rest[1].end, literal_of(self.reader)
            elif name == "CURRENT_USER" and not called:
                yield word.start, word.end, literal_of(self.reader)

    def _table(self, node: exp.Table, written: exp.Table | None) -> Iterator[Change]:
        if isinstance(node.this, exp.Func):
            name = (node.this.name or node.this.sql_name()).lower()
            if name in _OUTSIDE or node.args.get("db"):
                raise unsupported(f"Table-valued function {name} is not served by this workspace.")
            return
        parts = [part.name for part in node.parts]
        if len(parts) == 1 and _is_cte(node, parts[0]):
            return
        if len(parts) == 2 and parts[0].lower() == "parquet" and parts[1].startswith(("s3://", "/Volumes/")):
            folder = self.gateway.path(parts[1], self.rights_of)
            yield node.parts[0].meta["start"], node.parts[1].meta["end"] + 1, folder
            return
        name = self.full_name(parts)
        start, end = node.parts[0].meta["start"], node.parts[-1].meta["end"] + 1
        text = quoted(*name) if node is written else self.readable(name)
        if text.startswith("("):
            if node.args.get("version") or node.args.get("when"):
                raise unsupported(
                    "Time travel is not supported on views and on tables with row filters or column masks."
                )
            if not node.alias:
                text += f" AS {quoted(name[2])}"
                yield from _shortened(node, name)
        yield start, end, text

    def readable(self, name: tuple[str, str, str]) -> str:
        """What stands for a table when this reader reads it."""
        if name[1] == "information_schema":
            return self.gateway.information_schema(self.rights_of, name)
        row = self.authorised(name, "SELECT")
        if name[0] == "system":
            return self.gateway.system_table(name)
        self.reads.append(end_of(row))
        if row.table_type in {"VIEW", "MATERIALIZED_VIEW"}:
            return self._view(row)
        if row.table_type == "FOREIGN":
            check_summary(self.gateway.world, row)
        elif not self.gateway.world.is_managed_iceberg(row):
            raise unsupported(f"This workspace keeps no data of {row.data_source_format} tables: {row.full_name}")
        self.gateway.needs(row.catalog)
        return self._policed(row)

    def authorised(self, name: tuple[str, str, str], privilege: str) -> TableRow:
        """The table's row, if the reader holds the privilege on it."""
        try:
            row = self.gateway.world.table(".".join(name))
            self.gateway.world.require(self.rights_of, privilege, "TABLE", row.full_name)
        except ApiError as error:
            if error.status == 404:
                raise no_table(name) from None
            raise from_api(error) from None
        return row

    def _view(self, row: TableRow) -> str:
        if row.full_name in self.views:
            raise SqlError("RECURSIVE_VIEW", "42K0H", f"Recursive view `{row.full_name}` detected.")
        inner = Reading(
            gateway=self.gateway, reader=self.reader, owner=row.owner, catalog=row.catalog, schema=row.schema,
            views=[*self.views, row.full_name],
        )  # fmt: skip
        return f"({inner.rewritten(row.view_definition, parsed(row.view_definition))})"

    # Row filters and column masks

    def _policed(self, row: TableRow) -> str:
        found = privileges.policed(self.gateway.world.state, row.full_name, self.reader)
        name = quoted(row.catalog, row.schema, row.name)
        if not found.filters and not found.masks:
            return name
        columns = [self._column(row, column.name, column.type_text, found.masks) for column in row.columns]
        text = f"(SELECT {', '.join(columns)} FROM {name} AS {_INNER}"
        filters = [self._called(row, function, arguments) for function, arguments in found.filters]
        return f"{text} WHERE {' AND '.join(filters)})" if filters else f"{text})"

    def _column(self, row: TableRow, column: str, kind: str, masks: dict[str, tuple[str, tuple[str, ...]]]) -> str:
        if column not in masks:
            return f"{_INNER}.{quoted(column)}"
        function, more = masks[column]
        return f"CAST({self._called(row, function, (column, *more))} AS {kind}) AS {quoted(column)}"

    def _called(self, row: TableRow, function: str, arguments: tuple[str, ...]) -> str:
        """A SQL function's body with the columns put in."""
        try:
            found: FunctionRow = self.gateway.world.row("FUNCTION", function)
        except ApiError as error:
            raise from_api(error) from None
        columns = {column.name.lower() for column in row.columns}
        given = [f"{_INNER}.{quoted(one)}" if one.lower() in columns else one for one in arguments]
        if len(given) != len(found.parameters):
            raise SqlError(
                "WRONG_NUM_ARGS.WITHOUT_SUGGESTION", "42605", f"{function} takes {len(found.parameters)} arguments"
            )
        values = {name.lower(): f"({value})" for (name, _), value in zip(found.parameters, given, strict=True)}
        return f"({self._inlined(found, values)})"

    def _inlined(self, function: FunctionRow, values: dict[str, str]) -> str:
        tokens = words(function.body_sql)
        changes = [
            (word.start, word.end, values[word.text.lower()])
            for at, word in enumerate(tokens)
            if word.kind in {"word", "quoted"}
            and word.text.lower() in values
            and not (at and tokens[at - 1].text == ".")
        ]
        text = spliced(function.body_sql, changes)
        inner = Reading(
            gateway=self.gateway, reader=self.reader, owner=function.owner, catalog=function.catalog,
            schema=function.schema, views=self.views,
        )  # fmt: skip
        return inner.rewritten(f"SELECT {text}", parsed(f"SELECT {text}")).removeprefix("SELECT ")


def _is_cte(node: exp.Table, name: str) -> bool:
    """Whether a name of one part means a common table expression: one above it, made before the one it stands in."""
    above: list[exp.Expression] = []
    ancestor = node.parent
    while ancestor is not None:
        with_ = ancestor.args.get("with_")
        for cte in with_.expressions if with_ else ():
            inside = any(one is cte for one in above)
            if cte.alias.lower() == name.lower() and (not inside or with_.args.get("recursive")):
                return True
            if inside:
                break
        above.append(ancestor)
        ancestor = ancestor.parent
    return False


def _shortened(node: exp.Table, name: tuple[str, str, str]) -> Iterator[Change]:
    """Columns written as ``c.s.t.x`` when the table has become a subquery by the name ``t``."""
    scope = node.find_ancestor(exp.Select, exp.Update, exp.Delete, exp.Merge)
    for column in scope.find_all(exp.Column) if scope else ():
        parts = column.parts
        path = [part.name.lower() for part in parts[:-1]]
        if len(path) > 1 and list(name[-len(path) :]) == path and "start" in parts[0].meta:
            yield parts[0].meta["start"], parts[-2].meta["start"], ""


def end_of(row: TableRow) -> tuple[str, str]:
    """A table as lineage names it."""
    return row.full_name, "VIEW" if row.table_type == "VIEW" else "TABLE"


def policed(gateway: Gateway, row: TableRow) -> bool:
    """Whether filters or masks stand on a table, for anybody: such a table cannot be cloned."""
    on = privileges.policies_on(gateway.world.state, Securable("TABLE", row.full_name))
    return row.policed or any(policy.type in {"ROW_FILTER", "COLUMN_MASK"} for policy in on)

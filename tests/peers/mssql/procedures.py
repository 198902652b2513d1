"""EXEC: dynamic SQL and the system procedures clients and tools call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.peers.mssql import views
from tests.peers.mssql.catalog import text as name_text
from tests.peers.mssql.interface import Column, Count, ResultSet, SqlError, SqlType
from tests.peers.mssql.translate import commands, tree, types
from tests.peers.mssql.translate.statements import Statements


class Procedures:
    """Runs EXEC on a session."""

    saved: set[str]

    def _run_execute(self: Any, node: commands.Execute) -> Iterator[Any]:
        if node.text is not None:
            with self.statement():
                text = str(self.evaluate(node.text)[0])
            yield from self.play(self.parsed(text), {})
            return
        name = node.name[-1].lower()
        method = getattr(self, f"_call_{name}", None)
        if method is None:
            raise SqlError(2812, f"Could not find stored procedure '{'.'.join(node.name)}'.", state=62)
        with self.statement():
            given = [(item[0], *self.evaluate(item[1]), item[1] if item[2] else None) for item in node.arguments]
        self.returned = 0
        yield from method(given)
        if node.result:
            self.frames[-1][node.result.casefold()][0] = self.returned

    def _call_sp_executesql(self: Any, given: list[Any]) -> Iterator[Any]:
        text = str(given[0][1])
        frame: dict[str, list[Any]] = {}
        outputs = []
        if len(given) > 1 and given[1][1]:
            declared = parameters(str(given[1][1]))
            for place, (name, value, kind, target) in enumerate(given[2:]):
                label = (name or declared[place][0]).casefold()
                wanted = {key.casefold(): type_ for key, type_ in declared}
                if label not in wanted:
                    raise SqlError(8145, f"{name} is not a parameter for procedure .")
                frame[label] = [None, wanted[label]]
                self.frames.append(frame)
                try:
                    with self.statement():
                        self.set_variable(label, value, kind)
                finally:
                    self.frames.pop()
                if isinstance(target, tree.Variable):
                    outputs.append((label, target.name))
            for name, _ in declared:
                if name.casefold() not in frame:
                    raise SqlError(8178, f"The parameterized query '{text[:50]}' expects the parameter '{name}', "
                        f"which was "
                                         "not supplied.")  # fmt: skip
        yield from self.play(self.parsed(text), frame)
        with self.statement():
            for label, name in outputs:
                self.set_variable(name, frame[label][0], frame[label][1])

    def _call_sp_describe_first_result_set(self: Any, given: list[Any]) -> Iterator[Any]:
        rows = self.describe_rows(str(given[0][1]), given[1][1] if len(given) > 1 else None)
        columns = [Column(name=name, type=kind) for name, kind in views.describe_columns()]
        yield ResultSet(columns=columns, rows=rows)
        yield Count(rows=len(rows))

    def describe_rows(self: Any, text: str, declared: str | None) -> list[Any]:
        """One row for each column of a batch's first result."""
        frame = {name.casefold(): [None, kind] for name, kind in parameters(declared or "")}
        self.frames.append(frame)
        try:
            with self.statement():
                columns = self.first_columns(self.parsed(text))
        finally:
            self.frames.pop()
        return [views.describe_row(place, item) for place, item in enumerate(columns, 1)]

    def _call_sp_getapplock(self: Any, given: list[Any]) -> Iterator[Any]:
        """A lock by name, for the transaction or the session."""
        named = {item[0].lstrip("@").lower(): item[1] for item in given if item[0]}
        plain = [item[1] for item in given if not item[0]]
        order = ("resource", "lockmode", "lockowner", "locktimeout")
        values = {**dict(zip(order, plain, strict=False)), **named}
        shared = "_shared" if str(values.get("lockmode", "")).lower() == "shared" else ""
        scope = "" if str(values.get("lockowner", "transaction")).lower() == "session" else "_xact"
        key = "hashtextextended(" + _quoted(str(values["resource"])) + ", 0)"
        wait = int(values.get("locktimeout", self.connection.lock_timeout))
        if scope and not self.trancount:
            raise SqlError(3997, "sp_getapplock needs a transaction for the lock owner 'Transaction'.")
        with self.statement():
            if wait == 0:
                got = self.run(f"SELECT pg_try_advisory{scope}_lock{shared}({key})")[0][0]
                self.returned = 0 if got else -1
            else:
                if wait > 0:
                    self.run(f"SET LOCAL lock_timeout = {wait}")
                try:
                    with self.connection._nested():
                        self.run(f"SELECT pg_advisory{scope}_lock{shared}({key})")
                    self.returned = 0
                except SqlError as error:
                    if error.number != 1222:
                        raise
                    self.returned = -1
        yield Count(rows=None)

    def _call_sp_releaseapplock(self: Any, given: list[Any]) -> Iterator[Any]:
        with self.statement():
            key = "hashtextextended(" + _quoted(str(given[0][1])) + ", 0)"
            self.run(f"SELECT pg_advisory_unlock({key})")
        yield Count(rows=None)

    def _call_sp_tablecollations_100(self: Any, given: list[Any]) -> Iterator[Any]:
        """What bulk loading clients ask before INSERT BULK."""
        with self.statement():
            info = self.table(Statements(str(given[0][1])).names())
        raw = bytes.fromhex("0904d00034")
        kind = SqlType(name="binary", length=5)
        names = ("tds_collation_28", "tds_collation_90", "tds_collation_100")
        columns = [Column(name="colid", type=SqlType(name="int")),
                   Column(name="name", type=SqlType(name="nvarchar", length=128)),
                   *(Column(name=name, type=kind) for name in names)]  # fmt: skip
        rows = []
        for place, item in enumerate(info.columns if info else (), 1):
            value = raw if item.type.name in types.STRINGS else None
            rows.append((place, item.name, value, value, value))
        yield ResultSet(columns=columns, rows=rows)
        yield Count(rows=len(rows))

    def _call_sp_rename(self: Any, given: list[Any]) -> Iterator[Any]:
        self.defining = True
        kind = str(given[2][1]).upper() if len(given) > 2 else "OBJECT"
        parts = Statements(str(given[0][1])).names()
        with self.statement():
            if kind == "COLUMN":
                info = self.binder().table_info(tree.Table(parts[:-1]))
                self.need(info, "ALTER")
                self.run(
                    f"UPDATE ms.columns SET name = {name_text(str(given[1][1]))} WHERE object_id = "
                    f"{info.object_id} AND name = {name_text(parts[-1])}"
                )
            else:
                info = self.binder().table_info(tree.Table(parts))
                self.need(info, "ALTER")
                self.run(
                    f"UPDATE ms.objects SET name = {name_text(str(given[1][1]))} WHERE object_id = {info.object_id}"
                )
        yield Count(rows=None)

    def _call_sp_addrolemember(self: Any, given: list[Any]) -> Iterator[Any]:
        yield from self._run_grant(commands.Grant("ADD", [str(given[0][1])], "ROLE", (), [str(given[1][1])]))

    def _call_sp_reset_connection(self: Any, given: list[Any]) -> Iterator[Any]:
        self.reset()
        yield Count(rows=None)


def parameters(text: str) -> list[tuple[str, SqlType]]:
    """``@a int, @b nvarchar(20) OUTPUT``."""
    reader = Statements(text)
    found = []
    while reader.now.value:
        name = reader.next().value
        reader.take("AS")
        found.append((name, reader.type()))
        reader.take_one("OUTPUT", "OUT", "READONLY")
        if not reader.take(","):
            break
    return found


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"

"""SET, GRANT and ALTER DATABASE, run on a session."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.peers.mssql.catalog import text
from tests.peers.mssql.interface import Count, SqlError
from tests.peers.mssql.translate import commands
from tests.peers.mssql.values import quoted

_IGNORED = frozenset(
    [
        "ANSI_NULLS",
        "ANSI_PADDING",
        "ANSI_WARNINGS",
        "ANSI_NULL_DFLT_ON",
        "ANSI_DEFAULTS",
        "ARITHABORT",
        "CONCAT_NULL_YIELDS_NULL",
        "QUOTED_IDENTIFIER",
        "NUMERIC_ROUNDABORT",
        "TEXTSIZE",
        "LANGUAGE",
        "DATEFORMAT",
        "DATEFIRST",
        "ROWCOUNT",
        "CURSOR_CLOSE_ON_COMMIT",
        "DEADLOCK_PRIORITY",
        "NO_BROWSETABLE",
        "FORCEPLAN",
        "QUERY_GOVERNOR_COST_LIMIT",
        "CONTEXT_INFO",
        "ARITHIGNORE",
        "ANSI_NULL_DFLT_OFF",
        "REMOTE_PROC_TRANSACTIONS",
    ]
)


class Options:
    """Runs settings and grants on a session."""

    def _run_alterdatabase(self: Any, node: commands.AlterDatabase) -> Iterator[Any]:
        if node.name and node.name.casefold() != self.database.casefold():
            self.engine.set_option(node.name, node.option, node.value)
        else:
            with self.statement():
                self.run(f"INSERT INTO ms.options VALUES ({quoted(node.option.upper())}, {quoted(node.value.upper())}) "
                         "ON CONFLICT (name) DO UPDATE SET value = excluded.value")  # fmt: skip
        yield Count(rows=None)

    def _run_grant(self: Any, node: commands.Grant) -> Iterator[Any]:
        if not self.admin:
            raise SqlError(15151, "Cannot find the object, because it does not exist or you do not have permission.")
        with self.statement():
            if node.kind == "ROLE":
                self._member(node)
            else:
                self._grant(node)
        yield Count(rows=None)

    def _member(self: Any, node: commands.Grant) -> None:
        pair = f"{text(node.permissions[0])}, {text(node.principals[0])}"
        if node.verb == "ADD":
            self.run(f"INSERT INTO ms.members VALUES ({pair}) ON CONFLICT DO NOTHING")
        else:
            self.run(f"DELETE FROM ms.members WHERE (role, member) = ({pair})")

    def _grant(self: Any, node: commands.Grant) -> None:
        number = 0
        if node.kind == "OBJECT":
            info = self.table(node.name)
            if info is None:
                raise SqlError(
                    15151,
                    f"Cannot find the object '{node.name[-1]}', because it does not exist or you do not have "
                    f"permission.",
                )
            number = info.object_id
        elif node.kind == "SCHEMA":
            rows = self.run(f"SELECT schema_id FROM ms.schemas WHERE name = {text(node.name[-1])}")
            if not rows:
                raise SqlError(
                    15151,
                    f"Cannot find the schema '{node.name[-1]}', because it does not exist or you do not have "
                    f"permission.",
                )
            number = rows[0][0]
        for who in node.principals:
            for word in node.permissions:
                where = (
                    f"principal = {text(who)} AND class = '{node.kind}' AND id = {number} AND permission = "
                    f"{quoted(word)}"
                )
                self.run(f"DELETE FROM ms.grants WHERE {where}")
                if node.verb != "REVOKE":
                    self.run(
                        f"INSERT INTO ms.grants VALUES ({text(who)}, '{node.kind}', {number}, {quoted(word)}, "
                        f"'{node.verb}')"
                    )

    def _run_setoption(self: Any, node: commands.SetOption) -> Iterator[Any]:
        for name in node.names:
            self._set_option(name, node)
        yield Count(rows=None)

    def _set_option(self: Any, name: str, node: commands.SetOption) -> None:
        if name == "ISOLATION":
            self.connection.isolation = node.value
        elif name == "IDENTITY_INSERT":
            self._set_identity_insert(node)
        elif name == "LOCK_TIMEOUT":
            with self.statement():
                value = int(self.evaluate(node.value)[0])
            self.connection.set_lock_timeout(value)
        elif name == "IMPLICIT_TRANSACTIONS":
            self.options["IMPLICIT"] = bool(node.value)
        elif name in {"XACT_ABORT", "NOCOUNT", "FMTONLY"}:
            self.options[name] = bool(node.value)
        elif name in {"NOEXEC", "PARSEONLY", "SHOWPLAN_ALL", "SHOWPLAN_XML"} and node.value is True:
            raise SqlError(40510, f"The local SQL Server does not know SET {name}.")
        elif name not in _IGNORED and not name.startswith("STATISTICS"):
            raise SqlError(195, f"'{name}' is not a recognized SET option.", severity=15)

    def _set_identity_insert(self: Any, node: commands.SetOption) -> None:
        with self.statement():
            info = self.table(node.table)
            if info is None:
                raise SqlError(
                    1088,
                    f'Cannot find the object "{".".join(node.table)}" because it does not exist or you do not '
                    f"have permissions.",
                )
            self.need(info, "ALTER")
        if not any(item.identity for item in info.columns):
            raise SqlError(
                8106, f"Table '{info.label}' does not have the identity property. Cannot perform SET operation."
            )
        if not node.value:
            self.identity_insert = "" if self.identity_insert == str(info.object_id) else self.identity_insert
        elif self.identity_insert and self.identity_insert != str(info.object_id):
            raise SqlError(8107, "IDENTITY_INSERT is already ON for another table. Cannot perform SET operation "
                "for table "
                                 f"'{info.label}'.")  # fmt: skip
        else:
            self.identity_insert = str(info.object_id)

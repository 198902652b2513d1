"""What the session itself answers: @@ROWCOUNT, DB_NAME(), OBJECT_ID('t'), SERVERPROPERTY(…)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.peers.mssql.catalog import text
from tests.peers.mssql.interface import SqlError, SqlType
from tests.peers.mssql.translate.statements import Statements

_INT = SqlType(name="int")
_NAME = SqlType(name="nvarchar", length=128)
_LONG = SqlType(name="nvarchar", length=4000)
VERSION = "Microsoft SQL Server 2022 (local stand-in on PostgreSQL) - 16.0.4000.1 (X64)"
_PROPERTIES = {
    "productversion": "16.0.4000.1", "productlevel": "RTM", "edition": "Developer Edition (64-bit)", "engineedition": 3,
    "productmajorversion": "16", "servername": "local", "machinename": "local",
    "collation": "SQL_Latin1_General_CP1_CI_AS",
    "isclustered": 0, "ishadrenabled": 0, "issingleuser": 0, "instancename": None, "productupdatelevel": None,
}  # fmt: skip
_GLOBALS: dict[str, tuple[Any, SqlType]] = {
    "@@VERSION": (VERSION, _LONG), "@@SERVERNAME": ("local", _NAME), "@@SERVICENAME": ("MSSQLSERVER", _NAME),
    "@@LANGUAGE": ("us_english", _NAME), "@@MAX_PRECISION": (38, SqlType(name="tinyint")), "@@DATEFIRST": (7, _INT),
    "@@FETCH_STATUS": (-1, _INT), "@@NESTLEVEL": (0, _INT), "@@OPTIONS": (5496, _INT), "@@TEXTSIZE": (2147483647, _INT),
    "@@MICROSOFTVERSION": (268435456, _INT), "@@LANGID": (0, SqlType(name="smallint")), "@@REMSERVER": (None, _NAME),
    "@@DBTS": (None, SqlType(name="varbinary", length=8)),
}  # fmt: skip


class Knowledge:
    """Answers functions that need no table."""

    def scalar(self: Any, name: str, arguments: Sequence[Any]) -> tuple[Any, SqlType] | None:
        """See :class:`scope.Context`."""
        if name in _GLOBALS:
            return _GLOBALS[name]
        if name.startswith("@@"):
            return self._global(name)
        method: Callable[..., tuple[Any, SqlType]] | None = getattr(self, f"_know_{name.lower()}", None)
        return method(*arguments) if method else None

    def _global(self: Any, name: str) -> tuple[Any, SqlType] | None:
        if name == "@@IDENTITY":
            return self._know_scope_identity()
        values = {"@@ROWCOUNT": self.rowcount, "@@ERROR": self.error, "@@TRANCOUNT": self.connection.trancount,
                  "@@SPID": self.number, "@@LOCK_TIMEOUT": self.connection.lock_timeout}  # fmt: skip
        kind = SqlType(name="smallint") if name == "@@SPID" else _INT
        return (values[name], kind) if name in values else None

    def _know_rowcount_big(self: Any) -> tuple[Any, SqlType]:
        return self.rowcount, SqlType(name="bigint")

    def _know_xact_state(self: Any) -> tuple[Any, SqlType]:
        state = 0 if not self.connection.trancount else -1 if self.connection.doomed else 1
        return state, SqlType(name="smallint")

    def _know_scope_identity(self: Any) -> tuple[Any, SqlType]:
        kind = SqlType(name="decimal", precision=38)
        if self.identity is None:
            return None, kind
        table, column = self.identity
        rows = self.run(f"SELECT currval(pg_get_serial_sequence('{table.pg}', '{column.pg}'))")
        return rows[0][0], kind

    def _know_ident_current(self: Any, name: str) -> tuple[Any, SqlType]:
        kind = SqlType(name="decimal", precision=38)
        info = self.table(Statements(name).names())
        column = next((item for item in info.columns if item.identity), None) if info else None
        if column is None:
            return None, kind
        rows = self.run("SELECT coalesce(last_value, start_value) FROM pg_sequences WHERE schemaname || '.' || "
            "sequencename = "
                        f"pg_get_serial_sequence('{info.pg}', '{column.pg}')")  # fmt: skip
        return (rows[0][0] if rows else None), kind

    def _know_db_name(self: Any, number: int | None = None) -> tuple[Any, SqlType]:
        if number is None:
            return self.database, _NAME
        names = self.engine.databases
        return (names[number - 1] if 0 < number <= len(names) else None), _NAME

    def _know_db_id(self: Any, name: str | None = None) -> tuple[Any, SqlType]:
        folded = [item.casefold() for item in self.engine.databases]
        wanted = (name or self.database).casefold()
        return (folded.index(wanted) + 1 if wanted in folded else None), SqlType(name="smallint")

    def _know_original_db_name(self: Any) -> tuple[Any, SqlType]:
        return self.database, _NAME

    def _know_user_name(self: Any, number: int | None = None) -> tuple[Any, SqlType]:
        return ("dbo" if self.admin else self.user), _NAME

    _know_current_user = _know_user_name
    _know_session_user = _know_user_name
    _know_user = _know_user_name

    def _know_suser_sname(self: Any, number: Any = None) -> tuple[Any, SqlType]:
        return self.user, _NAME

    _know_suser_name = _know_suser_sname
    _know_system_user = _know_suser_sname
    _know_original_login = _know_suser_sname

    def _know_host_name(self: Any) -> tuple[Any, SqlType]:
        return "localhost", _NAME

    _know_app_name = _know_host_name

    def _know_object_id(self: Any, name: str | None, kind: str | None = None) -> tuple[Any, SqlType]:
        if name is None:
            return None, _INT
        try:
            parts = Statements(name).names()
        except SqlError:
            return None, _INT
        if parts[-1].startswith("#"):
            held = self.temporary.get(parts[-1].casefold())
            inside = len(parts) < 3 or parts[-3].casefold() == "tempdb"
            return (held.info.object_id if held and inside and len(parts) > 1 else None), _INT
        if len(parts) > 2 and parts[-3] and parts[-3].casefold() != self.database.casefold():
            return None, _INT
        schema = parts[-2] if len(parts) > 1 and parts[-2] else "dbo"
        wanted = f" AND o.type = {_quoted(kind.strip().upper())}" if kind else ""
        rows = self.run(f"SELECT o.object_id FROM ms.objects o JOIN ms.schemas s USING (schema_id) WHERE o.name = "
                        f"{text(parts[-1])} AND s.name = {text(schema)}{wanted} AND "
                            f"ms.visible(o.object_id)")  # fmt: skip
        return (rows[0][0] if rows else None), _INT

    def _know_schema_id(self: Any, name: str | None = "dbo") -> tuple[Any, SqlType]:
        rows = self.run(f"SELECT schema_id FROM ms.schemas WHERE name = {text(name or '')}")
        return (rows[0][0] if rows else None), _INT

    def _know_col_length(self: Any, table: str, column: str) -> tuple[Any, SqlType]:
        from tests.peers.mssql.translate import types

        info = self.table(Statements(table).names())
        found = info.column(column) if info else None
        return (types.size(found.type) if found else None), SqlType(name="smallint")

    def _know_columnproperty(self: Any, number: int | None, column: str, wanted: str) -> tuple[Any, SqlType]:
        rows = self.run(f"SELECT identity, computed IS NOT NULL, nullable, column_id, shown_precision, "
            f"shown_scale FROM "
                        f"ms.columns WHERE object_id = {int(number or 0)} AND name = {text(column)}")  # fmt: skip
        if not rows:
            return None, _INT
        names = ("isidentity", "iscomputed", "allowsnull", "columnid", "precision", "scale")
        value = dict(zip(names, rows[0], strict=True)).get(wanted.lower())
        return (int(value) if value is not None else None), _INT

    def _know_objectproperty(self: Any, number: int | None, wanted: str) -> tuple[Any, SqlType]:
        rows = self.run(f"SELECT type FROM ms.objects WHERE object_id = {int(number or 0)}")
        if not rows:
            return None, _INT
        kinds = {"istable": "U", "isusertable": "U", "isview": "V", "isprimarykey": "PK"}
        if wanted.lower() == "tablehasidentity":
            return int(
                bool(self.run(f"SELECT 1 FROM ms.columns WHERE identity AND object_id = {int(number or 0)}"))
            ), _INT
        return (int(rows[0][0] == kinds[wanted.lower()]) if wanted.lower() in kinds else None), _INT

    _know_objectpropertyex = _know_objectproperty

    def _know_serverproperty(self: Any, name: str) -> tuple[Any, SqlType]:
        value = _PROPERTIES.get(str(name).lower())
        return value, (_INT if isinstance(value, int) else _NAME)

    def _know_databasepropertyex(self: Any, database: str, name: str) -> tuple[Any, SqlType]:
        known = {"collation": "SQL_Latin1_General_CP1_CI_AS", "status": "ONLINE", "updateability": "READ_WRITE",
                 "recovery": "FULL", "useraccess": "MULTI_USER"}  # fmt: skip
        return known.get(str(name).lower()), _NAME

    def _know_connectionproperty(self: Any, name: str) -> tuple[Any, SqlType]:
        return {"net_transport": "TCP", "auth_scheme": "SQL", "protocol_type": "TSQL"}.get(str(name).lower()), _NAME

    def _know_has_dbaccess(self: Any, name: str) -> tuple[Any, SqlType]:
        return int(name.casefold() in {item.casefold() for item in self.engine.databases}), _INT

    def _know_is_srvrolemember(self: Any, role: str, login: Any = None) -> tuple[Any, SqlType]:
        return int(self.admin or role.lower() == "public"), _INT

    def _know_is_member(self: Any, role: str) -> tuple[Any, SqlType]:
        if self.admin:
            return 1, _INT
        found = self.run(f"SELECT 1 FROM ms.members WHERE role = {text(role)} AND member = {text(self.user)}")
        return int(bool(found) or role.lower() == "public"), _INT

    _know_is_rolemember = _know_is_member

    def _know_has_perms_by_name(
        self: Any, name: str | None, kind: str | None, permission: str, *_: Any
    ) -> tuple[Any, SqlType]:
        wanted = permission.upper()
        if str(kind or "").upper() == "OBJECT" and name:
            info = self.table(Statements(name).names())
            if info is None:
                return None, _INT
            if info.object_id < 0:
                return 1, _INT
            object_id, schema_id = info.object_id, info.schema_id
        elif str(kind or "").upper() == "SCHEMA" and name:
            object_id, schema_id = 0, self._know_schema_id(name)[0] or 0
        else:
            object_id = schema_id = 0
        if wanted == "ANY":
            return 1, _INT
        return int(self.run(f"SELECT ms.allowed({_quoted(wanted)}, {object_id}, {schema_id})")[0][0]), _INT

    def _caught(self: Any) -> SqlError | None:
        return self.caught[-1] if self.caught else None

    def _know_error_number(self: Any) -> tuple[Any, SqlType]:
        error = self._caught()
        return (error.number if error else None), _INT

    def _know_error_message(self: Any) -> tuple[Any, SqlType]:
        error = self._caught()
        return (error.message if error else None), _LONG

    def _know_error_severity(self: Any) -> tuple[Any, SqlType]:
        error = self._caught()
        return (error.severity if error else None), _INT

    def _know_error_state(self: Any) -> tuple[Any, SqlType]:
        error = self._caught()
        return (error.state if error else None), _INT

    def _know_error_line(self: Any) -> tuple[Any, SqlType]:
        error = self._caught()
        return (error.line if error else None), _INT

    def _know_error_procedure(self: Any) -> tuple[Any, SqlType]:
        return None, _NAME


def _quoted(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"

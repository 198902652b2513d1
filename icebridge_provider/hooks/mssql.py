"""Connections of SQL Server, of the Microsoft provider's own type."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk.bases.hook import BaseHook

from icebridge_provider.engines.mssql.connect import Encrypt, SqlServerLogin, connect, connected
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.hooks.connections import connection, switched_on

if TYPE_CHECKING:
    from airflow.sdk import Connection

    from icebridge_provider.model.bridge import TargetTable
    from icebridge_provider.ports import SqlReader, SyncTarget

TYPES = ("mssql",)
HOST, DATABASE, USERNAME, PASSWORD = ENVIRONMENT = (
    "SQLSERVER_HOST", "SQLSERVER_DATABASE", "SQLSERVER_USERNAME", "SQLSERVER_PASSWORD",
)  # fmt: skip
_ENCRYPTION = {"off": "no", "request": "optional", "require": "yes", "strict": "strict", "default": "yes"}
_OURS = {"encrypt", "trust_server_certificate", "ca_file", "host_name_in_certificate"}
_PYMSSQL = {"encryption", "login_timeout", "timeout", "read_only", "appname"}  # what the provider's hook hands on
_SETTLED = {"charset", "tds_version", "conn_properties", "autocommit", "as_dict", "arraysize", "use_datetime2",
            "sqlalchemy_scheme"}  # fmt: skip


class MsSqlBridgeHook(BaseHook):
    """Opens a SQL Server behind a connection of the provider's type ``mssql``.

    ``host, port, login, password`` and ``schema`` (the database) mean what they mean there, and so do the extra's
    ``encryption, login_timeout, timeout, read_only, appname``. What decides how values travel (``charset``,
    ``tds_version``, ``use_datetime2`` …) is fixed here, so that no value changes on its way. Ours are ``encrypt``
    (``no``, ``optional``, ``yes``, ``strict``; default ``yes``), ``trust_server_certificate``, ``ca_file`` and
    ``host_name_in_certificate``; Airflow's own hook does not know these four.

    :param conn_id: the connection; empty takes ``SQLSERVER_HOST, _PORT, _DATABASE, _USERNAME, _PASSWORD`` of the
        environment.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "mssql_default"
    conn_type = "mssql"
    hook_name = "Microsoft SQL Server"

    def __init__(self, conn_id: str = "") -> None:
        super().__init__()
        self.conn_id = conn_id

    def login(self, database: str = "") -> SqlServerLogin:
        """Return where the server is and who we are there; nothing is asked of it yet.

        :param database: another database than the connection's.
        :raises ConfigurationError: IB-102, IB-103, IB-826, IB-883 (nothing in the environment), IB-884 (the extra).
        """
        if not self.conn_id:
            found = login_of_environment(os.environ)
        else:
            found = login_of(connection(self.conn_id, TYPES, "SQL Server"))
        return replace(found, database=database) if database else found

    def reader(self, database: str = "") -> SqlReader:
        """Return what runs SELECTs, in that database or the connection's, and gives their rows as Arrow batches."""
        from icebridge_provider.engines.mssql.reading import SqlServerReader

        return cast("SqlReader", SqlServerReader(login=self.login(database)))

    def target(self) -> SyncTarget:
        """Return what writes the rows of events: staged in bulk, one transaction with the inbox."""
        from icebridge_provider.engines.mssql.target import SqlServerTarget

        return cast("SyncTarget", SqlServerTarget(self.login()))

    def table(self, name: str) -> TargetTable:
        """Describe ``schema.table``: columns with declared types and collations, primary and unique keys.

        :raises ConfigurationError: when there is none, or the login may not see its definition.
        """
        return self.target().table(name)

    def read(self, statement: str, values: Mapping[str, Any] | None = None, rows_a_batch: int = 65_536) -> Any:
        """Return the rows of a SELECT as a ``pyarrow.RecordBatchReader``; values of its ``%(name)s`` are bound."""
        return self.reader().read(statement, values or {}, rows_a_batch)

    def get_conn(self) -> Any:
        """Return a pymssql connection in autocommit mode, as every Airflow hook returns its client."""
        return connect(self.login())

    def test_connection(self) -> tuple[bool, str]:
        """Answer Airflow's test button."""
        try:
            with connected(self.login()) as opened, opened.cursor() as cursor:
                cursor.execute("SELECT 1")
                cursor.fetchall()
        except Exception as error:  # noqa: BLE001 - whatever it is, the button shows it
            return False, str(error)
        return True, "SQL Server answers."


def login_of(found: Connection) -> SqlServerLogin:
    """Return the login that a connection describes.

    :raises ConfigurationError: IB-826 for a field, IB-884 for a key of the extra.
    """
    conn_id, extra = str(found.conn_id), dict(found.extra_dejson or {})
    unknown = sorted(set(extra) - _OURS - _PYMSSQL - _SETTLED)
    if unknown:
        raise _unknown(conn_id, unknown[0])
    application = {"application": str(extra["appname"])} if extra.get("appname") else {}
    return SqlServerLogin(
        host=found.host or "",
        port=found.port or 1433,
        database=found.schema or "",
        user=found.login or "",
        secret=found.password or "",
        conn_id=conn_id,
        encrypt=_encrypt(extra),
        trust_certificate=switched_on(extra, "trust_server_certificate"),
        ca_file=str(extra.get("ca_file") or ""),
        certificate_host=str(extra.get("host_name_in_certificate") or ""),
        login_seconds=_seconds(conn_id, extra, "login_timeout", 15),
        query_seconds=_seconds(conn_id, extra, "timeout", 0),
        read_only=switched_on(extra, "read_only"),
        **application,
    )


def login_of_environment(given: Mapping[str, str]) -> SqlServerLogin:
    """Return the login that the variables ``SQLSERVER_…`` describe.

    :raises ConfigurationError: IB-883 naming the variables that are missing.
    """
    missing = [name for name in ENVIRONMENT if not given.get(name)]
    if missing:
        raise ConfigurationError(
            "IB-883",
            f"No connection is named, and the environment lacks {', '.join(missing)}.",
            remedy="Name a connection of type mssql, or set the variables on the workers.",
        )
    masked(given[PASSWORD])
    extra = {"encrypt": given.get("SQLSERVER_ENCRYPT", "")}
    return SqlServerLogin(
        host=given[HOST],
        database=given[DATABASE],
        user=given[USERNAME],
        secret=given[PASSWORD],
        port=_seconds("SQLSERVER_PORT", {"port": given.get("SQLSERVER_PORT", "")}, "port", 1433),
        conn_id=HOST,
        encrypt=_encrypt(extra),
        trust_certificate=switched_on(given, "SQLSERVER_TRUST_SERVER_CERTIFICATE"),
    )


def masked(secret: str) -> None:
    """Tell Airflow's loggers a secret that came from no connection."""
    from airflow.sdk.log import mask_secret

    mask_secret(secret)


def _encrypt(extra: Mapping[str, Any]) -> Encrypt:
    """Return ours, else the provider's in our words; what fits neither is refused by the login itself."""
    own = str(extra.get("encrypt") or "").strip().lower()
    given = str(extra.get("encryption") or "default").strip().lower()
    return cast("Encrypt", own or _ENCRYPTION.get(given, given))


def _seconds(conn_id: str, extra: Mapping[str, Any], key: str, default: int) -> int:
    text = str(extra.get(key) if extra.get(key) is not None else "").strip()
    if text and not text.isdecimal():
        raise ConfigurationError(
            "IB-884",
            f"{key} of connection {conn_id!r} is {text[:40]!r}, which is no whole number.",
            remedy=f"Write a number, for example {default}.",
            conn_id=conn_id,
        )
    return int(text or default)


def _unknown(conn_id: str, key: str) -> ConfigurationError:
    known = ", ".join(sorted(_OURS | _PYMSSQL))
    return ConfigurationError(
        "IB-884",
        f"The extra of connection {conn_id!r} has the key {key!r}, which SQL Server's hooks do not know.",
        remedy=f"Take it out, or correct it to one of {known}.",
        conn_id=conn_id,
    )

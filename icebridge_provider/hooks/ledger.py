"""The connection of the ledger."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk.bases.hook import BaseHook
from sqlalchemy import URL

from icebridge_provider.hooks.connections import connection, find
from icebridge_provider.hooks.settings import settings
from icebridge_provider.state.ledger import SqlLedger, require_shared

if TYPE_CHECKING:
    from airflow.sdk import Connection

TYPES = ("icebridge_ledger", "postgres", "sqlite")


class LedgerHook(BaseHook):
    """Opens the ledger behind a connection of type ``icebridge_ledger``.

    Without such a connection the ledger is an SQLite file in ``$AIRFLOW_HOME/icebridge``, which is enough for one
    host. With it: ``host, port, schema`` (the database), ``login`` and ``password`` of a PostgreSQL server; no host
    and a ``schema`` that is a path means an SQLite file.

    :param conn_id: the connection; empty for the option ``[icebridge] ledger_conn_id``.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "icebridge_ledger"
    conn_type = "icebridge_ledger"
    hook_name = "IceBridge ledger"

    def __init__(self, conn_id: str = "") -> None:
        super().__init__()
        self.conn_id = conn_id or settings().ledger_conn_id

    def open(self) -> SqlLedger:
        """Return the ledger without asking whether it is migrated.

        :raises ConfigurationError: IB-103 a connection of another type, IB-112 SQLite under a distributed executor.
        """
        found = find(self.conn_id)
        if found is not None:
            found = connection(self.conn_id, TYPES, "ledger")
        ledger = SqlLedger(_default() if found is None else _url(found))
        require_shared(ledger, _executor())
        return ledger

    def ledger(self) -> SqlLedger:
        """Return the ledger.

        :raises ConfigurationError: IB-111 when it is not migrated; otherwise as :meth:`open`.
        """
        ledger = self.open()
        ledger.check_migrated()
        return ledger

    def get_conn(self) -> SqlLedger:
        """Return the ledger, as every Airflow hook returns its client."""
        return self.ledger()

    def test_connection(self) -> tuple[bool, str]:
        """Answer Airflow's test button."""
        try:
            self.ledger()
        except Exception as error:  # noqa: BLE001 - whatever it is, the button shows it
            return False, str(error)
        return True, "The ledger answers and is migrated."


def _default() -> str:
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return f"sqlite:///{home / 'icebridge' / 'ledger.db'}"


def _url(found: Connection) -> str:
    if not found.host and found.schema and found.schema.startswith("/"):
        return f"sqlite:///{found.schema}"
    url = URL.create(
        "postgresql+psycopg2",
        username=found.login,
        password=found.password,
        host=found.host,
        port=found.port,
        database=found.schema,
    )
    return url.render_as_string(hide_password=False)


def _executor() -> str:
    """Return the first executor's name: ``LocalExecutor`` of ``team:LocalExecutor,CeleryExecutor``."""
    from airflow.configuration import conf

    first = str(conf.get("core", "executor", fallback="")).split(",", maxsplit=1)[0]
    return first.rpartition(":")[2]

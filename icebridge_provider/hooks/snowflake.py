"""Connections of Snowflake, of the Snowflake provider's own type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.hook import BaseHook

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.hooks.connections import connection

if TYPE_CHECKING:
    from icebridge_provider.engines.snowflake.target import SnowflakeTarget

TYPES = ("snowflake",)
APPLICATION = "IceBridge"
LOGIN_SECONDS, NETWORK_SECONDS, LOCK_SECONDS = 60, 120, 600
_PREFIX = "extra__snowflake__"  # how older versions of the provider wrote the keys of the extra


class SnowflakeShareHook(BaseHook):
    """Opens Snowflake behind a connection of the provider's type ``snowflake``, by its own ``SnowflakeHook``.

    Whatever that hook logs in with works here: key pair, OAuth, programmatic access tokens, workload identity,
    passwords. Ours are three keys of the extra, in seconds: ``login_timeout`` (60), ``network_timeout`` (120, how long
    a request is repeated while no answer comes; the connector's own default is for ever) and ``lock_timeout`` (600,
    how long a statement waits for a lock; Snowflake's own default is 12 hours).
    """

    conn_name_attr = "conn_id"
    default_conn_name = "snowflake_default"
    conn_type = "snowflake"
    hook_name = "Snowflake"

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = conn_id

    def target(self) -> SnowflakeTarget:
        """Return the account as a load's target; nothing is asked of it yet. Close it after use.

        :raises ConfigurationError: IB-102, IB-103, IB-936 for a key of the extra, IB-939.
        """
        from icebridge_provider.engines.snowflake.target import SnowflakeTarget

        extra = self._extra()
        return SnowflakeTarget(
            self._connector(extra),
            name=self.conn_id,
            account=self.account,
            lock_seconds=_seconds(self.conn_id, extra, "lock_timeout", LOCK_SECONDS),
        )

    @property
    def database(self) -> str:
        """The connection's database in its exact case, empty if it names none.

        As Snowflake reads it at login: in capitals unless it stands in double quotes.
        """
        given = _field(self._extra(), "database")
        quoted = len(given) > 1 and given[0] == given[-1] == '"'
        return given[1:-1].replace('""', '"') if quoted else given.upper()

    @property
    def account(self) -> str:
        """The account as its users write it, with the region if there is one."""
        extra = self._extra()
        return ".".join(filter(None, (_field(extra, "account"), _field(extra, "region"))))

    def get_conn(self) -> Any:
        """Return a connection of ``snowflake.connector``, as every Airflow hook returns its client."""
        return self._connector(self._extra())()

    def test_connection(self) -> tuple[bool, str]:
        """Answer Airflow's test button."""
        from icebridge_provider.model.snowflake import Statement

        try:
            with self.target() as target:
                target.run("try the connection", Statement(text="SELECT 1"))
        except Exception as error:  # noqa: BLE001 - whatever it is, the button shows it
            return False, str(error)
        return True, "Snowflake answers."

    def _extra(self) -> dict[str, Any]:
        found = connection(self.conn_id, TYPES, "Snowflake account")
        return dict(found.extra_dejson or {})

    def _connector(self, extra: Mapping[str, Any]) -> Any:
        """Return what opens connections; the provider's hook stays, for it keeps an OAuth token until it expires."""
        ours = {
            "login_timeout": _seconds(self.conn_id, extra, "login_timeout", LOGIN_SECONDS),
            "network_timeout": _seconds(self.conn_id, extra, "network_timeout", NETWORK_SECONDS),
            "application": APPLICATION,
            "client_session_keep_alive": False,  # statements are polled for; nothing holds a session while nobody works
            "paramstyle": "pyformat",  # the connector's default, which other code of this process may have changed
        }
        hook = _provider_hook(self.conn_id)

        def connect() -> Any:
            from snowflake.connector import connect as opened

            return opened(**{**_parameters(hook), **ours})

        return connect


def _provider_hook(conn_id: str) -> Any:
    try:
        from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook
    except ImportError as error:
        from icebridge_provider.engines.snowflake.faults import not_installed

        raise not_installed(error) from None
    return SnowflakeHook(snowflake_conn_id=conn_id)


def _parameters(hook: Any) -> dict[str, Any]:
    """Return what the provider's hook connects with: its ``get_conn`` takes no more, and knows no timeouts."""
    found = hook._get_conn_params  # noqa: SLF001 - a method, in older versions of the provider a property
    return dict(found() if callable(found) else found)


def _field(extra: Mapping[str, Any], key: str) -> str:
    return str(extra.get(key) or extra.get(f"{_PREFIX}{key}") or "")


def _seconds(conn_id: str, extra: Mapping[str, Any], key: str, default: int) -> int:
    text = str(extra.get(key) if extra.get(key) is not None else "").strip()
    if text and (not text.isdecimal() or int(text) < 1):
        raise ConfigurationError(
            "IB-936",
            f"{key} of connection {conn_id!r} is {text[:40]!r}, which is no whole number of seconds.",
            remedy=f"Write a number, for example {default}.",
            conn_id=conn_id,
        )
    return int(text or default)

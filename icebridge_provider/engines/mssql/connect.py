"""Connections to SQL Server, by either client, from one description."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from icebridge_provider import __version__
from icebridge_provider.engines.mssql.faults import Attempt, error_for, not_installed
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.retry import transient

T = TypeVar("T")
Encrypt = Literal["no", "optional", "yes", "strict"]
_FREETDS = {"no": "off", "optional": "request", "yes": "require", "strict": "strict"}
_AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_environment_lock = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlServerLogin:
    """Where a SQL Server is, who we are there, and how the way to it is protected. Never shows the secret.

    :param conn_id: the connection's name, for messages.
    :param encrypt: ``no`` (only the login), ``optional``, ``yes`` (TLS inside TDS) or ``strict`` (TDS 8, SQL Server
        2022 and later).
    :param trust_certificate: take any certificate; for tests. ``strict`` checks it all the same.
    :param ca_file: PEM file of the authorities that vouch for the server; empty takes the system's.
    :param certificate_host: the name in the certificate where it is another than ``host``.
    :param login_seconds: how long a connection may take; 0 is the client's own time.
    :param query_seconds: how long a statement may take; 0 is no limit.
    """

    host: str
    database: str
    user: str
    secret: str = field(repr=False)
    port: int = 1433
    conn_id: str = "mssql"
    encrypt: Encrypt = "yes"
    trust_certificate: bool = False
    ca_file: str = ""
    certificate_host: str = ""
    application: str = f"icebridge {__version__}"
    login_seconds: int = 15
    query_seconds: int = 0
    read_only: bool = False

    def __post_init__(self) -> None:
        for name in ("host", "database", "user"):
            value = getattr(self, name)
            if not value or any(char in value for char in "\0\r\n"):
                raise self.unfit(name, "it is empty or holds a line break")
        if any(char in self.host for char in ":,;\\[]/ ") and self.host.count(":") < 2:
            raise self.unfit("host", "give the host alone, and the port apart; named instances by their port")
        if not 0 < self.port < 65536:
            raise self.unfit("port", "ports go from 1 to 65535")
        if self.encrypt not in _FREETDS:
            raise self.unfit("encrypt", f"it is one of {', '.join(_FREETDS)}")

    @property
    def server(self) -> str:
        """``host:port/database``, for messages."""
        return f"{self.host}:{self.port}/{self.database}"

    def attempt(self, what: str, right: str = "", **more: str) -> Attempt:
        """Return what is tried, for :func:`~icebridge_provider.engines.mssql.faults.error_for`."""
        return Attempt(
            server=self.server, what=what, conn_id=self.conn_id, right=right, checked=self.checks_certificate, **more
        )  # fmt: skip

    @property
    def checks_certificate(self) -> bool:
        """Whether the server must prove who it is."""
        return self.encrypt == "strict" or (self.encrypt == "yes" and not self.trust_certificate)

    def unfit(self, name: str, why: str) -> ConfigurationError:
        """Return the refusal of one field."""
        return ConfigurationError(
            "IB-826",
            f"Connection {self.conn_id!r} cannot be used for SQL Server: {name}: {why}.",
            remedy=f"Correct {name} in Admin > Connections > {self.conn_id}.",
            conn_id=self.conn_id,
            field=name,
        )


def connect(login: SqlServerLogin, *, once: bool = False) -> Any:
    """Open a pymssql connection in autocommit mode, tried up to three times.

    Begin and end transactions by statements (``BEGIN TRAN``, ``COMMIT TRAN``): pymssql's own ``commit()`` also begins
    the next one, and its errors tell no number.

    :param once: try once, for a caller that tries again itself.
    :raises IceBridgeError: IB-820 to IB-826.
    """
    return _opened(login, "connect", lambda: _pymssql(login), once=once)


def connect_odbc(login: SqlServerLogin) -> Any:
    """Open an mssql-python connection in autocommit mode, tried up to three times.

    :raises IceBridgeError: IB-820 to IB-827; IB-827 where the driver cannot be loaded (:func:`odbc_missing`).
    """
    missing = odbc_missing()
    if missing:
        raise _no_driver(login, missing)
    return _opened(login, "connect", lambda: _mssql_python(login))


@contextmanager
def connected(login: SqlServerLogin) -> Iterator[Any]:
    """Give a pymssql connection and close it."""
    connection = connect(login)
    try:
        yield connection
    finally:
        close(connection)


def close(connection: Any) -> None:
    """Close a connection of either client; one that is gone already is closed."""
    try:
        connection.close()
    except Exception:  # noqa: BLE001 - a dead connection may raise anything, and is as good as closed
        return


@contextmanager
def told(login: SqlServerLogin, what: str, right: str = "", **more: str) -> Iterator[None]:
    """Turn what a client raises into errors of ours.

    :param what: words that follow "to": ``read the rows of dbo.orders``.
    :param right: what the login needs for it, as GRANT spells it.
    """
    try:
        yield
    except IceBridgeError:
        raise
    except Exception as error:  # noqa: BLE001 - both clients raise anything
        raise error_for(error, login.attempt(what, right, **more)) from None


@cache
def odbc_missing() -> str:
    """Why mssql-python cannot be used on this machine, empty when it can. Found out once per process."""
    try:
        import mssql_python
        from mssql_python import ddbc_bindings
    except Exception as error:  # noqa: BLE001 - a missing library shows as ImportError, OSError or RuntimeError
        return str(error).splitlines()[0]
    del mssql_python
    return _driver_unloadable(Path(str(ddbc_bindings.__file__)).parent)


def _driver_unloadable(folder: Path) -> str:
    """Load Microsoft's driver as the client will; it needs libltdl and Kerberos' libraries of the system."""
    import ctypes
    import importlib.util

    found = importlib.util.find_spec("mssql_python_odbc")
    roots = [Path(path) for path in (found.submodule_search_locations or ())] if found else [folder]
    for library in (file for root in roots for file in sorted(root.glob(_driver_pattern()))):
        try:
            ctypes.CDLL(str(library))
        except OSError as error:
            return str(error).replace(str(library.parent), "").strip("/")
        return ""
    return ""  # laid out otherwise than we know: let the client say it


def _driver_pattern() -> str:
    import platform

    machine = {"aarch64": "arm64", "AMD64": "x86_64"}.get(platform.machine(), platform.machine())
    families = {"alpine": "alpine", "rhel": "rhel", "suse": "suse"}
    text = Path("/etc/os-release").read_text(encoding="utf-8").lower() if Path("/etc/os-release").exists() else ""
    family = next((folder for word, folder in families.items() if f"id={word}" in text), "debian_ubuntu")
    return f"libs/linux/{family}/{machine}/lib/libmsodbcsql*"


def _opened(login: SqlServerLogin, what: str, call: Callable[[], T], *, once: bool = False) -> T:
    def attempt() -> T:
        with told(login, what):
            return call()

    return attempt() if once else transient(attempt)


def _pymssql(login: SqlServerLogin) -> Any:
    try:
        import pymssql
    except ImportError as error:
        raise not_installed(error) from None
    with _freetds_settings(login):
        return pymssql.connect(
            server=login.host,
            port=str(login.port),
            user=login.user,
            password=login.secret,
            database=login.database,
            appname=login.application,
            login_timeout=login.login_seconds or 60,
            timeout=login.query_seconds,
            charset="UTF-8",
            tds_version="7.4",
            encryption=None if login.encrypt == "strict" else _FREETDS[login.encrypt],
            read_only=login.read_only,
            autocommit=True,
            use_datetime2=True,
        )


@contextmanager
def _freetds_settings(login: SqlServerLogin) -> Iterator[None]:
    """Give FreeTDS the settings that pymssql has no argument for: it reads them from a file while it connects."""
    with _file_named_by("FREETDSCONF", freetds_conf(login)):
        yield


@contextmanager
def _openssl_settings(login: SqlServerLogin) -> Iterator[None]:
    """Give the ODBC driver authorities that it has no option for: OpenSSL reads a file of them while it connects.

    The system's are in it too, because other threads may read it at that moment.
    """
    if not login.ca_file:
        yield
        return
    texts = [Path(name).read_text(encoding="utf-8") for name in (system_authorities(), login.ca_file) if name]
    with _file_named_by("SSL_CERT_FILE", "\n".join(texts)):
        yield


@contextmanager
def _file_named_by(variable: str, text: str) -> Iterator[None]:
    """Write a passing file and name it in a variable that a C library reads; one connection at a time."""
    with _environment_lock, tempfile.NamedTemporaryFile("w", prefix="icebridge-", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        before = os.environ.get(variable)
        os.environ[variable] = file.name
        try:
            yield
        finally:
            if before is None:
                del os.environ[variable]
            else:
                os.environ[variable] = before


@cache
def system_authorities() -> str:
    """Return the file of the authorities that this machine trusts, empty where none is known."""
    import ssl

    names = (ssl.get_default_verify_paths().cafile, *_AUTHORITIES)
    return next((name for name in names if name and Path(name).is_file()), "")


def freetds_conf(login: SqlServerLogin) -> str:
    """Return FreeTDS's settings of a login: without an authority it would take any certificate."""
    lines = ["[global]", "\ttext size = 2147483647", f"\tencryption = {_FREETDS[login.encrypt]}"]
    if login.checks_certificate:
        lines.append(f"\tca file = {login.ca_file or system_authorities() or 'system'}")
        lines.append("\tcheck certificate hostname = yes")
        if login.certificate_host:
            lines.append(f"\tcertificate hostname = {login.certificate_host}")
    return "\n".join(lines) + "\n"


def _mssql_python(login: SqlServerLogin) -> Any:
    import mssql_python

    options: dict[str, Any] = {
        "server": f"{login.host},{login.port}",
        "database": login.database,
        "uid": login.user,
        "pwd": login.secret,
        "encrypt": login.encrypt,
        "trustservercertificate": "yes" if login.trust_certificate else "no",
        "connectretrycount": "0",  # a connection that is made anew behind our back answers for another one
    }
    if login.certificate_host:
        options["hostnameincertificate"] = login.certificate_host
    if login.read_only:
        options["applicationintent"] = "ReadOnly"
    with _openssl_settings(login):
        connection = mssql_python.connect(autocommit=True, timeout=login.login_seconds, **options)
    if login.query_seconds:
        connection.timeout = login.query_seconds
    return connection


def _no_driver(login: SqlServerLogin, why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-827",
        f"Microsoft's ODBC driver cannot be loaded for connection {login.conn_id!r}: {why}.",
        remedy="Install what it needs on the workers: apt-get install libltdl7 libkrb5-3 libgssapi-krb5-2",
        conn_id=login.conn_id,
    )

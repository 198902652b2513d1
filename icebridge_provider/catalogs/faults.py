"""What catalog drivers raise, as errors that say what to do next.

Drivers are recognised by the names of their exception classes, so that none needs to be installed or imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from icebridge_provider.exceptions import NOTHING_CHANGED, ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.redaction import scrubbed

_REFUSED_LOGIN = {"UnauthorizedError", "AuthorizationExpiredError", "OAuthError", "NoCredentialsError"}
_FORBIDDEN = {"ForbiddenError", "PermissionError", "SignError"}
_UNAVAILABLE = {
    "ServiceUnavailableError", "ServerError", "TooManyRequestsError", "CommitStateUnknownException",
    "ConnectionError", "ConnectTimeout", "ReadTimeout", "Timeout", "ChunkedEncodingError", "SSLError",
    "ConnectionResetError", "ConnectionRefusedError", "BrokenPipeError", "TimeoutError", "RemoteDisconnected",
    "EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "TTransportException",
    "WaitingForLockException", "OperationalError", "InterfaceError", "gaierror",
}  # fmt: skip
_CONFLICT = {"CommitFailedException"}
_UNSUPPORTED = {"NotImplementedError", "BadRequestError", "NotInstalledError", "ModuleNotFoundError", "ImportError"}
_AWS_FORBIDDEN = {"AccessDeniedException", "AccessDenied", "UnauthorizedAccess"}
_AWS_LOGIN = {"UnrecognizedClientException", "ExpiredTokenException", "InvalidClientTokenId"}
_AWS_BUSY = {"ThrottlingException", "Throttling", "InternalServiceException", "ServiceUnavailable"}
# Databases and object stores tell these apart by their words only.
_DENIALS = ("access_denied", "access denied", "permission denied", "readonly database")
_NOT_ICEBERG = ("no such table: iceberg_", 'relation "iceberg_', "iceberg_tables' doesn't exist")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What was being done: the connection, the address without credentials, the object and the right it takes.

    ``changed`` is what an error of unknown outcome must say; the empty text means that nothing can have changed.
    """

    catalog: str
    host: str
    what: str
    right: str
    changed: str = ""


def host_of(uri: str) -> str:
    """Return host and port of an address, or the file of an SQLite one; never its user or password."""
    parts = urlsplit(uri)
    if parts.hostname:
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.hostname}{port}"
    return parts.path.removeprefix("/") if parts.scheme.startswith("sqlite") else parts.scheme


@contextmanager
def translated(attempt: Attempt) -> Iterator[None]:
    """Turn what a driver raises inside into the matching :class:`IceBridgeError`."""
    try:
        yield
    except IceBridgeError:
        raise
    except Exception as error:  # noqa: BLE001 - drivers raise anything
        raise error_for(error, attempt) from None


def error_for(error: BaseException, attempt: Attempt) -> IceBridgeError:
    """Return the error to raise for a driver's exception.

    The driver's own text is kept, scrubbed and cut: it is the only place where a server says why.
    """
    names = {kind.__name__ for kind in type(error).__mro__} | _aws_codes(error)
    if names & (_REFUSED_LOGIN | _AWS_LOGIN):
        return _login_refused(error, attempt)
    if names & (_FORBIDDEN | _AWS_FORBIDDEN) or _says(error, _DENIALS):
        return _forbidden(error, attempt)
    if _says(error, _NOT_ICEBERG):
        return _no_iceberg_catalog(attempt)
    if names & _UNSUPPORTED:
        return _unsupported(error, attempt)
    if names & (_UNAVAILABLE | _CONFLICT | _AWS_BUSY):
        return _unavailable(error, attempt)
    return _unexpected(error, attempt)


def said(error: BaseException, limit: int = 300) -> str:
    """Return the first line of a driver's text without credentials, at most ``limit`` characters."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return scrubbed(lines[0])[:limit]


def retry_after(error: BaseException) -> float | None:
    """Return the seconds that a server asked to wait (``Retry-After``), None when it did not."""
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    asked = getattr(response, "headers", {}).get("Retry-After", "")
    return float(asked) if str(asked).isdigit() else None


def _unavailable(error: BaseException, attempt: Attempt) -> IceBridgeError:
    facts: dict[str, Any] = {"catalog": attempt.catalog, "host": attempt.host}
    asked = retry_after(error)
    if asked is not None:
        facts["retry_after"] = asked
    return TransientError(
        "IB-201",
        f"Catalog {attempt.catalog!r} at {attempt.host} did not answer when asked to {attempt.what}: {said(error)}.",
        remedy=f"Check that {attempt.host} is up and reachable from this worker; the step is retried by itself.",
        changed=attempt.changed or NOTHING_CHANGED,
        **facts,
    )


def _forbidden(error: BaseException, attempt: Attempt) -> IceBridgeError:
    return ConfigurationError(
        "IB-202",
        f"Connection {attempt.catalog!r} may not {attempt.what}: {said(error)}.",
        remedy=f"Give its user the right to {attempt.right}, then run: "
        f"airflow icebridge check-connection {attempt.catalog}",
        catalog=attempt.catalog,
        right=attempt.right,
    )


def _login_refused(error: BaseException, attempt: Attempt) -> IceBridgeError:
    return ConfigurationError(
        "IB-209",
        f"Catalog {attempt.catalog!r} at {attempt.host} refuses the credentials: {said(error)}.",
        remedy=f"Renew the credentials in connection {attempt.catalog!r}.",
        catalog=attempt.catalog,
        host=attempt.host,
    )


def _unsupported(error: BaseException, attempt: Attempt) -> IceBridgeError:
    return ConfigurationError(
        "IB-210",
        f"Catalog {attempt.catalog!r} cannot {attempt.what}: {said(error)}.",
        remedy="See docs/errors.md#ib-210 for what each kind of catalog needs.",
        catalog=attempt.catalog,
    )


def _unexpected(error: BaseException, attempt: Attempt) -> IceBridgeError:
    return ConfigurationError(
        "IB-211",
        f"Catalog {attempt.catalog!r} answered the request to {attempt.what} with "
        f"{type(error).__name__}: {said(error)}.",
        remedy=f"Run: airflow icebridge check-connection {attempt.catalog}",
        changed=attempt.changed or NOTHING_CHANGED,
        catalog=attempt.catalog,
    )


def _no_iceberg_catalog(attempt: Attempt) -> IceBridgeError:
    return ConfigurationError(
        "IB-203",
        f"The database of connection {attempt.catalog!r} at {attempt.host} holds no Iceberg catalog.",
        remedy="Correct its uri; a new catalog is made at the first use of a connection that is not read-only.",
        catalog=attempt.catalog,
        host=attempt.host,
    )


def _says(error: BaseException, marks: tuple[str, ...]) -> bool:
    text = str(error).lower()
    return any(mark in text for mark in marks)


def _aws_codes(error: BaseException) -> set[str]:
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return set()
    return {str(response.get("Error", {}).get("Code", ""))}

"""What SQL Server and its two clients answer, as errors that say what to do next.

pymssql (FreeTDS) tells the server's error number as the first argument of its exceptions. mssql-python (ODBC) tells no
number, only the words that it keeps for each SQLSTATE, and the server's text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from icebridge_provider.exceptions import NOTHING_CHANGED, ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.redaction import scrubbed

DEADLOCK, LOCK_TIMEOUT, SNAPSHOT_CONFLICT = 1205, 1222, 3960
SNAPSHOT_OFF = 3952
LOGIN_FAILED, NO_DATABASE = 18456, 4060

# learn.microsoft.com: "Troubleshoot transient connection errors in SQL Database", "Database engine events and errors"
_BUSY = {
    -2, 20, 64, 121, 233, 596, 615, 926, 1203, 1204, DEADLOCK, LOCK_TIMEOUT, 1807, SNAPSHOT_CONFLICT, 3966, 4221,
    8628, 8645, 8651, 10928, 10929, 14355, 17197, 40020, 40143, 40166, 40197, 40501, 40540, 40613, 41301, 41302, 41305,
    41325, 41839, 42108, 42109, 49918, 49919, 49920,
}  # fmt: skip
_UNREACHED = {53, 258, 997, 10053, 10054, 10060, 10061, 11001}  # of the network, as Windows counts
_DBLIB = {20002, 20003, 20004, 20005, 20006, 20009, 20017, 20047}  # of FreeTDS: time-out, lost, not reached, dead
_LOST = {-2, 20, 64, 121, 233, 596, 17197, 40613, *_UNREACHED, *_DBLIB}
RETRYABLE = frozenset(_BUSY | _UNREACHED | _DBLIB)
_DENIED = {229, 230, 262, 297, 300, 371, 916}
_LOGIN = {LOGIN_FAILED, 18452, 18470, 18486, 18487, 18488, NO_DATABASE, 4064}
_MISSING = {207, 208, 2812, 911, 4902}

# mssql-python's words for an SQLSTATE (its exceptions.py), as far as a number follows from them
_BY_WORDS = {
    "Serialization failure": DEADLOCK,
    "Communication link failure": 10054,
    "Connection failure during transaction": 10054,
    "Client unable to establish connection": 10061,
    "Server rejected the connection": 10061,
    "Connection not open": 20047,
    "Timeout expired": -2,
    "Connection timeout expired": 10060,
    "Base table or view not found": 208,
    "Column not found": 207,
    "Invalid authorization specification": LOGIN_FAILED,
}
# The server's own texts, where several numbers share one SQLSTATE (language us_english, which the clients ask for)
_BY_TEXT = (
    (re.compile(r"Lock request time out period exceeded"), LOCK_TIMEOUT),
    (re.compile(r"was deadlocked on|deadlock victim"), DEADLOCK),
    (re.compile(r"Snapshot isolation transaction aborted due to update conflict"), SNAPSHOT_CONFLICT),
    (re.compile(r"because snapshot isolation is not allowed in this database"), SNAPSHOT_OFF),
    (re.compile(r"Login failed for user"), LOGIN_FAILED),
    (re.compile(r"Cannot open database"), NO_DATABASE),
    (re.compile(r"permission was denied"), 229),
    (re.compile(r"Invalid object name"), 208),
    (re.compile(r"Invalid column name"), 207),
    (re.compile(r"certificate verify failed|SSL Provider"), 0),
)
_NUMBER_IN_TEXT = re.compile(r"(?:Msg |\()(\d{2,5})\b, b?['\"]|^\((\d{2,5}), ")
_DBLIB_NOTE = re.compile(r"DB-Lib error message (\d+)")
_DBLIB_HEAD = re.compile(r"DB-Lib error message \d+, severity \d+:\s*")
_HANDSHAKE = 20002  # what FreeTDS says when TLS or the login was broken off
_PREFIX = re.compile(r"\[(?:Microsoft|SQL Server|ODBC Driver \d+ for SQL Server)\]")
_PATIENT = "the task tries again by itself"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What was tried, for messages: the server as people know it, and words that follow "to"."""

    server: str
    what: str
    conn_id: str = ""
    right: str = ""
    changed: str = NOTHING_CHANGED
    checked: bool = False  # whether the server's certificate is checked


def number_of(error: BaseException) -> int | None:
    """Return the server's (or FreeTDS's) error number, None when it cannot be told."""
    first = error.args[0] if error.args else None
    if isinstance(first, tuple) and first and isinstance(first[0], int):
        first = first[0]  # pymssql's connect hands on the tuple
    if isinstance(first, int) and not isinstance(first, bool):
        return _deeper(first, error)
    text = str(error)
    words = getattr(error, "driver_error", "")
    by_text = next((number for found, number in _BY_TEXT if found.search(text)), None)
    if by_text is not None:
        return by_text
    if words in _BY_WORDS:
        return _BY_WORDS[words]
    inside = _NUMBER_IN_TEXT.search(text) or _DBLIB_NOTE.search(text)
    return int(next(group for group in inside.groups() if group)) if inside else None


def _deeper(number: int, error: BaseException) -> int:
    """Return what FreeTDS notes where pymssql tells 0, or the number of an error before: it forgets none."""
    text = _message(error)
    note = _DBLIB_NOTE.search(text)
    stale = number == 0 or (number < _HANDSHAKE and _DBLIB_HEAD.match(text))
    return int(note.group(1)) if note and stale else number


def is_retryable(error: BaseException) -> bool:
    """Say whether the same statement may succeed later."""
    return number_of(error) in RETRYABLE


def connection_lost(error: BaseException) -> bool:
    """Say whether the connection is of no more use: whether a COMMIT that raised this was done is unknown."""
    return number_of(error) in _LOST or isinstance(error, ConnectionError | TimeoutError)


def said(error: BaseException, limit: int = 300) -> str:
    """Return what the server said, in one line, without the client's wrapping and without credentials."""
    text = getattr(error, "ddbc_error", "") or _message(error)
    text = _PREFIX.sub("", text.replace("\x00", ""))
    text = text.split("DB-Lib error message")[0].strip() or _DBLIB_HEAD.sub("", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    return scrubbed(" ".join(lines))[:limit].rstrip(". ")


def _message(error: BaseException) -> str:
    found = error.args[0] if len(error.args) == 1 and isinstance(error.args[0], tuple) else error.args
    parts = [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in found]
    texts = [item for item in parts if isinstance(item, str)]
    return texts[-1] if texts else str(error)


def error_for(error: BaseException, attempt: Attempt) -> IceBridgeError:
    """Return the error to raise for what a client raised; ours go through as they are."""
    if isinstance(error, IceBridgeError):
        return error
    number = number_of(error)
    if number in RETRYABLE or isinstance(error, ConnectionError | TimeoutError):
        return _transient(error, number, attempt)
    if number in _LOGIN:
        return _login(error, number, attempt)
    if number in _DENIED:
        return _denied(error, number, attempt)
    if number == 0 and "ertificate" in str(error):
        return _certificate(error, attempt)
    return _refused(error, number, attempt)


def _numbered(error: BaseException, number: int | None) -> str:
    return f"error {number}: {said(error)}" if number else said(error)


def _transient(error: BaseException, number: int | None, attempt: Attempt) -> TransientError:
    return TransientError(
        "IB-820",
        f"SQL Server at {attempt.server} did not let us {attempt.what}: {_numbered(error, number)}.",
        remedy=f"Check that it is up and reachable from this worker{_hint(number, attempt)}; {_PATIENT}.",
        changed=attempt.changed,
        conn_id=attempt.conn_id,
        number=number,
    )


def _hint(number: int | None, attempt: Attempt) -> str:
    if number != _HANDSHAKE or not attempt.checked:
        return ""
    return f", and that its certificate is one that ca_file of connection {attempt.conn_id!r} vouches for"


def _login(error: BaseException, number: int | None, attempt: Attempt) -> ConfigurationError:
    return ConfigurationError(
        "IB-821",
        f"SQL Server at {attempt.server} refuses the login of connection {attempt.conn_id!r}: "
        f"{_numbered(error, number)}.",
        remedy=f"Correct login, password and database of connection {attempt.conn_id!r}, and let the login into that "
        "database (CREATE USER … FOR LOGIN …).",
        changed=attempt.changed,
        conn_id=attempt.conn_id,
        number=number,
    )


def _denied(error: BaseException, number: int | None, attempt: Attempt) -> ConfigurationError:
    wanted = f"GRANT {attempt.right} to it" if attempt.right else "Grant it what the message names"
    return ConfigurationError(
        "IB-822",
        f"The login of connection {attempt.conn_id!r} may not {attempt.what} at {attempt.server}: "
        f"{_numbered(error, number)}.",
        remedy=f"{wanted}, then run the task again.",
        changed=attempt.changed,
        conn_id=attempt.conn_id,
        number=number,
    )


def _certificate(error: BaseException, attempt: Attempt) -> ConfigurationError:
    return ConfigurationError(
        "IB-823",
        f"The certificate of SQL Server at {attempt.server} cannot be trusted: {said(error)}.",
        remedy="Add its authority to this worker's certificates, or name the authority's file in ca_file of connection "
        f"{attempt.conn_id!r}. trust_server_certificate=yes leaves it unchecked: only for tests.",
        changed=attempt.changed,
        conn_id=attempt.conn_id,
    )


def _refused(error: BaseException, number: int | None, attempt: Attempt) -> ConfigurationError:
    remedy = "Correct the name in the statement" if number in _MISSING else "Mend what it names"
    return ConfigurationError(
        "IB-824",
        f"SQL Server at {attempt.server} refused to {attempt.what}: {_numbered(error, number)}.",
        remedy=f"{remedy}, then run the task again.",
        changed=attempt.changed,
        conn_id=attempt.conn_id,
        number=number,
    )


def not_installed(error: ImportError) -> ConfigurationError:
    """The drivers are an extra of the package."""
    return ConfigurationError(
        "IB-825",
        f"SQL Server's client libraries are not installed: {error}.",
        remedy="Install them: pip install 'airflow-provider-icebridge[mssql]'",
    )

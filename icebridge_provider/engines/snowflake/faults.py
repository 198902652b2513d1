"""What Snowflake and its connector answer, as errors that say what to do next.

Numbers: Snowflake's documentation names few of them; those here were seen in its client's source, in public threads and
on the stand-in. An unknown number is a refused statement, which nobody repeats.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from icebridge_provider.exceptions import NOTHING_CHANGED, ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.redaction import scrubbed

CANCELED, NOT_FOUND, LOCKED = 604, 709, 625
TIMED_OUT = {630, 631}
_ABORTED = {LOCKED, 90143}
_BUSY = {603, 606, 607, 608, 609, 610, 612, 666, *TIMED_OUT}
RETRYABLE = frozenset({CANCELED, *_ABORTED, *_BUSY} - {606})
_NO_WAREHOUSE = {606, 90073}
_NO_DATABASE = {90105}
_DENIED = {3001, 3003, 3005, 3041}
_MISSING = {2003, 2043, 2049}
_COLUMNS = {904, 2023, 2057, 100080}
_CLIENT = range(250_000, 260_000)  # the connector's own numbers
_HTTP = range(290_000, 300_000)  # 290000 + the status of an answer
_SESSION = range(390_100, 391_000)  # login and session; as an answer to a statement: the session is over
_TLS = "NonRetryableTlsError"
_PATIENT = "the task tries again by itself"
_OBJECT = re.compile(
    r"(?i)\b(?:operate on |^|\n)?(table|view|object|schema|database|stage|integration|warehouse|role|file format)"
    r" '((?:[^'\n]|'')+)'"
)
_HEAD = re.compile(r"^\s*(?:\d{6} \([0-9A-Za-z/]+\):\s*)?(?:[0-9a-f-]{36}:\s*)?", re.IGNORECASE)
_CONNECTING = re.compile(
    r"^Failed to connect to DB\b[^:]*: \S+?:\d+\. "
)  # the address is in the account's name already
_RIGHTS = {
    "schema": "CREATE TABLE ON SCHEMA", "database": "USAGE ON DATABASE", "stage": "USAGE ON STAGE",
    "integration": "USAGE ON INTEGRATION", "warehouse": "USAGE ON WAREHOUSE",
}  # fmt: skip
_TABLE_RIGHTS = {
    "ALTER": "OWNERSHIP", "COMMENT": "OWNERSHIP", "DROP": "OWNERSHIP", "DELETE": "DELETE", "UPDATE": "UPDATE",
    "SELECT": "SELECT", "DESCRIBE": "SELECT", "COPY": "INSERT", "INSERT": "INSERT",
}  # fmt: skip


class SessionOver(TransientError):
    """The session had ended before the statement came: nothing was done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What was tried, for messages.

    :param account: the account as people know it.
    :param what: words that follow "to".
    :param statement: the statement's first word decides which right is missing.
    :param role: that the session has, empty before there is one.
    """

    account: str
    what: str
    conn_id: str = ""
    statement: str = ""
    role: str = ""
    changed: str = NOTHING_CHANGED


def number_of(error: BaseException) -> int:
    """Return Snowflake's or the connector's number, 0 when there is none."""
    found = getattr(error, "errno", None)
    return found if isinstance(found, int) and found > 0 else 0


def answered(error: BaseException) -> bool:
    """Say whether Snowflake itself told how the statement ended: whatever else it is, nobody knows."""
    from snowflake.connector.errors import DatabaseError, OperationalError

    number = number_of(error)
    outside = number in _CLIENT or number in _HTTP or number in _SESSION
    return isinstance(error, DatabaseError) and not isinstance(error, OperationalError) and number > 0 and not outside


def lost(error: BaseException) -> bool:
    """Say whether the session is of no more use, and what became of its last statement is not known."""
    from snowflake.connector.errors import Error

    return isinstance(error, OSError) or (isinstance(error, Error) and not answered(error))


def said(error: BaseException, limit: int = 400) -> str:
    """Return what Snowflake said, in one line, without ids and credentials; never the connector's own noise."""
    if not answered(error):
        return "no answer came"
    text = str(getattr(error, "raw_msg", "") or error)
    lines = [line.strip() for line in _HEAD.sub("", text).splitlines() if line.strip()]
    return scrubbed(" ".join(lines) or type(error).__name__)[:limit].rstrip(". ")


def error_for(error: Exception, attempt: Attempt) -> Exception:
    """Return the error to raise for what the connector raised; ours, and mistakes in our code, go through."""
    if lost(error):
        return unreached(attempt, error)
    if answered(error):
        return error_of(number_of(error), said(error), attempt)
    return error


def error_of(number: int, text: str, attempt: Attempt) -> IceBridgeError:
    """Return the error for a statement that Snowflake ended with this number and text."""
    if number in _ABORTED:
        return _aborted(number, text, attempt)
    if number in RETRYABLE:
        return _failed(TransientError, "IB-930", number, text, attempt, f"Look at it in Snowflake; {_PATIENT}.")
    if number in _NO_WAREHOUSE or number in _NO_DATABASE:
        wanted = "warehouse" if number in _NO_WAREHOUSE else "database"
        return missing_default(wanted, attempt)
    if number in _DENIED or "nsufficient privileges" in text:
        return _denied(number, text, attempt)
    if number in _MISSING:
        return _missing(number, text, attempt)
    again = "Start a new run: its plan reads the columns again" if number in _COLUMNS else "Mend what it names"
    remedy = f"{again}; the statement is in Snowflake's query history."
    return _failed(ConfigurationError, "IB-934", number, text, attempt, remedy)


def _failed(
    kind: type[IceBridgeError], code: str, number: int, text: str, attempt: Attempt, remedy: str
) -> IceBridgeError:
    return kind(
        code,
        f"Snowflake account {attempt.account} could not {attempt.what}: error {number:06d}: {text}.",
        remedy=remedy,
        changed=attempt.changed,
        conn_id=attempt.conn_id,
        number=number,
    )


def unreached(attempt: Attempt, error: BaseException | None = None) -> TransientError:
    """No answer, or one that is none of Snowflake's."""
    number = number_of(error) if error is not None else 0
    status = f" (HTTP status {number - _HTTP.start})" if number in _HTTP and number > _HTTP.start else ""
    kind = SessionOver if number in _SESSION else TransientError
    return kind(
        "IB-930",
        f"Snowflake account {attempt.account} gave no answer{status} to: {attempt.what}.",
        remedy=f"Check that it is up and reachable from this worker, and the host of connection {attempt.conn_id!r}; "
        f"{_PATIENT}.",
        changed=attempt.changed,
        conn_id=attempt.conn_id,
        number=number,
    )


def refused_login(error: BaseException, attempt: Attempt) -> IceBridgeError:
    """What connecting raised: not reached, not trusted, or not let in."""
    from snowflake.connector.errors import DatabaseError, OperationalError

    if isinstance(error, IceBridgeError):
        return error
    if type(error).__name__ == _TLS:
        return _untrusted(attempt)
    if isinstance(error, OperationalError) or (isinstance(error, OSError) and not _about_a_file(error)):
        return unreached(attempt, error)
    text = (
        str(getattr(error, "raw_msg", "") or error) if isinstance(error, DatabaseError | ValueError | TypeError) else ""
    )
    text = _CONNECTING.sub("", text)
    shown = f": {scrubbed(' '.join(text.split()))[:300].rstrip('. ')}" if text else f" ({type(error).__name__})"
    return ConfigurationError(
        "IB-931",
        f"Snowflake account {attempt.account} refuses the login of connection {attempt.conn_id!r}{shown}.",
        remedy=f"Correct account, login, key or password and role of connection {attempt.conn_id!r}, and let the user "
        "in from this worker's address (network policy).",
        conn_id=attempt.conn_id,
        number=number_of(error),
    )


def _about_a_file(error: OSError) -> bool:
    """Whether it is about a file here, or an identity provider said no, and not about the way there."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    return isinstance(error, FileNotFoundError | PermissionError) or 400 <= status < 500


def _untrusted(attempt: Attempt) -> ConfigurationError:
    return ConfigurationError(
        "IB-931",
        f"The certificate of Snowflake account {attempt.account} cannot be trusted.",
        remedy=f"Correct the account or host of connection {attempt.conn_id!r}; behind a proxy that opens TLS add its "
        "authority to this worker's certificates (REQUESTS_CA_BUNDLE).",
        conn_id=attempt.conn_id,
    )


def _aborted(number: int, text: str, attempt: Attempt) -> TransientError:
    return TransientError(
        "IB-935",
        f"Another session holds a lock that Snowflake account {attempt.account} needs to {attempt.what}: "
        f"error {number:06d}: {text}.",
        remedy=f"SHOW LOCKS IN ACCOUNT names it, SELECT SYSTEM$ABORT_TRANSACTION(…) ends it; {_PATIENT}.",
        changed=attempt.changed,
        conn_id=attempt.conn_id,
        number=number,
    )


def missing_default(wanted: str, attempt: Attempt) -> ConfigurationError:
    """The session has no warehouse or no database: none is named, or its role may not use it."""
    return ConfigurationError(
        "IB-936",
        f"Connection {attempt.conn_id!r} has no {wanted} in Snowflake account {attempt.account}, which is needed to "
        f"{attempt.what}.",
        remedy=f'Add {{"{wanted}": "…"}} to the extra of connection {attempt.conn_id!r}, and GRANT USAGE ON '
        f"{wanted.upper()} … TO ROLE {attempt.role or '…'}.",
        changed=attempt.changed,
        conn_id=attempt.conn_id,
    )


def object_in(text: str) -> tuple[str, str]:
    """Return the kind and the name of the object that an error names, both empty when it names none."""
    found = _OBJECT.search(text)
    return (found[1].lower(), found[2]) if found else ("", "")


def _denied(number: int, text: str, attempt: Attempt) -> ConfigurationError:
    kind, name = object_in(text)
    verb = (attempt.statement.split(None, 1) or [""])[0].upper()
    if kind in {"table", "view", "object"}:
        right = f"{_TABLE_RIGHTS.get(verb, 'SELECT, INSERT, UPDATE, DELETE')} ON TABLE {name}"
    else:
        right = f"{_RIGHTS[kind]} {name}" if kind in _RIGHTS else ""
    remedy = f"GRANT {right} TO ROLE {attempt.role or '…'}" if right else "Grant the role what the message names"
    return ConfigurationError(
        "IB-932",
        f"Role {attempt.role or '?'} of connection {attempt.conn_id!r} may not {attempt.what} in Snowflake account "
        f"{attempt.account}: {text}.",
        remedy=f"{remedy}, then run the task again.",
        changed=attempt.changed,
        conn_id=attempt.conn_id,
        number=number,
    )


def _missing(number: int, text: str, attempt: Attempt) -> ConfigurationError:
    kind, name = object_in(text)
    shown = f"{kind} {name}" if name else "an object"
    return ConfigurationError(
        "IB-933",
        f"Snowflake account {attempt.account} knows no {shown} for role {attempt.role or '?'}, needed to "
        f"{attempt.what}: {text}.",
        remedy="Correct the name or create it, or grant the role USAGE and SELECT: Snowflake tells no difference.",
        changed=attempt.changed,
        conn_id=attempt.conn_id,
        number=number,
        kind=kind,
        object=name,
    )


def not_kept(query_id: str, attempt: Attempt) -> TransientError:
    """The result of a statement is gone: Snowflake keeps it for 24 hours."""
    return TransientError(
        "IB-937",
        f"Snowflake account {attempt.account} no longer keeps the result of statement {query_id}, needed to "
        f"{attempt.what}.",
        remedy="The statement is started again.",
        conn_id=attempt.conn_id,
        query_id=query_id,
    )


def unknown_commit(attempt: Attempt) -> TransientError:
    """COMMIT was sent, no answer came, and nobody could be asked."""
    return TransientError(
        "IB-938",
        f"Snowflake account {attempt.account} did not say whether it could {attempt.what}.",
        remedy="The step is retried by itself and looks first at the load's row in ICEBRIDGE_LOADS.",
        changed="Whether the rows are in the table is not known; trying again is safe.",
        conn_id=attempt.conn_id,
    )


def not_installed(error: ImportError) -> ConfigurationError:
    """The connector and its provider are an extra of the package."""
    return ConfigurationError(
        "IB-939",
        f"Snowflake's client libraries are not installed: {error}.",
        remedy="Install them: pip install 'airflow-provider-icebridge[snowflake]'",
    )

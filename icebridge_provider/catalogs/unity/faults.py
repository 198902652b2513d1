"""What a workspace answers, as errors that say what to do next.

The SDK's exceptions are recognised by their names, so that none needs to be imported.
"""

from __future__ import annotations

import re
from typing import Any

from icebridge_provider.catalogs.faults import Attempt
from icebridge_provider.exceptions import NOTHING_CHANGED, ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.redaction import scrubbed

_BUSY = {
    "TooManyRequests", "InternalError", "TemporarilyUnavailable", "DeadlineExceeded", "Aborted",
    "ConnectionError", "Timeout", "TimeoutError", "ChunkedEncodingError", "SSLError", "RemoteDisconnected",
}  # fmt: skip
_MISSING = {"NotFound"}
_DENIED = {"PermissionDenied"}
_LOGIN = {"Unauthenticated"}
_NO_SERVICE = {"ENDPOINT_NOT_FOUND", "FEATURE_DISABLED"}  # 404 as well, and says nothing of any object
_PRIVILEGE = re.compile(
    r"(?i)\b(ALL[ _]PRIVILEGES|EXTERNAL[ _]USE[ _](?:SCHEMA|LOCATION)|USE[ _](?:CATALOG|SCHEMA|CONNECTION)"
    r"|CREATE[ _](?:TABLE|SCHEMA|CATALOG|VOLUME|FUNCTION)|(?:READ|WRITE)[ _](?:VOLUME|FILES)|CAN[ _](?:USE|MANAGE|RUN)"
    r"|SELECT|MODIFY|MANAGE|BROWSE|EXECUTE|APPLY[ _]TAG)\b"
)
_NO_RIGHT = re.compile(r"PERMISSION|DENIED|FORBIDDEN|UNAUTHORIZED")  # a quota is answered by 403 too
_SDK_NOTE = re.compile(r"\.?\s*(?:Config|Env): .*", re.DOTALL)  # what the SDK appends about its configuration
_OAUTH = re.compile(r"(?i)invalid_client|invalid_grant|unauthorized_client|access_denied|oauth|\boidc\b")
_ERRNO = re.compile(r"\[Errno -?\d+\] ([A-Za-z ]+)")
RETRIED_CODES = frozenset(
    {
        "TEMPORARILY_UNAVAILABLE", "WORKSPACE_TEMPORARILY_UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED",
        "SERVICE_UNDER_MAINTENANCE", "ABORTED", "IO_ERROR", "INTERNAL_ERROR",
    }
)  # fmt: skip


def error_for(error: BaseException, attempt: Attempt) -> IceBridgeError:
    """Return the error to raise for what the SDK raised."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _LOGIN or (isinstance(error, ValueError) and _OAUTH.search(str(error))):
        return login_refused(error, attempt)
    if names & _DENIED and _NO_RIGHT.search(str(getattr(error, "error_code", "") or "PERMISSION_DENIED")):
        return denied(said(error), attempt)
    if names & _MISSING and getattr(error, "error_code", "") not in _NO_SERVICE:
        return missing(error, attempt)
    if names & _BUSY:
        return unavailable(_reason(error), attempt, _retry_after(error))
    return refused(error, attempt)


def said(error: BaseException | str, limit: int = 300) -> str:
    """Return the first line of a text of the workspace, without credentials and without the SDK's own notes.

    A line that ends with a colon goes on in the next one: ``Insufficient privileges:`` does not say which.
    """
    text = _SDK_NOTE.sub("", str(error)).strip()
    lines = [line.strip() for line in text.splitlines()] or [type(error).__name__]
    first = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return scrubbed(first)[:limit].rstrip(".")


def privileges_in(text: str) -> tuple[str, ...]:
    """Return the privileges that a refusal names, as GRANT spells them, in the order of the text."""
    found = [match.upper().replace("_", " ") for match in _PRIVILEGE.findall(text)]
    return tuple(dict.fromkeys(found))


def unavailable(text: str, attempt: Attempt, retry_after: float | None = None) -> TransientError:
    """A workspace that is busy, down or out of reach; the outcome of what was asked is unknown."""
    facts: dict[str, Any] = {"conn_id": attempt.catalog, "host": attempt.host}
    if retry_after is not None:
        facts["retry_after"] = retry_after
    return TransientError(
        "IB-240",
        f"The workspace at {attempt.host} did not answer when asked to {attempt.what}: {text}.",
        remedy=f"Check that {attempt.host} is up and reachable from this worker; the step is retried by itself.",
        changed=attempt.changed or NOTHING_CHANGED,
        **facts,
    )


def denied(text: str, attempt: Attempt) -> ConfigurationError:
    """A privilege is missing; the workspace's own words name it better than we could guess."""
    named = privileges_in(text)
    right = " and ".join(named) if named else attempt.right
    wanted = f"Grant it {right}" if right else "Grant it what the message names"
    if right and not named:
        wanted = f"Give it the right to {right}"
    return ConfigurationError(
        "IB-241",
        f"The principal of connection {attempt.catalog!r} may not {attempt.what}: {text}.",
        remedy=f"{wanted}, then run: airflow icebridge check-connection {attempt.catalog}",
        conn_id=attempt.catalog,
        right=right,
    )


def login_refused(error: BaseException, attempt: Attempt) -> ConfigurationError:
    """The credentials are wrong, expired or not for this workspace."""
    return ConfigurationError(
        "IB-242",
        f"The workspace at {attempt.host} refuses the credentials of connection {attempt.catalog!r}: {said(error)}.",
        remedy=f"Renew the access token or the client secret in connection {attempt.catalog!r}.",
        conn_id=attempt.catalog,
        host=attempt.host,
    )


def missing(error: BaseException, attempt: Attempt) -> ConfigurationError:
    """No such object, or none that this principal may see: Unity Catalog answers alike."""
    return ConfigurationError(
        "IB-243",
        f"The workspace at {attempt.host} could not {attempt.what}: {said(error)}.",
        remedy="Correct the name, or grant the principal BROWSE or USE on it: what it may not see is not there for it.",
        conn_id=attempt.catalog,
        error_code=str(getattr(error, "error_code", "") or ""),
    )


def refused(error: BaseException, attempt: Attempt) -> ConfigurationError:
    """Everything else that the workspace, or the SDK, refuses."""
    code = str(getattr(error, "error_code", "") or type(error).__name__)
    return ConfigurationError(
        "IB-244",
        f"The workspace at {attempt.host} refused to {attempt.what}: {code}: {said(error)}.",
        remedy=f"Mend what it names, or run: airflow icebridge check-connection {attempt.catalog}",
        changed=attempt.changed or NOTHING_CHANGED,
        conn_id=attempt.catalog,
        error_code=code,
    )


def not_installed(error: ImportError) -> ConfigurationError:
    """The drivers are an extra of the package."""
    return ConfigurationError(
        "IB-245",
        f"Databricks' libraries are not installed: {error}.",
        remedy="Install them: pip install 'airflow-provider-icebridge[databricks]'",
    )


def _reason(error: BaseException) -> str:
    """Why there was no answer, without the address and the classes that network libraries put around it."""
    text = str(error)
    errno = _ERRNO.search(text)
    if errno:
        return errno.group(1)
    for mark, words in (("timed out", "it took too long"), ("Name or service", "its name is not known")):
        if mark in text:
            return words
    return "the connection ended" if "Connection" in type(error).__name__ else said(error)


def _retry_after(error: BaseException) -> float | None:
    asked = getattr(error, "retry_after_secs", None)
    return float(asked) if isinstance(asked, int | float) else None

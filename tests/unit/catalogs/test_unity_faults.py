"""What the SDK raises, in words that say what to do next and show no credential."""

from __future__ import annotations

import pytest
import requests
from databricks.sdk import errors

from icebridge_provider.catalogs.faults import Attempt
from icebridge_provider.catalogs.unity.faults import error_for, privileges_in, said
from icebridge_provider.catalogs.unity.names import fits, parts_of
from icebridge_provider.exceptions import ConfigurationError, TransientError
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.sql.identifiers import quoted

ATTEMPT = Attempt(catalog="dbx", host="h:1", what="rename main.s.t", right="MANAGE on main.s.t")


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (errors.TooManyRequests("slow down", error_code="REQUEST_LIMIT_EXCEEDED", retry_after_secs=3), "IB-240", True),
        (errors.TemporarilyUnavailable("down"), "IB-240", True),
        (errors.InternalError("oops"), "IB-240", True),
        (errors.DeadlineExceeded("late"), "IB-240", True),
        (errors.Aborted("try again", error_code="ABORTED"), "IB-240", True),
        (requests.ConnectionError("reset"), "IB-240", True),
        (requests.Timeout("read timed out"), "IB-240", True),
        (TimeoutError("Timed out after 0:00:05"), "IB-240", True),
        (errors.PermissionDenied("no", error_code="PERMISSION_DENIED"), "IB-241", False),
        (errors.PermissionDenied("User is not an owner"), "IB-241", False),
        (errors.PermissionDenied("too many", error_code="QUOTA_EXCEEDED"), "IB-244", False),
        (errors.Unauthenticated("expired"), "IB-242", False),
        (ValueError("default auth: oauth-m2m: invalid_client: Client authentication failed"), "IB-242", False),
        (errors.NotFound("no table", error_code="TABLE_DOES_NOT_EXIST"), "IB-243", False),
        (errors.ResourceDoesNotExist("no run"), "IB-243", False),
        (errors.NotFound("No API found", error_code="ENDPOINT_NOT_FOUND"), "IB-244", False),
        (errors.InvalidParameterValue("bad", error_code="INVALID_PARAMETER_VALUE"), "IB-244", False),
        (errors.AlreadyExists("there"), "IB-244", False),
        (KeyError("x"), "IB-244", False),
    ],
)
def test_each_error_says_what_the_caller_does_next(error: Exception, code: str, retryable: bool) -> None:
    found = error_for(error, ATTEMPT)
    assert (found.code, found.retryable) == (code, retryable)
    assert isinstance(found, TransientError if retryable else ConfigurationError)
    assert "h:1" in found.message or "dbx" in found.message


def test_the_pause_that_was_asked_for_is_kept() -> None:
    found = error_for(errors.TooManyRequests("x", retry_after_secs=3), ATTEMPT)
    assert found.facts["retry_after"] == 3.0


def test_a_refusal_names_the_privileges_that_databricks_names() -> None:
    text = "User does not have USE CATALOG and EXTERNAL_USE_SCHEMA on Catalog 'main'."
    assert privileges_in(text) == ("USE CATALOG", "EXTERNAL USE SCHEMA")
    found = error_for(errors.PermissionDenied(text, error_code="PERMISSION_DENIED"), ATTEMPT)
    assert found.remedy.startswith("Grant it USE CATALOG and EXTERNAL USE SCHEMA, then run")
    vague = error_for(errors.PermissionDenied("No.", error_code="PERMISSION_DENIED"), ATTEMPT)
    assert "MANAGE on main.s.t" in vague.remedy


@pytest.mark.parametrize(
    "text",
    [
        "Invalid access token. Config: host=https://h, token=dapi0123456789canary0123456789, auth_type=pat. Env: X",
        "failed for https://me:canary@h/x",
        "Authorization: Bearer canary0123456789abcdef",
        "client_secret=canary",
    ],
)
def test_no_credential_and_no_note_of_the_sdk_is_repeated(text: str) -> None:
    assert "canary" not in said(Exception(text))
    assert "auth_type" not in said(Exception(text))
    assert "canary" not in str(error_for(errors.Unauthenticated(text), ATTEMPT))


def test_a_line_that_ends_with_a_colon_is_told_with_what_follows() -> None:
    text = "[INSUFFICIENT_PERMISSIONS] Insufficient privileges:\nUser does not have WRITE FILES on it.\nmore"
    assert said(text) == "[INSUFFICIENT_PERMISSIONS] Insufficient privileges: User does not have WRITE FILES on it"
    assert said("one line:") == "one line:"
    assert said("one line.\nanother") == "one line"


def test_a_lost_connection_is_told_without_addresses_and_classes() -> None:
    text = (
        "HTTPConnectionPool(host='h', port=1): Max retries exceeded with url: /x (Caused by NewConnectionError("
        "'<urllib3.connection.HTTPConnection object>: Failed to establish: [Errno 111] Connection refused'))"
    )
    found = error_for(requests.ConnectionError(text), ATTEMPT)
    assert found.message == "The workspace at h:1 did not answer when asked to rename main.s.t: Connection refused."


# Names


def ident(*parts: str) -> TableIdentifier:
    return TableIdentifier(catalog="dbx", namespace=parts[:-1], name=parts[-1])


def test_names_have_three_parts_in_lower_case() -> None:
    assert parts_of("main", ident("Sales", "Orders-2024")) == ("main", "sales", "orders-2024")
    assert quoted(*parts_of("main", ident("s", "a`b"))) == "`main`.`s`.`a``b`"


@pytest.mark.parametrize("parts", [("a", "b", "t"), ("s", "a.b"), ("s.x", "t"), ("s", "a b"), ("s", "a/b"), ("s", ""),
                                   ("s", "a\n"), ("s", "\x7f"), ("s", "x" * 256), ("t",)])  # fmt: skip
def test_what_unity_catalog_cannot_hold_is_refused(parts: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parts_of("main", ident(*parts))
    assert caught.value.code == "IB-250"
    assert not fits(parts[:-1], parts[-1])

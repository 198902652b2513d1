"""What every router needs of a request: its JSON body, its query parameters as numbers and switches, pages."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Depends, Request

from tests.peers.databricks.errors import ApiError, invalid


async def json_body(request: Request) -> Any:
    """The JSON body of a request, `{}` when there is none; 400 MALFORMED_REQUEST when it is not JSON."""
    raw = await request.body()
    try:
        return json.loads(raw) if raw.strip() else {}
    except ValueError as error:
        raise ApiError(400, "MALFORMED_REQUEST", f"Could not parse request object: {error}") from None


async def asked(request: Request) -> Mapping[str, str]:
    """What a GET asks: its query and, as some clients send their parameters, its JSON body."""
    body = await json_body(request)
    given = {name: str(value) for name, value in body.items()} if isinstance(body, dict) else {}
    return given | dict(request.query_params)


BODY = Depends(json_body)
ASKED = Depends(asked)


def number(given: Mapping[str, str], name: str, default: int | None = None) -> int | None:
    """A query parameter as a number."""
    text = given.get(name)
    if text in (None, ""):
        return default
    if not text.lstrip("-").isdigit():
        raise invalid(f"Invalid value '{text}' for parameter '{name}': it must be a number.")
    return int(text)


def needed_number(given: Mapping[str, str], name: str) -> int:
    """A query parameter that must be there, as a number."""
    found = number(given, name)
    if found is None:
        raise invalid(f"Missing required field: {name}")
    return found


def switch(given: Mapping[str, str], name: str) -> bool:
    """A query parameter as a switch: `true` in any case, as Python clients write True."""
    return given.get(name, "").lower() == "true"


def page_of(items: Sequence[Any], page_token: str | None, size: int) -> tuple[Sequence[Any], str]:
    """The page of `items` that a page token names and the token of the next one, empty at the end."""
    start = _decoded(page_token) if page_token else 0
    rest = start + size < len(items)
    return items[start : start + size], _encoded(start + size) if rest else ""


def _encoded(start: int) -> str:
    return base64.urlsafe_b64encode(f"from:{start}".encode()).decode()


def _decoded(page_token: str) -> int:
    try:
        kind, _, start = base64.urlsafe_b64decode(page_token).decode().partition(":")
        if kind == "from":
            return int(start)
    except ValueError:
        pass
    raise invalid(f"Invalid page token '{page_token}'.")

"""``permissions.yaml``: users, and what each may do to which table of the target."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from icebridge_provider.model.bridge import Access, Grant, Rights
from icebridge_provider.model.identifier import show_part, split_parts
from icebridge_provider.model.permissions import Permissions, PermittedUser
from icebridge_provider.specs.files import read_bounded
from icebridge_provider.specs.shape import Shape, misfit, shaped
from icebridge_provider.specs.yaml import MAX_BYTES, Document, Steps, parse_yaml

Name = Annotated[str, Field(min_length=1, max_length=255)]


class PermissionEntry(Shape):
    """One table of one user."""

    table: Annotated[str, Field(min_length=1, max_length=600, description="schema.table as the database spells it")]
    access: Literal["read", "write", "read_write"]
    max_delete_rows: Annotated[int, Field(ge=0, description="most rows one DELETE may hit; without it none")] = 0


class UserEntry(Shape):
    """One user."""

    name: Name
    token_sha256: Annotated[
        str | None, Field(pattern=r"^[0-9a-fA-F]{64}$", description="SHA-256 of the token, 64 hex digits")
    ] = None
    token: Annotated[str | None, Field(min_length=1, description="the token in the clear; write token_sha256")] = None
    permissions: list[PermissionEntry] = Field(default_factory=list)


class PermissionsFile(Shape):
    """The whole file."""

    users: list[UserEntry]


def read_permissions(path: Path) -> Permissions:
    """Read the file.

    :raises ConfigurationError: IB-801 when it cannot be read or everybody may write it, and as
        :func:`parse_permissions`.
    """
    return parse_permissions(read_bounded(path, MAX_BYTES, private=True), str(path))


def parse_permissions(content: bytes, file: str) -> Permissions:
    """Read the file's content.

    :raises ConfigurationError: IB-800 for what is no YAML, IB-802 for what is not as it should be; with file, line and
        column, never with a token.
    """
    document = parse_yaml(content, file)
    entries = shaped(document, PermissionsFile).users
    _refuse_twice(document, [entry.name for entry in entries], "name")
    users = tuple(_user(document, index, entry) for index, entry in enumerate(entries))
    _refuse_twice(document, [user.token_sha256 or str(index) for index, user in enumerate(users)], "token")
    return Permissions(users=users, warnings=_warnings(document, entries))


def _user(document: Document, index: int, entry: UserEntry) -> PermittedUser:
    if entry.token is not None and entry.token_sha256 is not None:
        raise misfit(f"{document.place('users', index, 'token')}: token and token_sha256 exclude each other", document)
    grants = tuple(
        _grant(document, ("users", index, "permissions", position, "table"), item)
        for position, item in enumerate(entry.permissions)
    )
    _refuse_same_table(document, index, grants)
    plain = "" if entry.token is None else hashlib.sha256(entry.token.encode()).hexdigest()
    rights = Rights(user=entry.name, grants=grants)
    return PermittedUser(rights=rights, token_sha256=(entry.token_sha256 or plain).lower())


def _grant(document: Document, steps: Steps, entry: PermissionEntry) -> Grant:
    try:
        parts = split_parts(entry.table)
    except ValueError as error:
        raise misfit(f"{document.place(*steps)}: {error}", document) from None
    if len(parts) != 2 or not all(part.strip() for part in parts):
        wrong = f"{entry.table[:80]!r} is not schema.table; a part with dots or blanks stands in backticks"
        raise misfit(f"{document.place(*steps)}: {wrong}", document)
    table = ".".join(show_part(part) for part in parts)
    return Grant(table=table, access=Access(entry.access), max_delete_rows=entry.max_delete_rows)


def _refuse_same_table(document: Document, index: int, grants: tuple[Grant, ...]) -> None:
    seen: set[str] = set()
    for position, item in enumerate(grants):
        if item.table in seen:
            place = document.place("users", index, "permissions", position, "table")
            raise misfit(f"{place}: {item.table} stands twice for this user", document)
        seen.add(item.table)


def _refuse_twice(document: Document, values: list[str], what: str) -> None:
    """Refuse two users of one name or token; the value itself is not said."""
    often = Counter(values)
    for index, value in enumerate(values):
        if often[value] > 1 and values.index(value) < index:
            raise misfit(f"{document.place('users', index)}: another user has the same {what}", document)


def _warnings(document: Document, entries: list[UserEntry]) -> tuple[str, ...]:
    return tuple(
        f"{document.place('users', index, 'token', key=True)}: the token of {entry.name!r} stands in the clear; write "
        "token_sha256 with its SHA-256 instead"
        for index, entry in enumerate(entries)
        if entry.token is not None
    )

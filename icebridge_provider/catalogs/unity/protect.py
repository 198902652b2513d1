"""Puts filters, masks, policies, tags and the comment on a table of Unity Catalog, and takes them off."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from icebridge_provider.catalogs.unity.statements import Statements
from icebridge_provider.catalogs.unity.workspace import UNITY, Workspace, in_path
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model.identifier import split_parts
from icebridge_provider.model.protection import Limit, Mask, Policy, ProtectionChange, Tag
from icebridge_provider.retry import transient
from icebridge_provider.sql import databricks as sql
from icebridge_provider.sql import policies

# What the service adds to a policy: where it stands and who made it when.
_ADDED = frozenset(
    {"id", "on_securable_type", "on_securable_fullname", "created_at", "created_by", "updated_at", "updated_by",
     "governed_tags"}
)  # fmt: skip
_PRESENT = frozenset({"POLICY_ALREADY_EXISTS", "ALREADY_EXISTS", "RESOURCE_ALREADY_EXISTS"})


class Protector:
    """Filters and masks by SQL (there is no other way), policies by REST."""

    def __init__(self, workspace: Workspace, statements: Statements) -> None:
        self._workspace = workspace
        self._statements = statements

    def change(self, full_name: str, change: ProtectionChange) -> None:
        """Make all of the change, one call after the other; each may safely be made again.

        What decides under which condition a policy holds is put on before it, and taken off after it.
        """
        what, right = f"protect {full_name}", f"MANAGE on {full_name} and EXECUTE on the functions"
        add, remove = change.add, change.remove
        parts = full_name.split(".")
        for policy in remove.policies:
            self._drop(full_name, policy)
        for statement in (*_tags_on(parts, add.tags), *_removed(parts, change), *_limits(parts, change)):
            transient(lambda text=statement: self._statements.run(what, text, right=right))  # type: ignore[misc]
        for policy in add.policies:
            self._create(full_name, policy)
        if add.comment != remove.comment:
            comment = sql.comment(parts, add.comment)
            transient(lambda: self._statements.run(what, comment, right=f"MODIFY on {full_name}"))

    def _create(self, full_name: str, policy: Policy) -> None:
        body = {**json.loads(policy.definition), "on_securable_type": "TABLE", "on_securable_fullname": full_name}

        def once() -> None:
            try:
                self._workspace.send(f"put policy {policy.name} on {full_name}", "POST", f"{UNITY}/policies", body,
                                     f"MANAGE on {full_name} and EXECUTE on {policy.function}")  # fmt: skip
            except IceBridgeError as error:  # made by the same call before, whose answer was lost
                if str(error.facts.get("error_code", "")) not in _PRESENT:
                    raise

        transient(once)

    def _drop(self, full_name: str, policy: Policy) -> None:
        path = f"{UNITY}/policies/TABLE/{in_path(full_name)}/{in_path(policy.name)}"
        what, right = f"take policy {policy.name} off {full_name}", f"MANAGE on {full_name}"
        try:
            transient(lambda: self._workspace.send(what, "DELETE", path, {}, right))
        except IceBridgeError as error:
            if error.code != "IB-243":
                raise


def definition_of(item: dict[str, Any]) -> str:
    """Return what of a policy, as the service shows it, makes it anew elsewhere."""
    kept = {key: value for key, value in item.items() if key not in _ADDED}
    return json.dumps(kept, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def limit_of(shown: dict[str, Any], arguments: str, names: str) -> Limit:
    """Return a row filter or a mask as ``TableInfo`` shows it.

    :param arguments: key of the newer list that tells columns from constants, ``names`` that of the older one.
    """
    function = str(shown.get("function_name", ""))
    given = shown.get(arguments)
    if given is None:
        return Limit(function=function, columns=tuple(map(str, shown.get(names) or ())))
    return Limit(
        function=function,
        columns=tuple(str(one["column"]) for one in given if one.get("column") is not None),
        constants=tuple(str(one["constant"]) for one in given if one.get("column") is None),
    )


def _removed(parts: Sequence[str], change: ProtectionChange) -> Iterator[str]:
    if change.remove.row_filter and not change.add.row_filter:
        yield policies.drop_row_filter(parts)
    kept = {mask.column for mask in change.add.masks}
    for mask in change.remove.masks:
        if mask.column not in kept:
            yield policies.drop_mask(parts, mask.column)
    for column, tags in groupby(change.remove.tags, key=lambda tag: tag.column):
        yield policies.unset_tags(parts, [tag.name for tag in tags], column)


def _limits(parts: Sequence[str], change: ProtectionChange) -> Iterator[str]:
    for mask in change.add.masks:
        yield policies.set_mask(parts, mask.column, _function(mask.limit, parts, mask), mask.limit.columns)
    if change.add.row_filter:
        limit = change.add.row_filter
        yield policies.set_row_filter(parts, _function(limit, parts), limit.columns)


def _tags_on(parts: Sequence[str], tags: Sequence[Tag]) -> Iterator[str]:
    for column, listed in groupby(tags, key=lambda tag: tag.column):
        yield policies.set_tags(parts, {tag.name: tag.value for tag in listed}, column)


def _function(limit: Limit, table: Sequence[str], mask: Mask | None = None) -> list[str]:
    """Parts of a function's name.

    :raises ConfigurationError: IB-639 for one that cannot be told from what the catalog shows.
    """
    try:
        parts = split_parts(limit.function)
    except ValueError:
        parts = []
    if len(parts) != 3:
        what = f"the mask of column {mask.column}" if mask else "the row filter"
        raise ConfigurationError(
            "IB-639",
            f"The function of {what} of the source, {limit.function!r}, cannot be set on {'.'.join(table)}.",
            remedy="Give the function a name of three plain parts, or take it off the source.",
        )
    return list(parts)

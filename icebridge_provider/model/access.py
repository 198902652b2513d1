"""Who may do what with a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from icebridge_provider.model import codec
from icebridge_provider.model.protection import Limit, Policy, PolicyKind

__all__ = ["Grant", "GrantChange", "Policy", "PolicyKind", "TableAccess", "from_record", "to_record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One privilege of one principal; ``inherited_from_type`` is empty when it stands on the table itself.

    Privileges and types are spelled as Unity Catalog's REST API spells them: ``SELECT``, ``USE_SCHEMA``, ``CATALOG``.
    """

    principal: str
    privilege: str
    inherited_from_type: str = ""
    inherited_from_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableAccess:
    """Everything that decides who reads a table: effective grants, owner, policies, filter and masks.

    ``table`` is the catalog's own ``catalog.schema.table``, parts with dots or blanks in backticks. ``grants`` hold
    the ``USE_CATALOG`` and ``USE_SCHEMA`` of its parents too, ``tags`` those of its parents; tags are told where a
    policy holds under a condition on them. ``masks`` are by column. ``groups`` says in which groups a principal named
    here is known to be, nested ones too; a principal that is left out may be in any. ``table_id`` is the catalog's own
    id of the table: it stays through renames, and another table of the same name has another one.
    """

    table: str
    table_id: str = ""
    owner: str = ""
    grants: tuple[Grant, ...] = ()
    policies: tuple[Policy, ...] = ()
    row_filter: Limit | None = None
    masks: Mapping[str, Limit] = field(default_factory=dict)
    comment: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    column_tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantChange:
    """What one principal is given and loses on one table."""

    principal: str
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


def to_record(access: TableAccess) -> dict[str, Any]:
    """Return plain JSON in one order, whatever order the catalog answered in.

    Names of columns and tags are values, never keys: a column may be called ``password``.
    """
    return {
        "table": access.table,
        "table_id": access.table_id,
        "owner": access.owner,
        "grants": [codec.to_json(grant) for grant in sorted(access.grants, key=codec.canonical)],
        "policies": [codec.to_json(policy) for policy in sorted(access.policies, key=codec.canonical)],
        "row_filter": codec.to_json(access.row_filter),
        "masks": [{"column": column, "limit": codec.to_json(limit)} for column, limit in sorted(access.masks.items())],
        "comment": access.comment,
        "tags": _tags(access.tags),
        "column_tags": [{"column": name, "tags": _tags(tags)} for name, tags in sorted(access.column_tags.items())],
        "groups": [{"principal": name, "groups": sorted(of)} for name, of in sorted(access.groups.items())],
    }


def from_record(record: Mapping[str, Any]) -> TableAccess:
    """Return what :func:`to_record` wrote."""
    return TableAccess(
        table=record["table"],
        table_id=record.get("table_id", ""),
        owner=record["owner"],
        grants=codec.from_json(tuple[Grant, ...], record["grants"]),
        policies=codec.from_json(tuple[Policy, ...], record["policies"]),
        row_filter=codec.from_json(Limit, record["row_filter"]) if record["row_filter"] else None,
        masks={item["column"]: codec.from_json(Limit, item["limit"]) for item in record["masks"]},
        comment=record["comment"],
        tags=_of_tags(record["tags"]),
        column_tags={item["column"]: _of_tags(item["tags"]) for item in record["column_tags"]},
        groups={item["principal"]: tuple(item["groups"]) for item in record["groups"]},
    )


def _tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "is": value} for name, value in sorted(tags.items())]


def _of_tags(listed: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {item["name"]: item["is"] for item in listed}

"""What stands on the source and must stand on its copy before anybody reads it: filter, masks, policies, tags, comment.

Only what the copy has not at all is put on it. What stands there and differs was put there by a person, and what a
schema or catalog hands down cannot be put on a table: both are refused, see ``planning/privileges.py``.

Rules after Databricks' pages on row filters, column masks and attribute-based access control: filter, masks and tags
are bound to one table and no copy has them; policies on a table follow it; a tag of a table hides that of its schema.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from icebridge_provider.model.access import TableAccess
from icebridge_provider.model.protection import (
    Limit,
    Mask,
    Policy,
    PolicyKind,
    ProtectionChange,
    Protections,
    Tag,
)

LIMITING = frozenset({PolicyKind.ROW_FILTER, PolicyKind.COLUMN_MASK, PolicyKind.DENY})
NOTHING = ProtectionChange()


def wanted(source: TableAccess, target: TableAccess) -> ProtectionChange:
    """Return what must be put on ``target`` so that its readers see what they see of ``source``."""
    policies = _policies(source, target)
    comment = source.comment if not target.comment else ""
    add = Protections(
        comment=comment,
        row_filter=source.row_filter if target.row_filter is None and _known(source.row_filter) else None,
        masks=_masked(source, target),
        policies=policies,
        tags=_missing_tags(source, target, [*source.policies, *target.policies]),
    )
    return ProtectionChange(add=add)


def after_protection(access: TableAccess, change: ProtectionChange) -> TableAccess:
    """Return the access that ``change`` leads to."""
    add, remove = change.add, change.remove
    masks = {mask.column: mask.limit for mask in _masks_of(access) if mask not in remove.masks}
    dropped = {words(policy) for policy in remove.policies}
    kept = tuple(policy for policy in access.policies if not (_on_table(policy, access) and words(policy) in dropped))
    row_filter = None if access.row_filter == remove.row_filter else access.row_filter
    tags, column_tags = _with_tags(access, change)
    return replace(
        access,
        comment=add.comment if add.comment != remove.comment else access.comment,
        row_filter=add.row_filter or row_filter,
        masks={**masks, **{mask.column: mask.limit for mask in add.masks}},
        policies=(*kept, *(replace(policy, on=f"TABLE {access.table}") for policy in add.policies)),
        tags=tags,
        column_tags=column_tags,
    )


def inverse_of(change: ProtectionChange) -> ProtectionChange:
    """Return the change that takes ``change`` back."""
    return ProtectionChange(add=change.remove, remove=change.add)


def left_to_protect(access: TableAccess, change: ProtectionChange) -> ProtectionChange:
    """Return what of ``change`` is not so yet; what somebody else put in its place is never replaced nor taken off."""
    comment = change.add.comment != change.remove.comment == access.comment
    add = Protections(
        comment=change.add.comment if comment else "",
        row_filter=change.add.row_filter if access.row_filter is None else None,
        masks=tuple(mask for mask in change.add.masks if mask.column not in access.masks),
        policies=tuple(one for one in change.add.policies if words(one) not in _own(access)),
        tags=tuple(tag for tag in change.add.tags if tag.name not in _tags_at(access, tag.column)),
    )
    remove = Protections(
        comment=change.remove.comment if comment else "",
        row_filter=change.remove.row_filter if access.row_filter == change.remove.row_filter else None,
        masks=tuple(mask for mask in change.remove.masks if access.masks.get(mask.column) == mask.limit),
        policies=tuple(one for one in change.remove.policies if words(one) in _own(access)),
        tags=tuple(tag for tag in change.remove.tags if _has(access, tag)),
    )
    return ProtectionChange(add=add, remove=remove)


def done_of(access: TableAccess, change: ProtectionChange) -> ProtectionChange:
    """Return the part of ``change`` that is so already: putting protections on takes several calls."""
    left = left_to_protect(access, change)
    return ProtectionChange(add=_without(change.add, left.add), remove=_without(change.remove, left.remove))


def names_of(protections: Protections) -> tuple[str, ...]:
    """Return protections in words."""
    found = [f"row filter {protections.row_filter}"] if protections.row_filter else []
    found += [f"mask {mask.limit} of column {mask.column}" for mask in protections.masks]
    found += [f"policy {words(policy)}" for policy in protections.policies]
    found += [f"tag {tag.name}" + (f" of column {tag.column}" if tag.column else "") for tag in protections.tags]
    return tuple(found)


def words(policy: Policy) -> str:
    """Return what a policy does, without where it was defined: source and copy lie in different catalogs."""
    excepted = f" except {', '.join(sorted(policy.except_principals))}" if policy.except_principals else ""
    does = ", ".join((*sorted(policy.privileges), *filter(None, [policy.function]), *policy.columns))
    when = f" when {policy.when}" if policy.when else ""
    return f"{policy.name} ({policy.kind} {does} for {', '.join(sorted(policy.principals))}{excepted}{when})"


def _masked(source: TableAccess, target: TableAccess) -> tuple[Mask, ...]:
    return tuple(
        Mask(column=column, limit=limit)
        for column, limit in sorted(source.masks.items())
        if column not in target.masks and _known(limit)
    )


def _policies(source: TableAccess, target: TableAccess) -> tuple[Policy, ...]:
    """Policies that stand on the source itself and that the copy has not."""
    there = {words(policy) for policy in target.policies}
    return tuple(
        replace(policy, on="")
        for policy in source.policies
        if policy.kind in LIMITING and policy.definition and _on_table(policy, source) and words(policy) not in there
    )


def _on_table(policy: Policy, access: TableAccess) -> bool:
    return policy.on.casefold() == f"table {access.table}".casefold()


def _own(access: TableAccess) -> set[str]:
    return {words(policy) for policy in access.policies if _on_table(policy, access)}


def _known(limit: Limit | None) -> bool:
    """Whether it can be set anew: the places of constants among its arguments are not told."""
    return limit is not None and not limit.constants


def _masks_of(access: TableAccess) -> Iterable[Mask]:
    return (Mask(column=column, limit=limit) for column, limit in access.masks.items())


def _missing_tags(source: TableAccess, target: TableAccess, policies: Iterable[Policy]) -> tuple[Tag, ...]:
    if not any(policy.when for policy in policies):
        return ()
    listed = [Tag(name=name, value=value) for name, value in sorted(source.tags.items())]
    listed += [
        Tag(name=name, value=value, column=column)
        for column, tags in sorted(source.column_tags.items())
        for name, value in sorted(tags.items())
    ]
    return tuple(tag for tag in listed if tag.name not in _tags_at(target, tag.column))


def _tags_at(access: TableAccess, column: str) -> dict[str, str]:
    return dict(access.column_tags.get(column, {}) if column else access.tags)


def _has(access: TableAccess, tag: Tag) -> bool:
    return _tags_at(access, tag.column).get(tag.name) == tag.value


def _with_tags(access: TableAccess, change: ProtectionChange) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    found = {"": dict(access.tags), **{column: dict(tags) for column, tags in access.column_tags.items()}}
    for tag in change.remove.tags:
        found.get(tag.column, {}).pop(tag.name, None)
    for tag in change.add.tags:
        found.setdefault(tag.column, {})[tag.name] = tag.value
    return found.pop(""), {column: tags for column, tags in found.items() if tags}


def _without(whole: Protections, part: Protections) -> Protections:
    return Protections(
        comment=whole.comment if not part.comment else "",
        row_filter=whole.row_filter if part.row_filter is None else None,
        masks=tuple(one for one in whole.masks if one not in part.masks),
        policies=tuple(one for one in whole.policies if one not in part.policies),
        tags=tuple(one for one in whole.tags if one not in part.tags),
    )

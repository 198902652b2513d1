"""Translates a table for its target: what is set anew, and what cannot be kept, told before it is copied.

Each loss must be accepted by name: ``history`` for all tables, ``history:sales.orders`` for one, with ``*`` and ``?``
as in globs.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.plan import CopyMethod, Loss, TablePlan
from icebridge_provider.model.table import TableFacts
from icebridge_provider.planning.patterns import matches

SHOWN = 5
# Properties that send new files to the old table's folders. The copy leaves them out, whatever the method.
PLACES = ("write.data.path", "write.metadata.path", "write.object-storage.path", "write.folder-storage.path")


@dataclass(frozen=True, slots=True, kw_only=True)
class LossKind:
    """One kind of loss by methods that write rows anew: ``seen`` returns it in words, or nothing."""

    id: str
    seen: Callable[[TableFacts], str]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaffold:
    """What the new table gets beside the source's own: losses, properties set anew, properties left out."""

    losses: tuple[Loss, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def _history(facts: TableFacts) -> str:
    return f"{_count(facts.snapshots, 'snapshot')} with their ids and times" if facts.snapshots else ""


def _refs(facts: TableFacts) -> str:
    named = sorted(set(facts.refs) - {"main"})
    return f"branches and tags {', '.join(named)}" if named else ""


def _old_schemas(facts: TableFacts) -> str:
    return _count(len(facts.schemas) - 1, "older schema") if len(facts.schemas) > 1 else ""


def _old_specs(facts: TableFacts) -> str:
    return _count(len(facts.specs) - 1, "older partition spec") if len(facts.specs) > 1 else ""


def _old_orders(facts: TableFacts) -> str:
    older = len([item for item in facts.sort_orders if item.get("order-id", 0) != facts.default_sort_order_id])
    sorted_once = any(item.get("fields") for item in facts.sort_orders)
    return _count(older, "older sort order") if older and sorted_once else ""


def _format_one(facts: TableFacts) -> str:
    return "format version 1" if facts.format_version == 1 else ""


KINDS: tuple[LossKind, ...] = (
    LossKind(
        id="history", seen=_history,
        why="rows are written anew in one snapshot: no time travel before it, and incremental readers start over",
    ),
    LossKind(id="refs", seen=_refs, why="they name snapshots that are not copied"),
    LossKind(id="old_schemas", seen=_old_schemas, why="only the current schema is written"),
    LossKind(id="old_specs", seen=_old_specs, why="all rows are written by the current spec"),
    LossKind(id="old_sort_orders", seen=_old_orders, why="only the current sort order is kept"),
    LossKind(
        id="format_version", seen=_format_one,
        why="the new table has format version 2, which readers of version 1 refuse",
    ),
)  # fmt: skip


def translate(path: str, facts: TableFacts, method: CopyMethod) -> Scaffold:
    """Return what the table at ``path`` becomes by ``method``.

    ``copy_files`` keeps history, ids, specs, sort orders, refs, deletes and properties; it loses nothing. What
    ``register`` gives up, files of its own, is accepted by ``allow_zero_copy``.
    """
    properties = {"gc.enabled": "false"} if method is CopyMethod.REGISTER else {}
    left_out = tuple(key for key in PLACES if key in facts.properties)
    return Scaffold(losses=losses(path, facts, method), properties=properties, left_out=left_out)


def losses(path: str, facts: TableFacts, method: CopyMethod) -> tuple[Loss, ...]:
    """Return what ``method`` loses of the table at ``path``."""
    if not method.rewrites:
        return ()
    return tuple(Loss(id=f"{kind.id}:{path}", what=what, why=kind.why) for kind in KINDS if (what := kind.seen(facts)))


def refuse_unaccepted(tables: Iterable[TablePlan], accepted: Sequence[str]) -> None:
    """Make sure every loss is accepted.

    :raises ConfigurationError: IB-312 with the param to paste, IB-332 for an accepted loss of an unknown kind.
    """
    refuse_unknown(accepted)
    wanted = [loss for table in tables for loss in table.losses]
    left = [loss for loss in wanted if not is_accepted(loss.id, accepted)]
    if not left:
        return
    concerned = {loss.id.partition(":")[2] for loss in left}
    shown = "; ".join(f"{loss.id}: {loss.what} ({loss.why})" for loss in left[:SHOWN])
    more = f"; and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
    paste = ", ".join(f'"{kind}"' for kind in dict.fromkeys([*accepted, *(loss.id.partition(":")[0] for loss in left)]))
    raise ConfigurationError(
        "IB-312",
        f"The copy of {_count(len(concerned), 'table')} would lose {shown}{more}.",
        remedy=f'Accept it by name: "accept_losses": [{paste}]; or take method copy_files, which keeps everything.',
        losses=", ".join(loss.id for loss in left),
    )


def is_accepted(loss_id: str, accepted: Sequence[str]) -> bool:
    """Say whether ``kind``, ``kind:path`` or ``kind:glob`` stands among the accepted losses."""
    kind, _, path = loss_id.partition(":")
    given = (item.partition(":") for item in accepted)
    return any(name == kind and (not colon or matches(glob, path)) for name, colon, glob in given)


def refuse_unknown(accepted: Sequence[str]) -> None:
    """Make sure that accepted losses are spelled right.

    :raises ConfigurationError: IB-332 with the nearest kinds.
    """
    known = [kind.id for kind in KINDS]
    for item in accepted:
        kind = item.partition(":")[0]
        if kind not in known:
            near = difflib.get_close_matches(kind, known, 1)
            raise ConfigurationError(
                "IB-332",
                f"There is no loss {item!r} to accept.",
                remedy=f"Did you mean {near[0]!r}?" if near else f"Losses are {', '.join(known)}.",
                loss=item,
            )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s'[: number != 1]}"

"""What a copy cannot keep, told before it is made; each must be accepted by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.plan import CopyMethod, Loss, TablePlan
from icebridge_provider.model.table import TableFacts


def losses(path: str, facts: TableFacts, method: CopyMethod) -> tuple[Loss, ...]:
    """Return what ``method`` loses of the table at ``path``.

    ``copy_files`` keeps history, ids, specs, sort orders, refs, deletes and properties; it loses nothing. What
    ``register`` gives up, a copy of its own, is accepted by ``allow_zero_copy``.
    """
    found: list[tuple[str, str, str]] = []
    if method is CopyMethod.INSERT_SELECT:
        if facts.snapshots > 1:
            found.append(("history", f"{facts.snapshots - 1} older snapshots", "rows are written anew"))
        named = sorted(set(facts.refs) - {"main"})
        if named:
            found.append(("refs", f"branches and tags {', '.join(named)}", "they name snapshots that are not copied"))
        if len(facts.specs) > 1:
            found.append(("old_specs", f"{len(facts.specs) - 1} older partition specs", "only the current one is used"))
    return tuple(Loss(id=f"{kind}:{path}", what=what, why=why) for kind, what, why in found)


def refuse_unaccepted(tables: Iterable[TablePlan], accepted: Sequence[str]) -> None:
    """Make sure every loss is accepted: ``history`` for all tables, ``history:sales.orders`` for one.

    :raises ConfigurationError: IB-312 with the param to paste.
    """
    open_losses = [
        loss
        for table in tables
        for loss in table.losses
        if loss.id not in accepted and loss.id.partition(":")[0] not in accepted
    ]
    if not open_losses:
        return
    kinds = sorted({loss.id.partition(":")[0] for loss in open_losses})
    shown = "; ".join(f"{loss.id}: {loss.what} ({loss.why})" for loss in open_losses[:5])
    more = f"; and {len(open_losses) - 5} more" if len(open_losses) > 5 else ""
    paste = ", ".join(f'"{kind}"' for kind in sorted({*accepted, *kinds}))
    raise ConfigurationError(
        "IB-312",
        f"The copy would lose {shown}{more}.",
        remedy=f'Accept it by name: "accept_losses": [{paste}]; or take method copy_files, which keeps everything.',
        losses=", ".join(loss.id for loss in open_losses),
    )

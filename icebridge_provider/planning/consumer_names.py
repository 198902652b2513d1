"""May a plan promise that consumers go on under the names they use today? Said before anything is copied."""

from __future__ import annotations

from collections.abc import Sequence

from icebridge_provider.exceptions import PreflightFailed
from icebridge_provider.model.consumer import ConsumerNames
from icebridge_provider.model.plan import MigrationPlan, TablePlan

SHOWN = 5
_NEW = "Take consumer_names = new: `airflow icebridge consumers --plan …` then lists who must change which name."


def refuse_renamed(plan: MigrationPlan) -> None:
    """Make sure that a plan that keeps names gives no table another one.

    :raises PreflightFailed: IB-270 naming tables whose name or namespace changes.
    """
    renamed = [f"{table.source.path} becomes {table.target.path}" for table in _keeping(plan) if _moves(table)]
    if renamed:
        raise _refused(plan, f"{_some(renamed)}", "Leave the mapping out, or t" + _NEW[1:])


def refuse_staying(plan: MigrationPlan, staying: Sequence[str]) -> None:
    """Make sure that nothing stays behind in the source's catalog: it would be lost to who uses the old name.

    :param staying: paths of what the source's catalog holds and the plan does not move.
    :raises PreflightFailed: IB-270 naming it.
    """
    if _keeping(plan) and staying:
        what = f"a catalog's name moves as a whole, and {len(staying)} would stay behind: {_some(staying)}"
        raise _refused(plan, what, "Plan the whole catalog (tables *) and mend what is refused, or t" + _NEW[1:])


def refuse_platform(plan: MigrationPlan, why: str, remedy: str) -> None:
    """Refuse to keep names where the platform has no way to.

    :param why: what the platform said; empty when it can.
    :raises PreflightFailed: IB-270.
    """
    if _keeping(plan) and why:
        raise _refused(plan, why, f"{_NEW} {remedy}".strip())


def _keeping(plan: MigrationPlan) -> tuple[TablePlan, ...]:
    return plan.tables if plan.request.consumer_names is ConsumerNames.KEEP else ()


def _moves(table: TablePlan) -> bool:
    return (table.source.namespace, table.source.name) != (table.target.namespace, table.target.name)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _refused(plan: MigrationPlan, why: str, remedy: str) -> PreflightFailed:
    return PreflightFailed(
        "IB-270",
        f"Plan {plan.plan_id} cannot keep the names that consumers use: {why}.",
        remedy=remedy,
        plan_id=plan.plan_id,
    )

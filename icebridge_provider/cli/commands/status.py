"""``status``: where every table of a plan is, from the ledger."""

from __future__ import annotations

from collections import Counter
from typing import Any

from icebridge_provider.cli import runs, surroundings
from icebridge_provider.cli.output import Answer, Grid, Output
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.planning.render import size
from icebridge_provider.steps.status import status as tables_of

LEFT = ("kind", "name", "outcome", "why", "written")
_COLUMNS = ("source", "target", "state", "method", "rows", "bytes", "findings")


def status(arguments: Any, output: Output) -> Answer:  # noqa: ARG001 - every command has this shape
    """Show the tables of one plan (the newest by default), or all plans."""
    ledger = surroundings.ledger()
    if arguments.all:
        return _plans(ledger)
    plan_id = arguments.plan or newest(ledger)
    rows = tables_of(ledger, plan_id)
    open_questions = _questions(plan_id)
    document: dict[str, Any] = {"plan": plan_id, "tables": rows, "approvals": open_questions}
    shown: list[str | Grid] = [Grid(title=f"Plan {plan_id}", columns=_COLUMNS, rows=[_brief(row) for row in rows])]
    shown.append(_sums(rows))
    shown.extend(_findings(rows))
    if arguments.leftovers:
        document["leftovers"] = _leftovers(ledger, plan_id)
        shown.append(Grid(title="Left behind", columns=LEFT, rows=document["leftovers"]))
    shown.extend(f"Awaits approval: {question['subject']}\n  {question['url']}" for question in open_questions)
    return Answer(document=document, shown=tuple(shown))


def _leftovers(ledger: Any, plan_id: str) -> list[dict[str, Any]]:
    from icebridge_provider.steps.sweep import sweep

    plan = ledger.plan(plan_id)
    return sweep(surroundings.site(plan), plan, dry_run=True)


def newest(ledger: Any) -> str:
    """Return the id of the newest plan.

    :raises ConfigurationError: IB-748 when there is none.
    """
    plans = ledger.plans()
    if not plans:
        raise ConfigurationError(
            "IB-748",
            "The ledger has no plan yet.",
            remedy="Make one: `icebridge plan --source CONN_ID --target CONN_ID`.",
        )
    return str(plans[0])


def _plans(ledger: Any) -> Answer:
    rows = []
    for plan_id in ledger.plans():
        counts = Counter(table.state.value for table in ledger.states(plan_id))
        states = [f"{count} {state}" for state, count in sorted(counts.items())]
        plan = ledger.plan(plan_id)
        rows.append({"plan": plan_id, "created": plan.created_at, "tables": len(plan.tables), "states": states})
    grid = Grid(columns=("plan", "created", "tables", "states"), rows=rows)
    return Answer(document={"plans": rows}, shown=(grid,) if rows else ("No plan yet.",))


def _questions(plan_id: str) -> list[dict[str, str]]:
    """Open approvals; none where Airflow's database is not within reach, as in embedded use."""
    try:
        return [{"subject": question.subject, "url": question.url} for question in runs.questions(plan_id)]
    except Exception:  # noqa: BLE001 - the ledger's answer stands without Airflow
        return []


def _brief(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "findings": [finding["rule"] for finding in row.get("findings") or ()]}


def _sums(rows: list[dict[str, Any]]) -> str:
    counts = Counter(str(row["state"]) for row in rows)
    states = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    total = sum(row.get("bytes") or 0 for row in rows)
    return f"{len(rows)} tables, {size(total)}: {states}"


def _findings(rows: list[dict[str, Any]]) -> list[str]:
    """Say why: what refuses a table, else what went wrong with it last."""
    lines = []
    for row in rows:
        blocking = [item for item in row.get("findings") or () if item.get("severity") == "blocking"]
        lines += [f"{row['source']}: {item['message']} {item['remedy']}" for item in blocking]
        if row.get("problem") and not blocking:
            lines.append(f"{row['source']}: {row['problem']}")
    return lines

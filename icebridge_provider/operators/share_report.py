"""How the tables of a share's run came out, for a log and an XCom: names and counts only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from icebridge_provider.exceptions import ValidationFailed
from icebridge_provider.model.share import RESULT

if TYPE_CHECKING:
    from icebridge_provider.model.share import Share
    from icebridge_provider.planning.snowflake.requests import ShareRequest
    from icebridge_provider.ports import Ledger
    from icebridge_provider.steps.share_routes import RouteReport
    from icebridge_provider.steps.share_runs import SyncTable
    from icebridge_provider.steps.share_site import ShareSite

SHOWN = 5
_COUNTS = ("before", "after", "inserted", "updated", "deleted")


def report(ledger: Ledger, run_id: str) -> dict[str, Any]:
    """Return ``run_id, limited, loaded, again, rows, tables`` and ``lines`` for people.

    ``again`` counts tables that had been loaded under this run id before and were left as they are.

    :raises ConfigurationError: IB-950 for a run that was not planned.
    """
    from icebridge_provider.steps.share_plan import shares_of_run
    from icebridge_provider.steps.share_runs import run

    shares, found = shares_of_run(ledger, run_id), run(ledger, run_id)
    told = {table.name: table for table in found.tables} if found else {}
    rows = [_row(share, told.get(share.name), ledger.document(RESULT, share.document) or {}) for share in shares]
    loaded = [row for row in rows if row["status"] == "SUCCESS"]
    return {
        "run_id": run_id,
        "limited": next((row["limited"] for row in rows if row["limited"]), ""),
        "loaded": len(loaded),
        "again": sum(row["again"] for row in rows),
        "rows": sum(row["rows"] or 0 for row in loaded),
        "tables": rows,
        "lines": [_line(row) for row in rows],
    }


def advice(site: ShareSite, requests: Sequence[ShareRequest], run_id: str) -> list[dict[str, Any]]:
    """Return by which way Snowflake's users could get at each table where it is; nothing is changed.

    :returns: ``table, route, fits, why_not, monthly, statements, unknown`` and ``lines`` for people.
    """
    from icebridge_provider.steps.share_plan import look_at
    from icebridge_provider.steps.share_routes import advise_share

    reports = (advise_share(site, share, zero_copy=True) for share in look_at(site, requests, run_id))
    return [_advised(item) for item in reports]


def _advised(report: RouteReport) -> dict[str, Any]:
    chosen = report.chosen
    told: dict[str, Any] = {
        "table": report.name,
        "route": chosen.route.value,
        "fits": chosen.fits,
        "why_not": list(chosen.why_not),
        "monthly": str(chosen.cost.total),
        "statements": list(chosen.statements),
        "unknown": list(report.unknown),
    }
    lines = [f"{report.name}: {chosen.route.value}, {told['monthly']} a month."]
    lines += [f"+ {text}" for text in chosen.gains] + [f"- {text}" for text in (*chosen.losses, *chosen.why_not)]
    lines += [f"not known: {text}" for text in report.unknown]
    for other in report.advice:
        if other.route is not chosen.route:
            why = "" if other.fits else f" ({'; '.join(other.why_not)})"
            lines.append(f"or {other.route.value}, {other.cost.total} a month{why}")
    return {**told, "lines": [*lines, *chosen.statements]}


def refuse_unloaded(found: Mapping[str, Any]) -> None:
    """Make sure that all tables of a run are loaded.

    :raises ValidationFailed: IB-955 naming those that are not.
    """
    tables, run_id = found["tables"], found["run_id"]
    missing = [row for row in tables if row["status"] != "SUCCESS"]
    if not missing:
        return
    shown = "; ".join(f"{row['name']} ({row['problem'] or row['status'].lower()})" for row in missing[:SHOWN])
    raise ValidationFailed(
        "IB-955",
        f"{len(missing)} of {len(tables)} tables of the run {run_id} are not loaded: {shown}.",
        remedy="Mend what is named, then clear the tasks that failed: what is loaded is not loaded again.",
        changed=f"{len(tables) - len(missing)} tables are loaded.",
        run_id=run_id,
    )


def _row(share: Share, told: SyncTable | None, result: Mapping[str, Any]) -> dict[str, Any]:
    published = result.get("published") or {}
    return {
        "name": share.name,
        "mode": share.mode.value,
        "status": told.status.value if told else "PENDING",
        "rows": result.get("rows"),
        "files": result.get("files"),
        "bytes": result.get("bytes"),
        "limited": result.get("limited") or (told.limited if told else ""),
        "again": bool(result.get("again")),
        "checks": result.get("checks"),
        "problem": told.problem if told else "",
        **{name: published.get(name) for name in _COUNTS},
    }


def _line(row: Mapping[str, Any]) -> str:
    title = f"LIMITED ({row['limited']}) " if row["limited"] else ""
    if row["status"] != "SUCCESS":
        return f"{title}{row['name']}: {row['status']}. {row['problem']}".rstrip()
    counts = ", ".join(f"{row[name]:,} {name}" for name in ("rows", "files", "bytes") if row[name] is not None)
    change = f", table {row['before']:,} -> {row['after']:,} rows" if row["after"] is not None else ""
    again = ", loaded before: nothing was written" if row["again"] else ""
    return f"{title}{row['name']}: {row['mode']}, {counts}{change}{again}, {row['checks'] or 0} checks."

"""A plan as text, for a terminal and for logs: what ``--dry-run`` prints."""

from __future__ import annotations

from collections.abc import Sequence

from icebridge_provider.model.plan import MigrationPlan
from icebridge_provider.model.report import Severity

SHOWN = 200


def plan_table(plan: MigrationPlan) -> str:
    """Return the plan's tables, waves, findings, losses, time and price as lines of text."""
    rows = [
        (
            str(table.wave),
            table.source.path,
            table.target.path,
            table.method.value,
            f"{table.files:,}",
            f"{table.rows:,}",
            size(table.bytes),
        )
        for table in plan.tables[:SHOWN]
    ]
    heads = ("wave", "source", "target", "method", "files", "rows", "size")
    lines = [f"Plan {plan.plan_id}: {plan.request.source_conn_id} → {plan.request.target_conn_id}", ""]
    lines += _grid(heads, rows, numbers={0, 4, 5, 6})
    if len(plan.tables) > SHOWN:
        lines.append(f"… and {len(plan.tables) - SHOWN} more tables")
    return "\n".join([*lines, "", *_notes(plan)])


def size(count: float) -> str:
    """Return a number of bytes in decimal units."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} PB"


def _notes(plan: MigrationPlan) -> list[str]:
    made, rates = plan.estimate, plan.estimate.rates
    lines = [
        f"{len(plan.tables)} tables in {len(plan.waves)} waves, {size(made.bytes)} to copy: "
        f"about {made.seconds / 3600:.2f} h at {made.throughput_mb_s:g} MB/s (copy and proof), "
        f"about {made.cost:,.2f} {rates.currency}",
        f"  rates: {rates.compute_per_hour:g} an hour, {rates.transfer_per_gb:g} a GB moved, "
        f"{rates.storage_per_gb_month:g} a GB and month stored twice until purge",
    ]
    for finding in plan.findings:
        if finding.severity is not Severity.INFO:
            word = "refused" if finding.severity is Severity.BLOCKING else "warning"
            lines.append(f"  {word} {finding.rule}: {finding.message} {finding.remedy}")
    for loss in (loss for table in plan.tables for loss in table.losses):
        lines.append(f"  accepted loss {loss.id}: {loss.what} ({loss.why})")
    return lines


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: set[int]) -> list[str]:
    widths = [max(len(line[column]) for line in [heads, *rows]) for column in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        shown = [c.rjust(w) if n in numbers else c.ljust(w) for n, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return "  ".join(shown).rstrip()

    return [line(heads), line(["─" * width for width in widths]), *(line(row) for row in rows)]

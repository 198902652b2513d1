"""A plan as text, for a terminal and for logs: what ``--dry-run`` prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import Estimate, MigrationPlan, TablePlan
from icebridge_provider.model.report import Finding, Severity

SHOWN = 200
EXAMPLES = 3
HEADS = ("wave", "source", "target", "method", "files", "rows", "size", "losses")
_NUMBERS = {0, 4, 5, 6}


def plan_table(plan: MigrationPlan, shown: int = SHOWN) -> str:
    """Return the plan's tables, what is refused and why, warnings, losses, waves, time and price as lines of text."""
    head = f"Plan {plan.plan_id}: {plan.request.source_conn_id} → {plan.request.target_conn_id}"
    lines = [head, "", *_grid(HEADS, [_row(table) for table in plan.tables[:shown]])]
    if len(plan.tables) > shown:
        lines.append(f"… and {len(plan.tables) - shown:,} more tables")
    for part in (_refused(plan), _warnings(plan), _losses(plan), _totals(plan)):
        lines += ["", *part] if part else []
    return "\n".join(printable(line) for line in lines)


def size(count: float) -> str:
    """Return a number of bytes in decimal units."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} PB"


def duration(seconds: float) -> str:
    """Return seconds for people: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 d``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} d"


def printable(text: str) -> str:
    """Return text whose control characters are spelled out: a table's name must not steer a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _row(table: TablePlan) -> tuple[str, ...]:
    return (
        str(table.wave),
        table.source.path,
        table.target.path,
        table.method.value,
        f"{table.files:,}",
        f"{table.rows:,}",
        size(table.bytes),
        ", ".join(loss.id.partition(":")[0] for loss in table.losses) or "none",
    )


def _refused(plan: MigrationPlan) -> list[str]:
    planned = {table.source for table in plan.tables}
    blocking = [item for item in plan.findings if item.severity is Severity.BLOCKING and item.table not in planned]
    if not blocking:
        return []
    tables = {item.table for item in blocking}
    return [f"Refused ({_count(len(tables), 'table')}):", *(f"  {_sentence(item)}" for item in blocking[:SHOWN])]


def _warnings(plan: MigrationPlan) -> list[str]:
    """One line a rule, with examples: a warning that 300 tables share is one warning."""
    dropped = {item.table for item in plan.findings if item.severity is Severity.BLOCKING}
    by_rule: dict[str, list[Finding]] = {}
    for item in plan.findings:
        if item.severity is not Severity.BLOCKING and item.table not in dropped:
            by_rule.setdefault(item.rule, []).append(item)
    return ["Worth knowing:", *(line for found in by_rule.values() for line in _rule(found))] if by_rule else []


def _rule(found: Sequence[Finding]) -> Iterator[str]:
    first = found[0]
    if len(found) == 1:
        yield f"  {_sentence(first)}"
        return
    yield f"  {first.severity.value} {first.rule}, {_count(len(found), 'table')}: {_some(item.table for item in found)}"
    yield f"    for example {first.message} {first.remedy}"


def _losses(plan: MigrationPlan) -> list[str]:
    kinds: dict[str, list[TablePlan]] = {}
    for table in plan.tables:
        for loss in table.losses:
            kinds.setdefault(f"{loss.id.partition(':')[0]}: {loss.why}", []).append(table)
    if not kinds:
        return ["No losses."]
    return ["Losses, accepted by name:",
            *(f"  {what} ({_some(table.source for table in tables)})" for what, tables in kinds.items())]  # fmt: skip


def _totals(plan: MigrationPlan) -> list[str]:
    made, rates = plan.estimate, plan.estimate.rates
    known = "measured" if made.measured else "assumed"
    canary = next((wave for wave in plan.waves if wave.canary), None)
    first = f", the first a canary of {canary.tables}" if canary else ""
    return [
        f"{_count(len(plan.tables), 'table')} in {_count(len(plan.waves), 'wave')}{first}; {size(made.bytes)} to copy "
        f"and prove: about {duration(made.seconds)} at {made.throughput_mb_s:g} MB/s ({known})",
        f"About {made.cost:,.2f} {rates.currency}: transfer {made.transfer:,.2f}, compute {made.compute:,.2f}, "
        f"storing twice for {made.grace_days} days {made.storage:,.2f}",
        f"Rates in {rates.currency}: {rates.transfer_per_gb:g} a GB moved, {rates.compute_per_hour:g} an hour, "
        f"{rates.storage_per_gb_month:g} a GB and month",
        *_cluster(made),
    ]


def _cluster(made: Estimate) -> list[str]:
    found, rates = made.cluster, made.rates.cluster
    if found is None or rates is None:
        return []
    engine = "with Photon" if rates.photon else "without Photon"
    said = [
        f"Clusters: {_count(found.runs, 'run')} of {_count(rates.nodes, 'node')} {engine}, {found.hours:,.2f} h of "
        f"copying: {found.cost:,.2f} {made.rates.currency} ({found.dbus:,.1f} DBU for {found.dbu_cost:,.2f}, machines "
        f"{found.instance_cost:,.2f}); without Photon about {found.baseline_cost:,.2f}"
    ]
    return [*said, f"Rates assumed, nobody gave them: {', '.join(rates.assumed)}"] if rates.assumed else said


def _sentence(item: Finding) -> str:
    return f"{item.severity.value} {item.rule} {item.table.path}: {_without_name(item)} {item.remedy}"


def _without_name(item: Finding) -> str:
    return item.message.removeprefix(f"{item.table}: ")


def _some(tables: Iterable[TableIdentifier]) -> str:
    names = [table.path for table in tables]
    more = f" and {len(names) - EXAMPLES:,} more" if len(names) > EXAMPLES else ""
    return ", ".join(names[:EXAMPLES]) + more


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s'[: number != 1]}"


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(line[column]) for line in [heads, *cells]) for column in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        shown = [c.rjust(w) if n in _NUMBERS else c.ljust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True))]
        return "  ".join(shown).rstrip()

    return [line(heads), line(["─" * width for width in widths]), *(line(row) for row in cells)]

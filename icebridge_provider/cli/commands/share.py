"""``share``: tables of Databricks come to Snowflake: plan them, run them here, see how they are, compare the ways."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icebridge_provider.cli import surroundings
from icebridge_provider.cli.files import read_text
from icebridge_provider.cli.output import Answer, Grid, Output
from icebridge_provider.cli.pairs import pairs
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError

if TYPE_CHECKING:
    from icebridge_provider.model.share import Share, ShareResult
    from icebridge_provider.planning.snowflake.requests import ShareRequest
    from icebridge_provider.steps.share_preview import Planned
    from icebridge_provider.steps.share_routes import RouteReport, Use
    from icebridge_provider.steps.share_runs import SyncRun
    from icebridge_provider.steps.share_site import ShareSite

_PLANNED = ("share", "mode", "columns", "limited")
_DONE = ("share", "state", "rows", "files", "again", "limited", "problem")
_RUNS = ("id", "status", "createdAt", "tables", "rows", "limited")
_TABLES = ("name", "status", "mode", "rows", "bytes", "limited", "again", "problem")
_WAYS = ("route", "fits", "cost", "why_not")
_TOLD = ("what", "try", "generation", "query_id", "rows", "files", "message")
_LONGEST_WAIT = 30.0


def plan(arguments: Any, output: Output) -> Answer:
    """Look at every table on both sides and keep the plan; with ``--dry-run`` show every statement and keep nothing."""
    from icebridge_provider.steps.share_plan import look_at

    run_id = arguments.run_id or _new_run()
    requests = _requests(arguments)
    with _site(arguments, arguments.source, arguments.target, arguments.preset, output) as site:
        if not arguments.dry_run:
            return _planned(_keep(site, requests, run_id, arguments.source, output), run_id)
        output.note(f"Looking at {len(requests)} tables …")
        return _shown(site, look_at(site, requests, run_id), run_id)


def run(arguments: Any, output: Output) -> Answer:
    """Plan and share tables in this process, or go on with a run that was planned or interrupted."""
    from icebridge_provider.steps.share_plan import ends_of_run, shares_of_run

    run_id = arguments.run_id or _new_run()
    if arguments.tables or arguments.file:
        requests = _requests(arguments)
        with _site(arguments, arguments.source, arguments.target, arguments.preset, output) as site:
            return _run(site, _keep(site, requests, run_id, arguments.source, output), run_id, output)
    if not arguments.run_id:
        raise _missing("tables, or --run-id of a run that was planned")
    ledger = surroundings.ledger()
    shares = shares_of_run(ledger, run_id)
    source, target = ends_of_run(ledger, run_id)
    ends = arguments.source or source, arguments.target or target
    with _site(arguments, *ends, shares[0].preset, output) as site:
        return _run(site, shares, run_id, output)


def status(arguments: Any, output: Output) -> Answer:  # noqa: ARG001 - every command has this shape
    """List the newest runs, or show one run's tables and log; well unless that run has failed."""
    from icebridge_provider.steps.share_runs import run as one
    from icebridge_provider.steps.share_runs import runs

    ledger = surroundings.ledger()
    if not arguments.share_run:
        found = [item.to_json() for item in runs(ledger, arguments.limit)]
        rows = [{**item, "tables": len(item["tables"])} for item in found]
        return Answer(document={"runs": found}, shown=(Grid(columns=_RUNS, rows=rows), f"{len(rows)} runs."))
    run_found = one(ledger, arguments.share_run)
    if run_found is None:
        raise ConfigurationError(
            "IB-950",
            f"The ledger knows no run {arguments.share_run[:200]!r} of shares.",
            remedy="`icebridge share status` lists the runs.",
            run_id=arguments.share_run,
        )
    return _status(run_found)


def routes(arguments: Any, output: Output) -> Answer:
    """Say by which way Snowflake's users should get at tables: reasons, price a month, statements. Changes nothing."""
    from icebridge_provider.steps.share_plan import look_at
    from icebridge_provider.steps.share_routes import advise_share

    requests = _requests(arguments)
    with _site(arguments, arguments.source, arguments.target, arguments.preset, output) as site:
        output.note(f"Looking at {len(requests)} tables …")
        shares = look_at(site, requests, arguments.run_id or _new_run())
        use = _use(arguments)
        found = [advise_share(site, share, use, zero_copy=arguments.zero_copy) for share in shares]
    shown = [part for report in found for part in _advice(report, statements=arguments.statements)]
    return Answer(document={"tables": found}, shown=tuple(shown))


# What is asked for


def _requests(arguments: Any) -> tuple[ShareRequest, ...]:
    from icebridge_provider.hooks.share import database_of
    from icebridge_provider.planning.snowflake.requests import ShareForm, read_requests

    wanted = {"--source": arguments.source, "--target": arguments.target, "--stage": arguments.stage}
    missing = [name for name, value in wanted.items() if not value]
    if missing:
        raise _missing(" and ".join(missing))
    if bool(arguments.tables) == bool(arguments.file):
        raise _missing("tables, on the command line or in --file")
    form = ShareForm(
        tables=read_text(Path(arguments.file)) if arguments.file else list(arguments.tables),
        mode=arguments.mode,
        keys=tuple(arguments.keys or ()),
        where=arguments.where,
        values=pairs("--value", arguments.value),
        limit=arguments.limit,
        preset=arguments.preset,
        publish=arguments.publish,
        stage=arguments.stage,
        location=arguments.location,
        control=arguments.control,
        upper=arguments.upper,
        add_columns=not arguments.no_add_columns,
        widen_columns=not arguments.no_widen_columns,
        database=database_of(arguments.target),
    )
    return read_requests(form)


def _missing(what: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-951",
        f"The command needs {what}.",
        remedy="For example: icebridge share run main.sales.orders --source databricks --target snowflake"
        " --stage DB.PUBLIC.SHARE",
    )


def _new_run() -> str:
    return f"cli__{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


@contextmanager
def _site(arguments: Any, source: str, target: str, preset: str, output: Output) -> Iterator[ShareSite]:
    from icebridge_provider.hooks.share import share_site

    progress = _Teller(output).tell
    with share_site(
        source, target, arguments.storage, actor=surroundings.actor(), preset=preset, progress=progress
    ) as site:
        yield site


class _Teller:
    """Says what happens, each thing once."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._last = ""

    def tell(self, facts: Mapping[str, Any]) -> None:
        """Say one event of the ledger."""
        told = ", ".join(f"{key} {facts[key]}" for key in _TOLD if facts.get(key) not in (None, ""))
        line = f"{facts.get('share', '')}: {facts.get('step', '')} {facts.get('outcome', '')} {told}".rstrip()
        if line != self._last:
            self._output.note(line)
        self._last = line


def _keep(site: ShareSite, requests: Sequence[ShareRequest], run_id: str, source: str, output: Output) -> list[Share]:
    from icebridge_provider.hooks.share import location_check
    from icebridge_provider.steps.share_plan import plan_shares

    output.note(f"Planning {len(requests)} tables as run {run_id} …")
    return plan_shares(site, requests, run_id, check_location=location_check(source, site.source))


def _planned(shares: Sequence[Share], run_id: str) -> Answer:
    rows = [_row(share) for share in shares]
    line = f"Run {run_id} is planned. `icebridge share run --run-id {run_id}` does it."
    document = {"run_id": run_id, "kept": True, "shares": rows}
    return Answer(document=document, shown=(Grid(columns=_PLANNED, rows=rows), line))


def _row(share: Share) -> dict[str, Any]:
    from icebridge_provider.planning.snowflake.presets import limited
    from icebridge_provider.steps.share_plan import caption

    return {
        "share": share.name,
        "document": share.document,
        "caption": caption(share),
        "mode": share.mode.value,
        "columns": len(share.columns),
        "limited": limited(share.limit, share.where),
    }


def _shown(site: ShareSite, shares: Sequence[Share], run_id: str) -> Answer:
    from icebridge_provider.steps.share_preview import preview

    rows, shown = [], []
    for share in shares:
        steps = preview(site, share)
        rows.append({**_row(share), "statements": [_statement(step) for step in steps]})
        shown += [_row(share)["caption"], *(_line(step) for step in steps)]
    shown.append("Nothing was kept and nothing was changed: leave out --dry-run to keep the plan.")
    return Answer(document={"run_id": run_id, "kept": False, "shares": rows}, shown=tuple(shown))


def _statement(step: Planned) -> dict[str, Any]:
    return {"side": step.side, "step": step.step, "text": step.statement.text, "values": dict(step.statement.values)}


def _line(step: Planned) -> str:
    values = f"  -- {dict(step.statement.values)}" if step.statement.values else ""
    return f"  {step.side} {step.step}: {step.statement.text}{values}"


# Doing it


def _run(site: ShareSite, shares: Sequence[Share], run_id: str, output: Output) -> Answer:
    """Share one table after the other; one that fails stops no other, unless the preset fails fast."""
    rows: list[dict[str, Any]] = []
    for share in shares:
        if site.preset.fail_fast and any(row["problem"] for row in rows):
            rows.append(_outcome(share, None, "not begun: another table of the run has failed"))
        else:
            rows.append(_one(site, share, output))
    failed = [row for row in rows if row["problem"]]
    line = f"Run {run_id}: {len(rows) - len(failed)} of {len(rows)} tables are loaded."
    more = [f"Go on with `icebridge share run --run-id {run_id}`."] if failed else []
    document = {"run_id": run_id, "shares": rows}
    return Answer(document=document, shown=(Grid(columns=_DONE, rows=rows), line, *more), ok=not failed)


def _one(site: ShareSite, share: Share, output: Output) -> dict[str, Any]:
    from icebridge_provider.steps.share import cancel

    try:
        return _outcome(share, _followed(site, share, output), "")
    except IceBridgeError as error:
        return _outcome(share, None, str(error))
    except KeyboardInterrupt:
        output.note(f"Stopping what runs for {share.name} …")
        cancel(site, share)
        raise


def _followed(site: ShareSite, share: Share, output: Output) -> ShareResult:
    """Share a table, and again as often as its preset says when trying again may help."""
    from icebridge_provider.steps.share import followed

    for left in range(site.preset.retries, -1, -1):
        try:
            return followed(site, share)
        except IceBridgeError as error:
            if not error.retryable or not left:
                raise
            output.note(f"{share.name}: {error} Trying again.")
            time.sleep(min(_LONGEST_WAIT, site.preset.poll_seconds))
    raise AssertionError("the last try returns or raises")


def _outcome(share: Share, made: ShareResult | None, problem: str) -> dict[str, Any]:
    row = {"share": share.name, "document": share.document, "mode": share.mode.value, "problem": problem}
    if made is None:
        return {**row, "state": "failed", "rows": None, "files": None, "again": None, "limited": ""}
    told = {"rows": made.rows, "files": made.files, "again": made.again, "limited": made.limited}
    return {**row, "state": "loaded", **told, "result": made}


# Showing it


def _status(found: SyncRun) -> Answer:
    document = found.to_json()
    line = f"Run {found.id} is {found.status.value}, created {found.created_at}."
    limits = [f"LIMITED: {found.limited}"] if found.limited else []
    grid = Grid(columns=_TABLES, rows=document["tables"])
    return Answer(
        document=document,
        shown=(line, *limits, grid, *found.logs),
        ok=found.status.value not in ("FAILED", "CANCELLED"),
    )


def _use(arguments: Any) -> Use:
    from icebridge_provider.hooks.share import workspace
    from icebridge_provider.steps.share_routes import Use

    return Use(
        bytes=arguments.bytes,
        changed_bytes=arguments.changed_bytes,
        scanned_bytes=arguments.scanned_bytes,
        runs_a_month=arguments.runs_a_month,
        same_region=False if arguments.other_region else None,
        open_to_snowflake=True if arguments.open_to_snowflake else None,
        volume=arguments.volume,
        host=_host(workspace(arguments.source).url),
    )


def _host(url: str) -> str:
    """Return the host that Snowflake would call; empty for one that it could not, with a port or without TLS."""
    scheme, _, host = url.partition("://")
    return "" if scheme != "https" or ":" in host or "/" in host else host


def _advice(report: RouteReport, *, statements: bool) -> Iterator[str | Grid]:
    rows = [
        {"route": item.route.value, "fits": item.fits, "cost": item.cost.total, "why_not": list(item.why_not)}
        for item in report.advice
    ]
    yield Grid(columns=_WAYS, rows=rows, title=report.name)
    yield f"Take {report.chosen.route.value}: {', '.join(report.chosen.gains)}."
    yield f"Against it: {', '.join(report.chosen.losses)}."
    yield from (f"Not known: {item}." for item in report.unknown)
    if statements:
        yield from (f"  {text}" for text in report.chosen.statements)

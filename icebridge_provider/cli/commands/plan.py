"""``plan``: what would happen, and the file that makes it happen."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icebridge_provider.cli import surroundings
from icebridge_provider.cli.output import Answer, Output
from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.plan import Approval, MigrationPlan, MigrationRequest, Rates

if TYPE_CHECKING:
    from icebridge_provider.model.settings import Settings


def plan(arguments: Any, output: Output) -> Answer:
    """Make a plan and keep it; with ``--dry-run`` only show it; with ``--reseal`` accept an edited file."""
    if arguments.reseal:
        return _reseal(Path(arguments.reseal))
    made = _make(arguments, output)
    written = _write(made, arguments)
    return Answer(
        document={**made.to_json(), "kept": not arguments.dry_run, "written": written},
        shown=tuple(_lines(made, arguments.dry_run, written)),
        ok=bool(made.tables),
    )


def _make(arguments: Any, output: Output) -> MigrationPlan:
    from icebridge_provider.steps.plan import make_plan

    options = surroundings.settings()
    request = _request(arguments, options)
    output.note(f"Planning {request.source_conn_id} → {request.target_conn_id} …")
    return make_plan(
        surroundings.catalog(request.source_conn_id),
        surroundings.catalog(request.target_conn_id),
        surroundings.unsaved(surroundings.ledger()) if arguments.dry_run else surroundings.ledger(),
        request,
        options,
        surroundings.actor(),
        datetime.now(UTC),
        plan_id=arguments.plan_id,
        inventory_id=arguments.inventory,
    )


def _request(arguments: Any, options: Settings) -> MigrationRequest:
    missing = [f"--{name}" for name in ("source", "target") if not getattr(arguments, name)]
    if missing:
        raise ConfigurationError(
            "IB-760", f"A plan needs {' and '.join(missing)}.", remedy="Name the connections of both catalogs."
        )
    tables, mapping = _from_csv(arguments)
    return MigrationRequest(
        source_conn_id=arguments.source,
        target_conn_id=arguments.target,
        tables=tables,
        method=arguments.method,
        mapping=mapping,
        accept_losses=tuple(arguments.accept_losses or ()),
        approval=Approval(arguments.approval),
        allow_zero_copy=arguments.allow_zero_copy,
        max_cost=arguments.max_cost,
        deadline=arguments.deadline,
        cutover_window=arguments.cutover_window,
        wave_tables=arguments.wave_tables or options.wave_tables,
        wave_bytes=options.wave_bytes,
        throughput_mb_s=options.throughput_mb_s,
        rates=Rates(
            currency=options.currency,
            storage_per_gb_month=options.storage_per_gb_month,
            transfer_per_gb=options.transfer_per_gb,
            compute_per_hour=options.compute_per_hour,
        ),
    )


def _from_csv(arguments: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    tables, mapping = tuple(arguments.tables or ("*",)), tuple(arguments.mapping or ())
    if not arguments.from_csv:
        return tables, mapping
    from icebridge_provider.planning.csvio import read_selection

    chosen, rules = read_selection(_text(Path(arguments.from_csv)))
    return chosen, (*mapping, *rules)


def _reseal(path: Path) -> Answer:
    """Check an edited plan file and write the digest that fits it."""
    try:
        edited = MigrationPlan.from_json(json.loads(_text(path)))
    except ValueError as error:
        raise ConfigurationError(
            "IB-762", f"{path} is not a plan: {error}", remedy="Correct the key it names, then reseal again.", file=path
        ) from error
    sealed = edited.sealed()
    with side_effect("cli.plan.reseal"):
        _put(path, json.dumps(sealed.to_json(), indent=2, ensure_ascii=False) + "\n")
    line = f"{path}: digest {sealed.digest}. Start it with `icebridge apply {path}`."
    return Answer(document={"plan": sealed.plan_id, "file": str(path), "digest": sealed.digest}, shown=(line,))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            "IB-761", f"{path} cannot be read: {_cause(error)}.", remedy="Name a file that is there.", file=path
        ) from error


def _put(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            "IB-763", f"{path} cannot be written: {_cause(error)}.", remedy="Name another file.", file=path
        ) from error


def _cause(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _write(made: MigrationPlan, arguments: Any) -> list[str]:
    written = []
    if arguments.out:
        with side_effect("cli.plan.write"):
            _put(Path(arguments.out), json.dumps(made.to_json(), indent=2, ensure_ascii=False) + "\n")
        written.append(arguments.out)
    if arguments.csv:
        from icebridge_provider.planning.csvio import write_selection

        with side_effect("cli.plan.csv"):
            _put(Path(arguments.csv), write_selection(made))
        written.append(arguments.csv)
    return written


def _lines(made: MigrationPlan, dry: bool, written: list[str]) -> list[str]:
    from icebridge_provider.planning.render import plan_table

    lines = [plan_table(made), *(f"Written: {name}" for name in written)]
    if not made.tables:
        return [*lines, "No table can go: mend what the findings say and plan again."]
    if dry:
        return [*lines, "Nothing was kept: leave out --dry-run to keep the plan."]
    return [*lines, f"Start it with `icebridge apply {made.plan_id}`."]

"""``plan``: what would happen, and the file that makes it happen."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icebridge_provider.cli import surroundings
from icebridge_provider.cli.files import read_text, write_text
from icebridge_provider.cli.output import Answer, Output
from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.consumer import ConsumerNames
from icebridge_provider.model.plan import Approval, MigrationPlan, MigrationRequest

if TYPE_CHECKING:
    from icebridge_provider.model.settings import Settings
    from icebridge_provider.ports import Ledger


def plan(arguments: Any, output: Output) -> Answer:
    """Make a plan and keep it; with ``--dry-run`` only show it; with ``--out`` write it to a file to edit instead.

    ``--reseal`` accepts an edited file.
    """
    if arguments.reseal:
        return _reseal(Path(arguments.reseal))
    kept = not (arguments.dry_run or arguments.out)
    made = _make(arguments, kept, output)
    written = _write(made, arguments)
    return Answer(
        document={**made.to_json(), "kept": kept, "written": written},
        shown=tuple(_lines(made, arguments, written)),
    )


def _make(arguments: Any, kept: bool, output: Output) -> MigrationPlan:
    from icebridge_provider.steps.plan import make_plan

    options = surroundings.settings()
    request = _request(arguments, options)
    output.note(f"Planning {request.source_conn_id} → {request.target_conn_id} …")
    source, target = surroundings.catalog(request.source_conn_id), surroundings.target_of(request)
    ledger = surroundings.ledger()
    surroundings.check_runs(request)
    if kept or arguments.plan_id in ledger.plans():
        return make_plan(
            source, target, ledger, request, options, surroundings.actor(), datetime.now(UTC),
            arguments.plan_id, arguments.inventory,
        )  # fmt: skip
    with surroundings.scratch_ledger() as scratch:
        if arguments.inventory:
            scratch.save_document("inventory", arguments.inventory, _inventory(ledger, arguments.inventory))
        return make_plan(
            source, target, scratch, request, options, surroundings.actor(), datetime.now(UTC),
            arguments.plan_id, arguments.inventory,
        )  # fmt: skip


def _inventory(ledger: Ledger, inventory_id: str) -> dict[str, Any]:
    from icebridge_provider.model import codec
    from icebridge_provider.steps.inventory import load_inventory

    return dict(codec.to_json(load_inventory(ledger, inventory_id)))


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
        rates=surroundings.rates(options, arguments.target, arguments.cluster),
        cluster=surroundings.cluster(arguments.cluster),
        managed_location=arguments.managed_location,
        consumer_names=ConsumerNames(arguments.consumer_names),
    )


def _from_csv(arguments: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    tables, mapping = tuple(arguments.tables or ("*",)), tuple(arguments.mapping or ())
    if not arguments.from_csv:
        return tables, mapping
    from icebridge_provider.planning.csvio import read_selection

    chosen, rules = read_selection(read_text(Path(arguments.from_csv)))
    return chosen, (*mapping, *rules)


def _reseal(path: Path) -> Answer:
    """Check an edited plan file and write the digest that fits it."""
    try:
        edited = MigrationPlan.from_json(json.loads(read_text(path)))
    except ValueError as error:
        raise ConfigurationError(
            "IB-762", f"{path} is not a plan: {error}", remedy="Correct the key it names, then reseal again.", file=path
        ) from error
    sealed = edited.sealed()
    with side_effect("cli.plan.reseal"):
        write_text(path, json.dumps(sealed.to_json(), indent=2, ensure_ascii=False) + "\n")
    line = f"{path}: digest {sealed.digest}. Start it with `icebridge apply {path}`."
    return Answer(document={"plan": sealed.plan_id, "file": str(path), "digest": sealed.digest}, shown=(line,))


def _write(made: MigrationPlan, arguments: Any) -> list[str]:
    written = []
    if arguments.out:
        with side_effect("cli.plan.write"):
            write_text(Path(arguments.out), json.dumps(made.to_json(), indent=2, ensure_ascii=False) + "\n")
        written.append(arguments.out)
    if arguments.csv:
        from icebridge_provider.planning.csvio import write_selection

        with side_effect("cli.plan.csv"):
            write_text(Path(arguments.csv), write_selection(made))
        written.append(arguments.csv)
    return written


def _lines(made: MigrationPlan, arguments: Any, written: list[str]) -> list[str]:
    from icebridge_provider.planning.render import plan_table

    lines = [plan_table(made), *(f"Written: {name}" for name in written)]
    if arguments.dry_run:
        return [*lines, "Nothing was kept: leave out --dry-run to keep the plan."]
    if arguments.out:
        return [*lines, f"Edit it, accept it with `icebridge plan --reseal {arguments.out}`, "
                f"start it with `icebridge apply {arguments.out}`."]  # fmt: skip
    return [*lines, f"Start it with `icebridge apply {made.plan_id}`."]

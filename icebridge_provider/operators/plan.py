"""Operators that make a plan and cut it into what Airflow can map."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.settings import form_fields
from icebridge_provider.operators.base import IceBridgeOperator, listed, tables_of
from icebridge_provider.planning.methods import is_copied_by_cluster

if TYPE_CHECKING:
    from airflow.sdk import Context

    from icebridge_provider.model.plan import MigrationPlan, MigrationRequest, TablePlan
    from icebridge_provider.model.settings import Settings
    from icebridge_provider.ports import Ledger


class PlanOperator(IceBridgeOperator):
    """Makes the plan of a migration, or takes the one with the given id from the ledger.

    Arguments are those of the trigger form of ``icebridge_migrate``; lists may be JSON texts, and empty texts mean
    "not given". Without ``plan_id`` the id is made of the DAG run, so that a retried task finds its own plan.

    :param source_conn_id: connection of the catalog the tables are in; not needed with the id of a kept plan.
    :param target_conn_id: connection of the catalog they move to.
    :param tables: globs over ``namespace.table``; a leading ``!`` excludes.
    :param method: ``auto``, ``copy_files``, ``insert_select`` or ``register``.
    :param mapping: rules for new names, see docs/planning.md.
    :param accept_losses: ids or kinds of losses that are accepted.
    :param approval: ``required`` or ``none``; the latter only where ``[icebridge] allow_unapproved_cutover`` is on.
    :param allow_zero_copy: whether tables may share the source's files.
    :param max_cost: most the plan may cost.
    :param deadline: ISO 8601 instant by which it must be done.
    :param cutover_window: ``cron|minutes|time zone``.
    :param plan_id: id of the plan.
    :param options: options of the section ``[icebridge]`` that this migration has otherwise, by name (see
        docs/configuration.md); a mapping of values or texts.
    :param cluster: keys of the target connection's ``cluster`` that this migration has otherwise; an object or its
        JSON text. Credentials as ``{{secrets/<scope>/<key>}}`` only.
    :param managed_location: where schemas of Unity Catalog that are made for this migration keep their tables.
    :param consumer_names: ``new``, or ``keep``: a plan that cannot keep the names of today is then refused.
    """

    template_fields: Sequence[str] = (
        "source_conn_id",
        "target_conn_id",
        "tables",
        "method",
        "mapping",
        "accept_losses",
        "approval",
        "allow_zero_copy",
        "max_cost",
        "deadline",
        "cutover_window",
        "plan_id",
        "options",
        "cluster",
        "managed_location",
        "consumer_names",
    )

    def __init__(
        self,
        *,
        source_conn_id: str = "",
        target_conn_id: str = "",
        tables: Sequence[str] | str = ("*",),
        method: str = "auto",
        mapping: Sequence[str] | str = (),
        accept_losses: Sequence[str] | str = (),
        approval: str = "required",
        allow_zero_copy: bool | str = False,
        max_cost: float | str | None = None,
        deadline: str = "",
        cutover_window: str = "",
        plan_id: str = "",
        options: Mapping[str, Any] | None = None,
        cluster: Mapping[str, Any] | str | None = None,
        managed_location: str = "",
        consumer_names: str = "new",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_conn_id = source_conn_id
        self.target_conn_id = target_conn_id
        self.tables = tables
        self.method = method
        self.mapping = mapping
        self.accept_losses = accept_losses
        self.approval = approval
        self.allow_zero_copy = allow_zero_copy
        self.max_cost = max_cost
        self.deadline = deadline
        self.cutover_window = cutover_window
        self.plan_id = plan_id
        self.options = options
        self.cluster = cluster
        self.managed_location = managed_location
        self.consumer_names = consumer_names

    def execute(self, context: Context) -> dict[str, Any]:
        """Make the plan and print it to the log.

        :returns: ``plan_id, digest, tables, refused, waves, bytes, seconds, cost, currency``.
        """
        from icebridge_provider.hooks.catalog import catalog_for
        from icebridge_provider.hooks.ledger import LedgerHook
        from icebridge_provider.hooks.runs import check_runs, placed
        from icebridge_provider.hooks.settings import settings
        from icebridge_provider.hooks.site import actor_of
        from icebridge_provider.planning.render import plan_table
        from icebridge_provider.planning.requests import check_approval
        from icebridge_provider.steps.plan import make_plan

        options, ledger = settings().overlaid(self.options or {}), LedgerHook().ledger()
        plan_id = self.plan_id or _run_id(context)
        kept = ledger.plan(plan_id) if plan_id in ledger.plans() else None
        request = self._request(options, settings()) if kept is None else self._kept_request(kept)
        source = catalog_for(request.source_conn_id)
        target = placed(catalog_for(request.target_conn_id), request.managed_location)
        check_approval(request, options)
        if kept is None:  # a kept plan may only have to be cut over, which takes no cluster
            check_runs(request)
        plan = make_plan(source, target, ledger, request, options, actor_of(context), datetime.now(UTC), plan_id)
        self.log.info("\n%s", plan_table(plan))
        return outline(plan)

    def _kept_request(self, kept: MigrationPlan) -> MigrationRequest:
        """Return what a kept plan is asked for: its own connections where the form names none.

        Everything else was settled when the plan was made, so the rest of the form is not looked at.
        """
        self.log.info("Plan %s is kept in the ledger: it is what runs, whatever else the form says.", kept.plan_id)
        return replace(
            kept.request,
            source_conn_id=self.source_conn_id or kept.request.source_conn_id,
            target_conn_id=self.target_conn_id or kept.request.target_conn_id,
        )

    def _request(self, options: Settings, configured: Settings) -> MigrationRequest:
        from icebridge_provider.hooks.rates import rates_for
        from icebridge_provider.hooks.runs import cluster_of
        from icebridge_provider.model.consumer import ConsumerNames
        from icebridge_provider.model.plan import Approval, MigrationRequest

        missing = [name for name in ("source_conn_id", "target_conn_id") if not getattr(self, name)]
        if missing:
            raise ConfigurationError(
                "IB-702",
                f"The migration lacks {' and '.join(missing)}.",
                remedy="Name both connections in the form, or the plan_id of a kept plan.",
            )
        cost = None if self.max_cost in (None, "", "None") else float(self.max_cost or 0)
        return MigrationRequest(
            source_conn_id=self.source_conn_id,
            target_conn_id=self.target_conn_id,
            tables=tuple(listed(self.tables)) or ("*",),
            method=self.method,
            mapping=tuple(listed(self.mapping)),
            accept_losses=tuple(listed(self.accept_losses)),
            approval=Approval(self.approval),
            allow_zero_copy=str(self.allow_zero_copy).lower() == "true",
            max_cost=cost,
            deadline=self.deadline or "",
            cutover_window=self.cutover_window or "",
            wave_tables=options.wave_tables,
            wave_bytes=options.wave_bytes,
            throughput_mb_s=options.throughput_mb_s,
            rates=rates_for(options, self.target_conn_id, cluster_of(self.cluster)),
            options=_otherwise(options, configured),
            cluster=cluster_of(self.cluster),
            managed_location=self.managed_location or "",
            consumer_names=ConsumerNames(self.consumer_names or "new"),
        )


class BatchTablesOperator(IceBridgeOperator):
    """Cuts the tables of one wave that still have something to do into batches for mapped tasks.

    Few tables get a task each, named after the table; many share tasks.

    :param plan_id: the plan.
    :param wave: number of the wave.
    """

    template_fields: Sequence[str] = ("plan_id", "wave")

    def __init__(self, *, plan_id: str, wave: int | str = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_id = plan_id
        self.wave = wave

    def execute(self, context: Context) -> list[dict[str, Any]]:  # noqa: ARG002 - Airflow's signature
        """Cut the wave.

        :returns: one ``{"tables": JSON text of sources, "caption": name in the grid}`` a mapped task.
        """
        from icebridge_provider.hooks.ledger import LedgerHook
        from icebridge_provider.hooks.settings import settings
        from icebridge_provider.model.event import State

        ledger = LedgerHook().ledger()
        plan = ledger.plan(self.plan_id)
        over = {state.table for state in ledger.states(self.plan_id) if state.state in {State.CUT_OVER, State.PURGED}}
        left = [table for table in plan.of_wave(int(self.wave)) if str(table.source) not in over]
        if not left:
            self.log.info("Nothing to do: every table of this wave is cut over.")
        return batches(left, settings().overlaid(plan.request.options), max_map_length())


class OpenPlansOperator(IceBridgeOperator):
    """Lists the tables of plans whose copies are to be kept fresh, or whose sources are to be watched.

    :param plan_id: one plan; empty for every plan that has such tables.
    :param tables: sources or globs of that plan; empty for all.
    """

    template_fields: Sequence[str] = ("plan_id", "tables")

    def __init__(self, *, plan_id: str = "", tables: Sequence[str] | str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_id = plan_id
        self.tables = tables

    def execute(self, context: Context) -> list[dict[str, Any]]:  # noqa: ARG002 - Airflow's signature
        """List them.

        :returns: one ``{"plan_id", "tables": JSON text of sources, "caption"}`` a mapped task.
        """
        from icebridge_provider.hooks.ledger import LedgerHook
        from icebridge_provider.hooks.settings import settings

        ledger, options = LedgerHook().ledger(), settings()
        plan_ids = [self.plan_id] if self.plan_id else list(ledger.plans())
        found = {plan_id: self._open(ledger, ledger.plan(plan_id)) for plan_id in plan_ids}
        busy = {plan_id: tables for plan_id, tables in found.items() if tables}
        most = max(1, max_map_length() // max(1, len(busy)))
        return [
            {"plan_id": plan_id, **batch}
            for plan_id, tables in busy.items()
            for batch in batches(tables, options, most)
        ]

    def _open(self, ledger: Ledger, plan: MigrationPlan) -> list[TablePlan]:
        from icebridge_provider.model.event import State

        wanted = {State.COPIED, State.VALIDATED, State.AWAITING_APPROVAL, State.CUT_OVER}
        open_ones = {state.table for state in ledger.states(plan.plan_id) if state.state in wanted}
        chosen = tables_of(plan, self.tables if self.plan_id and listed(self.tables) else None)
        return [table for table in chosen if str(table.source) in open_ones]


def max_map_length() -> int:
    """Return how many mapped tasks Airflow allows."""
    from airflow.configuration import conf

    return conf.getint("core", "max_map_length", fallback=1024)


def batches(tables: Sequence[TablePlan], options: Settings, most: int) -> list[dict[str, Any]]:
    """Return the mapped tasks' arguments for some tables: one each while they are few, never more than ``most``.

    A task costs Airflow about a CPU second, and one that validates three more, whatever it does; so small tables share.
    Where a task's copies are one run on a cluster that starts for it, few and large tables share as well.
    """
    if any(is_copied_by_cluster(table) for table in tables):
        groups = _cut(tables, options.batch_tables)
    elif len(tables) <= options.named_tasks:
        groups = [[table] for table in tables]
    else:
        groups = list(_groups(tables, options))
    if len(groups) > most:
        groups = _cut(tables, math.ceil(len(tables) / most))
    return [{"tables": names_text([str(table.source) for table in group]), **_caption(group)} for group in groups]


def _cut(tables: Sequence[TablePlan], size: int) -> list[list[TablePlan]]:
    return [list(tables[start : start + size]) for start in range(0, len(tables), size)]


def _groups(tables: Sequence[TablePlan], options: Settings) -> Iterator[list[TablePlan]]:
    group: list[TablePlan] = []
    for table in tables:
        size = sum(each.bytes for each in (*group, table))
        if group and (len(group) == options.batch_tables or size > options.batch_bytes):
            yield group
            group = []
        group.append(table)
    if group:
        yield group


def _caption(group: Sequence[TablePlan]) -> dict[str, str]:
    more = f" and {len(group) - 1} more" if len(group) > 1 else ""
    return {"caption": f"{group[0].source.path}{more}"}


def names_text(names: Sequence[str]) -> str:
    """Return names as JSON text without a brace.

    Airflow renders a mapped task's arguments as templates; a table may be called ``{{ conn.x.password }}``.
    """
    return json.dumps(list(names)).replace("{", "\\u007b").replace("}", "\\u007d")


def outline(plan: MigrationPlan) -> dict[str, Any]:
    """Return a plan in a few numbers, for XCom."""
    refused = {str(finding.table) for finding in plan.findings} - {str(table.source) for table in plan.tables}
    return {
        "plan_id": plan.plan_id,
        "digest": plan.digest,
        "tables": len(plan.tables),
        "refused": len(refused),
        "waves": len(plan.waves),
        "bytes": plan.estimate.bytes,
        "seconds": plan.estimate.seconds,
        "cost": plan.estimate.cost,
        "currency": plan.estimate.rates.currency,
    }


def _otherwise(options: Settings, configured: Settings) -> dict[str, str]:
    """Return the options of a form that the configuration has otherwise; those the request has itself left out."""
    own = {"wave_tables", "wave_bytes", "throughput_mb_s"}
    return {
        name: str(getattr(options, name))
        for name in form_fields()
        if name not in own and getattr(options, name) != getattr(configured, name)
    }


def _run_id(context: Context) -> str:
    run = context["dag_run"]
    return "r" + hashlib.sha256(f"{run.dag_id}/{run.run_id}".encode()).hexdigest()[:12]

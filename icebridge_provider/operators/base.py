"""What all operators share."""

from __future__ import annotations

import json
import os
import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator

from icebridge_provider.exceptions import IceBridgeError, TransientError
from icebridge_provider.operators.retry import retrying

if TYPE_CHECKING:
    from airflow.sdk import Context

    from icebridge_provider.model.plan import MigrationPlan, TablePlan
    from icebridge_provider.operators.lineage import Moved
    from icebridge_provider.ports import Engine, Progress
    from icebridge_provider.steps.site import Site

COLOR = "#d7eef7"
STILL_RUNNING = "IB-608"


@dataclass
class Came:
    """How the tables of a task came out so far: results, errors, and the runs elsewhere that some wait for."""

    done: dict[str, Any] = field(default_factory=dict)
    failed: dict[str, IceBridgeError] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)

    def add(self, source: str, error: IceBridgeError) -> None:
        """Note an error; that a run is still under way is none."""
        if error.code == STILL_RUNNING and error.facts.get("run_id"):
            self.waiting[source] = str(error.facts["run_id"])
        else:
            self.failed[source] = error

    def to_json(self) -> dict[str, Any]:
        """Return this as a deferred task can be given it back."""
        failed = {source: {**error.to_json(), "retryable": error.retryable} for source, error in self.failed.items()}
        return {"done": self.done, "failed": failed, "waiting": self.waiting}

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Came:
        """Read what :meth:`to_json` wrote; the tables that waited are looked at anew."""
        failed = {}
        for source, told in value["failed"].items():
            kind = TransientError if told["retryable"] else IceBridgeError
            texts = {key: told[key] for key in ("remedy", "changed")}
            failed[source] = kind(told["code"], told["message"], **texts)
        return cls(done=dict(value["done"]), failed=failed)


class IceBridgeOperator(BaseOperator):
    """Base of all operators: the shared retry policy and colour. Arguments that hold lists may be JSON texts."""

    ui_color = COLOR

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**retrying(), **kwargs})


class PlanTablesOperator(IceBridgeOperator):
    """Base of the operators that do one thing to each of some tables of a plan.

    One table's failure does not stop the others; the task fails at the end and names every table that failed. What
    may succeed later is tried again, and what is done stays done. A task that is told to stop stops between two files.

    :param plan_id: the plan.
    :param tables: sources as the plan spells them, a list or its JSON text; None or an empty text means all.
    :param caption: what the task is called in the grid when it is mapped.
    """

    template_fields: Sequence[str] = ("plan_id", "tables")  # not caption: it holds names from a catalog
    step = ""

    def __init__(
        self, *, plan_id: str, tables: Sequence[str] | str | None = None, caption: str = "", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.plan_id = plan_id
        self.tables = tables
        self.caption = caption
        self.links: dict[str, str] = {}
        self.moved: list[Moved] = []
        self._stopped = False

    @abstractmethod
    def act(self, site: Site, plan: MigrationPlan, table: TablePlan) -> dict[str, Any]:
        """Do the step to one table; return what goes into the XCom."""

    def show_links(self, site: Site, plan: MigrationPlan, tables: Sequence[TablePlan]) -> None:
        """Fill ``links``, by the keys of ``operator_extra_links``."""

    def lineage(
        self,
        site: Site,  # noqa: ARG002 - what some steps need
        tables: Sequence[TablePlan],  # noqa: ARG002
        done: Mapping[str, Mapping[str, Any]],  # noqa: ARG002
    ) -> list[Moved]:
        """Return what the task moved; most steps move nothing."""
        return []

    def threads(self, site: Site) -> int:  # noqa: ARG002 - some steps ask the site
        """How many tables at once."""
        return 1

    def execute(self, context: Context) -> dict[str, Any]:
        """Do the step to every table.

        :returns: ``plan_id, step, done`` (result by source) and ``failed`` (problem by source, empty).
        :raises IceBridgeError: IB-701 for several tables, else the one table's own error.
        """
        return self._act_on_all(context, Came())

    def resume(self, context: Context, event: dict[str, Any], came: dict[str, Any] | None = None) -> dict[str, Any]:
        """Go on when a run elsewhere is over, with the tables that waited for one.

        :param came: how the other tables came out before this task gave its worker back; ``dag.test`` forgets it, then
            all are looked at again.
        """
        self.log.info("Run %s is over.", event.get("run_id"))
        if came is None:
            return self._act_on_all(context, Came())
        self.tables = list(came["waiting"])
        return self._act_on_all(context, Came.read(came))

    def _act_on_all(self, context: Context, came: Came) -> dict[str, Any]:
        from icebridge_provider.steps.jobs_table import mirror

        site, plan = site_of_plan(self.plan_id, context)
        engine = site.engine
        site = replace(site, engine=lambda progress: self._stoppable(engine, progress))
        lock = threading.Lock()

        def one(table: TablePlan) -> None:
            try:
                self.go_on()
                result = small(self.act(site, plan, table))
            except IceBridgeError as error:
                with lock:
                    came.add(str(table.source), error)
            else:
                with lock:
                    came.done[str(table.source)] = result

        tables = tables_of(plan, self.tables)
        self._each(one, tables, self.threads(site))
        mirror(site, plan, tables)
        self._tell_where(site, plan, tables, came)
        for source, error in came.failed.items():
            self.log.error("%s: %s", source, error)
        if came.waiting:
            self._wait(plan, came)
        if came.failed:
            raise summary(came.failed)
        return {"plan_id": plan.plan_id, "step": self.step, "done": came.done, "failed": {}}

    def _tell_where(self, site: Site, plan: MigrationPlan, tables: Sequence[TablePlan], came: Came) -> None:
        """Note links and lineage; a task without them is as good."""
        try:
            self.show_links(site, plan, tables)
            self.moved = self.lineage(site, plan.tables, came.done)
        except IceBridgeError as error:
            self.log.warning("Links and lineage are not shown: %s", error)

    def _wait(self, plan: MigrationPlan, came: Came) -> NoReturn:
        """Give the worker back until a run elsewhere is over: the triggerer looks at it."""
        from icebridge_provider.triggers.job import DatabricksRunTrigger

        run_id = next(iter(came.waiting.values()))
        self.log.info("%d tables wait for run %s.", len(came.waiting), run_id)
        step = "sync" if self.step == "sync" else "copy"
        trigger = DatabricksRunTrigger(plan.request.target_conn_id, run_id, plan_id=plan.plan_id, step=step)
        self.defer(trigger=trigger, method_name="resume", kwargs={"came": came.to_json()})

    def on_kill(self) -> None:
        """Stop at the next file: what is copied is kept, leases are given back, the next try goes on."""
        self._stopped = True

    def go_on(self) -> None:
        """Raise when the task was told to stop.

        :raises TransientError: IB-708.
        """
        if self._stopped:
            raise told_to_stop()

    def _stoppable(self, engine: Callable[[Progress], Engine], progress: Progress) -> Engine:
        def report(facts: Mapping[str, Any]) -> None:
            self.go_on()
            progress(facts)

        return engine(report)

    def _each(self, one: Callable[[TablePlan], None], tables: Sequence[TablePlan], threads: int) -> None:
        if threads < 2 or len(tables) < 2:
            for table in tables:
                one(table)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(one, tables))


def told_to_stop() -> TransientError:
    """Return the error of a task that a person, a timeout or Airflow ended."""
    return TransientError(
        "IB-708",
        "The task was told to stop.",
        remedy="Run it again: it goes on where it stopped.",
        changed="What was finished before stays.",
    )


def site_of_plan(plan_id: str, context: Context | None) -> tuple[Site, MigrationPlan]:
    """Return the site and the plan; the plan knows the connections, and the options it has otherwise."""
    from icebridge_provider.hooks.ledger import LedgerHook
    from icebridge_provider.hooks.site import site_for

    plan = LedgerHook().ledger().plan(plan_id)
    request = plan.request
    given = dict(context) if context else None
    ends = request.source_conn_id, request.target_conn_id
    return site_for(*ends, given, request.options, request.cluster, request.managed_location), plan


def tables_of(plan: MigrationPlan, tables: Sequence[str] | str | None) -> list[TablePlan]:
    """Return tables of a plan in plan order: by source name or glob, all when None or empty text.

    :raises ConfigurationError: IB-230 for what matches nothing, with the nearest names.
    """
    from icebridge_provider.planning.selection import select

    if tables is None or tables == "":
        return list(plan.tables)
    names = set(listed(tables))
    exact = {table.source for table in plan.tables if str(table.source) in names}
    globs = sorted(names - {str(source) for source in exact})
    wanted = exact | set(select([table.source for table in plan.tables], globs) if globs else ())
    return [table for table in plan.tables if table.source in wanted]


def listed(value: Sequence[str] | str | None) -> list[str]:
    """Return a list given as such, as its JSON text, or as one name a line."""
    if value is None:
        return []
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            return [str(item) for item in json.loads(text)]
        return [line.strip() for line in text.splitlines() if line.strip()]
    return [str(item) for item in value]


def airflow_folder() -> Path:
    """Return where files for people go when no path is given."""
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "icebridge"


def small(result: dict[str, Any]) -> dict[str, Any]:
    """Return the plain values of a result: XCom is for ids and counts."""
    return {key: value for key, value in result.items() if isinstance(value, str | int | float | bool | type(None))}


def summary(failed: Mapping[str, IceBridgeError]) -> IceBridgeError:
    """Return one error for several tables: retried when one of them may succeed later; what is done stays done."""
    first = next(iter(failed.values()))
    if len(failed) == 1:
        return first
    kind = TransientError if any(error.retryable for error in failed.values()) else IceBridgeError
    shown = "; ".join(str(error) for error in list(failed.values())[:3])
    return kind(
        "IB-701",
        f"{len(failed)} tables failed: {', '.join(failed)}. {shown}",
        remedy="Mend what the messages name, then run the migration again: what is done stays done.",
        changed="The other tables are done.",
    )

"""Follows a run: says once what changed, shows a bar on a terminal, points at the buttons of an approval."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from icebridge_provider.cli import runs
from icebridge_provider.cli.output import Answer, Output
from icebridge_provider.model.event import State

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from icebridge_provider.ports import Ledger

_SETTLED = frozenset({State.AWAITING_APPROVAL, State.CUT_OVER, State.ROLLED_BACK, State.PURGED, State.REFUSED})


@dataclass(slots=True, kw_only=True)
class Follower:
    """What has been said already. ``each`` is what :func:`runs.wait` calls."""

    output: Output
    ledger: Ledger
    plan_id: str
    until_approval: bool
    states: dict[str, str] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)
    bar: tuple[Progress, TaskID] | None = None

    def each(self, run_state: str, questions: list[runs.Question]) -> bool:
        """Say what is new; False when there is nothing more to wait for."""
        self._tables()
        for question in questions:
            if question.url not in self.asked:
                self.asked.add(question.url)
                self.output.note(f"Awaits approval: {question.subject}\n  answer at {question.url}")
        return run_state not in runs.FINAL and not (self.until_approval and questions)

    def _tables(self) -> None:
        states = self.ledger.states(self.plan_id)
        for table in states:
            if self.states.get(table.table) != table.state.value:
                self.states[table.table] = table.state.value
                self.output.note(f"{table.table}: {table.state.value}{': ' + table.problem if table.problem else ''}")
        if self.bar and states:
            progress, task = self.bar
            settled = sum(table.state in _SETTLED for table in states)
            progress.update(task, completed=settled, total=len(states))


@contextmanager
def _bar(follower: Follower) -> Iterator[None]:
    if follower.output.as_json or not follower.output.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("tables settled"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=follower.output.stderr), transient=True) as progress:
        follower.bar = (progress, progress.add_task("", total=None))
        yield


def follow(
    run: runs.Run,
    plan_id: str,
    ledger: Ledger,
    output: Output,
    arguments: Mapping[str, bool],
    sleep: Callable[[float], None] = time.sleep,
) -> Answer:
    """Return at once, or when the run is over (``wait``), or asks (``until_approval``); not well when it failed."""
    until = bool(arguments.get("until_approval"))
    if not (arguments.get("wait") or until):
        line = f"Started {run.dag_id}: {run.url}\nFollow it with `icebridge status {plan_id}`."
        return Answer(document=_document(run, plan_id, run.state, []), shown=(line,))
    output.note(f"Started {run.dag_id}: {run.url}")
    follower = Follower(output=output, ledger=ledger, plan_id=plan_id, until_approval=until)
    with _bar(follower):
        last = runs.wait(run, follower.each, plan_id, sleep=sleep)
    questions = runs.questions(plan_id) if last not in runs.FINAL else []
    return Answer(
        document=_document(run, plan_id, last, questions),
        shown=(_verdict(run, plan_id, last, questions),),
        ok=last == "success" or bool(questions),
    )


def _document(run: runs.Run, plan_id: str, state: str, questions: list[runs.Question]) -> dict[str, object]:
    return {
        "plan": plan_id,
        "dag": run.dag_id,
        "run": run.run_id,
        "state": state,
        "url": run.url,
        "approvals": [{"subject": question.subject, "url": question.url} for question in questions],
    }


def _verdict(run: runs.Run, plan_id: str, state: str, questions: list[runs.Question]) -> str:
    if questions:
        return f"Plan {plan_id} awaits approval: {questions[0].url}"
    if state == "success":
        return f"{run.dag_id} is done. `icebridge status {plan_id}` shows every table."
    return (
        f"{run.dag_id} failed: {run.url}\n`icebridge status {plan_id}` says why; `icebridge retry {plan_id}` goes on."
    )

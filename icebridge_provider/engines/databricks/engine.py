"""Copies tables by job runs on Databricks: one run for a batch, found again by the same names, judged by its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.databricks import faults
from icebridge_provider.engines.databricks.catching_up import sync_document
from icebridge_provider.engines.databricks.comparing import comparison_document
from icebridge_provider.engines.databricks.document import document_of, refuse_unknown, run_token, tokens_in
from icebridge_provider.engines.databricks.files import CATCH_UP, COMPARE, PROGRAM, RunFiles
from icebridge_provider.engines.databricks.housekeeping import Housekeeping
from icebridge_provider.engines.databricks.options import RunOptions
from icebridge_provider.engines.databricks.peer import DatabricksWorkspace, UnityTables
from icebridge_provider.engines.databricks.run_documents import RUNS, active_runs, document_path
from icebridge_provider.engines.databricks.runs import End, Output, Run, failure, output_of, run_of
from icebridge_provider.engines.local.metadata import snapshot_of
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.job import CopyResult, JobRef, JobSpec, JobState, JobStatus
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.planning.build import short_id
from icebridge_provider.sql.billing import COST_CENTER_TAG, PLAN_TAG, RUN_TAG, WAVE_TAG

ENGINE = "databricks"
TASK = "bulk_copy"
_STATES = {None: JobState.RUNNING, End.SUCCESS: JobState.SUCCEEDED}


class DatabricksEngine:
    """:class:`icebridge_provider.ports.BatchEngine` on one workspace.

    What decides whether a table is copied is the table: the program writes the job's name into its properties last.
    The run's own words only explain a table that is not there. Nothing is remembered that another process needs.

    :param source: catalog the cluster reads, foreign or not.
    :param target: managed catalog of the same workspace.
    :param options: see :class:`icebridge_provider.engines.databricks.options.RunOptions`; a function is asked for them
        when the first run is started, so that what starts none (a cut-over, a rollback) does without.
    :raises ConfigurationError: IB-440 to IB-445 for options that cannot be used.
    """

    def __init__(
        self,
        workspace: DatabricksWorkspace,
        source: UnityTables,
        target: UnityTables,
        options: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
    ) -> None:
        self._workspace = workspace
        self._source = source
        self._target = target
        self._read_options = options if callable(options) else _known(RunOptions.read(options))
        self._over: dict[str, Run] = {}
        self._outputs: dict[str, Output] = {}

    @property
    def name(self) -> str:
        """``databricks``."""
        return ENGINE

    @cached_property
    def _options(self) -> RunOptions:
        found = self._read_options()
        return found if isinstance(found, RunOptions) else RunOptions.read(found)

    @cached_property
    def _files(self) -> RunFiles:
        return RunFiles(self._workspace, self._options.volume)

    def submit(self, job: JobSpec, token: str) -> JobRef:
        """Start a run for one table, or find it."""
        ref = self.submit_all([(job, token)])
        return JobRef(engine=ENGINE, token=token, run_id=ref.run_id)

    def submit_all(self, jobs: Sequence[tuple[JobSpec, str]]) -> JobRef:
        """Start one run for all jobs, or find the run that does them; its ``token`` is the run's.

        The same jobs always give the same run, also after a lost answer or a kill before anybody noted its id: the
        workspace starts none for an ``idempotency_token`` it has seen. An active run of the same plan that does these
        tables and more is taken too.

        :raises ConfigurationError: IB-450 for a method that Databricks does not run, IB-453 for a broken installation.
        :raises PreflightFailed: IB-451 when a source table is gone.
        :raises TransientError: IB-452 while an active run does some of the tables; IB-240 when the workspace is busy.
        """
        refuse_unknown(jobs)
        name = run_token(token for _, token in jobs)
        active = self._active(jobs)
        if active is not None:
            return JobRef(engine=ENGINE, token=name, run_id=active)
        return self._start(jobs, name, *self._work(jobs))

    def compare(self, jobs: Sequence[tuple[JobSpec, str]]) -> JobRef:
        """Start one run that compares sources and copies, or find it; it changes no table.

        :raises ConfigurationError: IB-552 for a type that SQL cannot express.
        """
        name = run_token(token for _, token in jobs)
        return self._start(jobs, name, COMPARE, comparison_document(jobs, self._source, self._target))

    def compared(self, ref: JobRef) -> Mapping[str, Mapping[str, Any]] | None:
        """Return what such a run found, by token; None while it goes on, nothing when it said nothing."""
        run = self._run(ref.run_id)
        if run is None:
            return {}
        return None if run.end is None else self._output(run).tables

    def _start(self, jobs: Sequence[tuple[JobSpec, str]], name: str, program: str, document: bytes) -> JobRef:
        body = self._body(jobs, name, self._files.program(program), self._files.jobs(name, document))
        what = f"submit a run for {len(jobs)} tables"
        with side_effect("copy.submit_run"):
            answer = self._workspace.read(
                what, lambda: self._workspace.send(what, "POST", f"{RUNS}/submit", body, "create clusters and runs")
            )
        return JobRef(engine=ENGINE, token=name, run_id=str(answer["run_id"]))

    def _work(self, jobs: Sequence[tuple[JobSpec, str]]) -> tuple[str, bytes]:
        """Return the program that does the jobs, and its job file."""
        caught_up = sync_document(jobs, self._source, self._target)
        if caught_up is not None:
            return CATCH_UP, caught_up
        return PROGRAM, document_of(jobs, self._source, self._target, self._options.chunk_bytes)

    def poll(self, job: JobRef) -> JobStatus:
        """Where a run is; how each of its tables came out is for :meth:`result_of` to say."""
        run = self._run(job.run_id)
        if run is None:
            return _unknown(job.run_id)
        state = _STATES.get(run.end, JobState.FAILED)
        problem = run.message or run.state if state is JobState.FAILED else ""
        facts = {**run.facts(), "retryable": run.end is End.LOST}
        return JobStatus(state=state, problem=problem, facts=facts)

    def find(self, job: JobRef) -> JobRef | None:
        """Return the reference when the workspace still knows its run, else None."""
        return None if self._run(job.run_id) is None else job

    def result_of(self, job: JobSpec, ref: JobRef) -> JobStatus:
        """How one table came out: ``ref`` names its job and the run.

        The run is looked at before the table, so a run that ends in between is not taken for one that failed.
        """
        run = self._run(ref.run_id)
        loaded = self._target.load(job.staged)
        if loaded is not None and loaded.properties.get("icebridge.token") == ref.token:
            return JobStatus(state=JobState.SUCCEEDED, result=_result(job, loaded), facts=run.facts() if run else {})
        if run is None:
            return _unknown(ref.run_id)
        if run.end is None:
            return JobStatus(state=JobState.RUNNING, facts=run.facts())
        problem, retryable = failure(run, self._output(run), ref.token)
        return JobStatus(state=JobState.FAILED, problem=problem, facts={**run.facts(), "retryable": retryable})

    def cancel(self, job: JobRef) -> None:
        """Stop the run with all its tables; one that is over, or that nobody knows, is success."""
        if not job.run_id:
            return
        what = f"cancel run {job.run_id}"
        body = {"run_id": int(job.run_id)}
        try:
            with side_effect("copy.cancel_run"):
                self._workspace.read(what, lambda: self._workspace.send(what, "POST", f"{RUNS}/cancel", body))
        except IceBridgeError:
            run = self._run(job.run_id)
            if run is not None and run.end is None:
                raise

    @property
    def housekeeping(self) -> Housekeeping:
        """What active runs work with, and which of their files nobody needs any more."""
        return Housekeeping(self._workspace, self._files)

    # Runs

    def _body(self, jobs: Sequence[tuple[JobSpec, str]], name: str, program: str, document: str) -> dict[str, Any]:
        options, plan_id = self._options, jobs[0][0].plan_id
        tags = {**options.cluster.get("custom_tags", {}), **tags_of(jobs, name, options.cost_center)}
        task = {
            "task_key": TASK,
            "spark_python_task": {
                "python_file": program,
                "parameters": ["--parallel", str(options.parallel_tables), document],
            },
            "new_cluster": {**options.cluster, "custom_tags": tags},
        }
        return {
            "run_name": f"{_title(plan_id)} {len(jobs)} tables",
            "tasks": [task],
            "timeout_seconds": options.timeout_seconds,
            "queue": {"enabled": True},
            "idempotency_token": name,
        }

    def _active(self, jobs: Sequence[tuple[JobSpec, str]]) -> str | None:
        """Return the active run that does all the jobs; two runs must never write one table."""
        wanted = {token: job for job, token in jobs}
        for answer in self._active_runs(jobs[0][0].plan_id):
            shared = wanted.keys() & tokens_in(self._files.read(document_path(answer)) or b"")
            if shared == wanted.keys():
                return str(answer["run_id"])
            if shared:
                table = wanted[min(shared)].source
                raise faults.other_run(table, str(answer["run_id"]), str(answer.get("run_page_url", "")))
        return None

    def _active_runs(self, plan_id: str) -> Iterator[dict[str, Any]]:
        for answer in active_runs(self._workspace):
            if str(answer.get("run_name", "")).startswith(_title(plan_id)) and document_path(answer):
                yield answer

    def _run(self, run_id: str) -> Run | None:
        if run_id in self._over or not run_id:
            return self._over.get(run_id)
        answer = self._workspace.find(f"look at run {run_id}", f"{RUNS}/get", {"run_id": run_id})
        if answer is None:
            return None
        run = run_of(answer)
        if run.end is not None:
            self._over[run_id] = run  # it stays so; many tables ask for it
        return run

    def _output(self, run: Run) -> Output:
        """Return what a run that is over printed; asked once for all its tables."""
        if run.run_id not in self._outputs:
            what, query = f"read the output of run {run.run_id}", {"run_id": run.task_run_id}
            answer = self._workspace.find(what, f"{RUNS}/get-output", query) if run.task_run_id else None
            self._outputs[run.run_id] = output_of(answer)
        return self._outputs[run.run_id]


def _known(options: RunOptions) -> Callable[[], RunOptions]:
    return lambda: options


def tags_of(jobs: Sequence[tuple[JobSpec, str]], run: str, cost_center: str) -> dict[str, str]:
    """Return the tags by which the bill of a run is found again: plan, run, waves and who pays."""
    waves = sorted({job.wave for job, _ in jobs})
    tags = {PLAN_TAG: short_id(jobs[0][0].plan_id), RUN_TAG: run, WAVE_TAG: "+".join(map(str, waves))}
    return {**tags, COST_CENTER_TAG: cost_center} if cost_center else tags


def _title(plan_id: str) -> str:
    return f"icebridge {plan_id}:"


def _unknown(run_id: str) -> JobStatus:
    problem = f"the workspace does not know run {run_id or '(none)'} any more"
    return JobStatus(state=JobState.FAILED, problem=problem, facts={"run_id": run_id, "retryable": True})


def _result(job: JobSpec, loaded: LoadedTable) -> CopyResult:
    head = snapshot_of(loaded.metadata, loaded.current_snapshot_id) or {}
    summary = head.get("summary") or {}
    return CopyResult(
        metadata_location=loaded.metadata_location,
        snapshot_id=job.snapshot_id,
        target_snapshot_id=loaded.current_snapshot_id,
        files_copied=int(summary.get("total-data-files", 0)),
        bytes_copied=int(summary.get("total-files-size", 0)),
        rows=int(summary.get("total-records", 0)),
    )

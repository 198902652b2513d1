"""An engine elsewhere over SQL catalogs, for steps that hand work to one: it copies for real, when a test lets it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.job import CopyResult, JobRef, JobSpec, JobState, JobStatus
from icebridge_provider.steps.site import Site
from tests.support import tables as shapes
from tests.support.migration import ALL_LOSSES, Migration


class ChoosingCatalog(IcebergCatalog):
    """A catalog that chooses the folders of its tables itself and is written by an engine, like Unity Catalog."""

    kind = property(lambda self: "unity", lambda self, value: None)

    def location_for(self, table: TableIdentifier, suffix: str) -> str:
        return ""


@dataclass
class Elsewhere:
    """A batch engine. Runs go on until :meth:`work`; ``broken`` says how tables of the next run come out."""

    source: IcebergCatalog
    target: IcebergCatalog
    name: str = "elsewhere"
    runs: dict[str, list[tuple[JobSpec, str]]] = field(default_factory=dict)
    over: dict[str, dict[str, JobStatus]] = field(default_factory=dict)
    asked: int = 0

    def submit(self, job: JobSpec, token: str) -> JobRef:
        return self.submit_all([(job, token)])

    def submit_all(self, jobs: Sequence[tuple[JobSpec, str]]) -> JobRef:
        self.asked += 1
        run_id = "run " + " ".join(sorted(token[:8] for _, token in jobs))
        self.runs.setdefault(run_id, list(jobs))
        return JobRef(engine=self.name, token="", run_id=run_id)

    def poll(self, job: JobRef) -> JobStatus:
        return JobStatus(state=JobState.SUCCEEDED if job.run_id in self.over else JobState.RUNNING)

    def result_of(self, job: JobSpec, ref: JobRef) -> JobStatus:
        return self.over[ref.run_id][ref.token]

    def cancel(self, job: JobRef) -> None:
        self.over[job.run_id] = {}

    def work(self, problem: str = "", *, retryable: bool = False) -> None:
        """End all runs that are under way."""
        for run_id, jobs in self.runs.items():
            if run_id not in self.over:
                failed = JobStatus(state=JobState.FAILED, problem=problem, facts={"retryable": retryable})
                self.over[run_id] = {token: failed if problem else self._copy(job, token) for job, token in jobs}

    def _copy(self, job: JobSpec, token: str) -> JobStatus:
        table = self.source.native.load_table((*job.source.namespace, job.source.name))
        rows = table.scan().to_arrow()
        native, name = self.target.native, (*job.staged.namespace, job.staged.name)
        if native.table_exists(name):
            native.drop_table(name)
        properties = {
            "icebridge.token": token,
            "icebridge.plan-id": job.plan_id,
            "icebridge.source": str(job.source),
            "icebridge.source-metadata-location": job.metadata_location,
        }
        made = native.create_table(name, table.schema(), properties=properties)
        made.append(rows)
        result = CopyResult(
            metadata_location=made.metadata_location,
            snapshot_id=job.snapshot_id,
            target_snapshot_id=made.metadata.current_snapshot_id,
            rows=rows.num_rows,
        )
        return JobStatus(state=JobState.SUCCEEDED, result=result)


class RemoteMigration(Migration):
    """A migration of ``lake.t`` (and what a test adds) whose copies run elsewhere."""

    def __init__(self, folder: Path, **request: object) -> None:
        super().__init__(folder, shapes.plain, "auto", accept_losses=ALL_LOSSES, **request)

    @cached_property
    def target(self) -> IcebergCatalog:
        return ChoosingCatalog("dst", shapes.catalog_properties(self.folder / "target"))

    @cached_property
    def elsewhere(self) -> Elsewhere:
        return Elsewhere(self.source, self.target)

    @property
    def site(self) -> Site:
        return replace(super().site, remote=self.elsewhere)

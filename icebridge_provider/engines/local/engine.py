"""The engine that needs no server: files are moved and rows re-encoded within this process."""

from __future__ import annotations

from collections.abc import Callable

from icebridge_provider.engines.local import clone
from icebridge_provider.engines.local.metadata import read_metadata
from icebridge_provider.engines.local.work import Work, finished
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.job import CopyResult, JobRef, JobSpec, JobState, JobStatus
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.model.table import LoadedTable
from icebridge_provider.ports import Catalog, FileStore, Ledger, Progress

ENGINE = "local"


def _insert_select(work: Work) -> CopyResult:
    from icebridge_provider.engines.local.reencode import insert_select  # pyarrow and pyiceberg's writers

    return insert_select(work)


METHODS: dict[CopyMethod, Callable[[Work], CopyResult]] = {
    CopyMethod.COPY_FILES: clone.copy_files,
    CopyMethod.INSERT_SELECT: _insert_select,
    CopyMethod.REGISTER: clone.register,
}


class LocalEngine:
    """:class:`icebridge_provider.ports.Engine` that runs a job while it is submitted.

    A job that an earlier process ended is found by the token on the staged table; one that it left half-way goes on
    where the ledger's list of whole files ends. Errors are raised by ``submit``.

    :param threads: threads that copy the files of one table.
    """

    def __init__(self, source: Catalog, target: Catalog, ledger: Ledger, progress: Progress, threads: int = 4) -> None:
        self._source = source
        self._target = target
        self._ledger = ledger
        self._progress = progress
        self._threads = threads
        self._ended: dict[str, JobStatus] = {}

    def submit(self, job: JobSpec, token: str) -> JobRef:
        """Run the job, or find that it is done.

        :raises IceBridgeError: IB-400 to IB-422, see docs/errors.md; nothing is entered in the catalog then.
        """
        if token not in self._ended:
            work = self._work(job, token)
            result = finished(work) or METHODS[job.method](work)
            self._ended[token] = JobStatus(state=JobState.SUCCEEDED, result=result)
        return JobRef(engine=ENGINE, token=token)

    def poll(self, job: JobRef) -> JobStatus:
        """Return the finished status of a job that this engine ran."""
        unknown = JobStatus(state=JobState.FAILED, problem="This engine has not run that job; submit it again.")
        return self._ended.get(job.token, unknown)

    def cancel(self, job: JobRef) -> None:
        """Do nothing: a job is over when ``submit`` returns. To stop one meanwhile, raise from the progress."""

    def _work(self, job: JobSpec, token: str) -> Work:
        loaded = self._source.load(job.source)
        if loaded is None:
            raise ConfigurationError(
                "IB-417",
                f"{job.source} is not in its catalog any more.",
                remedy="Restore it, or make a new plan without it.",
                table=str(job.source),
            )
        source = store_of(self._source, loaded)
        return Work(
            job=job,
            token=token,
            metadata=_pinned(loaded, job, source),
            source=source,
            target=self._target.store(),
            catalog=self._target,
            ledger=self._ledger,
            progress=self._progress,
            threads=self._threads,
        )


def store_of(catalog: Catalog, loaded: LoadedTable) -> FileStore:
    """Return the store of one table: catalogs may hand out credentials for that table alone."""
    from icebridge_provider.stores.object_store import ObjectStore

    return ObjectStore(loaded.io_properties) if loaded.io_properties else catalog.store()


def _pinned(loaded: LoadedTable, job: JobSpec, store: FileStore) -> dict[str, object]:
    if loaded.metadata_location == job.metadata_location:
        return dict(loaded.metadata)
    return read_metadata(store, job.metadata_location, job.source)

"""What every copy method works with, and how its result becomes an entry of the target catalog."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.local import faults
from icebridge_provider.engines.local.manifests import DATA, FileEntry, read_manifest, read_manifest_list
from icebridge_provider.engines.local.metadata import (
    Metadata,
    current_snapshot_id,
    encode,
    metadata_file,
    snapshot_of,
    unreadable,
)
from icebridge_provider.engines.local.refusals import refuse_hidden
from icebridge_provider.model.job import CopyResult, JobSpec
from icebridge_provider.ports import Catalog, FileStore, Ledger, Progress
from icebridge_provider.retry import transient

T = TypeVar("T")
R = TypeVar("R")
PROGRESS_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One job with all it needs: the pinned source metadata, both stores, the target catalog, the ledger."""

    job: JobSpec
    token: str
    metadata: Metadata = field(repr=False)
    source: FileStore
    target: FileStore
    catalog: Catalog
    ledger: Ledger
    progress: Progress
    threads: int

    @property
    def table(self) -> str:
        """Name of the source table, as ledger and messages spell it."""
        return str(self.job.source)

    def each(self, call: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Run ``call`` for every item by this work's threads; the first error ends it.

        Progress is told about every second, from the calling thread: it keeps the lease, and may raise.
        """
        listed = list(items)
        if len(listed) < 2 or self.threads < 2:
            return list(self._told(map(call, listed), len(listed)))
        with ThreadPoolExecutor(self.threads, thread_name_prefix="metadata") as pool:
            try:
                return list(self._told(pool.map(call, listed), len(listed)))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _told(self, results: Iterable[R], total: int) -> Iterator[R]:
        told = time.monotonic()
        for number, result in enumerate(results, start=1):
            yield result
            if time.monotonic() - told >= PROGRESS_SECONDS:
                told = time.monotonic()
                self.progress({"metadata_files": number, "metadata_files_total": total})

    def parsed(self, location: str, parse: Callable[[bytes], R]) -> R:
        """Read one of the source's manifest lists or manifests.

        :raises PreflightFailed: IB-412 when it is gone or broken, IB-409 when it is on this host and should not be.
        """
        refuse_hidden(self.table, str(self.metadata["location"]), location)
        return self._parsed(self.source, location, parse)

    def _parsed(self, store: FileStore, location: str, parse: Callable[[bytes], R]) -> R:
        try:
            return parse(transient(lambda: store.read(location)))
        except (FileNotFoundError, ValueError) as error:
            raise unreadable(self.table, location, error) from None
        except OSError as error:
            raise faults.from_os(self.table, location, error) from None

    def rows(self) -> int:
        """Return the records in the live data files of the source's pinned snapshot, before deletes are applied."""
        return _rows(self.parsed, self.metadata)

    def target_rows(self, metadata: Mapping[str, Any]) -> int:
        """Return the same of the new table's current snapshot."""
        return _rows(lambda location, parse: self._parsed(self.target, location, parse), metadata)

    def write(self, point: str, location: str, data: bytes) -> int:
        """Write one small file whole and return its bytes."""
        try:
            with side_effect(point):
                transient(lambda: self.target.write(location, data))
        except OSError as error:
            raise faults.from_os(self.table, location, error) from None
        return len(data)


def write_metadata(work: Work, metadata: Metadata) -> str:
    """Write the new table's metadata file and return where it is."""
    location = metadata_file(work.job.location, work.token)
    work.write("copy.metadata", location, encode(metadata))
    return location


def publish_staged(work: Work, metadata_location: str) -> None:
    """Make the staged entry point at the new metadata file; one that this plan made before is replaced.

    :raises ConfigurationError: IB-414 when somebody else's table has the name.
    """
    staged = work.job.staged
    with side_effect("copy.namespace"):
        work.catalog.create_namespace(staged.namespace)
    there = work.catalog.load(staged)
    entering = {"entering": str(staged)}
    work.progress(entering)  # raises when the lease is lost: whoever has it may be further already
    if there is not None and there.metadata_location != metadata_location:
        if there.properties.get("icebridge.plan-id") != work.job.plan_id:
            raise faults.name_taken(staged)
        with side_effect("copy.drop_staged"):
            work.catalog.drop_entry(staged)
        work.progress(entering)
    with side_effect("copy.register"):
        work.catalog.register(staged, metadata_location)
    work.progress(entering)  # the caller takes back what was entered too late


def _rows(parsed: Callable[[str, Callable[[bytes], Any]], Any], metadata: Mapping[str, Any]) -> int:
    snapshot = snapshot_of(metadata, current_snapshot_id(metadata))
    if snapshot is None:
        return 0
    if not snapshot.get("manifest-list"):
        return sum(_live_rows(parsed(path, read_manifest)) for path in snapshot.get("manifests") or ())
    data = [entry for entry in parsed(snapshot["manifest-list"], read_manifest_list) if entry.content == DATA]
    return sum(_live_rows(parsed(entry.path, read_manifest)) if entry.rows is None else entry.rows for entry in data)


def _live_rows(entries: Iterable[FileEntry]) -> int:
    return sum(entry.rows for entry in entries if entry.live)


def finished(work: Work) -> CopyResult | None:
    """Return the result of this very job if an earlier run ended it: the staged entry carries its token."""
    there = work.catalog.load(work.job.staged)
    if there is None or there.properties.get("icebridge.token") != work.token:
        return None
    if there.properties.get("icebridge.source-metadata-location") != work.job.metadata_location:
        return None
    pinned = there.properties.get("icebridge.source-snapshot-id", "")
    return CopyResult(
        metadata_location=there.metadata_location,
        snapshot_id=int(pinned) if pinned else None,
        target_snapshot_id=there.current_snapshot_id,
        files_reused=len(work.ledger.copied_files(work.job.plan_id, work.table)),
        rows=work.target_rows(there.metadata),
    )

"""Moves many files by few threads, remembers each in the ledger, and picks up where an earlier run stopped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.local import faults
from icebridge_provider.ports import CopiedFile, FileStore, Ledger, Progress
from icebridge_provider.retry import transient
from icebridge_provider.stores.object_store import copy_file

BATCH_FILES = 64
BATCH_BYTES = 16 * 1024 * 1024
CHECKPOINT_FILES = 512
CHECKPOINT_SECONDS = 1.0
Write = Callable[[], CopiedFile]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTask:
    """One file to bring over: from, to, and the bytes its manifest says. ``write`` makes it where bytes change."""

    source: str
    target: str
    size: int
    write: Write | None = None


@dataclass(slots=True, kw_only=True)
class Tally:
    """What was done so far."""

    files: int
    bytes: int
    copied: int = 0
    copied_bytes: int = 0
    reused: int = 0

    def report(self) -> dict[str, int]:
        """Return the numbers as progress shows them."""
        return {
            "files": self.copied + self.reused,
            "files_total": self.files,
            "bytes": self.copied_bytes,
            "bytes_total": self.bytes,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """The surroundings of one table's copying: both stores, the ledger, and whom to tell how far it is."""

    plan_id: str
    table: str
    source: FileStore
    target: FileStore
    ledger: Ledger
    progress: Progress
    threads: int = 4
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self, tasks: Iterable[FileTask], location: str, present: Mapping[str, int]) -> Tally:
        """Copy all files that are not ``present`` (target path to bytes) in their right size.

        A file appears under its name only when it is whole, so a byte copy that is there with its size is done, also
        when the run that made it died before it could record it; the proof reads every byte of it anyway. A file
        whose bytes change on the way has no size known before, and counts only when it is recorded.

        Progress is told at least about every second, from the calling thread: what it raises stops the copying.

        :raises PreflightFailed: IB-410 when a source file is missing, IB-411 when its length is not its manifest's.
        :raises LimitExceeded: IB-420 when the target is full.
        :raises TransientError: IB-413 or IB-422 when storage failed.
        """
        wanted = {task.target: task for task in tasks}
        done = self._recorded(present) | {
            task.target for task in wanted.values() if task.write is None and present.get(task.target) == task.size
        }
        missing = [task for task in wanted.values() if task.target not in done]
        faults.check_space(self.table, location, (task.size for task in missing))
        tally = Tally(files=len(wanted), bytes=sum(task.size for task in missing), reused=len(wanted) - len(missing))
        self._copy_all(missing, tally)
        return tally

    def _recorded(self, present: Mapping[str, int]) -> set[str]:
        if not present:
            return set()
        recorded = self.ledger.copied_files(self.plan_id, self.table).values()
        return {file.target for file in recorded if present.get(file.target) == file.size}

    def _copy_all(self, tasks: list[FileTask], tally: Tally) -> None:
        batches, running = _batches(tasks), set[Future[list[CopiedFile]]]()
        fresh: list[CopiedFile] = []
        told = time.monotonic()
        self.progress(tally.report())
        with ThreadPoolExecutor(self.threads, thread_name_prefix="copy") as pool:
            try:
                while True:
                    running |= {
                        pool.submit(self._copy_batch, batch)
                        for batch in _some(batches, 2 * self.threads - len(running))
                    }
                    if not running:
                        break
                    ended, running = wait(running, timeout=CHECKPOINT_SECONDS, return_when=FIRST_COMPLETED)
                    for future in ended:
                        fresh += future.result()
                    if len(fresh) >= CHECKPOINT_FILES or time.monotonic() - told >= CHECKPOINT_SECONDS:
                        fresh, told = self._checkpoint(fresh, tally), time.monotonic()
            except BaseException:
                self.stop.set()
                pool.shutdown(wait=True, cancel_futures=True)
                self._checkpoint(fresh, tally, quietly=True)
                raise
        self._checkpoint(fresh, tally)

    def _checkpoint(self, files: list[CopiedFile], tally: Tally, *, quietly: bool = False) -> list[CopiedFile]:
        """Record whole files, tell the progress, and return the empty list that starts the next batch."""
        tally.copied += len(files)
        tally.copied_bytes += sum(file.size for file in files)
        if files:
            with side_effect("copy.record_files"):
                self.ledger.record_files(self.plan_id, self.table, files)
        if not quietly:
            self.progress(tally.report())
        return []

    def _copy_batch(self, batch: list[FileTask]) -> list[CopiedFile]:
        return [self._copy(task) for task in batch if not self.stop.is_set()]

    def _copy(self, task: FileTask) -> CopiedFile:
        with side_effect("copy.file"):
            if task.write is not None:
                return task.write()
            return self._copy_bytes(task)

    def _copy_bytes(self, task: FileTask) -> CopiedFile:
        def once() -> tuple[int, int]:
            return copy_file(self.source, self.target, task.source, task.target, task.size, self.stop.is_set)

        try:
            size, crc = _once_or_again(once)
        except FileNotFoundError:
            raise faults.source_missing(self.table, task.source) from None
        except InterruptedError:
            raise
        except OSError as error:
            raise faults.from_os(self.table, task.target, error) from None
        if size != task.size:
            self._explain(task, size)
        return CopiedFile(source=task.source, target=task.target, size=size, crc32=crc)

    def _explain(self, task: FileTask, size: int) -> None:
        actual = self.source.size(task.source)
        if actual is None:
            raise faults.source_missing(self.table, task.source)
        if actual != task.size:
            raise faults.source_differs(self.table, task.source, actual, task.size)
        raise faults.copy_short(self.table, task.target, size, task.size)


def _once_or_again(call: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """Call by the shared retry policy, whose set-up would cost as much as a small file's copy when all goes well."""
    try:
        return call()
    except (ConnectionError, TimeoutError):
        return transient(call)


def _batches(tasks: list[FileTask]) -> Iterator[list[FileTask]]:
    """Cut the work so that neither many small files cost a switch each nor one thread gets all the large ones."""
    batch: list[FileTask] = []
    size = 0
    for task in tasks:
        batch.append(task)
        size += task.size
        if len(batch) >= BATCH_FILES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _some(batches: Iterator[list[FileTask]], count: int) -> Iterator[list[FileTask]]:
    for _ in range(count):
        batch = next(batches, None)
        if batch is None:
            return
        yield batch

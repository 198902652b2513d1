"""What a migration needs of the outside world, and what all pipelines do: files, ledger, signer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from icebridge_provider.model.access import GrantChange, TableAccess
from icebridge_provider.model.event import LedgerEvent, TableState
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.job import JobRef, JobSpec, JobStatus
from icebridge_provider.model.plan import MigrationPlan
from icebridge_provider.model.protection import ProtectionChange
from icebridge_provider.model.table import LoadedTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to change one table until ``expires_at`` (ledger's clock); a higher epoch fences off lower ones."""

    key: str
    owner: str
    epoch: int
    expires_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedFile:
    """One file that is whole at its destination: source path, destination path, bytes and CRC-32 of its bytes."""

    source: str
    target: str
    size: int
    crc32: int


class FileStore(Protocol):
    """Files of one storage system, by absolute location (``s3://…``, ``file:///…`` or a bare path)."""

    def size(self, location: str) -> int | None:
        """Bytes of the file, None when there is none."""

    def open(self, location: str) -> IO[bytes]:
        """Open for reading, seekable."""

    def read(self, location: str) -> bytes:
        """Whole content of a small file.

        :raises FileNotFoundError: when there is none.
        """

    def write(self, location: str, data: bytes) -> None:
        """Write a small file whole or not at all, replacing it."""

    def upload(self, location: str, path: Path) -> int:
        """Write a file of this machine whole or not at all, replacing what is there; return its bytes."""

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """Locations and sizes of all files below a folder; nothing for a folder that is not there."""

    def delete(self, location: str) -> None:
        """Delete a file; a missing one is success."""


class AccessControl(Protocol):
    """Who may do what with the tables of one catalog."""

    def access_of(self, table: TableIdentifier, tags_of: Collection[str] = ()) -> TableAccess:
        """Effective access to one table, inherited access too; tags at least where a policy looks at them.

        :param tags_of: columns whose tags are told in any case; an empty name stands for the table itself. The tags of
            its parents are left out then.
        :raises IceBridgeError: IB-208 when there is no such table.
        """

    def change(self, table: TableIdentifier, changes: Sequence[GrantChange]) -> None:
        """Grant and revoke on one table, all of it or nothing; what is so already is success.

        :raises IceBridgeError: IB-634 when a principal does not exist (any more).
        """

    def protect(self, table: TableIdentifier, change: ProtectionChange) -> None:
        """Put filter, masks, policies, tags and comment on one table or take them off, one after the other.

        What is asked for twice is success; after an error some of it may be done.
        """

    def id_of(self, table: TableIdentifier) -> str | None:
        """The catalog's own id of a table, as in :attr:`TableAccess.table_id`; None when there is no such table.

        It is told also of a table whose metadata the catalog withholds because filters or masks stand on it.
        """

    def mark(self, table: TableIdentifier) -> str:
        """A mark of the newest commit, told also of a table whose metadata is withheld."""

    def commits_since(self, table: TableIdentifier, mark: str) -> list[str]:
        """Commits after a mark that may have changed rows or columns, in words; none says the table is as it was."""

    def groups_of(self, principals: Collection[str], among: Collection[str]) -> Mapping[str, tuple[str, ...]]:
        """The groups ``among`` these that principals are known to be in, nested ones too; unknown ones are left out."""

    def writable(self) -> bool:
        """Whether this connection may change grants: ``read_only`` in its extra says no, a foreign catalog does not."""


class Catalog(Protocol):
    """One Iceberg catalog. Names carry its connection id as their ``catalog``."""

    @property
    def name(self) -> str:
        """Connection id."""

    def namespaces(self) -> list[tuple[str, ...]]:
        """All namespaces, nested ones too."""

    def tables(self, namespace: tuple[str, ...]) -> list[TableIdentifier]:
        """Tables of one namespace, by name, views left out."""

    def hidden(self, namespace: tuple[str, ...]) -> list[TableIdentifier]:
        """Tables of one namespace that are known to be there and are not shown to this connection."""

    def hidden_namespaces(self) -> list[tuple[str, ...]]:
        """Namespaces that are known to be there and are not shown to this connection, nested ones too."""

    def load(self, table: TableIdentifier) -> LoadedTable | None:
        """Read the entry and its metadata file; None when the catalog has no such entry.

        :raises IceBridgeError: IB-204 when the entry is there but its metadata cannot be read.
        """

    def location_for(self, table: TableIdentifier, suffix: str) -> str:
        """Folder this catalog would give the table, made unique by ``suffix``."""

    def store(self) -> FileStore:
        """Files of this catalog's tables."""

    def create_namespace(self, namespace: tuple[str, ...]) -> None:
        """Create it and its parents; an existing one is success."""

    def register(self, table: TableIdentifier, metadata_location: str) -> None:
        """Point a new entry at an existing metadata file; an entry at that very file is success.

        :raises IceBridgeError: IB-206 when another table has the name.
        """

    def rename(self, table: TableIdentifier, name: str) -> None:
        """Give the entry another name in its namespace."""

    def drop_entry(self, table: TableIdentifier) -> None:
        """Forget the entry; files stay. A missing one is success."""

    def set_properties(self, table: TableIdentifier, properties: Mapping[str, str]) -> None:
        """Commit table properties."""

    @property
    def access(self) -> AccessControl | None:
        """Privileges of its tables, None for a catalog that knows none."""

    def writable(self) -> bool:
        """Whether this connection may change the catalog (``read_only`` in its extra says no)."""


class Engine(Protocol):
    """Something that moves data. ``submit`` with a token it has seen finds the job instead of starting another."""

    def submit(self, job: JobSpec, token: str) -> JobRef:
        """Start the job, or find it."""

    def poll(self, job: JobRef) -> JobStatus:
        """Where it is."""

    def cancel(self, job: JobRef) -> None:
        """Stop it; one that is over is success."""


class BatchEngine(Engine, Protocol):
    """An engine elsewhere: it works while nobody waits for it, and one run may do many tables."""

    @property
    def name(self) -> str:
        """What kind of engine, as :attr:`JobRef.engine` says it."""

    def submit_all(self, jobs: Sequence[tuple[JobSpec, str]]) -> JobRef:
        """Start one run for all jobs (each with its token), or find the run that was started for just these."""

    def result_of(self, job: JobSpec, ref: JobRef) -> JobStatus:
        """How one table came out of a run that is over; ``facts["retryable"]`` when the same may succeed later."""


class JobsTable(Protocol):
    """A table for people, in which one row a table of a plan tells how far it is; the ledger stays the record."""

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows; a row that is newer there already stays, the same again changes nothing.

        :raises IceBridgeError: when it cannot be written.
        """


class Ledger(Protocol):
    """Append-only events, leases with epochs, and the documents events speak of."""

    def append(self, event: LedgerEvent, lease: Lease | None = None) -> LedgerEvent:
        """Record an event and return it numbered, timed and chained.

        :raises FencedOut: IB-110 when ``lease`` is no longer the newest of its key.
        """

    def append_many(self, events: Sequence[LedgerEvent], lease: Lease | None = None) -> list[LedgerEvent]:
        """Record events in one transaction, in order."""

    def events(self, plan_id: str | None = None, table: str | None = None, after: int = 0) -> Iterator[LedgerEvent]:
        """Events, oldest first."""

    def state(self, plan_id: str, table: str) -> TableState:
        """Fold of one table's events in one plan."""

    def states(self, plan_id: str, tables: Collection[str] | None = None) -> list[TableState]:
        """Folds of all tables of a plan, or of the named ones that have events, in table order."""

    def acquire(self, key: str, owner: str, seconds: float) -> Lease | None:
        """Take or renew a lease; None while somebody else holds it. A lapsed lease is taken with the next epoch."""

    def renew(self, lease: Lease, seconds: float) -> Lease:
        """Extend a lease.

        :raises FencedOut: IB-110 when it is no longer the newest of its key.
        """

    def release(self, lease: Lease) -> None:
        """Give a lease back; a lost one is success."""

    def save_plan(self, plan: MigrationPlan) -> None:
        """Keep a sealed plan; the same plan again is success."""

    def plan(self, plan_id: str) -> MigrationPlan:
        """Return a plan.

        :raises IceBridgeError: IB-120 when there is none, naming the nearest ids.
        """

    def plans(self) -> list[str]:
        """Plan ids, newest first."""

    def record_files(self, plan_id: str, table: str, files: Sequence[CopiedFile]) -> None:
        """Remember files that are whole at their destination; the same file again is success."""

    def copied_files(self, plan_id: str, table: str) -> dict[str, CopiedFile]:
        """Remembered files by source path."""

    def save_document(self, kind: str, key: str, content: Mapping[str, Any]) -> None:
        """Keep a JSON document (inventory, assessment, report, certificate, job result) under its kind and key."""

    def document(self, kind: str, key: str) -> dict[str, Any] | None:
        """Return a document, None when there is none."""

    def documents(self, kind: str, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """Documents of one kind whose key starts with ``prefix``, by key."""


class Signer(Protocol):
    """Signs certificates; the private key never leaves it."""

    @property
    def key_id(self) -> str:
        """Which key."""

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature (RFC 8032), 64 bytes."""


Clock = Callable[[], str]
Progress = Callable[[Mapping[str, Any]], None]
Tables = Iterable[TableIdentifier]

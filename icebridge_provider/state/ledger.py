"""The ledger over SQLAlchemy Core: SQLite in a file for one host, PostgreSQL for many."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import make_url

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError, FencedOut, TransientError
from icebridge_provider.model import codec
from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, Step, TableState, fold
from icebridge_provider.model.plan import MigrationPlan
from icebridge_provider.model.redaction import credential_in
from icebridge_provider.ports import CopiedFile, Lease
from icebridge_provider.state import leases
from icebridge_provider.state.schema import DOCUMENTS, EVENTS, FILES, HEAD, METADATA, PLANS

START = "0" * 64
REVISION = "0001"
_PAGE = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReport:
    """What :meth:`SqlLedger.verify_chain` found: how many events, the last hash, and each break in words."""

    events: int
    head: str
    problems: tuple[str, ...]

    @property
    def intact(self) -> bool:
        """True when no event was changed, inserted, removed or cut off."""
        return not self.problems


class SqlLedger:
    """Implements ``ports.Ledger``; safe for many threads and processes.

    :param url: SQLAlchemy address; its password never appears in errors or ``repr``.
    """

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.is_local = self.url.get_backend_name() == "sqlite"
        if self.is_local and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        self._engine = _engine(self.url, is_local=self.is_local)

    def __repr__(self) -> str:
        return f"SqlLedger({self.url.render_as_string(hide_password=True)})"

    @property
    def engine(self) -> Engine:
        """The SQLAlchemy engine, for the modules beside this one."""
        return self._engine

    # -- schema --------------------------------------------------------------------------------------------------

    def migrate(self) -> None:
        """Create or upgrade the ledger's tables (``airflow icebridge db migrate``); a current ledger is success."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._write() as connection, side_effect("ledger.migrate"):
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def check_migrated(self) -> None:
        """Make sure the tables are there and current.

        :raises ConfigurationError: IB-111 naming the command to run.
        """
        with self._read() as connection:
            if sa.inspect(connection).has_table("icebridge_alembic_version"):
                found = connection.execute(sa.text("SELECT version_num FROM icebridge_alembic_version")).scalar()
            else:
                found = None
        if found != REVISION:
            raise ConfigurationError(
                "IB-111",
                f"The ledger {self!r} is at revision {found or 'none'}, this version needs {REVISION}.",
                remedy="Run: airflow icebridge db migrate.",
                found=found,
            )

    # -- events --------------------------------------------------------------------------------------------------

    def append(self, event: LedgerEvent, lease: Lease | None = None) -> LedgerEvent:
        """Record an event; see ``ports.Ledger.append``.

        :raises ConfigurationError: IB-119 when its data looks like it holds a credential.
        """
        return self.append_many([event], lease)[0]

    def append_many(self, events: Sequence[LedgerEvent], lease: Lease | None = None) -> list[LedgerEvent]:
        """Record events in one transaction, in order."""
        for item in events:
            _refuse_credentials(item.data, f"event {item.step} of {item.table or item.plan_id}")
        with side_effect("ledger.append"), self._write() as connection:
            head = connection.execute(sa.select(HEAD.c.seq, HEAD.c.hash).with_for_update()).one()
            if lease is not None:
                leases.check(connection, lease)
            chained = list(_chain(events, head.seq, head.hash, leases.timestamp(connection)))
            if chained:
                connection.execute(sa.insert(EVENTS), [_row(item) for item in chained])
                connection.execute(sa.update(HEAD).values(seq=chained[-1].seq, hash=chained[-1].hash))
        return chained

    def events(self, plan_id: str | None = None, table: str | None = None, after: int = 0) -> Iterator[LedgerEvent]:
        """Events, oldest first, read page by page."""
        query = sa.select(EVENTS).order_by(EVENTS.c.seq).limit(_PAGE)
        if plan_id is not None:
            query = query.where(EVENTS.c.plan_id == plan_id)
        if table is not None:
            query = query.where(EVENTS.c.table_name == table)
        while True:
            with self._read() as connection:
                rows = connection.execute(query.where(EVENTS.c.seq > after)).all()
            yield from (_event(row) for row in rows)
            if len(rows) < _PAGE:
                return
            after = rows[-1].seq

    def state(self, plan_id: str, table: str) -> TableState:
        """Fold of one table's events in one plan."""
        return fold(self.events(plan_id, table), plan_id, table)

    def states(self, plan_id: str) -> list[TableState]:
        """Folds of all tables of a plan, by table."""
        found = [item for item in self.events(plan_id) if item.table]
        found.sort(key=lambda item: (item.table, item.seq))
        return [fold(group, plan_id, table) for table, group in groupby(found, key=lambda item: item.table)]

    def verify_chain(self) -> ChainReport:
        """Recompute every hash and compare with what is stored."""
        previous, expected, problems = START, 1, []
        for item in self.events():
            if item.seq != expected:
                problems.append(f"events {expected} to {item.seq - 1} are missing")
            if item.previous != previous or item.hash != _hash(item):
                problems.append(f"event {item.seq} ({item.step} {item.outcome} of {item.table or item.plan_id}) changed")
            previous, expected = item.hash, item.seq + 1
        with self._read() as connection:
            head = connection.execute(sa.select(HEAD.c.seq, HEAD.c.hash)).all()
        if [tuple(row) for row in head] != [(expected - 1, previous)]:
            problems.append(f"the end was cut off or the head changed after event {expected - 1}")
        return ChainReport(events=expected - 1, head=previous, problems=tuple(problems))

    # -- leases --------------------------------------------------------------------------------------------------

    def acquire(self, key: str, owner: str, seconds: float) -> Lease | None:
        """Take or renew a lease; None while somebody else holds it."""
        with side_effect("ledger.acquire"), self._write() as connection:
            return leases.acquire(connection, key, owner, seconds)

    def renew(self, lease: Lease, seconds: float) -> Lease:
        """Extend a lease.

        :raises FencedOut: IB-110 when somebody newer holds it.
        """
        with side_effect("ledger.renew"), self._write() as connection:
            return leases.renew(connection, lease, seconds)

    def release(self, lease: Lease) -> None:
        """Give a lease back; a lost one is success."""
        with side_effect("ledger.release"), self._write() as connection:
            leases.release(connection, lease)

    # -- plans, files, documents ---------------------------------------------------------------------------------

    def save_plan(self, plan: MigrationPlan) -> None:
        """Keep a sealed plan; the same plan again is success.

        :raises ConfigurationError: IB-121 when another plan has the id, IB-119 when it holds a credential.
        """
        content = codec.canonical(plan)
        _refuse_credentials(plan.to_json(), f"plan {plan.plan_id}")
        with side_effect("ledger.save_plan"), self._write() as connection:
            found = connection.execute(sa.select(PLANS.c.digest).where(PLANS.c.plan_id == plan.plan_id)).scalar()
            if found is None:
                row = {"plan_id": plan.plan_id, "created_at": plan.created_at, "digest": plan.digest}
                connection.execute(sa.insert(PLANS).values(**row, content=content))
            elif found != plan.digest:
                raise ConfigurationError(
                    "IB-121",
                    f"Another plan is kept under the id {plan.plan_id!r}.",
                    remedy="Give this plan another plan_id.",
                    plan_id=plan.plan_id,
                )

    def plan(self, plan_id: str) -> MigrationPlan:
        """Return a plan.

        :raises ConfigurationError: IB-120 when there is none, naming the nearest ids.
        """
        with self._read() as connection:
            content = connection.execute(sa.select(PLANS.c.content).where(PLANS.c.plan_id == plan_id)).scalar()
        if content is None:
            known = self.plans()
            near = get_close_matches(plan_id, known, n=3) or known[:3]
            raise ConfigurationError(
                "IB-120",
                f"The ledger has no plan {plan_id!r}.",
                remedy=f"Nearest: {', '.join(near)}." if near else "Make one: airflow icebridge plan.",
                plan_id=plan_id,
            )
        return MigrationPlan.from_json(json.loads(content))

    def plans(self) -> list[str]:
        """Plan ids, newest first."""
        query = sa.select(PLANS.c.plan_id).order_by(PLANS.c.created_at.desc(), PLANS.c.plan_id)
        with self._read() as connection:
            return list(connection.execute(query).scalars())

    def record_files(self, plan_id: str, table: str, files: Sequence[CopiedFile]) -> None:
        """Remember files that are whole at their destination."""
        rows = [
            {"plan_id": plan_id, "table_name": table, "source": f.source, "target": f.target, "size": f.size}
            | {"crc32": f.crc32}
            for f in files
        ]
        if rows:
            with side_effect("ledger.record_files"), self._write() as connection:
                connection.execute(self._upsert(FILES, ("target", "size", "crc32")), rows)

    def copied_files(self, plan_id: str, table: str) -> dict[str, CopiedFile]:
        """Remembered files by source path."""
        query = sa.select(FILES).where(FILES.c.plan_id == plan_id, FILES.c.table_name == table)
        with self._read() as connection:
            rows = connection.execute(query).all()
        return {r.source: CopiedFile(source=r.source, target=r.target, size=r.size, crc32=r.crc32) for r in rows}

    def save_document(self, kind: str, key: str, content: Mapping[str, Any]) -> None:
        """Keep a JSON document under its kind and key, replacing an earlier one.

        :raises ConfigurationError: IB-119 when it holds a credential.
        """
        _refuse_credentials(content, f"document {kind} {key}")
        row = {"kind": kind, "key": key, "content": codec.canonical(content)}
        with side_effect("ledger.save_document"), self._write() as connection:
            connection.execute(self._upsert(DOCUMENTS, ("content",)), [row])

    def document(self, kind: str, key: str) -> dict[str, Any] | None:
        """Return a document, None when there is none."""
        query = sa.select(DOCUMENTS.c.content).where(DOCUMENTS.c.kind == kind, DOCUMENTS.c.key == key)
        with self._read() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else dict(json.loads(found))

    def documents(self, kind: str, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """Documents of one kind whose key starts with ``prefix``, by key."""
        key = DOCUMENTS.c.key
        query = sa.select(key, DOCUMENTS.c.content).where(DOCUMENTS.c.kind == kind).order_by(key)
        if prefix:
            query = query.where(key.startswith(prefix, autoescape=True))
        with self._read() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            if row.key.startswith(prefix):  # LIKE ignores case on SQLite
                yield row.key, json.loads(row.content)

    # -- inside --------------------------------------------------------------------------------------------------

    def _read(self) -> Any:
        return self._connected(write=False)

    def _write(self) -> Any:
        return self._connected(write=True)

    def _connected(self, *, write: bool) -> Any:
        try:
            return self._engine.execution_options(icebridge_write=write).begin()
        except sa.exc.OperationalError as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> TransientError:
        return TransientError(
            "IB-113",
            f"The ledger {self!r} does not answer: {type(error).__name__}.",
            remedy="Check that its database is up and its connection right; the task tries again.",
        )

    def _upsert(self, table: sa.Table, changed: Iterable[str]) -> Any:
        from sqlalchemy.dialects import postgresql, sqlite

        dialect: Any = sqlite if self.is_local else postgresql
        statement = dialect.insert(table)
        keys = [column.name for column in table.primary_key]
        new = {name: statement.excluded[name] for name in changed}
        return statement.on_conflict_do_update(index_elements=keys, set_=new)


def require_shared(ledger: SqlLedger, executor: str) -> None:
    """Refuse an SQLite ledger where tasks run on more than one host.

    :raises ConfigurationError: IB-112.
    """
    local = {"LocalExecutor", "SequentialExecutor", "DebugExecutor", ""}
    if ledger.is_local and executor.rsplit(".", 1)[-1] not in local:
        raise ConfigurationError(
            "IB-112",
            f"The ledger is an SQLite file, which hosts cannot share, and the executor is {executor}.",
            remedy="Define the connection icebridge_ledger with a PostgreSQL database, then: airflow icebridge db migrate.",
            executor=executor,
        )


def _engine(url: sa.URL, *, is_local: bool) -> Engine:
    if not is_local:
        return sa.create_engine(url, pool_pre_ping=True, pool_size=5, max_overflow=10)
    engine = sa.create_engine(url, connect_args={"timeout": 60, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves: the driver would start transactions too late
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")  # a recorded event survives a power cut

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("icebridge_write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _chain(events: Iterable[LedgerEvent], seq: int, previous: str, at: str) -> Iterator[LedgerEvent]:
    for item in events:
        seq += 1
        placed = replace(item, seq=seq, at=at, previous=previous, hash="")
        placed = replace(placed, data=json.loads(codec.canonical(placed.data)), hash=_hash(placed))
        previous = placed.hash
        yield placed


def _hash(item: LedgerEvent) -> str:
    text = codec.canonical(replace(item, hash="", previous=""))
    return hashlib.sha256((item.previous + text).encode()).hexdigest()


def _row(item: LedgerEvent) -> dict[str, Any]:
    return {
        "seq": item.seq,
        "plan_id": item.plan_id,
        "table_name": item.table,
        "step": item.step.value,
        "outcome": item.outcome.value,
        "who": item.actor.who,
        "origin": item.actor.origin,
        "data": codec.canonical(item.data),
        "epoch": item.epoch,
        "at": item.at,
        "previous": item.previous,
        "hash": item.hash,
    }


def _event(row: Any) -> LedgerEvent:
    return LedgerEvent(
        plan_id=row.plan_id,
        table=row.table_name,
        step=Step(row.step),
        outcome=Outcome(row.outcome),
        actor=Actor(who=row.who, origin=row.origin),
        data=json.loads(row.data),
        epoch=row.epoch,
        seq=row.seq,
        at=row.at,
        previous=row.previous,
        hash=row.hash,
    )


def _refuse_credentials(content: Any, what: str) -> None:
    found = credential_in(content)
    if found is not None:
        raise ConfigurationError(
            "IB-119",
            f"The {what} looks like it holds a credential at {found}; the ledger never stores one.",
            remedy="Take it out: credentials belong in an Airflow connection or secrets backend.",
            where=found,
        )


__all__ = ["METADATA", "ChainReport", "SqlLedger", "require_shared"]

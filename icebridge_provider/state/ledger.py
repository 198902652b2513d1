"""The ledger over SQLAlchemy Core: SQLite in a file for one host, PostgreSQL for many."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError, TransientError
from icebridge_provider.model import codec
from icebridge_provider.model.event import LedgerEvent, TableState, fold
from icebridge_provider.model.plan import MigrationPlan
from icebridge_provider.ports import CopiedFile, Lease
from icebridge_provider.state import chain, leases
from icebridge_provider.state.chain import ChainReport
from icebridge_provider.state.content import clean, clean_event, refuse_credentials
from icebridge_provider.state.database import Database
from icebridge_provider.state.schema import DOCUMENTS, EVENTS, FILES, HEAD, PLANS

_PAGE = 5000


class SqlLedger(Database):
    """Implements ``ports.Ledger``; safe for many threads and processes."""

    # -- events --------------------------------------------------------------------------------------------------

    def append(self, event: LedgerEvent, lease: Lease | None = None) -> LedgerEvent:
        """Record an event; see ``ports.Ledger.append``.

        :raises ConfigurationError: IB-119 when its data looks like it holds a credential.
        """
        return self.append_many([event], lease)[0]

    def append_many(self, events: Sequence[LedgerEvent], lease: Lease | None = None) -> list[LedgerEvent]:
        """Record events in one transaction, in order.

        When the answer to the commit was lost, the events are looked for before anything is reported.
        """
        cleaned = [clean_event(item) for item in events]
        placed: list[LedgerEvent] = []
        try:
            with side_effect("ledger.append"), self.writing() as connection:
                head = connection.execute(sa.select(HEAD.c.seq, HEAD.c.hash).with_for_update()).one()
                if lease is not None:
                    leases.check(connection, lease)
                placed.extend(chain.chained(cleaned, head.seq, head.hash, leases.timestamp(connection)))
                if placed:
                    connection.execute(sa.insert(EVENTS), [chain.stored(item) for item in placed])
                    connection.execute(sa.update(HEAD).values(seq=placed[-1].seq, hash=placed[-1].hash))
        except TransientError:
            if not placed or not self._holds(placed[-1].hash):
                raise
        return placed

    def events(self, plan_id: str | None = None, table: str | None = None, after: int = 0) -> Iterator[LedgerEvent]:
        """Events, oldest first, read page by page."""
        query = sa.select(EVENTS).order_by(EVENTS.c.seq).limit(_PAGE)
        if plan_id is not None:
            query = query.where(EVENTS.c.plan_id == plan_id)
        if table is not None:
            query = query.where(EVENTS.c.table_name == table)
        while True:
            with self.reading() as connection:
                rows = connection.execute(query.where(EVENTS.c.seq > after)).all()
            yield from (chain.read(row) for row in rows)
            if len(rows) < _PAGE:
                return
            after = rows[-1].seq

    def state(self, plan_id: str, table: str) -> TableState:
        """Fold of one table's events in one plan."""
        return fold(self.events(plan_id, table), plan_id, table)

    def states(self, plan_id: str, tables: Collection[str] | None = None) -> list[TableState]:
        """Folds of all tables of a plan, or of the named ones that have events, by table."""
        query = sa.select(EVENTS).where(EVENTS.c.plan_id == plan_id, EVENTS.c.table_name != "")
        query = query.order_by(EVENTS.c.table_name, EVENTS.c.seq)
        parts = [query]
        if tables is not None:
            names = sorted(set(tables))
            pages = (names[start : start + _PAGE] for start in range(0, len(names), _PAGE))
            parts = [query.where(EVENTS.c.table_name.in_(page)) for page in pages]
        with self.reading() as connection:
            rows = [row for part in parts for row in connection.execute(part)]
        found = groupby((chain.read(row) for row in rows), key=lambda item: item.table)
        return [fold(group, plan_id, table) for table, group in found]

    def head(self) -> tuple[int, str]:
        """Number and hash of the newest event: 0 and zeros before the first."""
        with self.reading() as connection:
            row = connection.execute(sa.select(HEAD.c.seq, HEAD.c.hash)).one()
        return row.seq, row.hash

    def verify_chain(self, checkpoints: Mapping[int, str] | None = None) -> ChainReport:
        """Recompute every hash as of one moment and compare with what is stored.

        :param checkpoints: hashes by event number that were noted elsewhere, such as in signed certificates. They
            also show a chain that was written anew from its start.
        """
        check, left = chain.ChainCheck(), dict(checkpoints or {})
        problems: list[str] = []
        with self.reading(repeatable=True) as connection:
            for row in self._stream(connection):
                problems.extend(check.row_problems(row))
                noted = left.pop(check.seq, check.hash)
                if noted != check.hash:
                    problems.append(f"event {check.seq} is not the one that was noted elsewhere")
            problems.extend(check.end([dict(row._mapping) for row in connection.execute(sa.select(HEAD))]))  # noqa: SLF001
        problems.extend(f"event {seq}, which was noted elsewhere, is missing" for seq in left if seq)
        return ChainReport(events=check.count, head=check.hash, problems=tuple(problems))

    def lines(self) -> Iterator[dict[str, Any]]:
        """All events as plain values, oldest first, as of one moment; what cannot be read has empty ``data``."""
        with self.reading(repeatable=True) as connection:
            for row in self._stream(connection):
                yield chain.row_line(row, trusted=False)

    @staticmethod
    def _stream(connection: Connection) -> sa.CursorResult[Any]:
        return connection.execute(sa.select(EVENTS).order_by(EVENTS.c.seq).execution_options(yield_per=_PAGE))

    def _holds(self, event_hash: str) -> bool:
        with self.writing() as connection:
            connection.execute(sa.select(HEAD.c.seq).with_for_update())  # waits while that commit is still under way
            query = sa.select(EVENTS.c.seq).where(EVENTS.c.hash == event_hash)
            return connection.execute(query).first() is not None

    # -- leases --------------------------------------------------------------------------------------------------

    def acquire(self, key: str, owner: str, seconds: float) -> Lease | None:
        """Take or renew a lease; None while somebody else holds it."""
        with side_effect("ledger.acquire"), self.writing() as connection:
            return leases.acquire(connection, key, owner, seconds)

    def renew(self, lease: Lease, seconds: float) -> Lease:
        """Extend a lease.

        :raises FencedOut: IB-110 when somebody newer holds it.
        """
        with side_effect("ledger.renew"), self.writing() as connection:
            return leases.renew(connection, lease, seconds)

    def release(self, lease: Lease) -> None:
        """Give a lease back; a lost one is success."""
        with side_effect("ledger.release"), self.writing() as connection:
            leases.release(connection, lease)

    # -- plans, files, documents ---------------------------------------------------------------------------------

    def save_plan(self, plan: MigrationPlan) -> None:
        """Keep a sealed plan; the same plan again is success.

        :raises ConfigurationError: IB-121 when another plan has the id, IB-119 when it holds a credential.
        """
        content = codec.canonical(plan)
        refuse_credentials(plan.to_json(), f"plan {plan.plan_id}")
        with side_effect("ledger.save_plan"), self.writing() as connection:
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
        with self.reading() as connection:
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
        with self.reading() as connection:
            return list(connection.execute(query).scalars())

    def record_files(self, plan_id: str, table: str, files: Sequence[CopiedFile]) -> None:
        """Remember files that are whole at their destination."""
        rows = [
            {"plan_id": plan_id, "table_name": table, "source": f.source, "target": f.target, "size": f.size}
            | {"crc32": f.crc32}
            for f in files
        ]
        if rows:
            with side_effect("ledger.record_files"), self.writing() as connection:
                connection.execute(self.upsert(FILES, ("target", "size", "crc32")), rows)

    def copied_files(self, plan_id: str, table: str) -> dict[str, CopiedFile]:
        """Remembered files by source path."""
        query = sa.select(FILES).where(FILES.c.plan_id == plan_id, FILES.c.table_name == table)
        with self.reading() as connection:
            rows = connection.execute(query).all()
        return {r.source: CopiedFile(source=r.source, target=r.target, size=r.size, crc32=r.crc32) for r in rows}

    def save_document(self, kind: str, key: str, content: Mapping[str, Any]) -> None:
        """Keep a JSON document under its kind and key, replacing an earlier one.

        :raises ConfigurationError: IB-119 when it holds a credential.
        """
        row = {"kind": kind, "key": key, "content": codec.canonical(clean(kind, content))}
        with side_effect("ledger.save_document"), self.writing() as connection:
            connection.execute(self.upsert(DOCUMENTS, ("content",)), [row])

    def document(self, kind: str, key: str) -> dict[str, Any] | None:
        """Return a document, None when there is none."""
        query = sa.select(DOCUMENTS.c.content).where(DOCUMENTS.c.kind == kind, DOCUMENTS.c.key == key)
        with self.reading() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else dict(json.loads(found))

    def documents(self, kind: str, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """Documents of one kind whose key starts with ``prefix``, by key."""
        key = DOCUMENTS.c.key
        query = sa.select(key, DOCUMENTS.c.content).where(DOCUMENTS.c.kind == kind).order_by(key)
        if prefix:
            query = query.where(key.startswith(prefix, autoescape=True))
        with self.reading() as connection:
            rows = connection.execute(query).all()
        for row in rows:
            if row.key.startswith(prefix):  # LIKE ignores case on SQLite
                yield row.key, json.loads(row.content)


def require_shared(ledger: SqlLedger, executor: str) -> None:
    """Refuse an SQLite ledger where tasks run on more than one host.

    :raises ConfigurationError: IB-112.
    """
    local = {"LocalExecutor", "SequentialExecutor", "DebugExecutor", ""}
    if ledger.is_local and executor.rsplit(".", 1)[-1] not in local:
        raise ConfigurationError(
            "IB-112",
            f"The ledger is an SQLite file, which hosts cannot share, and the executor is {executor}.",
            remedy="Define the connection icebridge_ledger with a PostgreSQL database, then run: "
            "airflow icebridge db migrate.",
            executor=executor,
        )


__all__ = ["ChainReport", "SqlLedger", "require_shared"]

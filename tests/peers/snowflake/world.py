"""What the account holds besides data: people, roles, stages, queries, the clock."""

from __future__ import annotations

import datetime
import itertools
import secrets
import threading
import uuid
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.peers.snowflake.errors import SnowflakeError

if TYPE_CHECKING:
    from tests.peers.snowflake.engine import Engine
    from tests.peers.snowflake.session import Session

Name = tuple[str, ...]
SUPER = frozenset({"ACCOUNTADMIN", "SYSADMIN"})
KEPT_RESULTS, KEPT_QUERIES = 300, 20_000


@dataclass(kw_only=True)
class Stage:
    name: Name
    url: str
    integration: str
    file_format: dict[str, Any]
    comment: str
    created: datetime.datetime


@dataclass(kw_only=True)
class Integration:
    name: str
    enabled: bool
    allowed: list[str]
    blocked: list[str]
    provider: str
    role_arn: str


@dataclass(kw_only=True)
class User:
    name: str
    password: str
    roles: set[str]
    default_role: str


@dataclass(kw_only=True, eq=False)
class Query:
    """One statement, from its arrival on."""

    text: str
    session: Session
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    request: str = ""
    tag: str = ""
    role: str = ""
    database: str | None = None
    schema: str | None = None
    started: datetime.datetime
    ended: datetime.datetime | None = None
    status: str = "RUNNING"
    error: SnowflakeError | None = None
    data: dict[str, Any] | None = None
    rows: int = 0
    previous: str | None = None  # of its session
    cancel: threading.Event = field(default_factory=threading.Event)
    outcome: Future[None] = field(default_factory=Future)


@dataclass
class World:
    """One account."""

    engine: Engine
    files: Any  # an fsspec filesystem, or None
    admin_token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    account: str = "ICEBRIDGE"
    users: dict[str, User] = field(default_factory=dict)
    roles: set[str] = field(default_factory=lambda: set(SUPER))
    grants: set[tuple[str, str, str, Name]] = field(default_factory=set)  # role, privilege, kind, name
    owners: dict[tuple[str, Name], str] = field(default_factory=dict)
    stages: dict[Name, Stage] = field(default_factory=dict)
    integrations: dict[str, Integration] = field(default_factory=dict)
    keys: dict[Name, list[str]] = field(default_factory=dict)
    sessions: dict[str, Session] = field(default_factory=dict)
    queries: OrderedDict[str, Query] = field(default_factory=OrderedDict)
    requests: dict[str, Query] = field(default_factory=dict)
    settings: dict[str, float] = field(
        default_factory=lambda: {
            "answer_within_seconds": 45.0,
            "lock_timeout_seconds": 20.0,
            "idle_abort_seconds": 300.0,
        }
    )
    offset: datetime.timedelta = datetime.timedelta()
    lock: threading.RLock = field(default_factory=threading.RLock)
    numbers: Any = field(default_factory=lambda: itertools.count(1001))

    def now(self) -> datetime.datetime:
        """The account's clock: the machine's, moved by what tests ordered."""
        return datetime.datetime.now(datetime.UTC) + self.offset

    def begin(self, session: Session, text: str, request: str, tag: str) -> Query:
        """Note a statement's arrival; old results and old statements are forgotten."""
        conn = session.conn
        query = Query(
            text=text, session=session, request=request, tag=tag, role=session.role, started=self.now(),
            database=conn.database, schema=conn.schema,
        )  # fmt: skip
        with self.lock:
            self.queries[query.id] = query
            query.previous, session.latest = session.latest, query.id
            if request:
                self.requests[request] = query
            self._forget()
        return query

    def _forget(self) -> None:
        for old in itertools.islice(reversed(self.queries.values()), KEPT_RESULTS, KEPT_RESULTS + 2):
            if old.ended is not None:
                old.data = None
        while len(self.queries) > KEPT_QUERIES:
            _, old = self.queries.popitem(last=False)
            self.requests.pop(old.request, None)

    def may(self, role: str, privilege: str, kind: str, name: Name) -> bool:
        """Whether a role holds a privilege on an object, by grant or as its owner."""
        if role in SUPER or self.owners.get((kind, name)) == role:
            return True
        return any((role, held, kind, name) in self.grants for held in (privilege, "ALL", "OWNERSHIP"))

"""One client: it shakes hands, logs in, and has its requests run by a session of the engine."""

from __future__ import annotations

import itertools
import re
import ssl
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.peers.mssql import declare, load, login, packets, rpc, tokens
from tests.peers.mssql.answer import Answer
from tests.peers.mssql.faults import Fault, Faults, Statement
from tests.peers.mssql.interface import Column, Count, Engine, Result, ResultSet, Session, SqlError, SqlType
from tests.peers.mssql.login import Login
from tests.peers.mssql.packets import Channel, Gone, Message
from tests.peers.mssql.remote import Procedures, is_rollback
from tests.peers.mssql.types import collation_bytes

_FMTONLY = re.compile(r"(?is)^\s*set\s+fmtonly\s+on\s*;?\s*(?P<body>.+?)\s*;?\s*set\s+fmtonly\s+off\s*;?\s*$")
# What SqlBulkCopy and its like ask before they load, a script of dynamic SQL that is recognised as a whole.
_BULK_COPY = re.compile(
    r"(?is)^\s*select\s+@@trancount\s*;.*set\s+fmtonly\s+on\s*;.*\bfrom\s+(?P<table>[^']+?)'\s*\)\s*;"
    r"\s*set\s+fmtonly\s+off\s*;\s*exec\s+\S*sp_tablecollations_100\s+N'.*'\s*;?\s*$"
)
TRANSACTIONS = {5: "BEGIN TRAN", 7: "COMMIT TRAN", 8: "ROLLBACK TRAN", 9: "SAVE TRAN"}
LEVELS = {1: "READ UNCOMMITTED", 2: "READ COMMITTED", 3: "REPEATABLE READ", 4: "SERIALIZABLE", 5: "SNAPSHOT"}
COLLATIONS = [
    Column(name="colid", type=SqlType(name="int")), Column(name="name", type=SqlType(name="sysname")),
    *(Column(name=f"tds_collation_{version}", type=SqlType(name="binary", length=5)) for version in (28, 90, 100)),
    *(Column(name=f"collation_{version}", type=SqlType(name="sysname")) for version in (28, 90, 100)),
]  # fmt: skip
_numbers = itertools.count(51)


def _collation(place: int, column: Column) -> list[Any]:
    if column.type.name not in {"char", "varchar", "text", "nchar", "nvarchar", "ntext"}:
        return [place, column.name] + [None] * 6
    return [place, column.name, *[collation_bytes(column.type.collation)] * 3, *[column.type.collation] * 3]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the server offers."""

    inside: ssl.SSLContext
    strict: ssl.SSLContext
    encryption: bool = True
    force_encryption: bool = False


@dataclass(eq=False)
class Client:
    """One client and its session of the engine."""

    channel: Channel
    engine: Engine
    faults: Faults
    rules: Rules
    limits: Mapping[str, Any]
    number: int = field(default_factory=_numbers.__next__)
    busy: bool = False
    login: Login | None = None
    _session: Session | None = None
    _procedures: Procedures = field(default_factory=Procedures)
    _bulk: declare.InsertBulk | None = None
    _descriptor: bytes = b""
    _descriptors: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _database: str = ""
    _rolled_back: bool = False

    @property
    def database(self) -> str:
        """The database that the client works in; empty before its login."""
        return self._database

    @property
    def session(self) -> Session:
        if self._session is None:
            raise Gone("nobody has logged in")
        return self._session

    def serve(self) -> None:
        """Serve until the client leaves."""
        try:
            if self._log_in():
                while True:
                    self._request(self.channel.message())
        except (Gone, ConnectionError, struct.error):
            pass
        finally:
            self.channel.gone = True
            if self._session is not None:
                self._session.close()
            self.channel.close()

    def cancel(self) -> None:
        """Stop what runs: the client asked for it or is gone (called by the watch)."""
        if self._session is not None:
            self._session.cancel()

    # -- login

    def _log_in(self) -> bool:
        strict = self.channel.first_byte() == 0x16
        if strict:
            self.channel.encrypt(self.rules.strict, wrapped=False)
        hello = self.channel.message()
        asked = login.prelogin_options(hello.body).get(1, b"\x02")[0]
        agreed = login.NOT_SUPPORTED if strict else login.agree(asked, supported=self.rules.encryption)
        if self.rules.force_encryption and agreed == login.OFF:
            agreed = login.REQUIRED
        self.channel.write(login.prelogin_answer(login.ON if strict else agreed))
        self.channel.end()
        if agreed != login.NOT_SUPPORTED:
            self.channel.encrypt(self.rules.inside, wrapped=True)
        said = self.channel.message()
        if agreed == login.OFF:
            self.channel.decrypt()
        if said.kind != packets.LOGIN:
            raise Gone("no login")
        return self._welcome(login.read_login(said.body))

    def _welcome(self, asked: Login) -> bool:
        answer = self._answer()
        fault = self._meet("login", f"login {asked.user}", 0, asked=asked)
        try:
            if fault is not None and isinstance(fault.fault, int):
                raise fault.error(self.number)
            self._session = self.engine.login(asked.user, asked.password, asked.database or "master")
        except SqlError as error:
            answer.failed(error)
            answer.end()
            return False
        self.login, self._database = asked, self._session.database
        self.channel.spid = getattr(self._session, "number", self.number)
        size = min(max(asked.packet_size or 4096, 512), 32767)
        answer.put(tokens.changed(1, self._database, "master"))
        context = f"Changed database context to '{self._database}'."
        answer.put(tokens.said(5701, context, severity=0, state=2))
        answer.put(tokens.collation_changed() + tokens.changed(2, "us_english", ""))
        answer.put(tokens.said(5703, "Changed language setting to us_english.", severity=0))
        answer.put(tokens.login_acknowledged(max(asked.tds_version, 0x730B0003) & 0xFFFFFFFF))
        answer.put(tokens.changed(4, str(size), str(size)))
        answer.end()
        self.channel.packet_size = size
        return True

    # -- requests

    def _request(self, message: Message) -> None:
        if message.reset:
            self._reset()
        if message.kind == packets.ATTENTION:
            self.channel.attention = True
            self._answer().end()
        elif message.kind == packets.BATCH:
            self._batch(_after_headers(message.body).decode("utf-16-le", "surrogatepass"))
        elif message.kind == packets.RPC:
            self._calls(message.body)
        elif message.kind == packets.TRANSACTION:
            self._transaction(_after_headers(message.body))
        else:
            raise Gone(f"a packet of kind {message.kind}")

    def _answer(self, fault: Fault | None = None) -> Answer:
        cut = fault.rows if fault is not None and fault.fault == "cut" else None
        return Answer(self.channel, after=self._tell_changes, cut_after=cut)

    def _reset(self) -> None:
        asked = self.login
        if asked is not None:
            self._meet("reset", "sp_reset_connection", 0)
            self.session.close()
            self._session = self.engine.login(asked.user, asked.password, asked.database or "master")
            self._procedures = Procedures()
            self._descriptor, self._database = b"", self._session.database
            self.channel.write(tokens.changed_bytes(18, b"", b""))

    def _run(
        self, kind: str, text: str, parameters: int, work: Callable[[Answer], None],
        instead: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """Run one request's work between the faults that were ordered for it; ``instead`` when one fails it."""
        while self.limits["frozen"] and not self.channel.gone:
            time.sleep(0.01)
        fault = self._meet(kind, text, parameters)
        answer = self._answer(fault)
        self.busy = True
        try:
            if fault is not None and isinstance(fault.fault, int):
                instead()
                self._fail(fault.error(self.number), answer)
            else:
                self._guarded(work, answer)
        finally:
            self.busy = False
        if fault is not None and str(fault.fault).startswith("drop_after"):
            self._drop()
        self._seen.rows, self._seen.error = answer.rows, answer.error
        self._tell_changes()
        answer.end()
        if answer.fatal:
            raise Gone("an error that ends the connection")

    def _guarded(self, work: Callable[[Answer], None], answer: Answer) -> None:
        try:
            work(answer)
        except SqlError as error:
            if not self.channel.attention:
                answer.failed(error)
        except (Gone, ConnectionError):
            raise
        except Exception as error:  # noqa: BLE001 - a fault of the stand-in itself: said to the client and shown
            traceback.print_exc(file=sys.stderr)
            answer.failed(SqlError(99999, f"the stand-in failed: {type(error).__name__}: {error}"))

    def _meet(self, kind: str, text: str, parameters: int, asked: Login | None = None) -> Fault | None:
        who = asked or self.login
        self._seen = Statement(
            spid=self.channel.spid or self.number, user=who.user if who else "", kind=kind, text=text,
            database=self._session.database if self._session else who.database if who else "",
            application=who.application if who else "", parameters=parameters,
        )  # fmt: skip
        fault = self.faults.meet(self._seen)
        if fault is not None and fault.fault == "latency_ms":
            time.sleep(fault.milliseconds / 1000)
        elif fault is not None and fault.fault in {"drop", "drop_before_commit"}:
            self._drop()
        return fault

    def _fail(self, error: SqlError, answer: Answer) -> None:
        if error.doomed and self.session.trancount:
            self.session.rollback()
        answer.failed(error)

    def _drop(self) -> None:
        self.channel.close(hard=True)
        raise Gone("dropped, as ordered")

    def _tell_changes(self) -> None:
        """Say that the session's transaction or database is another one now."""
        session = self._session
        if session is None:
            return
        if session.trancount and not self._descriptor:
            self._descriptor = struct.pack("<II", self.number, next(self._descriptors))
            self.channel.write(tokens.changed_bytes(8, self._descriptor, b""))
        elif not session.trancount and self._descriptor:
            kind = 10 if self._rolled_back else 9
            self.channel.write(tokens.changed_bytes(kind, b"", self._descriptor))
            self._descriptor = b""
        if session.database != self._database:
            self.channel.write(tokens.changed(1, session.database, self._database))
            self._database = session.database

    # -- batches

    def _batch(self, sql: str) -> None:
        if declare.is_insert_bulk(sql):
            self._run("bulk", sql, 0, lambda answer: self._announce(sql, answer))
            if self._bulk is not None:
                self._load()
            return
        self._run("batch", sql, 0, lambda answer: self._plain(sql, answer))

    def _plain(self, sql: str, answer: Answer) -> None:
        only, copying = _FMTONLY.match(sql), _BULK_COPY.match(sql)
        if copying is not None:
            self._before_bulk_copy(copying["table"], answer)
        elif only is not None:
            answer.metadata(self.session.describe(only["body"]))
            answer.done(tokens.DONE, rows=0, command=tokens.SELECT)
        else:
            self._rolled_back = is_rollback(sql)
            answer.results(self.session.batch(sql), tokens.DONE)

    def _before_bulk_copy(self, table: str, answer: Answer) -> None:
        """Three results: the count of transactions, the table's columns without rows, their collations."""
        columns = self.session.describe(f"SELECT * FROM {table}")
        count = ResultSet(columns=[Column(name="", type=SqlType(name="int"))], rows=[[self.session.trancount]])
        empty = ResultSet(columns=columns, rows=[])
        collations = ResultSet(columns=COLLATIONS, rows=[_collation(at, one) for at, one in enumerate(columns, 1)])
        answer.results(iter([count, Count(rows=1), empty, Count(rows=0), collations, Count(rows=len(columns))]),
                       tokens.DONE)  # fmt: skip

    def _announce(self, sql: str, answer: Answer) -> None:
        statement = declare.insert_bulk(sql)
        self.session.bulk_columns(statement.table, [column.name for column in statement.columns])
        self._bulk = statement
        answer.done(tokens.DONE)

    def _load(self) -> None:
        """Read the rows that follow an INSERT BULK, and say how many went in."""
        statement, self._bulk = self._bulk, None
        if statement is None:
            return
        kind = self.channel.peek_kind()
        if kind != packets.BULK:  # the client thought better of it
            return
        stream = load.Stream(self.channel)
        text = f"rows of {statement.table}"
        self._run("bulk", text, 0, lambda answer: self._insert(statement, stream, answer), stream.drain)

    def _insert(self, statement: declare.InsertBulk, stream: load.Stream, answer: Answer) -> None:
        try:
            count = self._inserted(statement, stream)
        except load.Abandoned:
            answer.done(tokens.DONE, tokens.ERROR)
            return
        except SqlError:
            stream.drain()
            raise
        stream.drain()
        answer.done(tokens.DONE, rows=count, command=tokens.INSERT)

    def _inserted(self, statement: declare.InsertBulk, stream: load.Stream) -> int:
        wired = load.read_columns(stream)
        names = [column.name for column in statement.columns] or [one.name for one in wired]
        columns = self.session.bulk_columns(statement.table, names)
        if len(columns) != len(wired):
            raise SqlError(4815, f"The bulk load has {len(wired)} columns, the statement {len(columns)}.")
        options = load.options_of(statement, columns)
        return self.session.bulk_insert(statement.table, columns, load.rows(stream, wired, columns), options)

    # -- remote procedures

    def _calls(self, body: bytes) -> None:
        try:
            calls = list(rpc.read_calls(body))
        except SqlError as error:
            answer = self._answer()
            answer.failed(error, tokens.DONE_PROC)
            answer.end()
            return
        text = " ; ".join(self._procedures.text_of(call) for call in calls)
        self._rolled_back = is_rollback(text)
        count = sum(len(call.parameters) for call in calls)
        self._run("rpc", text, count, lambda answer: self._procedures.run(calls, self.session, answer))

    # -- transactions

    def _transaction(self, body: bytes) -> None:
        kind = struct.unpack_from("<H", body)[0]
        if kind not in TRANSACTIONS:
            answer = self._answer()
            answer.failed(SqlError(8525, f"The stand-in has no transaction manager request {kind}."))
            answer.end()
            return
        self._run("transaction", TRANSACTIONS[kind], 0, lambda answer: self._turn(kind, body, answer))

    def _turn(self, kind: int, body: bytes, answer: Answer) -> None:
        session = self.session
        self._rolled_back = kind == 8
        if kind == 5:
            self._begin(body[2])
        elif kind == 9:
            size = body[2]
            name = body[3 : 3 + size].decode("utf-16-le")
            answer.results(session.batch(f"SAVE TRAN [{name}]"), tokens.DONE)
            return
        else:
            session.commit() if kind == 7 else session.rollback()
            at = 3 + body[2]
            if len(body) > at and body[at] & 1:
                self._tell_changes()
                self._begin(body[at + 1])
        self._tell_changes()
        answer.done(tokens.DONE)

    def _begin(self, level: int) -> None:
        if level in LEVELS:
            for item in self.session.batch(f"SET TRANSACTION ISOLATION LEVEL {LEVELS[level]}"):
                _expect(item)
        self.session.begin()

    _seen: Statement = field(init=False)


def _expect(item: Result | SqlError) -> None:
    if isinstance(item, SqlError):
        raise item
    assert isinstance(item, Count)


def _after_headers(body: bytes) -> bytes:
    """A request without ALL_HEADERS."""
    size = struct.unpack_from("<I", body)[0] if len(body) >= 4 else 0
    return body[size:] if size <= len(body) else body

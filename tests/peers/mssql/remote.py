"""Remote procedures: the well-known ones that run statements, and any other by EXEC."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.peers.mssql import declare, rpc, tokens
from tests.peers.mssql.answer import Answer
from tests.peers.mssql.interface import Column, Parameter, Session, SqlError, SqlType

HANDLE = Column(name="", type=SqlType(name="int"))


def is_rollback(text: str) -> bool:
    """Whether a transaction that ends with this statement is likely to have been rolled back."""
    return re.search(r"(?i)\brollback\b", text) is not None


@dataclass(slots=True)
class Procedures:
    """What a connection calls, and the statements that it has prepared."""

    _plans: dict[int, tuple[str, str]] = field(default_factory=dict)
    _handles: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def text_of(self, call: rpc.Call) -> str:
        """The statement of a call, for the log and the faults' patterns."""
        at = {"sp_executesql": 0, "sp_prepare": 2, "sp_prepexec": 2}.get(call.procedure)
        if at is not None:
            return call.text(at)
        if call.procedure == "sp_execute":
            return self._plans.get(int(call.parameters[0].value or 0), ("", "sp_execute"))[1]
        return call.procedure

    def run(self, calls: Sequence[rpc.Call], session: Session, answer: Answer) -> None:
        """Run the calls of one request."""
        known = {
            "sp_executesql": self._sp_executesql, "sp_prepare": self._sp_prepare, "sp_prepexec": self._sp_prepexec,
            "sp_execute": self._sp_execute, "sp_unprepare": self._sp_unprepare,
        }  # fmt: skip
        for call in calls:
            work = known.get(call.procedure, self._other)
            try:
                work(call, session, answer)
            except SqlError as error:
                answer.failed(error, tokens.DONE_IN_PROC)
                answer.put(tokens.return_status(error.number))
            status = tokens.ERROR if answer.error else 0
            answer.done(tokens.DONE_PROC, status)

    def _sp_executesql(self, call: rpc.Call, session: Session, answer: Answer) -> None:
        given = call.parameters[2:]
        parameters = rpc.bound(call.text(1), given) if call.text(1).strip() else []
        self._statement(call.text(0), parameters, session, answer)
        self._outputs(parameters, session, answer)

    def _statement(self, sql: str, parameters: list[Parameter], session: Session, answer: Answer) -> None:
        answer.results(session.batch(sql, parameters), tokens.DONE_IN_PROC)
        answer.put(tokens.return_status(answer.error))

    def _outputs(
        self, parameters: list[Parameter], session: Session, answer: Answer, names: Sequence[str] = ()
    ) -> None:
        """Give output parameters back, under the client's own names."""
        found: dict[str, Any] = getattr(session, "outputs", {})
        for name, one in zip(names or [one.name for one in parameters], parameters, strict=True):
            if one.output:
                value = found.get(one.name, one.value)
                answer.put(tokens.returned(name, Column(name="", type=one.type), value))

    def _sp_prepare(self, call: rpc.Call, session: Session, answer: Answer) -> None:
        definitions, sql = call.text(1), call.text(2)
        declared = declare.parameters(definitions) if definitions.strip() else []
        empty = [Parameter(name=one.name, type=one.type, value=None) for one in declared]
        columns = session.describe(sql, empty)
        if columns:
            answer.metadata(columns)
            answer.done(tokens.DONE_IN_PROC, rows=0, command=tokens.SELECT)
        self._handle(self._plan(definitions, sql), answer)

    def _plan(self, definitions: str, sql: str) -> int:
        handle = next(self._handles)
        self._plans[handle] = (definitions, sql)
        return handle

    def _handle(self, handle: int, answer: Answer) -> None:
        answer.put(tokens.return_status(0) + tokens.returned("", HANDLE, handle))

    def _sp_prepexec(self, call: rpc.Call, session: Session, answer: Answer) -> None:
        definitions, sql = call.text(1), call.text(2)
        parameters = rpc.bound(definitions, call.parameters[3:]) if definitions.strip() else []
        handle = self._plan(definitions, sql)
        self._statement(sql, parameters, session, answer)
        answer.put(tokens.returned("", HANDLE, handle))
        self._outputs(parameters, session, answer)

    def _sp_execute(self, call: rpc.Call, session: Session, answer: Answer) -> None:
        handle = int(call.parameters[0].value or 0)
        if handle not in self._plans:
            raise SqlError(8179, f"Could not find prepared statement with handle {handle}.")
        definitions, sql = self._plans[handle]
        parameters = rpc.bound(definitions, call.parameters[1:]) if definitions.strip() else []
        self._statement(sql, parameters, session, answer)
        self._outputs(parameters, session, answer)

    def _sp_unprepare(self, call: rpc.Call, session: Session, answer: Answer) -> None:
        self._plans.pop(int(call.parameters[0].value or 0), None)
        answer.put(tokens.return_status(0))

    def _other(self, call: rpc.Call, session: Session, answer: Answer) -> None:
        """Any other procedure: EXEC, with its parameters bound."""
        parts, bound = [], []
        for place, one in enumerate(call.parameters):
            name = f"@P{place}"
            bound.append(Parameter(name=name, type=one.type, value=one.value, output=one.output))
            parts.append((f"{one.name} = " if one.name else "") + name + (" OUTPUT" if one.output else ""))
        self._statement(f"EXEC {call.procedure} {', '.join(parts)}".rstrip(), bound, session, answer)
        self._outputs(bound, session, answer, [one.name for one in call.parameters])

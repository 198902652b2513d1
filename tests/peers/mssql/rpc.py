"""Remote procedure calls ([MS-TDS] 2.2.6.6), read."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.peers.mssql.convert import converted
from tests.peers.mssql.declare import Declared, parameters
from tests.peers.mssql.decode import read_type
from tests.peers.mssql.interface import Parameter, SqlError

NUMBERED = {
    1: "sp_cursor", 2: "sp_cursoropen", 3: "sp_cursorprepare", 4: "sp_cursorexecute", 5: "sp_cursorprepexec",
    6: "sp_cursorunprepare", 7: "sp_cursorfetch", 8: "sp_cursoroption", 9: "sp_cursorclose", 10: "sp_executesql",
    11: "sp_prepare", 12: "sp_execute", 13: "sp_prepexec", 14: "sp_prepexecrpc", 15: "sp_unprepare",
}  # fmt: skip
BY_NAME = {name: name for name in NUMBERED.values()}
BY_REFERENCE, DEFAULT, ENCRYPTED = 1, 2, 8
MOST_PARAMETERS = 2100


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call; ``procedure`` is spelled as the client did, the well-known ones in lower case."""

    procedure: str
    parameters: tuple[Parameter, ...]
    no_metadata: bool = False

    def text(self, at: int) -> str:
        """A parameter that must be a text."""
        value = self.parameters[at].value if at < len(self.parameters) else None
        return "" if value is None else str(value)


def read_calls(body: bytes) -> Iterator[Call]:
    """Calls of a request, which may hold several."""
    at = struct.unpack_from("<I", body)[0]
    while at < len(body):
        call, at = _call(body, at)
        yield call


def _call(body: bytes, at: int) -> tuple[Call, int]:
    size = struct.unpack_from("<H", body, at)[0]
    at += 2
    if size == 0xFFFF:
        name = NUMBERED[struct.unpack_from("<H", body, at)[0]]
        at += 2
    else:
        name = body[at : at + size * 2].decode("utf-16-le")
        at += size * 2
    options = struct.unpack_from("<H", body, at)[0]
    at += 2
    found: list[Parameter] = []
    while at < len(body) and body[at] not in {0xFF, 0xFE, 0x80}:
        parameter, at = _parameter(body, at)
        found.append(parameter)
    if len(found) > MOST_PARAMETERS:
        raise SqlError(
            8003, "The incoming request has too many parameters. The server supports a maximum of 2100 parameters. "
            "Reduce the number of parameters and resend the request."
        )  # fmt: skip
    short = name.lower().replace("[", "").replace("]", "").removeprefix("sys.").removeprefix("dbo.")
    call = Call(procedure=BY_NAME.get(short, name), parameters=tuple(found), no_metadata=bool(options & 2))
    return call, at + 1


def _parameter(body: bytes, at: int) -> tuple[Parameter, int]:
    size = body[at]
    name = body[at + 1 : at + 1 + size * 2].decode("utf-16-le")
    at += 1 + size * 2
    flags, at = body[at], at + 1
    if body[at] == 0xF3:
        raise SqlError(8047, "The stand-in takes no table-valued parameters.")
    try:
        kind, decode, at = read_type(body, at)
    except LookupError as error:
        raise SqlError(8009, f"The incoming tabular data stream (TDS) RPC stream is incorrect: {error}.") from error
    value, at = decode(body, at)
    return Parameter(name=name, type=kind, value=value, output=bool(flags & BY_REFERENCE)), at


def bound(definitions: str, values: Sequence[Parameter]) -> list[Parameter]:
    """Give values the names and types of their definitions (sp_executesql, sp_execute).

    :raises SqlError: 8178 where a definition has no value.
    """
    declared = parameters(definitions)
    by_name = {value.name.lower(): value for value in values if value.name}
    found = []
    for place, one in enumerate(declared):
        value = by_name.get(one.name.lower()) or (values[place] if place < len(values) and not by_name else None)
        if value is None:
            needed = f"The parameterized query expects the parameter '{one.name}', which was not supplied."
            raise SqlError(8178, needed)
        found.append(_as_declared(one, value))
    return found


def _as_declared(one: Declared, given: Parameter) -> Parameter:
    value: Any = converted(given.value, given.type, one.type)
    return replace(given, name=one.name, type=one.type, value=value, output=one.output or given.output)

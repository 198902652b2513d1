"""Faults on order and the log of requests, around the whole application."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import re
import threading
from dataclasses import dataclass, field
from typing import Any

from tests.peers.orders import is_due, made

WORDS = {"lost", "gone", "cut", "delay", "slow", "error"}


@dataclass(kw_only=True)
class Fault:
    """One order.

    ``fault``: a status (500, 503, …: nothing is done), ``lost`` (the work is done, the connection ends before the
    answer; the client asks again with the same request id and is told), ``gone`` (the work is done, the answer is a
    404 that clients give up at), ``cut`` (the connection ends, nothing is done), ``delay`` (``seconds`` before
    anything), ``slow`` (the statement itself takes ``seconds`` longer, and can be canceled) or ``error`` (the
    statement fails with ``code``). It meets requests whose path and statement match both expressions: after ``skip``
    of them, ``times`` times (-1: always), each with probability ``rate``. ``hits`` counts.
    """

    fault: int | str
    path: str = "/queries/v1/query-request"
    statement: str = ""
    times: int = 1
    skip: int = 0
    rate: float = 1.0
    seconds: float = 1.0
    code: int = 603
    message: str = "ordered by a test"
    hits: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.fault, int) and self.fault not in WORDS:
            raise ValueError(f"unknown fault: {self.fault}")
        re.compile(self.path), re.compile(self.statement)

    def takes(self, path: str, statement: str, dice: random.Random) -> bool:
        """Whether this request is hit; counts it."""
        fits = re.search(self.path, path) and re.search(self.statement, statement, re.IGNORECASE | re.DOTALL)
        hit = bool(fits) and is_due(self, dice)
        self.hits += hit
        return hit


@dataclass
class Faults:
    """ASGI middleware: logs every request, and spoils the ones it was ordered to."""

    app: Any = None
    orders: list[Fault] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(0))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def order(self, orders: list[dict[str, Any]]) -> None:
        """Add orders; an unknown key is refused."""
        more = made(Fault, orders)
        with self.lock:
            self.orders += more

    def clear(self) -> None:
        with self.lock:
            self.orders.clear()

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/admin"):
            await self.app(scope, receive, send)
            return
        body = await _body(receive)
        statement = _statement(scope, body)
        with self.lock:
            self.log.append({"method": scope["method"], "path": scope["path"], "statement": statement})
            del self.log[:-50_000]
            fault = next((one for one in self.orders if one.takes(scope["path"], statement, self.dice)), None)
        again = _Replay(body)
        if fault is None:
            await self.app(scope, again, send)
        elif isinstance(fault.fault, int):
            await _answer(send, fault.fault)
        elif fault.fault == "delay":
            await asyncio.sleep(fault.seconds)
            await self.app(scope, again, send)
        elif fault.fault in {"slow", "error"}:
            scope["icebridge.fault"] = fault
            await self.app(scope, again, send)
        else:
            if fault.fault != "cut":
                await self.app(scope, again, _swallow)
            await (_answer(send, 404) if fault.fault == "gone" else _hang_up(send))


async def _body(receive: Any) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _statement(scope: dict[str, Any], body: bytes) -> str:
    if scope["path"] != "/queries/v1/query-request" or not body:
        return ""
    try:
        if (b"content-encoding", b"gzip") in scope["headers"]:
            body = gzip.decompress(body)
        return str(json.loads(body).get("sqlText", ""))
    except (ValueError, OSError):
        return ""


@dataclass
class _Replay:
    """The request's body once more, for the application."""

    body: bytes
    given: bool = False

    async def __call__(self) -> dict[str, Any]:
        if self.given:
            await asyncio.sleep(3600)
        self.given = True
        return {"type": "http.request", "body": self.body, "more_body": False}


async def _swallow(message: dict[str, Any]) -> None:
    del message


async def _answer(send: Any, status: int) -> None:
    body = b'{"success": false, "message": "ordered by a test"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _hang_up(send: Any) -> None:
    """End the connection without an answer: uvicorn's own ``send`` knows its transport."""
    send.__self__.transport.abort()
    await asyncio.sleep(0.01)  # until uvicorn has noticed, and so does not answer 500

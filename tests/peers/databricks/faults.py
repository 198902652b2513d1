"""Faults on order and the log of requests, around the whole application."""

from __future__ import annotations

import asyncio
import json
import random
import re
import threading
from dataclasses import dataclass, field
from typing import Any

from tests.peers.databricks.errors import invalid
from tests.peers.databricks.world import World
from tests.peers.orders import is_due, made

CODES = {
    429: ("REQUEST_LIMIT_EXCEEDED", "Your request was rejected since your organization has exceeded the rate limit."),
    500: ("INTERNAL_ERROR", "Internal error"),
    503: ("TEMPORARILY_UNAVAILABLE", "The service at this address is temporarily unavailable"),
    504: ("DEADLINE_EXCEEDED", "Timed out after waiting"),
}


@dataclass(kw_only=True)
class Fault:
    """One order.

    ``fault``: a status (429, 500, 503, …), ``lost`` (the work is done, the connection ends before its answer),
    ``cut`` (the connection ends, nothing is done) or ``delay`` (``seconds``, then as usual). It meets requests whose
    method and path match both expressions: after ``skip`` of them, ``times`` times (-1: always), each with
    probability ``rate``.
    """

    fault: int | str
    method: str = ".*"
    path: str = ".*"
    times: int = 1
    skip: int = 0
    rate: float = 1.0
    seconds: float = 1.0
    retry_after: float | str | None = None
    error_code: str = ""
    message: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.fault, int) and self.fault not in {"lost", "cut", "delay"}:
            raise invalid(f"unknown fault: {self.fault}")
        re.compile(self.method), re.compile(self.path)

    def takes(self, method: str, path: str, dice: random.Random) -> bool:
        """Whether this request is hit; counts it."""
        fits = re.fullmatch(self.method, method) and re.search(self.path, path)
        return bool(fits) and is_due(self, dice)


@dataclass
class Faults:
    """ASGI middleware: logs every request, and spoils the ones it was ordered to."""

    app: Any
    world: World
    orders: list[Fault] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    dice: random.Random = field(default_factory=lambda: random.Random(0))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def order(self, orders: list[dict[str, Any]]) -> None:
        """Add orders; an unknown key is refused."""
        try:
            more = made(Fault, orders)
        except ValueError as error:
            raise invalid(str(error)) from None
        with self.lock:
            self.orders += more

    def clear(self) -> None:
        with self.lock:
            self.orders.clear()

    def _hit(self, method: str, path: str) -> Fault | None:
        with self.lock:
            return next((order for order in self.orders if order.takes(method, path, self.dice)), None)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"].startswith(("/admin", "/internal")):
            await self.app(scope, receive, send)
            return
        entry = self._note(scope)
        fault = self._hit(scope["method"], scope["path"])
        if fault is not None and fault.fault == "delay":
            await asyncio.sleep(fault.seconds)
        if fault is None or fault.fault == "delay":
            await self.app(scope, receive, _Watch(entry, send))
        elif isinstance(fault.fault, int):
            await _answer(fault, scope["path"], _Watch(entry, send))
        else:
            if fault.fault == "lost":
                await self.app(scope, receive, _Watch(entry, _swallow))
            await _hang_up(send)

    def _note(self, scope: dict[str, Any]) -> dict[str, Any]:
        header = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
        bearer = self.world.bearers.get(header[7:].strip()) if header[:7].lower() == "bearer " else None
        entry = {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode("latin-1"),
            "principal": bearer.principal if bearer else "",
            "user_agent": dict(scope["headers"]).get(b"user-agent", b"").decode("latin-1"),
            "status": 0,
        }
        with self.lock:
            self.log.append(entry)
        return entry


@dataclass
class _Watch:
    """Notes the status that goes out."""

    entry: dict[str, Any]
    send: Any

    async def __call__(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.entry["status"] = message["status"] if self.send is not _swallow else 0
        await self.send(message)


async def _swallow(message: dict[str, Any]) -> None:
    del message


async def _answer(fault: Fault, path: str, send: Any) -> None:
    code, text = CODES.get(int(fault.fault), ("UNKNOWN", "ordered by a test"))
    code, text = fault.error_code or code, fault.message or text
    shape: dict[str, Any] = {"error_code": code, "message": text}
    if "/iceberg-rest/" in path:
        shape = {"error": {"message": text, "type": code, "code": fault.fault}}
    body = json.dumps(shape).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if fault.retry_after is not None:
        headers.append((b"retry-after", str(fault.retry_after).encode()))
    await send({"type": "http.response.start", "status": fault.fault, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _hang_up(send: Any) -> None:
    """End the connection without an answer: uvicorn's own ``send`` knows its transport."""
    send.__self__.transport.abort()
    await asyncio.sleep(0.01)  # until uvicorn has noticed, and so does not answer 500

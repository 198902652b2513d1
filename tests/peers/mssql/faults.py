"""Faults on order and the log of what clients said."""

from __future__ import annotations

import random
import re
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.peers.mssql.interface import SqlError
from tests.peers.orders import is_due, made

KEPT, TEXT_KEPT = 20_000, 4000
DROPS = {"drop", "drop_after", "drop_before_commit", "drop_after_commit", "cut", "latency_ms"}
COMMITS = r"(?is).*\bcommit(\s+tran(saction)?\b|\s+work\b|\s*;|\s*$).*"
MESSAGES: dict[int, tuple[int, str]] = {
    1205: (13, "Transaction (Process ID {spid}) was deadlocked on lock resources with another process and has been "
           "chosen as the deadlock victim. Rerun the transaction."),
    1222: (16, "Lock request time out period exceeded."),
    3960: (16, "Snapshot isolation transaction aborted due to update conflict. You cannot use snapshot isolation to "
           "access the table directly or indirectly. Retry the transaction or change the isolation level."),
    40197: (20, "The service has encountered an error processing your request. Please try again. Error code 40197."),
    40501: (20, "The service is currently busy. Retry the request after 10 seconds. Incident ID: stand-in. Code: 1."),
    40613: (17, "Database is not currently available. Please retry the connection later."),
    49918: (16, "Cannot process request. Not enough resources to process request. Please retry you request later."),
    10928: (20, "Resource ID: 1. The request limit for the database has been reached."),
    9002: (17, "The transaction log for database is full due to 'LOG_BACKUP'."),
    1105: (17, "Could not allocate space for object in database because the 'PRIMARY' filegroup is full."),
    701: (17, "There is insufficient system memory in resource pool 'default' to run this query."),
    2627: (14, "Violation of PRIMARY KEY constraint. Cannot insert duplicate key in object."),
    547: (16, "The statement conflicted with a FOREIGN KEY constraint."),
    229: (14, "The permission was denied on the object."),
}  # fmt: skip
DOOMING = {1205, 3960}


@dataclass(kw_only=True)
class Fault:
    """One order.

    ``fault``: an error's number; ``drop`` (the connection ends, nothing is done), ``drop_after`` (done, the answer
    lost), ``drop_before_commit`` and ``drop_after_commit`` (the same, of statements that commit), ``cut`` (the
    connection ends after ``rows`` rows of the answer), ``latency_ms`` (wait ``milliseconds``, then as usual).
    It meets statements whose text fits ``statement`` (a regular expression, searched for), of ``kind`` (batch, rpc,
    transaction, bulk; login and reset only when asked for) and ``database``: after ``skip`` of them, ``times`` times
    (-1: always), with ``rate``.
    """

    fault: int | str
    statement: str = ""
    kind: str = ""
    database: str = ""
    times: int = 1
    skip: int = 0
    rate: float = 1.0
    rows: int = 1000
    milliseconds: float = 1000
    message: str = ""
    severity: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.fault, int) and self.fault not in DROPS:
            raise ValueError(f"unknown fault: {self.fault}")
        self.pattern = re.compile(self.statement or r"(?s).*", re.IGNORECASE)

    def takes(self, seen: Statement, dice: random.Random) -> bool:
        """Whether this statement is hit; counts it."""
        if (self.kind or seen.kind) != seen.kind:
            return False
        if not self.kind and seen.kind in {"login", "reset"}:
            return False
        if (self.database and self.database != seen.database) or not self.pattern.search(seen.text):
            return False
        if str(self.fault).endswith("_commit") and not re.fullmatch(COMMITS, seen.text):
            return False
        return is_due(self, dice)

    def error(self, spid: int) -> SqlError:
        """The error to answer with."""
        number = int(self.fault)
        severity, text = MESSAGES.get(number, (16, f"Error {number}, ordered by a test."))
        text = (self.message or text).replace("{spid}", str(spid))
        return SqlError(number, text, severity=self.severity or severity, doomed=number in DOOMING)


@dataclass(kw_only=True)
class Statement:
    """One statement as a client sent it."""

    spid: int
    user: str
    database: str
    application: str
    kind: str
    text: str
    parameters: int = 0
    at: float = field(default_factory=time.time)
    rows: int = 0
    error: int = 0


class Faults:
    """Orders and the log, shared by all connections."""

    def __init__(self) -> None:
        self._orders: list[Fault] = []
        self._log: deque[Statement] = deque(maxlen=KEPT)
        self._dice = random.Random(0)
        self._lock = threading.Lock()

    def order(self, orders: list[dict[str, Any]]) -> None:
        """Add orders.

        :raises ValueError: for an unknown key or fault, or a bad expression.
        """
        more = made(Fault, orders)
        with self._lock:
            self._orders += more

    def clear(self) -> None:
        with self._lock:
            self._orders.clear()

    def waiting(self) -> list[dict[str, Any]]:
        """Orders that have not been used up."""
        with self._lock:
            return [asdict(order) for order in self._orders if order.times]

    def meet(self, seen: Statement) -> Fault | None:
        """Note a statement; the fault that hits it."""
        with self._lock:
            self._log.append(seen)
            return next((order for order in self._orders if order.takes(seen, self._dice)), None)

    def log(self, query: Mapping[str, str]) -> list[dict[str, Any]]:
        """Statements seen, oldest first; ``contains`` and ``kind`` and ``database`` narrow them."""
        with self._lock:
            seen = list(self._log)
        wanted = query.get("contains", "").lower()
        return [
            asdict(one) | {"text": one.text[:TEXT_KEPT]}
            for one in seen
            if wanted in one.text.lower() and all(query.get(key, getattr(one, key)) == getattr(one, key)
                                                  for key in ("kind", "database"))
        ]  # fmt: skip

    def forget(self) -> None:
        with self._lock:
            self._log.clear()

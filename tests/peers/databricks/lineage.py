"""What a statement that succeeded read and wrote, kept as it was run: the stuff of ``system.access.table_lineage``."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.peers.databricks.model import now_ms

if TYPE_CHECKING:
    from tests.peers.databricks.sql_query import Reading

End = tuple[str, str]  # full name, TABLE or VIEW


@dataclass(frozen=True, kw_only=True)
class Flow:
    """One table into another; one side is missing when a statement only read, or wrote what it made up itself."""

    source: End | None
    target: End | None
    principal: str
    tag: str
    at: int = field(default_factory=now_ms)
    record: str = field(default_factory=lambda: str(uuid.uuid4()))
    event: str = ""


def flows(reading: Reading, tag: str) -> list[Flow]:
    """What one statement moved: every table it read into every table it wrote."""
    event = str(uuid.uuid4())
    reads = list(dict.fromkeys(one for one in reading.reads if one not in reading.writes)) or [None]
    writes = list(dict.fromkeys(reading.writes)) or [None]
    pairs = [pair for pair in itertools.product(reads, writes) if pair != (None, None)]
    return [Flow(source=a, target=b, principal=reading.reader, tag=tag, event=event) for a, b in pairs]

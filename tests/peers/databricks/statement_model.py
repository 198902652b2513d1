"""One statement of the Statement API: how it stands, its rows cut into chunks, and how both are shown."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from tests.peers.databricks.sql_result import Result, as_text

INLINE_BYTES = 25 * 1024 * 1024
_TOO_LARGE = (
    f"Inline byte limit exceeded. Statements executed with disposition=INLINE can have a result size of at most"
    f" {INLINE_BYTES} bytes. Please execute the statement with disposition=EXTERNAL_LINKS if you want to download the"
    f" full result."
)
OVER = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "CLOSED"})
_HISTORY = {"SUCCEEDED": "FINISHED", "PENDING": "QUEUED", "CLOSED": "FINISHED"}
_NAMES = {
    "BIGINT": "LONG", "SMALLINT": "SHORT", "TINYINT": "BYTE", "TIMESTAMP_NTZ": "TIMESTAMP", "VOID": "NULL",
    "VARCHAR": "STRING",
}  # fmt: skip
_KNOWN = {
    "ALTER", "ANALYZE", "COPY", "CREATE", "DELETE", "DESCRIBE", "DROP", "EXPLAIN", "GRANT", "INSERT", "MERGE",
    "OPTIMIZE", "REFRESH", "REPLACE", "REVOKE", "SELECT", "SET", "SHOW", "TRUNCATE", "UPDATE", "USE",
}  # fmt: skip


@dataclass(kw_only=True)
class Chunk:
    """Some rows, as texts."""

    index: int
    offset: int
    rows: list[list[str | None]]
    arrow: Any = None

    @property
    def size(self) -> int:
        return len(self.bytes("JSON_ARRAY"))

    def info(self) -> dict[str, Any]:
        return {
            "chunk_index": self.index,
            "row_offset": self.offset,
            "row_count": len(self.rows),
            "byte_count": self.size,
        }

    def bytes(self, form: str) -> bytes:
        """The chunk as a file of a format."""
        if form == "ARROW_STREAM":
            return _arrow(self.arrow)
        if form == "CSV":
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(
                [["" if one is None else one for one in row] for row in self.rows]
            )
            return text.getvalue().encode()
        return json.dumps(self.rows, separators=(",", ":"), ensure_ascii=False).encode()


def _arrow(table: Any) -> bytes:
    import pyarrow as pa

    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@dataclass(kw_only=True)
class Statement:
    """A statement from its arrival on."""

    principal: str
    body: dict[str, Any]
    user_agent: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = "PENDING"
    began: float = field(default_factory=time.time)
    ended: float = 0.0
    error: dict[str, str] | None = None
    sqlstate: str = ""
    columns: list[tuple[str, str]] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    truncated: bool = False
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def inline(self) -> bool:
        return self.body.get("disposition", "INLINE") == "INLINE"

    @property
    def form(self) -> str:
        return str(self.body.get("format", "JSON_ARRAY"))

    def succeed(self, result: Result, chunk_rows: int) -> None:
        """Keep the rows; too many for an inline answer are a failure."""
        rows = [
            [as_text(value, kind) for value, (_, kind) in zip(row, result.columns, strict=True)] for row in result.rows
        ]
        limit = self.body.get("row_limit")
        self.truncated = limit is not None and len(rows) > limit
        rows = rows[:limit]
        table = result.arrow().slice(0, len(rows)) if self.form == "ARROW_STREAM" else None
        starts = range(0, max(len(rows), 1), chunk_rows)
        self.columns = result.columns
        self.chunks = [
            Chunk(
                index=index, offset=start, rows=rows[start : start + chunk_rows],
                arrow=table.slice(start, chunk_rows) if table is not None else None,
            )
            for index, start in enumerate(starts)
        ]  # fmt: skip
        if self.inline and sum(chunk.size for chunk in self.chunks) > INLINE_BYTES:
            self.fail("BAD_REQUEST", _TOO_LARGE)
        else:
            self.finish("SUCCEEDED")

    def fail(self, code: str, message: str, sqlstate: str = "") -> None:
        self.error, self.sqlstate = {"error_code": code, "message": message}, sqlstate
        self.finish("FAILED")

    def finish(self, state: str) -> None:
        """The first ending counts."""
        if not self.over.is_set():
            self.state, self.ended = state, time.time()
            self.over.set()

    # How it is shown

    def shown(self, links: Any) -> dict[str, Any]:
        """The answer to the start and to every look."""
        status: dict[str, Any] = {"state": self.state}
        if self.error:
            status["error"] = self.error
        if self.sqlstate:
            status["sql_state"] = self.sqlstate
        found: dict[str, Any] = {"statement_id": self.id, "status": status}
        if self.state == "SUCCEEDED":
            found |= {"manifest": self.manifest(), "result": self.chunk(0, links)}
        return found

    def manifest(self) -> dict[str, Any]:
        columns = [_column(place, name, kind) for place, (name, kind) in enumerate(self.columns)]
        return {
            "format": self.form,
            "schema": {"column_count": len(columns), **({"columns": columns} if columns else {})},
            "total_chunk_count": len(self.chunks),
            "total_row_count": sum(len(chunk.rows) for chunk in self.chunks),
            "total_byte_count": sum(chunk.size for chunk in self.chunks),
            "truncated": self.truncated,
            "chunks": [chunk.info() for chunk in self.chunks],
        }

    def chunk(self, index: int, links: Any) -> dict[str, Any]:
        """One chunk: its rows, or a link to them. No rows are shown as no field."""
        chunk, following = self.chunks[index], {}
        if index + 1 < len(self.chunks):
            offset = self.chunks[index + 1].offset
            path = f"/api/2.0/sql/statements/{self.id}/result/chunks/{index + 1}?row_offset={offset}"
            following = {"next_chunk_index": index + 1, "next_chunk_internal_link": path}
        if self.inline:
            rows = {"data_array": chunk.rows} if chunk.rows else {}
            return {"chunk_index": index, "row_offset": chunk.offset, "row_count": len(chunk.rows), **rows, **following}
        return {"external_links": [{**chunk.info(), **links(self, chunk), **following}]}

    def history(self, warehouse_id: str) -> dict[str, Any]:
        """The entry in the query history."""
        first = self.body["statement"].split()[0].upper() if self.body["statement"].split() else ""
        end = int(self.ended * 1000) or None
        kind = {"WITH": "SELECT", "DESC": "DESCRIBE"}.get(first, first)
        found = {
            "query_id": self.id,
            "status": _HISTORY.get(self.state, self.state),
            "query_text": self.body["statement"],
            "statement_type": kind if kind in _KNOWN else "OTHER",
            "query_start_time_ms": int(self.began * 1000),
            "execution_end_time_ms": end,
            "query_end_time_ms": end,
            "duration": int((self.ended or time.time()) * 1000 - self.began * 1000),
            "user_name": self.principal,
            "executed_as_user_name": self.principal,
            "warehouse_id": warehouse_id,
            "endpoint_id": warehouse_id,
            "client_application": self.user_agent,
            "is_final": self.state in OVER,
            "rows_produced": sum(len(chunk.rows) for chunk in self.chunks),
            "error_message": self.error["message"] if self.error else None,
            "query_tags": self.body.get("query_tags") or None,
        }
        return {key: value for key, value in found.items() if value is not None}


def _column(place: int, name: str, kind: str) -> dict[str, Any]:
    base, _, detail = kind.replace("(", "<").partition("<")
    found: dict[str, Any] = {"name": name, "position": place, "type_name": _NAMES.get(base, base), "type_text": kind}
    if base == "DECIMAL":
        precision, scale = detail.rstrip(">)").split(",")
        found |= {"type_precision": int(precision), "type_scale": int(scale)}
    return found

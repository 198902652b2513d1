"""The rows of a statement as Arrow, chunk by chunk: never more than one chunk in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from icebridge_provider.catalogs.faults import Attempt
from icebridge_provider.catalogs.unity import faults
from icebridge_provider.catalogs.unity.workspace import Workspace
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.retry import transient

STATEMENTS = "/api/2.0/sql/statements"
SECONDS = 60
_HTTP_OK = 200


class ArrowResult:
    """Columns and rows of a statement that succeeded.

    A chunk lies behind a link of its own that is good for some minutes: it is asked for when the chunk is wanted, bears
    its own signature, and is never logged.
    """

    def __init__(self, workspace: Workspace, attempt: Attempt, answer: Mapping[str, Any]) -> None:
        self._workspace, self._attempt = workspace, attempt
        self._statement_id = str(answer["statement_id"])
        manifest = answer.get("manifest") or {}
        listed = (manifest.get("schema") or {}).get("columns") or ()
        self._chunks = int(manifest.get("total_chunk_count") or 0)
        self.rows = int(manifest.get("total_row_count") or 0)
        self.columns = tuple((str(column["name"]), str(column["type_text"])) for column in listed)

    def batches(self) -> Iterator[Any]:
        """Yield the rows as ``pyarrow.RecordBatch``.

        :raises IceBridgeError: when a chunk is not to be had, or rows are missing: IB-240.
        """
        import pyarrow as pa

        seen = 0
        for index in range(self._chunks if self.rows else 0):
            content = transient(partial(self._chunk, index))
            with pa.ipc.open_stream(content) as stream:
                for batch in stream:
                    seen += batch.num_rows
                    yield batch
        if seen != self.rows:
            raise faults.unavailable(f"{seen:,} of {self.rows:,} rows came", self._attempt)

    def _chunk(self, index: int) -> Any:
        """Fetch one chunk by a new link; whoever made the old one may have let it run out."""
        path = f"{STATEMENTS}/{self._statement_id}/result/chunks/{index}"
        answer = self._workspace.get(self._attempt.what, path, right=self._attempt.right)
        links = answer.get("external_links") or [{}]
        return self._fetched(str(links[0].get("external_link") or ""))

    def _fetched(self, link: str) -> bytes:
        import requests

        if not link.startswith(("https://", "http://")):
            raise faults.unavailable("the answer has no link to its rows", self._attempt)
        try:
            answer = requests.get(link, timeout=SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            raise self._unreached(type(error).__name__) from None
        if answer.status_code != _HTTP_OK:
            raise self._unreached(f"status {answer.status_code}")
        return bytes(answer.content)

    def _unreached(self, why: str) -> IceBridgeError:
        """Say why, without the link: it lets whoever has it read the rows."""
        return faults.unavailable(f"storage did not give the rows ({why})", self._attempt)

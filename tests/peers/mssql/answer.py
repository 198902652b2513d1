"""The answer to one request: results of the engine as tokens, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from tests.peers.mssql import tokens
from tests.peers.mssql.interface import Column, Count, Message, Result, ResultSet, SqlError
from tests.peers.mssql.packets import Channel, Gone

ROWS_AT_ONCE = 500


class Answer:
    """Writes tokens; a DONE is held back until it is known whether more follows."""

    def __init__(self, channel: Channel, *, after: Callable[[], None], cut_after: int | None = None) -> None:
        self._channel, self._after, self._cut_after = channel, after, cut_after
        self._held: tuple[int, int, int | None, int] | None = None
        self.rows = 0
        self.error = 0
        self.fatal = False

    def put(self, data: bytes) -> None:
        """Write tokens that are no DONE."""
        self._release()
        self._channel.write(data)

    def done(self, token: int, status: int = 0, rows: int | None = None, command: int = tokens.OTHER) -> None:
        self._release()
        self._held = (token, status, rows, command)

    def _release(self) -> None:
        if self._held is not None:
            token, status, rows, command = self._held
            self._channel.write(tokens.done(token, status | tokens.MORE, rows, command))
            self._held = None

    def end(self) -> None:
        """Write the last DONE; one that says nothing when nothing was said."""
        if self._channel.take_attention():
            self._release()
            self._held = (tokens.DONE, tokens.ATTENTION, None, 0)
        token, status, rows, command = self._held or (tokens.DONE, 0, None, tokens.OTHER)
        self._channel.write(tokens.done(token, status, rows, command))
        self._held = None
        self._channel.end()

    def results(self, items: Iterator[Result | SqlError], token: int) -> None:
        """Write what a batch gives; an error ends it. ``token`` is DONE or, in a procedure, DONE_IN_PROC."""
        pending: int | None = None
        try:
            for item in items:
                self._after()
                if isinstance(item, ResultSet):
                    self._close_rows(pending, token)
                    pending = self._result_set(item)
                elif isinstance(item, Count):
                    self._count(item, pending, token)
                    pending = None
                else:
                    self._close_rows(pending, token)
                    pending = None
                    self._note(item, token)
            self._close_rows(pending, token)
        except SqlError as error:
            if not self._channel.attention:
                self.failed(error, token)
        self._after()

    def _note(self, item: Message | SqlError, token: int) -> None:
        if isinstance(item, SqlError):
            self.failed(item, token)
        else:
            self.put(tokens.said(item.number, item.text, severity=item.severity))

    def _close_rows(self, pending: int | None, token: int) -> None:
        if pending is not None:
            self.done(token, rows=pending, command=tokens.SELECT)

    def _count(self, item: Count, pending: int | None, token: int) -> None:
        if item.rows is None and pending is None and token == tokens.DONE_IN_PROC:
            return
        self.done(token, rows=item.rows, command=tokens.SELECT if pending is not None else tokens.INSERT)

    def failed(self, error: SqlError, token: int = tokens.DONE) -> None:
        """Write an error and the DONE of its statement."""
        self.error = self.error or error.number
        self.fatal = self.fatal or error.severity >= 20
        self.put(tokens.said(error.number, error.message, severity=max(error.severity, 11), state=error.state,
                             line=error.line, procedure=error.procedure))  # fmt: skip
        self.done(token, tokens.ERROR)

    def metadata(self, columns: Sequence[Column]) -> None:
        self.put(tokens.columns_described(columns) if columns else tokens.NO_METADATA)

    def _result_set(self, found: ResultSet) -> int:
        """Write columns and rows; returns how many."""
        self.metadata(found.columns)
        encode = tokens.rows_encoder(found.columns)
        count, rows, channel = 0, iter(found.rows), self._channel
        while chunk := list(islice(rows, ROWS_AT_ONCE)):
            chunk = self._cut(chunk)
            channel.write(encode(chunk))
            count += len(chunk)
            self.rows += len(chunk)
            if self._cut_after is not None and self.rows >= self._cut_after:
                channel.send_all()
                raise Gone("cut, as ordered")
            if channel.attention or channel.gone:
                close = getattr(found.rows, "close", None)
                if close is not None:
                    close()
                raise SqlError(0, "cancelled")
        return count

    def _cut(self, chunk: list[Sequence[Any]]) -> list[Sequence[Any]]:
        return chunk if self._cut_after is None else chunk[: max(self._cut_after - self.rows, 0)]

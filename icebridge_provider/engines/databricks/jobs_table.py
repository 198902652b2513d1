"""Writes the progress of tables into a table of the user's own catalog, for dashboards and queries."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from random import uniform
from typing import Any, Protocol

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.databricks.options import jobs_table_of
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.sql.jobs_table import create_jobs_table, merge_jobs

MOST_ROWS = 500  # a statement
TRIES = 6  # other tasks write the same table at the same moment
_MISSING = "IB-243"
_CLASHES = ("CONCURRENT", "COMMIT_CONFLICT", "COMMITFAILED", "CONFLICT")


class Warehouse(Protocol):
    """Where statements run."""

    def run(self, what: str, statement: str, values: Mapping[str, str] | None = None, *, right: str = "") -> object:
        """Run a statement to its end."""


class JobsTable:
    """The table ``catalog.schema.table``; made when it is not there. What is newer there already stays.

    The name is read when something is written: one that is none must not stop who writes nothing.

    :param warehouse: runs the statements; the principal needs ``MODIFY`` and ``SELECT`` on the table, and
        ``CREATE TABLE`` on its schema when it is not there.
    :param pause_seconds: about how long it waits, at first, for others who write at the same moment.
    """

    def __init__(self, warehouse: Warehouse, name: str, pause_seconds: float = 0.5) -> None:
        self._warehouse = warehouse
        self._pause = pause_seconds
        self.name = name

    @cached_property
    def _parts(self) -> tuple[str, ...]:
        return jobs_table_of(self.name)

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows with the columns of :data:`icebridge_provider.sql.jobs_table.COLUMNS`; again is nothing new.

        :raises IceBridgeError: what the warehouse says, or IB-445 for a name that is none.
        """
        for start in range(0, len(rows), MOST_ROWS):
            self._merge(json.dumps(list(rows[start : start + MOST_ROWS]), separators=(",", ":")))

    def _merge(self, rows: str) -> None:
        statement, what = merge_jobs(self._parts), f"write progress into {self.name}"
        for attempt in range(1, TRIES + 1):
            try:
                with side_effect("jobs_table.merge"):
                    self._warehouse.run(what, statement, {"rows": rows}, right=f"MODIFY on {self.name}")
            except IceBridgeError as error:
                if attempt == TRIES or not self._mended(error, attempt):
                    raise
            else:
                return

    def _mended(self, error: IceBridgeError, attempt: int) -> bool:
        """Whether another try may succeed: the table is there now, or whoever was faster is done."""
        if error.code == _MISSING:
            return self._created()
        if any(word in f"{error.facts.get('error_class', '')} {error.message}".upper() for word in _CLASHES):
            time.sleep(uniform(0.2, 1.0) * self._pause * attempt)  # noqa: S311 - jitter, nothing secret
            return True
        return False

    def _created(self) -> bool:
        try:
            with side_effect("jobs_table.create"):
                self._warehouse.run(
                    f"create {self.name}", create_jobs_table(self._parts), right=f"CREATE TABLE beside {self.name}"
                )
        except IceBridgeError as error:
            return "ALREADY_EXISTS" in str(error.facts.get("error_class", ""))
        return True

"""Tells how far a run on Databricks is, while nobody but a trigger waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from icebridge_provider.engines.databricks.files import read_progress
from icebridge_provider.engines.databricks.run_documents import document_path
from icebridge_provider.model.event import Actor, Step
from icebridge_provider.model.redaction import scrubbed
from icebridge_provider.steps.run_progress import RunProgress

if TYPE_CHECKING:
    from icebridge_provider.catalogs.unity.workspace import Workspace


class Teller:
    """Reads the file in which a run says how far it is, and tells the log and the ledger what is new.

    Nothing it does may end the wait: what goes wrong is said once, and then left.

    :param log: where a person reads it: what a trigger logs stands in its task's log.
    """

    def __init__(self, conn_id: str, plan_id: str, step: str, log: Any) -> None:
        self._conn_id = conn_id
        self._plan_id = plan_id
        self._step = Step(step)
        self._log = log
        self._progress: RunProgress | None = None
        self._workspace: Workspace | None = None
        self._given_up = not plan_id

    def tell(self, answer: Mapping[str, Any]) -> None:
        """Look once; ``answer`` is what ``runs/get`` says of the run."""
        if self._given_up:
            return
        try:
            line = self._look(answer)
        except Exception as error:  # noqa: BLE001 - progress is for people; the wait goes on without it
            self._given_up = True
            self._log.warning("How far the run is cannot be told: %s", scrubbed(str(error))[:500])
            return
        if line:
            self._log.info("Run %s: %s", answer.get("run_id"), line)

    def _look(self, answer: Mapping[str, Any]) -> str:
        if self._progress is None or self._workspace is None:
            from icebridge_provider.hooks.ledger import LedgerHook
            from icebridge_provider.hooks.unity import UnityCatalogHook

            ledger = LedgerHook().ledger()
            self._workspace = UnityCatalogHook(self._conn_id).workspace()
            self._progress = RunProgress(ledger, ledger.plan(self._plan_id), self._step, Actor(origin="triggerer"))
        return self._progress.take(read_progress(self._workspace, document_path(answer)), str(answer.get("run_id", "")))

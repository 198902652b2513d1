"""What the operators share that bring one table of Databricks further on its way to Snowflake.

All they need to go on is in the ledger: a task that is tried again, cleared or resumed calls the same step.
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.hooks.settings import settings
from icebridge_provider.operators import lineage
from icebridge_provider.operators.base import IceBridgeOperator, told_to_stop
from icebridge_provider.operators.links import SharesLink, shares_page
from icebridge_provider.operators.share_rules import by_preset, refuse_after_failure

if TYPE_CHECKING:
    from airflow.sdk import Context

    from icebridge_provider.model.running import Waiting
    from icebridge_provider.model.share import Share
    from icebridge_provider.steps.share_site import ShareSite

SECONDS_TO_CANCEL = 20  # a worker is killed 60 s after it was asked to end
SECONDS_TO_QUEUE = 120  # for the other task that works on the same target
FIRST_PAUSE = 0.5
_BUSY = "IB-600"


class ShareTableOperator(IceBridgeOperator):
    """Base of the operators that bring one planned table further.

    The task looks at a running statement itself for ``[icebridge] share_wait_seconds``, then gives its worker back
    until the statement is over. When it is killed the statement is cancelled.

    :param source_conn_id: connection of type ``databricks`` with the SQL warehouse.
    :param target_conn_id: connection of type ``snowflake``.
    :param storage_conn_id: connection of type ``icebridge_catalog`` with the keys of the export's bucket; empty for the
        worker's own rights.
    :param run_id: the run, as :class:`PlanSharesOperator` returned it.
    :param document: the planned table, as :class:`PlanSharesOperator` returned it.
    :param caption: what the task is called in the grid when it is mapped.
    :param deferrable: whether the worker is given back; without it the task polls.
    """

    template_fields: Sequence[str] = (
        "source_conn_id",
        "target_conn_id",
        "storage_conn_id",
        "run_id",
        "document",
        "caption",
    )

    def __init__(
        self,
        *,
        source_conn_id: str,
        target_conn_id: str,
        document: str,
        storage_conn_id: str = "",
        run_id: str = "",
        caption: str = "",
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_conn_id = source_conn_id
        self.target_conn_id = target_conn_id
        self.storage_conn_id = storage_conn_id
        self.run_id = run_id
        self.document = document
        self.caption = caption
        self.deferrable = deferrable
        self.links: dict[str, str] = {}
        self.moved: list[lineage.Moved] = []
        self._stopped = False
        self._opened: tuple[ShareSite, Share] | None = None

    @abstractmethod
    def work(self, site: ShareSite, share: Share) -> Any:
        """Do all that can be done now; return ``Waiting`` when a statement runs."""

    @abstractmethod
    def finish(self, site: ShareSite, share: Share, done: Any, context: Context) -> dict[str, Any]:
        """Return what goes into the XCom, after the table is done."""

    def show_query(self, query_id: str) -> None:
        """Fill ``links`` with the page of a statement."""

    def execute(self, context: Context) -> dict[str, Any]:
        """Bring the table further, from wherever it is.

        :returns: plain values: counts and names.
        """
        from icebridge_provider.hooks.ledger import LedgerHook
        from icebridge_provider.hooks.share import share_site
        from icebridge_provider.hooks.site import actor_of
        from icebridge_provider.steps.share_plan import share_of

        ledger = LedgerHook().ledger()
        share = share_of(ledger, self.document)
        self.links[SharesLink().xcom_key] = shares_page(share.run_id)
        ends = self.source_conn_id, self.target_conn_id, self.storage_conn_id
        with by_preset(share.preset, self, context):
            refuse_after_failure(ledger, share, context)
            with share_site(*ends, actor=actor_of(context), preset=share.preset, progress=self._tell) as site:
                self._opened = site, share
                try:
                    return self.finish(site, share, self._followed(site, share), context)
                finally:
                    self._opened = None

    def resume(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Go on after a statement: what became of it is found out by asking for it again."""
        said = event.get("state") or f"cannot be looked at ({event.get('problem', '')})"
        self.log.info("Query %s: %s.", event.get("query_id"), said)
        return self.execute(context)

    def on_kill(self) -> None:
        """Cancel what runs, but never hang: the signal may have interrupted anything."""
        self._stopped = True
        if self._opened is not None:
            thread = threading.Thread(target=self._cancel, args=self._opened, daemon=True)
            thread.start()
            thread.join(SECONDS_TO_CANCEL)

    def go_on(self) -> None:
        """Raise when the task was told to stop.

        :raises TransientError: IB-708.
        """
        if self._stopped:
            raise told_to_stop()

    def _followed(self, site: ShareSite, share: Share) -> Any:
        """Call the step until it has nothing to wait for."""
        from icebridge_provider.model.running import Waiting

        patience = time.monotonic() + settings().share_wait_seconds
        while isinstance(found := self._in_turn(site, share), Waiting):
            self.log.info("%s runs as query %s.", found.what, found.query_id)
            self.show_query(found.query_id)
            if not self._over(site, found, patience):
                self._give_back(site, found)
        return found

    def _in_turn(self, site: ShareSite, share: Share) -> Any:
        """Call the step, a little later while another task works on the same target."""
        until = time.monotonic() + SECONDS_TO_QUEUE
        while True:
            self.go_on()
            try:
                return self.work(site, share)
            except IceBridgeError as error:
                if error.code != _BUSY or time.monotonic() > until:
                    raise
                self.log.info("%s", error)
            self._sleep(FIRST_PAUSE * 4)

    def _over(self, site: ShareSite, waiting: Waiting, patience: float) -> bool:
        """Look at the statement, less and less often, until it is over or this worker has waited enough."""
        from icebridge_provider.steps.share import runner_of
        from icebridge_provider.triggers.share import seconds_left

        runner, pause = runner_of(site, waiting), FIRST_PAUSE
        while seconds_left(waiting.until) > 0:
            if is_over(runner, waiting.query_id):
                return True
            if self.deferrable and time.monotonic() + pause > patience:
                return False
            self._sleep(min(pause, max(0.0, seconds_left(waiting.until))))
            pause = min(2 * pause, site.preset.poll_seconds)
        return True

    def _give_back(self, site: ShareSite, waiting: Waiting) -> NoReturn:
        from icebridge_provider.triggers.share import ShareStatementTrigger

        trigger = ShareStatementTrigger(
            waiting.side,
            waiting.query_id,
            source_conn_id=self.source_conn_id,
            target_conn_id=self.target_conn_id,
            storage_conn_id=self.storage_conn_id,
            document=self.document,
            poll_seconds=site.preset.poll_seconds,
            until=waiting.until,
        )
        self.defer(trigger=trigger, method_name="resume")

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.go_on()
            time.sleep(min(left, 1.0))

    def _tell(self, facts: Mapping[str, Any]) -> None:
        """Say in the task's log how far it is."""
        self.go_on()
        shown = ", ".join(f"{name} {value}" for name, value in facts.items() if isinstance(value, str | int | float))
        self.log.info("%s", shown[:1000])

    def _cancel(self, site: ShareSite, share: Share) -> None:
        from icebridge_provider.steps.share import cancel

        try:
            cancel(replace(site, progress=None), share)
        except Exception as error:  # noqa: BLE001 - the task ends anyhow; the next try finds what still runs
            self.log.warning("What runs could not be cancelled: %s", error)


def is_over(runner: Any, query_id: str) -> bool:
    """Say whether a statement runs no more; one that cannot be looked at just now is taken to run.

    :raises IceBridgeError: when looking again would not help.
    """
    from icebridge_provider.model.running import QueryState

    try:
        return runner.look(query_id).state is not QueryState.RUNNING
    except IceBridgeError as error:
        if not error.retryable:
            raise
        return False

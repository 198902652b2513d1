"""Fills in what copy runs cost, when the workspace's billing tables tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.operators.base import IceBridgeOperator, summary

if TYPE_CHECKING:
    from airflow.sdk import Context

    from icebridge_provider.steps.costs import Priced


class ActualCostsOperator(IceBridgeOperator):
    """Reads the billing tables of every workspace that has copied lately, and keeps what was billed.

    Plans whose last run is older than 30 days are left as they are. Done again it changes nothing but what has arrived,
    or was corrected, since.

    :param plan_id: only this plan; empty means all.
    """

    template_fields: Sequence[str] = ("plan_id",)

    def __init__(self, *, plan_id: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_id = plan_id

    def execute(self, context: Context) -> dict[str, int]:  # noqa: ARG002 - Airflow's signature
        """Ask each workspace once for each currency.

        :returns: runs that are billed, by plan.
        :raises IceBridgeError: IB-338 when a workspace's billing cannot be read, IB-701 for several.
        """
        from icebridge_provider.hooks.ledger import LedgerHook
        from icebridge_provider.steps.costs import open_plans, priced

        ledger, now = LedgerHook().ledger(), datetime.now(UTC)
        one = priced(ledger, self.plan_id) if self.plan_id else None
        found = ([one] if one else []) if self.plan_id else open_plans(ledger, now)
        groups: dict[tuple[str, str], list[Priced]] = {}
        for item in found:
            request = item.plan.request
            groups.setdefault((request.target_conn_id, request.rates.currency), []).append(item)
        arrived: dict[str, int] = {}
        failed: dict[str, IceBridgeError] = {}
        for (conn_id, _), plans in groups.items():
            try:
                arrived |= self._ask(ledger, conn_id, plans, now)
            except IceBridgeError as error:
                failed[conn_id] = error
        if failed:
            raise summary(failed)
        self.log.info("Billed so far: %s", arrived or "no run yet")
        return arrived

    def _ask(self, ledger: Any, conn_id: str, plans: Sequence[Priced], now: datetime) -> dict[str, int]:
        from icebridge_provider.hooks.catalog import catalog_for
        from icebridge_provider.steps.costs import fill_actuals

        target: Any = catalog_for(conn_id)
        return fill_actuals(ledger, plans, target.statements, now)

"""Operators over one catalog: inventory and assessment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from icebridge_provider.operators.base import IceBridgeOperator, airflow_folder, listed

if TYPE_CHECKING:
    from airflow.sdk import Context


class InventoryOperator(IceBridgeOperator):
    """Reads the tables of a catalog from metadata alone and keeps the inventory in the ledger.

    Read-only; one broken table is noted and does not stop the rest.

    :param conn_id: connection of the catalog.
    :param tables: globs over ``namespace.table``, a list or its JSON text.
    :param inspect: how deep to look: ``metadata``, ``manifests`` or ``files`` (also that every file is there).
    """

    template_fields: Sequence[str] = ("conn_id", "tables", "inspect")

    def __init__(
        self, *, conn_id: str, tables: Sequence[str] | str = ("*",), inspect: str = "files", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.tables = tables
        self.inspect = inspect

    def execute(self, context: Context) -> dict[str, Any]:
        """Take the inventory.

        :returns: ``inventory_id, tables, problems, findings`` (counts).
        """
        from icebridge_provider.hooks.catalog import catalog_for
        from icebridge_provider.hooks.ledger import LedgerHook
        from icebridge_provider.hooks.site import actor_of
        from icebridge_provider.steps.inventory import take_inventory

        catalog, ledger = catalog_for(self.conn_id), LedgerHook().ledger()
        return take_inventory(catalog, ledger, actor_of(context), listed(self.tables) or ["*"], self.inspect)


class AssessOperator(IceBridgeOperator):
    """Writes the assessment of an inventory as one HTML file to mail: what goes, what is broken, the fix, the price.

    :param inventory_id: what :class:`InventoryOperator` returned.
    :param path: where the file is written; empty for ``$AIRFLOW_HOME/icebridge/assessment-<inventory>.html``.
    :param target_conn_id: catalog the tables would move to; empty when that is not known yet.
    """

    template_fields: Sequence[str] = ("inventory_id", "path", "target_conn_id")

    def __init__(self, *, inventory_id: str, path: str = "", target_conn_id: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inventory_id = inventory_id
        self.path = path
        self.target_conn_id = target_conn_id

    def execute(self, context: Context) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """Write the file and keep the assessment in the ledger.

        :returns: ``inventory_id, path, headline``.
        """
        from icebridge_provider.crash import side_effect
        from icebridge_provider.hooks.catalog import catalog_for
        from icebridge_provider.hooks.ledger import LedgerHook
        from icebridge_provider.hooks.settings import settings
        from icebridge_provider.steps.assess import assess_inventory, headline, render_assessment, save_assessment
        from icebridge_provider.steps.inventory import load_inventory

        ledger = LedgerHook().ledger()
        inventory = load_inventory(ledger, self.inventory_id)
        source = catalog_for(inventory.catalog)
        target = catalog_for(self.target_conn_id) if self.target_conn_id else None
        document = assess_inventory(inventory, source, target, settings())
        save_assessment(ledger, document)
        path = Path(self.path) if self.path else airflow_folder() / f"assessment-{self.inventory_id}.html"
        with side_effect("assess.write"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(render_assessment(document), encoding="utf-8")
        return {"inventory_id": self.inventory_id, "path": str(path), "headline": headline(document)}

"""A foreign catalog over a real lake, a managed one, and a copier that has what a test gives it."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from databricks.sdk.service.catalog import Privilege

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.model.plan import MigrationRequest
from icebridge_provider.planning.build import Prospect, prospects
from icebridge_provider.steps.inventory import read_inventory
from icebridge_provider.steps.plan_context import context_for
from tests.support import tables as shapes
from tests.support.databricks import Workspace

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LOSSES = ("history", "refs", "old_schemas", "old_specs", "old_sort_orders", "format_version")
READS = ("USE_CATALOG", "USE_SCHEMA", "SELECT", "MANAGE")
WRITES = ("USE_SCHEMA", "CREATE_TABLE", "EXTERNAL_USE_SCHEMA", "MANAGE")


class Land:
    """A foreign catalog over a real lake, a managed one, and a copier that has what it is given."""

    def __init__(self, server: Workspace, folder: Path, names: tuple[str, ...] = ("orders",)) -> None:
        """``names`` are tables that the lake in ``folder`` gets."""
        mark = uuid.uuid4().hex[:6]
        self.server, self.folder, self.mover = server, folder, ""
        self.lake, self.main, self.bot = f"lake_{mark}", f"main_{mark}", f"bot-{mark}"
        self.native = shapes.open_catalog(folder / "origin", "origin")
        for name in names:
            shapes.plain(self.native, name)
        server.connection(f"hms_{mark}", shapes.catalog_properties(folder / "origin"))
        server.api("POST", "/catalogs", {"name": self.lake, "connection_name": f"hms_{mark}"})
        server.api("POST", "/catalogs", {"name": self.main})
        server.api("POST", "/schemas", {"name": "lake", "catalog_name": self.main})
        server.principal(self.bot)

    def allow(self, reads: tuple[str, ...] = READS, writes: tuple[str, ...] = WRITES) -> Land:
        self.grant("catalog", self.lake, self.bot, *reads)
        self.grant("catalog", self.main, self.bot, "USE_CATALOG")
        self.grant("schema", f"{self.main}.lake", self.bot, *writes)
        return self

    def grant(self, kind: str, name: str, principal: str, *privileges: str) -> None:
        self.server.principal(principal)
        body = {"changes": [{"principal": principal, "add": list(privileges)}]}
        self.server.api("PATCH", f"/permissions/{kind}/{name}", body)

    def run(self, remedy: str) -> None:
        """Do what a remedy says: the GRANT statements in it, as the workspace reads them."""
        pattern = r"GRANT ([A-Z ]+) ON (\w+) ([^ ]+) TO `([^`]+)`"
        found = re.findall(pattern, remedy)
        assert found, remedy
        for privilege, kind, name, principal in found:
            spelled = Privilege(privilege.replace(" ", "_")).value
            self.grant(kind.lower(), name.replace("`", ""), principal, spelled)

    @cached_property
    def client(self) -> Client:
        return Client("managed", self.server.url, Login(token=self.server.token(self.bot)))

    def catalogs(self, **more: Any) -> tuple[UnityCatalog, UnityCatalog]:
        warehouse = more.pop("warehouse_id", "")
        origin = IcebergCatalog("origin", shapes.catalog_properties(self.folder / "origin"))
        mover = Client("foreign", self.server.url, Login(token=self.server.token(self.mover or self.bot)))
        source = UnityCatalog("foreign", mover, self.lake, origin=origin, warehouse_id=warehouse)
        return source, UnityCatalog("managed", self.client, self.main, warehouse_id=warehouse, **more)

    def judged(self, method: str = "auto", mapping: tuple[str, ...] = (), **more: Any) -> dict[str, Prospect]:
        """What planning says of every table of the lake."""
        source, target = self.catalogs(**more)
        request = MigrationRequest(
            source_conn_id="foreign", target_conn_id="managed", method=method, mapping=mapping, accept_losses=LOSSES
        )
        inventory = read_inventory(source, inventory_id="i")
        context = context_for(inventory, request, source, target, "p1", NOW)
        return {found.source.name: found for found in prospects(inventory, request, context, "p1")}

    def orders(self, **more: Any) -> Prospect:
        return self.judged(**more)["orders"]

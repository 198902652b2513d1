"""Two SQL catalogs, a ledger and one planned table, and shorthands to bring it as far as a test wants it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from pyiceberg.catalog import Catalog as Native
from pyiceberg.table import Table

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.engines.local.engine import LocalEngine
from icebridge_provider.model.event import Actor, LedgerEvent, Outcome, Step, TableState
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import MigrationPlan, MigrationRequest, TablePlan
from icebridge_provider.model.settings import Settings
from icebridge_provider.ports import Lease, Progress
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.state.signing import Ed25519Signer
from icebridge_provider.steps.certify import certify_wave
from icebridge_provider.steps.copy import copy_table
from icebridge_provider.steps.cut_over import cut_over_table
from icebridge_provider.steps.plan import make_plan
from icebridge_provider.steps.site import Site
from icebridge_provider.steps.validate import validate_table
from tests.support import tables as shapes

NOW = datetime(2026, 1, 10, 23, 30, tzinfo=UTC)
PLAN = "p1"
ALL_LOSSES = ("history", "refs", "old_schemas", "old_specs", "old_sort_orders", "format_version")


class Migration:
    """One table, ``lake.t``, on its way from a foreign to a managed catalog."""

    def __init__(
        self,
        folder: Path,
        shape: Callable[[Native, str], Table] = shapes.plain,
        method: str = "copy_files",
        *,
        read_only: bool = False,
        **request: Any,
    ) -> None:
        self.folder = folder
        self.method = method
        self.read_only = read_only
        self.request = request
        self.now = NOW
        self.settings = Settings()
        shape(self.native, "t")

    @cached_property
    def native(self) -> Native:
        """The foreign catalog as its owner writes to it."""
        return shapes.open_catalog(self.folder / "source")

    @cached_property
    def source(self) -> IcebergCatalog:
        return IcebergCatalog("src", shapes.catalog_properties(self.folder / "source"), self.read_only)

    @cached_property
    def target(self) -> IcebergCatalog:
        return IcebergCatalog("dst", shapes.catalog_properties(self.folder / "target"))

    @cached_property
    def ledger(self) -> SqlLedger:
        ledger = SqlLedger(f"sqlite:///{self.folder}/ledger.db")
        ledger.migrate()
        return ledger

    @property
    def site(self) -> Site:
        """A process of its own: each has another owner."""

        def engine(progress: Progress) -> LocalEngine:
            return LocalEngine(self.source, self.target, self.ledger, progress, threads=2)

        return Site(
            source=self.source,
            target=self.target,
            ledger=self.ledger,
            engine=engine,
            settings=self.settings,
            actor=Actor(who="tests"),
            now=lambda: self.now,
        )

    def signed(self, pem: str) -> Site:
        """A site that signs certificates."""
        return replace(self.site, signer=Ed25519Signer(pem))

    @cached_property
    def plan(self) -> MigrationPlan:
        losses = {"accept_losses": ALL_LOSSES} if self.method == "insert_select" else {}
        zero = {"allow_zero_copy": True} if self.method == "register" else {}
        request = MigrationRequest(
            source_conn_id="src", target_conn_id="dst", method=self.method, **{**losses, **zero, **self.request}
        )
        return make_plan(self.source, self.target, self.ledger, request, self.settings, Actor(), NOW, plan_id=PLAN)

    @property
    def table(self) -> TablePlan:
        return self.plan.table("src.lake.t")

    @property
    def state(self) -> TableState:
        return self.ledger.state(PLAN, "src.lake.t")

    def events(self, step: Step, outcome: Outcome | None = None) -> list[LedgerEvent]:
        """Events of one step, oldest first."""
        found = self.ledger.events(PLAN, "src.lake.t")
        return [event for event in found if event.step is step and outcome in {None, event.outcome}]

    # How far

    def copied(self) -> Migration:
        copy_table(self.site, self.plan, self.table)
        return self

    def validated(self) -> Migration:
        self.copied()
        validate_table(self.site, self.plan, self.table)
        return self

    def certified(self) -> str:
        """Return the digest that a person would approve."""
        self.validated()
        return self.certify()

    def certify(self) -> str:
        return str(certify_wave(self.site, self.plan, self.plan.tables)["digest"])

    def cut_over(self, digest: str, who: str = "ada", *, ticked: bool = True) -> dict[str, Any]:
        return cut_over_table(self.site, self.plan, self.table, digest, who, ticked)

    def switched(self) -> Migration:
        """Cut the table over."""
        self.cut_over(self.certified())
        return self

    def later(self, days: int) -> Migration:
        self.now += timedelta(days=days)
        return self

    # What is there

    def entries(self, side: str) -> set[str]:
        """Names of the tables in the lake's namespace of ``source`` or ``target``."""
        catalog = self.source if side == "source" else self.target
        return {table.name for table in catalog.tables(("lake",))}

    def rows(self, side: str, name: str) -> list[str]:
        """Rows of a table as sorted text."""
        catalog = self.native if side == "source" else self.target.native
        return sorted(str(row) for row in catalog.load_table(("lake", name)).scan().to_arrow().to_pylist())

    def append(self, start: int = 1000, count: int = 5) -> Table:
        """Let the foreign writer append rows."""
        table = self.native.load_table("lake.t")
        table.append(shapes.rows(start, count))
        return table

    def target_files(self) -> set[str]:
        """Paths of all files in the new lake, relative to its warehouse."""
        base = self.folder / "target" / "warehouse"
        return {str(path.relative_to(base)) for path in base.rglob("*") if path.is_file()}

    def identifier(self, side: str, name: str) -> TableIdentifier:
        return TableIdentifier(catalog="src" if side == "source" else "dst", namespace=("lake",), name=name)

    def occupy(self, side: str, name: str) -> Table:
        """Put somebody else's table under a name."""
        catalog = self.native if side == "source" else self.target.native
        catalog.create_namespace_if_not_exists("lake")
        table = catalog.create_table(("lake", name), shapes.rows(0, 1).schema)
        table.append(shapes.rows(7000, 2))
        return table


class Stopped(BaseException):
    """The process ends here."""


class StoppingLedger:
    """A ledger whose process dies right before it writes its ``number``-th event from now on."""

    def __init__(self, ledger: object, number: int) -> None:
        self._ledger = ledger
        self._left = number

    def append(self, event: LedgerEvent, lease: Lease | None = None) -> LedgerEvent:
        return self.append_many([event], lease)[0]

    def append_many(self, events: list[LedgerEvent], lease: Lease | None = None) -> list[LedgerEvent]:
        self._left -= 1
        if self._left < 0:
            raise Stopped
        return self._ledger.append_many(events, lease)  # type: ignore[attr-defined, no-any-return]

    def __getattr__(self, name: str) -> object:
        return getattr(self._ledger, name)


EVENTS = 8  # writes of a cut-over: approve and started together, three intents with three applied, done


def dies_before(m: Migration, digest: str, number: int) -> bool:
    """Cut over in a process that dies before its ``number``-th event; False when it ends before that."""
    site = replace(m.site, ledger=StoppingLedger(m.ledger, number))  # type: ignore[arg-type]
    try:
        cut_over_table(site, m.plan, m.table, digest, "ada", True)
    except Stopped:
        return True
    return False

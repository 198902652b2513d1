"""One process of a migration: what a DAG run does, step by step, without Airflow."""

from __future__ import annotations

import json
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from icebridge_provider.catalogs.iceberg import catalog_from
from icebridge_provider.engines.local.engine import LocalEngine
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, ValidationFailed
from icebridge_provider.model.event import Actor, State
from icebridge_provider.model.plan import MigrationPlan, MigrationRequest, TablePlan
from icebridge_provider.model.settings import Settings
from icebridge_provider.state.governor import CommitGovernor
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.state.signing import Ed25519Signer
from icebridge_provider.steps.certify import certify_wave
from icebridge_provider.steps.copy import copy_table
from icebridge_provider.steps.cut_over import cut_over_table
from icebridge_provider.steps.plan import make_plan
from icebridge_provider.steps.purge import purge_table
from icebridge_provider.steps.rollback import rollback_table
from icebridge_provider.steps.site import Site
from icebridge_provider.steps.sync import catch_up
from icebridge_provider.steps.validate import validate_table
from icebridge_provider.steps.watch import watch_table
from tests.crash import lake

START = datetime(2026, 1, 10, 23, 30, tzinfo=UTC)
APPROVER = "Ada"
LOSSES = ("history", "refs", "old_schemas", "old_specs", "old_sort_orders", "format_version")
# A throw-away key: certificates of this lake are signed, so that forged ones can be told.
PEM = """-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
"""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """What a history does: ``first`` until the crash; after it ``then``, or the rest of ``first`` when it is empty."""

    first: tuple[str, ...]
    then: tuple[str, ...] = ()
    method: str = "copy_files"
    read_only: bool = False
    shared: bool = False


VARIANTS = {
    "purge": Variant(first=("migrate", "cut_over", "purge")),
    "rollback": Variant(first=("migrate", "cut_over", "rollback")),
    "unwanted": Variant(first=("migrate", "rollback")),
    "abort": Variant(first=("migrate", "cut_over"), then=("rollback",)),
    "again": Variant(first=("migrate", "rollback", "migrate", "cut_over")),
    "register": Variant(first=("migrate", "cut_over", "rollback"), method="register"),
    "read_only": Variant(first=("migrate", "cut_over"), read_only=True),
    "shared": Variant(first=("migrate", "cut_over", "purge"), shared=True),
    "late": Variant(first=("migrate", "late_write", "cut_over")),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A history: its folder, seed and variant. Everything else follows from them."""

    home: Path
    seed: int
    variant: str

    @property
    def kind(self) -> Variant:
        return VARIANTS[self.variant]

    @property
    def order(self) -> list[str]:
        """Tables in this seed's order."""
        return random.Random(f"order {self.seed}").sample(lake.TABLES, len(lake.TABLES))

    @property
    def written(self) -> set[str]:
        """Tables that the foreign writer changes meanwhile; seeds differ in whether that happens at all."""
        return {"deletes", "parted"} if self.seed % 5 != 4 else set()

    @property
    def early(self) -> bool:
        """Whether the writer strikes between copy and proof, rather than after it."""
        return self.seed % 2 == 0


class Migration:
    """The commands of a history; each can be called again at any time."""

    def __init__(self, case: Case, days: int = 0, lease_seconds: int = 300) -> None:
        self.case = case
        self.now = START + timedelta(days=days)
        self.lease_seconds = lease_seconds

    @cached_property
    def site(self) -> Site:
        home, settings = self.case.home, Settings(lease_seconds=self.lease_seconds, copy_threads=2)
        ledger = SqlLedger(f"sqlite:///{home}/ledger.db")
        ledger.migrate()
        source = catalog_from("foreign", lake.properties(home, "source"), read_only=self.case.kind.read_only)
        target = catalog_from("managed", lake.properties(home, "target"))
        return Site(
            source=source,
            target=target,
            ledger=ledger,
            engine=lambda progress: LocalEngine(source, target, ledger, progress, threads=2),
            settings=settings,
            actor=Actor(who="system", origin="crash suite"),
            signer=Ed25519Signer(PEM),
            now=lambda: self.now,
            take_commit=CommitGovernor(ledger, 100_000).take,
        )

    def plans(self) -> list[tuple[MigrationPlan, TablePlan]]:
        """Return plan and table plan of every table, in this seed's order."""
        kind = self.case.kind
        clones = [name for name in self.case.order if name != "parted"]
        first = self._plan("clones", clones, kind.method)
        second = self._plan("rows", ["parted"], "insert_select")
        found = {table.source.name: (plan, table) for plan in (first, second) for table in plan.tables}
        return [found[name] for name in self.case.order]

    def _plan(self, plan_id: str, names: Sequence[str], method: str) -> MigrationPlan:
        request = MigrationRequest(
            source_conn_id="foreign",
            target_conn_id="managed",
            tables=tuple(f"{lake.NAMESPACE}.{name}" for name in names),
            method=method,
            accept_losses=LOSSES if method == "insert_select" else (),
            allow_zero_copy=method == "register",
        )
        site = self.site
        return make_plan(
            site.source, site.target, site.ledger, request, site.settings, site.actor, START, plan_id=plan_id
        )

    def migrate(self) -> None:
        """Plan, copy, prove, catch up, certify; the source is changed meanwhile."""
        case, tables = self.case, self.plans()
        for plan, table in tables:
            copy_table(self.site, plan, table)
            if case.early and table.source.name in case.written:
                lake.change(case.home, case.seed, table.source.name)
        for plan, table in tables:
            if self._state(plan, table) is State.COPIED:
                validate_table(self.site, plan, table)
        if not case.early and case.variant != "late":
            self.late_write()
        for plan, table in tables:
            catch_up(self.site, plan, table)
        self._certify(tables)

    def late_write(self) -> None:
        """Change the source after its copies were certified, or at least proven."""
        for name in sorted(self.case.written):
            lake.change(self.case.home, self.case.seed, name)

    def cut_over(self) -> None:
        """Cut everything over; where the source has moved since, catch up and ask again first."""
        tables = self.plans()
        digests = self._certified()
        for plan, table in tables:
            try:
                cut_over_table(self.site, plan, table, digests[plan.plan_id], APPROVER, writers_stopped=True)
            except IceBridgeError as error:
                if error.code not in {"IB-605", "IB-620"} or self.case.variant != "late":
                    raise
                for each in tables:
                    catch_up(self.site, *each)
                digests = self._certify(tables)
                cut_over_table(self.site, plan, table, digests[plan.plan_id], APPROVER, writers_stopped=True)
        for plan, table in tables:
            if self._state(plan, table) is State.CUT_OVER and watch_table(self.site, plan, table)["finding"]:
                raise AssertionError(f"{table.source} is said to be written after the cut-over")

    def rollback(self) -> None:
        """Undo everything, the last table first."""
        for plan, table in self.plans()[::-1]:
            rollback_table(self.site, plan, table)

    def purge(self) -> None:
        """Purge everything after the grace period; what another table shares must be refused."""
        self.now = START + timedelta(days=40)
        for plan, table in self.plans():
            shared = self.case.kind.shared and table.source.name == "evolved"
            try:
                purge_table(self.site, plan, table, APPROVER)
            except ValidationFailed as error:
                if error.code != "IB-643" or not shared:
                    raise

    def _state(self, plan: MigrationPlan, table: TablePlan) -> State:
        return self.site.ledger.state(plan.plan_id, str(table.source)).state

    def _certify(self, tables: Sequence[tuple[MigrationPlan, TablePlan]]) -> dict[str, str]:
        """Certify what is ready and note the digests, as an approval form would."""
        digests = self._certified()
        for plan in {plan.plan_id: plan for plan, _ in tables}.values():
            digest = certify_wave(self.site, plan, plan.tables)["digest"]
            digests[plan.plan_id] = digest or digests.get(plan.plan_id, "")
        _write(self.case.home / "approved.json", digests)
        return digests

    def _certified(self) -> dict[str, str]:
        path = self.case.home / "approved.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}


def run(case: Case, *, crashed: bool = False, lease_seconds: int = 300) -> None:
    """Run the commands that are left of a history."""
    kind = case.kind
    commands = kind.then if crashed and kind.then else kind.first
    done = _done(case.home, commands)
    days = 1 if crashed else 0  # the run after the crash sees another date
    for number, command in enumerate(commands):
        if number < done:
            continue
        migration = Migration(case, days, lease_seconds)
        getattr(migration, command)()
        _write(case.home / "progress.json", {"commands": list(commands), "done": number + 1})


def _done(home: Path, commands: Sequence[str]) -> int:
    path = home / "progress.json"
    if not path.exists():
        return 0
    noted = json.loads(path.read_text())
    return int(noted["done"]) if noted["commands"] == list(commands) else 0


def _write(path: Path, value: Any) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(value))
    part.replace(path)


def main(arguments: Sequence[str]) -> int:
    """Run ``HOME SEED VARIANT [crashed]`` in this interpreter."""
    from tests.crash import plants

    home, seed, variant, *rest = arguments
    plants.plant(os.environ.get("ICEBRIDGE_PLANT", ""))
    try:
        run(Case(home=Path(home), seed=int(seed), variant=variant), crashed="crashed" in rest)
    except (IceBridgeError, ConfigurationError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

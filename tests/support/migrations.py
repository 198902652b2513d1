"""A whole small migration by the real steps: two lakes on disk, a ledger, a signer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from icebridge_provider.engines.local.engine import LocalEngine
from icebridge_provider.model.event import Actor
from icebridge_provider.model.plan import MigrationPlan, MigrationRequest
from icebridge_provider.model.settings import Settings
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.state.signing import Ed25519Signer
from icebridge_provider.steps.certify import certify_wave
from icebridge_provider.steps.copy import copy_table
from icebridge_provider.steps.cut_over import cut_over_table
from icebridge_provider.steps.plan import make_plan
from icebridge_provider.steps.site import Site
from icebridge_provider.steps.validate import validate_table
from tests.support import tables
from tests.support.copying import CopyLake


def private_pem() -> str:
    """A new Ed25519 private key."""
    key = Ed25519PrivateKey.generate()
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, plain).decode()


@dataclass(kw_only=True)
class Migration:
    """Moves the tables that ``fill`` makes; each method runs one more step for all of them."""

    folder: Path
    ledger: SqlLedger
    signer: Ed25519Signer | None = None
    fill: Callable[[CopyLake], None] = lambda lake: tables.plain(lake.native)
    plan_id: str = "move1"

    @cached_property
    def lake(self) -> CopyLake:
        lake = CopyLake(folder=self.folder)
        self.fill(lake)
        return lake

    @cached_property
    def site(self) -> Site:
        source, target, ledger = self.lake.source, self.lake.target, self.ledger
        return Site(
            source=source,
            target=target,
            ledger=ledger,
            engine=lambda progress: LocalEngine(source, target, ledger, progress),
            actor=Actor(who="maria", origin="tests"),
            signer=self.signer,
        )

    @cached_property
    def plan(self) -> MigrationPlan:
        request = MigrationRequest(source_conn_id=self.lake.source.name, target_conn_id=self.lake.target.name)
        now = datetime.now(UTC)
        site = self.site
        return make_plan(site.source, site.target, site.ledger, request, Settings(), site.actor, now, self.plan_id)

    def copied(self) -> Migration:
        for table in self.plan.tables:
            copy_table(self.site, self.plan, table)
        return self

    def proven(self) -> Migration:
        self.copied()
        for table in self.plan.tables:
            validate_table(self.site, self.plan, table)
        return self

    def cut_over(self) -> Migration:
        self.proven()
        digest = certify_wave(self.site, self.plan, self.plan.tables)["digest"]
        for table in self.plan.tables:
            cut_over_table(self.site, self.plan, table, digest, "maria", writers_stopped=True)
        return self

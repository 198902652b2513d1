"""A migration on a local Databricks workspace without Airflow: the steps, one site a phase as each task has its own.

As a program it is one task in a process of its own: it starts the run of a plan, for tests that kill it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from databricks.sdk.service.catalog import PermissionsChange, Privilege, VolumeType

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.engines.databricks.engine import DatabricksEngine
from icebridge_provider.exceptions import TransientError
from icebridge_provider.model.event import Actor
from icebridge_provider.model.job import JobRef, JobState
from icebridge_provider.model.plan import Approval, MigrationPlan, MigrationRequest, TablePlan
from icebridge_provider.model.settings import Settings
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.certify import certify_wave
from icebridge_provider.steps.copy import copy_table
from icebridge_provider.steps.cut_over import cut_over_table
from icebridge_provider.steps.plan import make_plan
from icebridge_provider.steps.remote_copy import start_copies
from icebridge_provider.steps.rollback import rollback_table
from icebridge_provider.steps.site import Site
from icebridge_provider.steps.sync import catch_up
from icebridge_provider.steps.validate import validate_table
from tests.support import tables as shapes
from tests.support.databricks import Workspace

T = TypeVar("T")
CLUSTER = {"spark_version": "17.3.x-scala2.13", "node_type_id": "i3.xlarge", "num_workers": 1}
WAREHOUSE = "0123456789abcdef"
LOSSES = ("history", "refs", "old_schemas", "old_specs", "old_sort_orders", "format_version")
STEPS: dict[str, Callable[[Site, MigrationPlan, TablePlan], Any]] = {
    "copy": copy_table,
    "validate": validate_table,
    "sync": catch_up,
    "rollback": rollback_table,
}
RIGHTS = ("USE_SCHEMA", "CREATE_TABLE", "SELECT", "MODIFY", "MANAGE", "EXTERNAL_USE_SCHEMA")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a migration happens."""

    url: str
    folder: str
    lake: str
    main: str
    parallel: int


def site_at(place: Place, login: Login) -> Site:
    """What the steps work with, as ``hooks/site.py`` builds it from connections."""
    client = Client("prod", place.url, login)
    origin = IcebergCatalog("origin", dict(shapes.catalog_properties(Path(place.folder) / "origin")), read_only=True)
    source = UnityCatalog("foreign", client, place.lake, warehouse_id=WAREHOUSE, origin=origin)
    target = UnityCatalog("managed", client, place.main, warehouse_id=WAREHOUSE)
    options = {"cluster": CLUSTER, "volume": f"{place.main}.icebridge.jobs", "parallel_tables": place.parallel}
    return Site(
        source=source,
        target=target,
        ledger=SqlLedger(f"sqlite:///{place.folder}/ledger.db"),
        engine=_no_engine,
        settings=Settings(allow_unapproved_cutover=True),
        remote=DatabricksEngine(client, source, target, options),
        owner="estate",
    )


@dataclass(kw_only=True)
class Estate:
    """A lake behind a foreign catalog, a managed catalog, a copier; ``mark`` keeps estates of one workspace apart."""

    server: Workspace
    folder: Path
    mark: str
    login: Login | None = None
    schemas: tuple[str, ...] = (shapes.NAMESPACE,)
    parallel: int = 4
    retries: int = 0
    tried: list[str] = field(default_factory=list)

    @property
    def lake(self) -> str:
        return f"lake_{self.mark}"

    @property
    def main(self) -> str:
        return f"main_{self.mark}"

    @property
    def copier(self) -> str:
        return f"copier-{self.mark}"

    @property
    def origin(self) -> dict[str, str]:
        return dict(shapes.catalog_properties(self.folder / "origin"))

    @property
    def ledger(self) -> SqlLedger:
        return SqlLedger(f"sqlite:///{self.folder / 'ledger.db'}")

    def grant(self, kind: str, name: str, principal: str, *privileges: str) -> None:
        change = PermissionsChange(principal=principal, add=[Privilege(one) for one in privileges])
        self.server.sdk().grants.update(kind, name, changes=[change])

    def federate(self) -> None:
        """Show the origin's tables as the foreign catalog; make the managed one with its schemas."""
        client = self.server.sdk(http_timeout_seconds=120)
        self.server.principal(self.copier, service=True)
        self.server.settings(external_access_enabled=True)
        self.server.connection(f"hms_{self.mark}", self.origin)
        options = {"authorized_paths": f"file://{self.folder}"}
        client.catalogs.create(self.lake, connection_name=f"hms_{self.mark}", options=options)
        client.catalogs.create(self.main)
        self.grant("CATALOG", self.lake, self.copier, "USE_CATALOG", "USE_SCHEMA", "SELECT", "MANAGE")
        self.grant("CATALOG", self.main, self.copier, "USE_CATALOG")
        for schema in self.schemas:
            client.schemas.create(schema, self.main)
            self.grant("SCHEMA", f"{self.main}.{schema}", self.copier, *RIGHTS)
        client.schemas.create("icebridge", self.main)
        client.volumes.create(self.main, "icebridge", "jobs", VolumeType.MANAGED)
        rights = ("USE_SCHEMA", "READ_VOLUME", "WRITE_VOLUME")
        self.grant("SCHEMA", f"{self.main}.icebridge", self.copier, *rights)
        self.ledger.migrate()

    def reader(self, name: str, *tables: str) -> str:
        """Someone who may read tables of the lake, and enter both catalogs."""
        self.server.principal(name)
        for catalog in (self.lake, self.main):
            self.grant("CATALOG", catalog, name, "USE_CATALOG", "USE_SCHEMA")
        for table in tables:
            self.grant("TABLE", f"{self.lake}.{table}", name, "SELECT")
        return name

    # What the product works with

    @property
    def place(self) -> Place:
        """Where a process of its own finds all of it."""
        return Place(
            url=self.server.url, folder=str(self.folder), lake=self.lake, main=self.main, parallel=self.parallel
        )

    def site(self) -> Site:
        """A site as a task of its own makes it."""
        return site_at(self.place, self.login or Login(token=self.server.token(self.copier)))

    def plan(self, plan_id: str, *tables: str) -> MigrationPlan:
        """Plan a migration of tables, ``schema.table`` or patterns."""
        request = MigrationRequest(
            source_conn_id="foreign",
            target_conn_id="managed",
            tables=tables,
            approval=Approval.NONE,
            accept_losses=LOSSES,
        )

        def planned(site: Site) -> MigrationPlan:
            now = datetime.now(UTC)
            return make_plan(
                site.source, site.target, site.ledger, request, site.settings, Actor(), now, plan_id=plan_id
            )

        return self.retried(planned)

    def start(self, plan: MigrationPlan) -> None:
        """Submit the run of all tables and wait until it is over."""
        self.submit(plan)
        self.wait(plan)

    def submit(self, plan: MigrationPlan) -> None:
        """Submit the run of all tables."""
        self.retried(lambda site: start_copies(site, plan, plan.tables))

    def wait(self, plan: MigrationPlan) -> None:
        """Wait until the run is over."""
        self.retried(lambda site: _awaited(site, self._begun(plan)))

    def _begun(self, plan: MigrationPlan) -> set[str]:
        """Runs that were begun for the tables, as the ledger has them."""
        events = self.ledger.events(plan.plan_id)
        return {str(event.data["run_id"]) for event in events if event.data.get("run_id")}

    def each(self, step: str, plan: MigrationPlan) -> None:
        """Do one step to every table, in one task."""
        self.retried(lambda site: [STEPS[step](site, plan, table) for table in plan.tables])

    def certify(self, plan: MigrationPlan) -> str:
        return str(self.retried(lambda site: certify_wave(site, plan, plan.tables))["digest"])

    def cut_over(self, plan: MigrationPlan, digest: str) -> None:
        def all_of_them(site: Site) -> None:
            for table in plan.tables:
                cut_over_table(site, plan, table, digest, "", writers_stopped=False)

        self.retried(all_of_them)

    def retried(self, task: Callable[[Site], T]) -> T:
        """Run a task as Airflow does: again with a new site while what went wrong may pass, so many times."""
        for left in range(self.retries, -1, -1):
            try:
                return task(self.site())
            except TransientError as error:
                self.tried.append(str(error))
                if not left:
                    raise
        raise AssertionError("no task is run less than once")

    # What came of it

    def states(self, plan: MigrationPlan) -> dict[str, str]:
        return {state.table: state.state.value for state in self.ledger.states(plan.plan_id)}

    def runs(self) -> list[dict[str, Any]]:
        """All runs of the copier."""
        return [run for run in self.server.order("GET", "/runs") if run["creator_user_name"] == self.copier]

    def tables_in(self, schema: str) -> list[str]:
        return sorted(str(table.name) for table in self.server.sdk().tables.list(self.main, schema))

    def rows(self, who: str, table: str) -> int | str:
        """How many rows somebody reads in SQL, or the refusal."""
        statement = f"SELECT count(*) FROM {table}"
        answer = self.server.sdk(who).statement_execution.execute_statement(statement, WAREHOUSE, wait_timeout="30s")
        if answer.status is not None and answer.status.error is not None:
            return str(answer.status.error.message)
        assert answer.result is not None
        return int((answer.result.data_array or [["0"]])[0][0])


def _no_engine(_: object) -> Any:
    raise AssertionError("nothing is copied by this process")


def _awaited(site: Site, run_ids: set[str], seconds: float = 7200) -> None:
    assert site.remote is not None
    deadline = time.monotonic() + seconds
    for run_id in run_ids:
        while site.remote.poll(JobRef(engine="databricks", token="", run_id=run_id)).state is JobState.RUNNING:
            assert time.monotonic() < deadline, "the run takes too long"
            time.sleep(1)


def simple_lake(folder: Path, names: Sequence[str]) -> None:
    """A few small tables."""
    native = shapes.open_catalog(folder / "origin", "origin")
    for name in names:
        shapes.plain(native, name)


def main(place: str, token: str, plan_id: str) -> None:
    """Start the copies of a plan and print the run's id."""
    site = site_at(Place(**json.loads(place)), Login(token=token))
    plan = site.ledger.plan(plan_id)
    print(start_copies(site, plan, plan.tables))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""One table is certified, cut over and rolled back by the real steps: what limits its readers goes along."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.catalogs.iceberg import IcebergCatalog
from icebridge_provider.catalogs.unity.catalog import UnityCatalog
from icebridge_provider.catalogs.unity.workspace import Login
from icebridge_provider.catalogs.unity.workspace import Workspace as Client
from icebridge_provider.exceptions import ConfigurationError, ValidationFailed
from icebridge_provider.model.event import Outcome, Step
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import MigrationPlan
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.certify import certify_wave
from icebridge_provider.steps.cut_over import cut_over_table
from icebridge_provider.steps.rollback import rollback_table
from icebridge_provider.steps.site import Site
from tests.crash.privileges import PLAN, TABLE
from tests.support.databricks import Workspace
from tests.support.sql_estate import WAREHOUSE, Estate, Refused, estate

MOST_TO_CUT_OVER, MOST_TO_ROLL_BACK = 40, 25
MOST_PROTECTED = 90  # with a filter, a mask, a policy, and the tags of table and parents at every look
ONCE = "/scim/v2/Me"  # asked once a process, whatever number of tables


class Moved:
    """A foreign table with a reader, its copy, and everything to cut it over as a principal with few rights."""

    def __init__(self, made: Estate, folder: Path, name: str) -> None:
        self.made, self.name, self.copier = made, name, f"copier-{made.mark}"
        made.orders(name)
        made.refresh()
        made.workspace.principal(self.copier, service=True)
        for rights, place in (
            ("USE CATALOG, USE SCHEMA, SELECT, MANAGE", "CATALOG {lake}"),
            ("USE CATALOG", "CATALOG {main}"),
            ("USE SCHEMA, CREATE TABLE, SELECT, MODIFY, MANAGE, EXTERNAL USE SCHEMA", "SCHEMA {main}.sales"),
        ):
            made.sql(f"GRANT {rights} ON {place} TO `{self.copier}`")
        made.sql(f"CREATE TABLE {self.staged} USING ICEBERG AS SELECT * FROM {self.old}", self.copier)
        made.sql(f"ALTER TABLE {self.staged} SET TBLPROPERTIES ('icebridge.plan-id' = 'w')", self.copier)
        self.reader = made.reader(f"{{lake}}.sales.{name}")
        for place in ("CATALOG {main}", "SCHEMA {main}.sales"):
            made.sql(f"GRANT USE {place.split()[0]} ON {place} TO `{self.reader}`")
        self.ledger = SqlLedger(f"sqlite:///{folder}/ledger.db")
        self.ledger.migrate()
        self.site = self._site()
        self._proven()

    @property
    def old(self) -> str:
        return f"{{lake}}.sales.{self.name}"

    @property
    def staged(self) -> str:
        return f"{{main}}.sales.{self.name}__icebridge_w"

    @property
    def new(self) -> str:
        return f"{{main}}.sales.{self.name}"

    def _site(self) -> Site:
        made = self.made
        client = Client("prod", made.workspace.url, Login(token=made.workspace.token(self.copier)))
        options = {
            "type": "sql",
            "uri": f"sqlite:///{made.folder}/{made.mark}.db",
            "warehouse": f"file://{made.folder}",
        }
        origin = IcebergCatalog("origin", {**options, "catalog_name": "origin"})
        return Site(
            source=UnityCatalog("src", client, made.lake, warehouse_id=WAREHOUSE, origin=origin),
            target=UnityCatalog("dst", client, made.main, warehouse_id=WAREHOUSE),
            ledger=self.ledger,
            engine=lambda _: pytest.fail("nothing is copied here"),
        )

    @property
    def plan(self) -> MigrationPlan:
        def named(catalog: str, name: str) -> TableIdentifier:
            return TableIdentifier(catalog=catalog, namespace=("sales",), name=name)

        staged = named("dst", f"{self.name}__icebridge_w")
        table = replace(TABLE, source=named("src", self.name), staged=staged, target=named("dst", self.name))
        return replace(PLAN, tables=(table,)).sealed()

    def _proven(self) -> None:
        """A ledger that says the table is copied and proven."""
        plan, site = self.plan, self.site
        [table] = plan.tables
        source, copy = site.source.load(table.source), site.target.load(table.staged)
        assert source is not None
        assert copy is not None
        proof: dict[str, object] = {
            "passed": True,
            "source_metadata_location": source.metadata_location,
            "metadata_location": copy.metadata_location,
        }
        self.ledger.save_plan(plan)
        for step in (Step.PLAN, Step.COPY, Step.VALIDATE):
            site.record(plan.plan_id, str(table.source), step, Outcome.DONE, proof)

    def cut_over(self) -> dict[str, Any]:
        [table] = self.plan.tables
        digest = str(certify_wave(self.site, self.plan, [table])["digest"])
        return cut_over_table(self.site, self.plan, table, digest, "ada", True)

    def roll_back(self) -> dict[str, Any]:
        [table] = self.plan.tables
        return rollback_table(self.site, self.plan, table)

    def counted(self, call: Callable[[], object]) -> Counter[str]:
        self.made.workspace.forget_requests()
        call()
        asked = [one for one in self.made.workspace.requests() if ONCE not in one["path"]]
        return Counter(f"{one['method']} {one['path'].split('?')[0]}" for one in asked)

    def seen(self, table: str, principal: str = "") -> Any:
        try:
            return self.made.sql(f"SELECT id, amount FROM {table} ORDER BY id", principal or self.reader)
        except Refused as refused:
            return refused.code


@pytest.fixture(scope="module")
def made(databricks: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Estate:
    found = estate(databricks, tmp_path_factory.mktemp("cut-over"))
    found.sql("CREATE SCHEMA {main}.gov")
    found.sql(
        "CREATE FUNCTION {main}.gov.mine(c STRING) RETURNS BOOLEAN"
        " RETURN is_account_group_member('admins') OR c = 'city-1'"
    )
    found.sql(
        "CREATE FUNCTION {main}.gov.hidden(x DECIMAL(12,2), c STRING) RETURNS DECIMAL(12,2)"
        " RETURN CASE WHEN is_account_group_member('admins') THEN x ELSE -1 END"
    )
    found.sql("CREATE FUNCTION {main}.gov.all_rows() RETURNS BOOLEAN RETURN TRUE")
    return found


def policy_on(made: Estate, table: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "own", "on_securable_type": "TABLE", "on_securable_fullname": table, "for_securable_type": "TABLE",
        "policy_type": "POLICY_TYPE_ROW_FILTER", "to_principals": ["account users"],
        "row_filter": {"function_name": f"{made.main}.gov.all_rows"}, **more,
    }  # fmt: skip


def protected(made: Estate, folder: Path, name: str) -> Moved:
    """A table whose source has a filter, a mask of two columns, a policy of its own under a tag, and a comment."""
    moved = Moved(made, folder, name)
    made.sql(f"GRANT USE SCHEMA, EXECUTE ON SCHEMA {{main}}.gov TO `{moved.copier}`")
    made.sql(f"ALTER TABLE {moved.old} SET ROW FILTER {{main}}.gov.mine ON (city)")
    made.sql(f"ALTER TABLE {moved.old} ALTER COLUMN amount SET MASK {{main}}.gov.hidden USING COLUMNS (city)")
    made.sql(f"ALTER TABLE {moved.old} SET TAGS ('pii' = 'yes')")
    on = moved.old.format(main=made.main, lake=made.lake)
    made.workspace.api("POST", "/policies", policy_on(made, on, when_condition="hasTag('pii')"))
    return moved


def test_the_readers_move_with_few_requests(made: Estate, tmp_path: Path) -> None:
    moved = Moved(made, tmp_path, "bare")
    before = moved.seen(moved.old)
    spent = moved.counted(moved.cut_over)
    assert (len(before), moved.seen(moved.new)) == (3, before)
    assert moved.seen(moved.old) == "BAD_REQUEST"
    assert spent.total() <= MOST_TO_CUT_OVER, spent.most_common()
    back = moved.counted(moved.roll_back)
    assert moved.seen(moved.old) == before
    assert back.total() <= MOST_TO_ROLL_BACK, back.most_common()


def test_filter_masks_and_policies_go_along_and_come_off_again(made: Estate, tmp_path: Path) -> None:
    moved = protected(made, tmp_path, "limited")
    before = moved.seen(moved.old)
    assert before == [["1", "-1.00"]]
    spent = moved.counted(moved.cut_over)
    assert moved.seen(moved.new) == before
    assert moved.seen(moved.old) == "BAD_REQUEST"
    assert spent.total() <= MOST_PROTECTED, spent.most_common()
    with pytest.raises(ConfigurationError, match=r"IB-637.*row filter .*mine\(city\), mask .*hidden\(city\) of column"):
        moved.site.target.load(moved.plan.tables[0].target)
    assert moved.site.target.access is not None
    access = moved.site.target.access.access_of(moved.plan.tables[0].target)
    assert ([one.name for one in access.policies], access.tags) == (["own"], {"pii": "yes"})
    moved.roll_back()
    assert moved.seen(moved.old) == before
    assert moved.seen(moved.staged) == "BAD_REQUEST"
    loaded = moved.site.target.load(moved.plan.tables[0].staged)
    assert loaded is not None, "nothing limits its readers any more, and there are none"


def test_rows_that_come_after_the_masks_stop_it(made: Estate, tmp_path: Path) -> None:
    moved = protected(made, tmp_path, "written")
    [table] = moved.plan.tables
    digest = str(certify_wave(moved.site, moved.plan, [table])["digest"])
    passed = 0

    def written() -> None:
        nonlocal passed
        passed += 1
        if passed == 3:  # the masks stand, readers are granted, the name is next
            made.sql(f"INSERT INTO {moved.staged} VALUES (9, 'city-9', 1, current_timestamp())", moved.copier)

    site = replace(moved.site, take_commit=written)
    with pytest.raises(ValidationFailed, match=r"IB-605.*changed \(WRITE at version"):
        cut_over_table(site, moved.plan, table, digest, "ada", True)
    assert moved.seen(moved.staged) == "BAD_REQUEST"
    assert moved.seen(moved.old) == [["1", "-1.00"]]


def test_a_mask_before_the_proof_is_refused_by_name(made: Estate, tmp_path: Path) -> None:
    moved = protected(made, tmp_path, "early")
    made.sql(f"ALTER TABLE {moved.staged} SET ROW FILTER {{main}}.gov.mine ON (city)")
    with pytest.raises(ValidationFailed, match="IB-638"):
        moved.cut_over()


def test_who_may_not_use_the_function_stops_and_takes_everything_back(made: Estate, tmp_path: Path) -> None:
    moved = protected(made, tmp_path, "denied")
    made.sql(f"REVOKE EXECUTE ON SCHEMA {{main}}.gov FROM `{moved.copier}`")
    with pytest.raises(ConfigurationError, match="IB-24"):
        moved.cut_over()
    assert moved.site.target.load(moved.plan.tables[0].staged) is not None, "nothing is left on the copy"
    assert moved.seen(moved.staged) == "BAD_REQUEST"


def test_members_of_groups_are_told_by_scim(made: Estate, tmp_path: Path) -> None:
    moved = Moved(made, tmp_path, "grouped")
    inner, outer = f"inner-{made.mark}", f"outer-{made.mark}"
    made.workspace.principal(moved.reader, groups=(inner,))
    made.workspace.principal(inner, groups=(outer,))
    for place in ("CATALOG {main}", "SCHEMA {main}.sales"):
        made.sql(f"REVOKE USE {place.split()[0]} ON {place} FROM `{moved.reader}`")
        made.sql(f"GRANT USE {place.split()[0]} ON {place} TO `{outer}`")
    access = moved.site.target.access
    assert access is not None
    asked = moved.counted(lambda: access.groups_of({moved.reader, "nobody at all"}, {inner, outer}))
    assert asked.total() == 5, asked
    again = moved.counted(lambda: access.groups_of({moved.reader, "nobody at all"}, {inner, outer}))
    assert again.total() == 0
    assert access.groups_of({moved.reader}, {inner, outer}) == {moved.reader: (inner, outer)}
    before = moved.seen(moved.old)
    moved.cut_over()
    assert moved.seen(moved.new) == before

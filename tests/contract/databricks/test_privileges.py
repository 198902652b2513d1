"""Privileges as Unity Catalog has them: the rules alone, then enforced by the workspace."""

from __future__ import annotations

import pytest
from databricks.sdk.errors import BadRequest, InvalidParameterValue, NotFound, PermissionDenied
from databricks.sdk.service.catalog import (
    DenyOptions,
    GrantOptions,
    PermissionsChange,
    PolicyInfo,
    PolicyType,
    Privilege,
    SecurableType,
)

from tests.peers.databricks.model import (
    CatalogRow,
    ColumnRow,
    FunctionRow,
    Policing,
    PolicyRow,
    PrincipalRow,
    SchemaRow,
    Securable,
    State,
    TableRow,
)
from tests.peers.databricks.privileges import can_see, effective, may_grant, may_manage, missing, policed, standings
from tests.support.databricks import Workspace
from tests.support.unity_world import Estate, estate

CATALOG, SCHEMA, TABLE = Securable("CATALOG", "c"), Securable("SCHEMA", "c.s"), Securable("TABLE", "c.s.t")


@pytest.fixture
def state() -> State:
    found = State()
    found.metastore.owner = "metastore admins"
    found.groups = {"readers": {"ann", "inner"}, "inner": {"bob"}, "metastore admins": {"root"}}
    found.principals = {name: PrincipalRow(name=name) for name in ("ann", "bob", "carl", "root", "owen")}
    found.catalogs["c"] = CatalogRow(name="c", owner="cathy")
    found.schemas["c.s"] = SchemaRow(name="s", catalog="c", owner="sam")
    columns = [ColumnRow(name="Who", type_text="string", type_name="STRING")]
    found.tables["c.s.t"] = TableRow(name="t", catalog="c", schema="s", owner="owen", columns=columns)
    return found


def give(state: State, securable: Securable, principal: str, *privileges: str) -> None:
    state.grants.setdefault(securable, {}).setdefault(principal, set()).update(privileges)


def policy(kind: str, *to: str, on: Securable = SCHEMA, **more: object) -> PolicyRow:
    return PolicyRow(name=f"p-{kind}", type=kind, on=on, to=to, **more)  # type: ignore[arg-type]


class TestRules:
    def test_grants_come_down_and_groups_hold_their_members(self, state: State) -> None:
        give(state, CATALOG, "readers", "SELECT", "USE_CATALOG", "USE_SCHEMA")
        assert effective(state, TABLE, "bob") >= {"SELECT"}  # a member of a member
        assert missing(state, TABLE, "bob", "SELECT") is None
        assert "SELECT" not in effective(state, TABLE, "carl")
        give(state, SCHEMA, "account users", "MODIFY")
        assert "MODIFY" in effective(state, TABLE, "carl")

    def test_a_grant_is_useless_without_use_of_what_it_is_in(self, state: State) -> None:
        give(state, TABLE, "carl", "SELECT")
        assert missing(state, TABLE, "carl", "SELECT") == ("USE_CATALOG", CATALOG)
        give(state, CATALOG, "carl", "USE_CATALOG")
        assert missing(state, TABLE, "carl", "SELECT") == ("USE_SCHEMA", SCHEMA)
        give(state, SCHEMA, "carl", "USE_SCHEMA")
        assert missing(state, TABLE, "carl", "SELECT") is None
        assert missing(state, TABLE, "carl", "MODIFY") == ("MODIFY", TABLE)

    def test_all_privileges_leaves_three_out(self, state: State) -> None:
        give(state, CATALOG, "carl", "ALL_PRIVILEGES")
        assert effective(state, TABLE, "carl") >= {"SELECT", "MODIFY", "APPLY_TAG"}
        assert effective(state, SCHEMA, "carl") >= {"USE_SCHEMA", "CREATE_TABLE"}
        assert not effective(state, SCHEMA, "carl") & {"EXTERNAL_USE_SCHEMA", "MANAGE"}
        assert missing(state, SCHEMA, "carl", "EXTERNAL_USE_SCHEMA") == ("EXTERNAL_USE_SCHEMA", SCHEMA)

    def test_owners(self, state: State) -> None:
        assert effective(state, TABLE, "owen") >= {"SELECT", "MODIFY", "MANAGE"}
        assert "EXTERNAL_USE_SCHEMA" not in effective(state, SCHEMA, "sam")
        assert "SELECT" not in effective(state, TABLE, "sam")  # owns the schema: may give it to itself, has it not
        for manager in ("owen", "sam", "cathy", "root"):
            assert may_manage(state, TABLE, manager), manager
        assert not may_manage(state, SCHEMA, "owen")
        assert not effective(state, TABLE, "root")

    def test_external_use_comes_from_the_catalogs_owner_alone(self, state: State) -> None:
        assert may_grant(state, SCHEMA, "cathy", "EXTERNAL_USE_SCHEMA")
        for other in ("sam", "root", "carl"):
            assert not may_grant(state, SCHEMA, other, "EXTERNAL_USE_SCHEMA"), other
        assert may_grant(state, SCHEMA, "sam", "SELECT")

    def test_manage_comes_down_but_wants_use(self, state: State) -> None:
        give(state, CATALOG, "carl", "MANAGE")
        assert not may_manage(state, TABLE, "carl")
        give(state, CATALOG, "carl", "USE_CATALOG", "USE_SCHEMA")
        assert may_manage(state, TABLE, "carl")
        assert "SELECT" not in effective(state, TABLE, "carl")

    def test_create_in_a_schema_wants_its_use(self, state: State) -> None:
        give(state, CATALOG, "carl", "USE_CATALOG")
        give(state, SCHEMA, "carl", "CREATE_TABLE")
        assert missing(state, SCHEMA, "carl", "CREATE_TABLE") == ("USE_SCHEMA", SCHEMA)

    def test_what_is_seen(self, state: State) -> None:
        give(state, TABLE, "carl", "SELECT")
        assert not can_see(state, TABLE, "carl")
        give(state, CATALOG, "carl", "USE_CATALOG", "USE_SCHEMA")
        assert can_see(state, TABLE, "carl")
        give(state, CATALOG, "ann", "BROWSE")
        assert can_see(state, TABLE, "ann", browse=True)
        assert not can_see(state, TABLE, "ann")

    def test_standings_tell_where_from(self, state: State) -> None:
        give(state, CATALOG, "readers", "USE_CATALOG", "CREATE_SCHEMA", "SELECT")
        give(state, TABLE, "readers", "SELECT")
        assert [tuple(one) for one in standings(state, TABLE)] == [
            ("readers", "SELECT", "", ""),
            ("readers", "SELECT", "CATALOG", "c"),
            ("readers", "USE_CATALOG", "CATALOG", "c"),
        ]

    def test_grant_and_deny_policies(self, state: State) -> None:
        state.policies = [policy("GRANT", "readers", excepted=("ann",), privileges=("SELECT",))]
        assert "SELECT" in effective(state, TABLE, "bob")
        assert "SELECT" not in effective(state, TABLE, "ann")
        state.policies[0].when = "has_tag('open')"
        assert "SELECT" not in effective(state, TABLE, "bob")
        state.schemas["c.s"].tags["open"] = ""
        assert "SELECT" in effective(state, TABLE, "bob")
        state.policies.append(policy("DENY", "account users", on=CATALOG, privileges=("ALL_PRIVILEGES",)))
        assert "SELECT" not in effective(state, TABLE, "bob")
        assert "SELECT" not in effective(state, TABLE, "owen")

    def test_deny_of_access_control(self, state: State) -> None:
        state.policies = [policy("DENY", "sam", privileges=("MANAGE_ACCESS_CONTROL",))]
        assert not may_grant(state, TABLE, "sam", "SELECT")
        assert may_grant(state, TABLE, "owen", "SELECT")

    def test_filters_and_masks_of_table_and_policies(self, state: State) -> None:
        state.functions["c.s.f"] = FunctionRow(name="f", catalog="c", schema="s", body_sql="true")
        table = state.tables["c.s.t"]
        table.row_filter = Policing(function_name="c.s.f", columns=("Who",))
        table.columns[0].tags["pii"] = "yes"
        masked = {"function_name": "c.s.f", "on_column": "x", "match_columns": (("x", "has_tag_value('pii', 'yes')"),)}
        state.policies = [policy("COLUMN_MASK", "account users", excepted=("root",), **masked)]
        assert policed(state, "c.s.t", "ann").masks == {"Who": ("c.s.f", ())}
        assert policed(state, "c.s.t", "root").masks == {}
        assert policed(state, "c.s.t", "root").filters == [("c.s.f", ("Who",))]
        table.columns[0].tags["pii"] = "no"
        assert policed(state, "c.s.t", "ann").masks == {}


@pytest.fixture(scope="module")
def made(databricks_uc: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Estate:
    return estate(databricks_uc, tmp_path_factory.mktemp("origin"))


class TestEnforced:
    def test_the_way_in_is_named_step_by_step(self, made: Estate) -> None:
        table, who = f"{made.main}.sales.plain", made.workspace.principal(f"new-{made.mark}")
        tables = made.workspace.sdk(who).tables
        with pytest.raises(PermissionDenied, match=f"User does not have USE CATALOG on Catalog '{made.main}'"):
            tables.get(table)
        made.grant("CATALOG", made.main, who, "USE_CATALOG")
        with pytest.raises(PermissionDenied, match=f"User does not have USE SCHEMA on Schema '{made.main}.sales'"):
            tables.get(table)
        made.grant("SCHEMA", f"{made.main}.sales", who, "USE_SCHEMA")
        with pytest.raises(NotFound, match=f"Table '{table}' does not exist"):
            tables.get(table)
        assert list(tables.list(made.main, "sales")) == []
        made.grant("TABLE", table, who, "SELECT")
        assert tables.get(table).full_name == table
        assert [one.name for one in tables.list(made.main, "sales")] == ["plain"]

    def test_who_may_grant(self, made: Estate) -> None:
        table = f"{made.main}.sales.plain"
        reader, other = made.reader(table), made.workspace.principal(f"other-{made.mark}")
        with pytest.raises(PermissionDenied, match="does not have MANAGE on Table"):
            made.grant("TABLE", table, other, "SELECT", by=reader)
        made.grant("TABLE", table, reader, "MANAGE")
        made.grant("TABLE", table, other, "SELECT", by=reader)
        with pytest.raises(PermissionDenied, match="Only the owner of the parent catalog"):
            made.grant("SCHEMA", f"{made.main}.sales", other, "EXTERNAL_USE_SCHEMA", by=reader)
        made.grant("SCHEMA", f"{made.main}.sales", other, "EXTERNAL_USE_SCHEMA")

    def test_changes_of_one_securable_are_one(self, made: Estate) -> None:
        table, reader = f"{made.main}.sales.plain", made.reader(f"{made.main}.sales.plain")
        grants = made.workspace.sdk().grants
        before = grants.get("TABLE", table).as_dict()
        good = PermissionsChange(principal=reader, add=[Privilege.MODIFY])
        gone = PermissionsChange(principal="nobody-at-all", add=[Privilege.SELECT])
        with pytest.raises(NotFound, match="Could not find principal with name nobody-at-all"):
            grants.update("TABLE", table, changes=[good, gone])
        unfit = PermissionsChange(principal=reader, remove=[Privilege.USE_CATALOG])
        with pytest.raises(InvalidParameterValue, match="is not applicable to this entity"):
            grants.update("TABLE", table, changes=[good, unfit])
        assert grants.get("TABLE", table).as_dict() == before

    def test_readers_of_grants_see_their_own(self, made: Estate) -> None:
        table = f"{made.main}.sales.delta"
        one, two = made.reader(table), made.reader(table)
        told = made.workspace.sdk(one).grants.get_effective("TABLE", table)
        assert {entry.principal for entry in told.privilege_assignments or []} == {one}
        told = made.workspace.sdk().grants.get_effective("TABLE", table, principal=two)
        (entry,) = told.privilege_assignments or []
        found = {(str(p.privilege.value), p.inherited_from_name or "") for p in entry.privileges or [] if p.privilege}
        assert found == {("SELECT", ""), ("USE_CATALOG", made.main), ("USE_SCHEMA", f"{made.main}.sales")}

    def test_a_page_of_grants_is_no_smaller_than_the_service_gives(self, made: Estate) -> None:
        with pytest.raises(InvalidParameterValue, match="at least 150"):
            made.workspace.sdk().grants.get("TABLE", f"{made.main}.sales.plain", max_results=10)

    def test_creating_wants_privileges(self, made: Estate) -> None:
        who = made.workspace.principal(f"maker-{made.mark}")
        client = made.workspace.sdk(who)
        with pytest.raises(PermissionDenied, match="CREATE CATALOG on Metastore"):
            client.catalogs.create(f"x_{made.mark}")
        made.grant("METASTORE", str(client.metastores.current().metastore_id), who, "CREATE_CATALOG")
        with pytest.raises(PermissionDenied, match="CREATE FOREIGN CATALOG on Connection"):
            client.catalogs.create(f"x_{made.mark}", connection_name=f"hms_{made.mark}")
        with pytest.raises(PermissionDenied, match="No external location covers"):
            client.catalogs.create(f"x_{made.mark}", storage_root="s3://elsewhere/x")
        assert client.catalogs.create(f"x_{made.mark}").owner == who
        client.schemas.create("s", f"x_{made.mark}")
        with pytest.raises(PermissionDenied, match="USE CATALOG"):
            client.schemas.create("s", made.main)
        with pytest.raises(PermissionDenied, match="FOREIGN_CATALOG"):
            made.workspace.sdk().schemas.create("s", made.fed)

    def test_a_foreign_table_cannot_be_dropped(self, made: Estate) -> None:
        with pytest.raises(PermissionDenied, match="FOREIGN_CATALOG"):
            made.workspace.sdk().tables.delete(f"{made.fed}.lake.events")
        assert made.origin.table_exists(("Lake", "Events"))

    def test_owners_may_give_away(self, made: Estate) -> None:
        table, new = f"{made.main}.sales.seen", made.workspace.principal(f"heir-{made.mark}")
        with pytest.raises(NotFound):
            made.workspace.sdk().tables.update(table, owner="nobody-at-all")
        made.workspace.sdk().tables.update(table, owner=new)
        assert made.workspace.sdk().tables.get(table).owner == new

    def test_policies_show_only_where_they_stand(self, made: Estate) -> None:
        client, schema = made.workspace.sdk(), f"{made.main}.sales"
        shape = {
            "on_securable_type": SecurableType.SCHEMA,
            "on_securable_fullname": schema,
            "for_securable_type": SecurableType.TABLE,
            "to_principals": ["account users"],
        }
        given = PolicyInfo(
            name="g", policy_type=PolicyType.POLICY_TYPE_GRANT, grant=GrantOptions(privileges=["SELECT"]), **shape
        )
        client.policies.create_policy(given)
        denied = PolicyInfo(
            name="d", policy_type=PolicyType.POLICY_TYPE_DENY, deny=DenyOptions(privileges=["SELECT"]), **shape
        )
        client.policies.create_policy(denied)
        with pytest.raises(BadRequest, match="already exists"):
            client.policies.create_policy(given)
        table = f"{schema}.plain"
        assert list(client.policies.list_policies("TABLE", table)) == []
        inherited = client.policies.list_policies("TABLE", table, include_inherited=True)
        assert [one.name for one in inherited] == ["g", "d"]
        effective_now = client.grants.get_effective("TABLE", table)
        assert "account users" not in {one.principal for one in effective_now.privilege_assignments or []}
        with pytest.raises(InvalidParameterValue, match="is not understood"):
            client.policies.create_policy(PolicyInfo.from_dict({**given.as_dict(), "name": "x", "when_condition": "1"}))
        for name in ("g", "d"):
            client.policies.delete_policy("SCHEMA", schema, name)

    def test_predictive_optimization_is_inherited(self, made: Estate) -> None:
        table = f"{made.main}.sales.plain"
        found = made.workspace.sdk().tables.get(table).effective_predictive_optimization_flag
        assert found is not None
        assert (found.value.value, found.inherited_from_name) == ("ENABLE", None)
        made.workspace.api("PATCH", f"/catalogs/{made.main}", {"enable_predictive_optimization": "DISABLE"})
        found = made.workspace.sdk().tables.get(table).effective_predictive_optimization_flag
        assert found is not None
        assert (found.value.value, found.inherited_from_name) == ("DISABLE", made.main)
        made.workspace.api("PATCH", f"/tables/{table}", {"enable_predictive_optimization": "ENABLE"})
        found = made.workspace.sdk().tables.get(table).effective_predictive_optimization_flag
        assert found is not None
        assert (found.value.value, found.inherited_from_name) == ("ENABLE", None)

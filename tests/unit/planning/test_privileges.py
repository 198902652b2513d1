"""Who is granted and revoked what, and which tables are refused because somebody would read more or less."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.model.access import Grant, GrantChange, TableAccess, from_record, to_record
from icebridge_provider.model.protection import Limit, Policy, PolicyKind
from icebridge_provider.planning.privileges import (
    after,
    drift,
    exposed,
    inverse,
    left_of,
    swap,
)
from icebridge_provider.planning.remedies import revoke_statements

OLD, NEW = "glue.sales.orders", "lake.sales.orders__icebridge_p"


def held(principal: str, *privileges: str, kind: str = "", name: str = "") -> tuple[Grant, ...]:
    return tuple(
        Grant(principal=principal, privilege=one, inherited_from_type=kind, inherited_from_name=name)
        for one in privileges
    )


def ways(principal: str, catalog: str) -> tuple[Grant, ...]:
    return (
        *held(principal, "USE_CATALOG", kind="CATALOG", name=catalog),
        *held(principal, "USE_SCHEMA", kind="SCHEMA", name=f"{catalog}.sales"),
    )


def old(*grants: Grant, **facts: Any) -> TableAccess:
    return TableAccess(table=OLD, owner=facts.pop("owner", "admin"), grants=grants, **facts)


def new(*grants: Grant, **facts: Any) -> TableAccess:
    return TableAccess(table=NEW, owner=facts.pop("owner", "copier"), grants=grants, **facts)


def of(principal: str, *privileges: str) -> tuple[Grant, ...]:
    """A reader of the old table who may enter both sides."""
    return (*held(principal, *privileges), *ways(principal, "glue"))


ANN = old(*of("ann", "SELECT")), new(*ways("ann", "lake"))


def test_a_reader_is_granted_the_new_table_and_loses_the_old_one() -> None:
    moves = swap(*ANN)
    assert moves.grants == (GrantChange(principal="ann", add=("SELECT",)),)
    assert moves.revokes == (GrantChange(principal="ann", remove=("SELECT",)),)
    assert moves.refusals == ()


def test_all_privileges_becomes_select_and_is_taken_as_it_is() -> None:
    moves = swap(old(*of("ann", "ALL_PRIVILEGES", "SELECT")), ANN[1])
    assert moves.grants == (GrantChange(principal="ann", add=("SELECT",)),)
    assert moves.revokes == (GrantChange(principal="ann", remove=("ALL_PRIVILEGES", "SELECT")),)


def test_other_privileges_stay_where_they_are() -> None:
    moves = swap(old(*of("ann", "MODIFY", "APPLY_TAG", "MANAGE")), new())
    assert (moves.grants, moves.revokes, moves.refusals) == ((), (), ())


def test_a_grant_that_is_there_already_is_not_made_again_nor_ever_taken_back() -> None:
    moves = swap(ANN[0], new(*held("ann", "SELECT"), *ways("ann", "lake")))
    assert moves.grants == ()
    assert moves.revokes == (GrantChange(principal="ann", remove=("SELECT",)),)


def test_owners_keep_what_they_have() -> None:
    readers = (*of("copier", "SELECT"), *of("admin", "SELECT"))
    moves = swap(old(*readers), new())
    assert (moves.revokes, moves.refusals) == ((), ())
    assert moves.grants == ()  # the old owner has no way in, and still has the old table
    moves = swap(old(*readers), new(*ways("admin", "lake")))
    assert moves.grants == (GrantChange(principal="admin", add=("SELECT",)),)


def test_everybody_s_way_in_is_anybody_s() -> None:
    everyone = "account users"
    source = old(*held("ann", "SELECT"), *ways(everyone, "glue"))
    assert swap(source, new(*ways(everyone, "lake"))).refusals == ()


def test_a_group_s_way_in_counts_only_where_membership_is_known() -> None:
    source, target = ANN[0], new(*ways("analysts", "lake"))
    assert len(swap(source, target).refusals) == 2
    assert swap(source, replace(target, groups={"ann": ("analysts",)})).refusals == ()


def test_all_privileges_of_a_parent_let_in() -> None:
    above = held("copier", "ALL_PRIVILEGES", kind="CATALOG", name="glue")
    assert swap(old(*above), new(*ways("copier", "lake"))).refusals == ()
    in_schema = held("ann", "ALL_PRIVILEGES", kind="SCHEMA", name="lake.sales")
    [refusal] = swap(ANN[0], new(*in_schema)).refusals
    assert "USE CATALOG is missing" in refusal


MINE, STARS = Limit(function="lake.gov.mine", columns=("city",)), Limit(function="lake.gov.stars")
REFUSED = {
    "inherited from the schema": (
        old(*of("ann", "SELECT"), *held("bob", "SELECT", kind="SCHEMA", name="glue.sales")),
        ANN[1],
        "REVOKE SELECT ON SCHEMA `glue`.`sales` FROM `bob`",
    ),
    "inherited from the catalog": (
        old(*held("bob", "ALL_PRIVILEGES", kind="CATALOG", name="glue")),
        new(),
        "REVOKE ALL PRIVILEGES ON CATALOG `glue` FROM `bob`",
    ),
    "a GRANT policy keeps it readable": (
        old(policies=(Policy(name="p", kind=PolicyKind.GRANT, principals=("bob",), privileges=("SELECT",)),)),
        new(),
        "policy p would keep glue.sales.orders readable for bob",
    ),
    "no way to the new table": (
        ANN[0],
        new(*held("ann", "USE_CATALOG", kind="CATALOG", name="lake")),
        "GRANT USE SCHEMA ON SCHEMA `lake`.`sales` TO `ann`",
    ),
    "no way to the old table that can be seen": (
        old(*held("ann", "SELECT"), *held("ann", "USE_SCHEMA", kind="CATALOG", name="glue")),
        ANN[1],
        "GRANT USE CATALOG ON CATALOG `glue` TO `ann`",
    ),
    "somebody else would read the new table": (
        ANN[0],
        new(*ways("ann", "lake"), *held("eve", "SELECT", kind="SCHEMA", name="lake.sales")),
        "eve would read lake.sales.orders__icebridge_p by SELECT on schema lake.sales",
    ),
    "somebody else was granted the copy": (
        ANN[0],
        new(*ways("ann", "lake"), *held("eve", "SELECT")),
        "GRANT SELECT ON TABLE `glue`.`sales`.`orders` TO `eve`",
    ),
    "a GRANT policy opens the new table": (
        ANN[0],
        replace(
            ANN[1],
            policies=(Policy(name="p", kind=PolicyKind.GRANT, principals=("eve",), privileges=("ALL_PRIVILEGES",)),),
        ),
        "eve would read lake.sales.orders__icebridge_p by policy p",
    ),
    "another row filter": (
        replace(ANN[0], row_filter=MINE),
        replace(ANN[1], row_filter=replace(MINE, columns=("town",))),
        "row filter is lake.gov.mine(city) on glue.sales.orders and lake.gov.mine(town) on",
    ),
    "a filter whose arguments cannot be told": (
        replace(ANN[0], row_filter=replace(MINE, constants=("'x'",))),
        ANN[1],
        "row filter is lake.gov.mine(city, 'x') on glue.sales.orders and none on lake.sales.orders__icebridge_p",
    ),
    "another mask": (
        replace(ANN[0], masks={"ssn": STARS}),
        replace(ANN[1], masks={"ssn": Limit(function="lake.gov.last_four")}),
        "mask of column ssn is lake.gov.stars() on glue.sales.orders and lake.gov.last_four() on",
    ),
    "a mask too many": (
        ANN[0],
        replace(ANN[1], masks={"ssn": STARS}),
        "mask of column ssn is none on glue.sales.orders and lake.gov.stars() on",
    ),
    "a denial is missing": (
        replace(
            ANN[0], policies=(Policy(name="no", kind=PolicyKind.DENY, principals=("ann",), privileges=("SELECT",)),)
        ),
        ANN[1],
        "policy no (DENY SELECT for ann) is in force on glue.sales.orders and not on",
    ),
    "a filter policy for others": (
        replace(ANN[0], policies=(Policy(name="f", kind=PolicyKind.ROW_FILTER, principals=("ann", "bob")),)),
        ANN[1],
        "policy f (ROW_FILTER  for ann, bob) is in force on glue.sales.orders and not on",
    ),
    "a policy whose condition the copy meets in another way": (
        replace(ANN[0], policies=(Policy(name="f", kind=PolicyKind.ROW_FILTER, when="pii"),), tags={"pii": "yes"}),
        replace(ANN[1], policies=(Policy(name="f", kind=PolicyKind.ROW_FILTER, when="pii"),), tags={"pii": "no"}),
        "policy f holds under a condition on tags",
    ),
    "a policy whose condition a column of the copy meets too": (
        replace(ANN[0], policies=(Policy(name="f", kind=PolicyKind.COLUMN_MASK, when="pii"),)),
        replace(
            ANN[1],
            policies=(Policy(name="f", kind=PolicyKind.COLUMN_MASK, when="pii"),),
            column_tags={"ssn": {"pii": ""}},
        ),
        "differ in pii= of column ssn",
    ),
    "somebody reads the copy before its masks stand": (
        replace(ANN[0], masks={"ssn": STARS}),
        new(*ways("ann", "lake"), *held("ann", "SELECT", kind="SCHEMA", name="lake.sales")),
        "ann would read lake.sales.orders__icebridge_p by SELECT on schema lake.sales, where what limits",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    source, target, says = REFUSED[name]
    refusals = swap(source, target).refusals
    assert len(refusals) == 1, refusals
    assert says in refusals[0]


def test_policies_that_name_others_are_not_equal() -> None:
    rules = [Policy(name="f", kind=PolicyKind.ROW_FILTER, principals=who) for who in (("ann", "bob"), ("ann",))]
    source, target = (replace(access, policies=(rule,)) for access, rule in zip(ANN, rules, strict=True))
    assert len(swap(source, target).refusals) == 2


def test_what_the_copier_itself_inherits_is_no_obstacle() -> None:
    above = held("copier", "SELECT", kind="CATALOG", name="glue")
    assert swap(old(*above), new(*held("copier", "SELECT", kind="CATALOG", name="lake"))).refusals == ()


def test_equal_policies_are_no_obstacle() -> None:
    rule = Policy(name="f", kind=PolicyKind.ROW_FILTER, principals=("ann", "bob"), function="lake.gov.f", when="pii")
    twin = replace(rule, on="CATALOG lake", principals=("bob", "ann"))
    source = replace(ANN[0], policies=(rule,), tags={"pii": "1"}, masks={"ssn": STARS})
    target = replace(ANN[1], policies=(twin,), tags={"pii": "1"}, masks={"ssn": STARS})
    assert swap(source, target).refusals == ()


def test_a_schema_can_be_asked_before_anything_is_copied() -> None:
    place = TableAccess(table="lake.sales.orders", owner="copier", grants=held("eve", "SELECT", kind="SCHEMA"))
    assert len(exposed(ANN[0], place)) == 1
    assert exposed(ANN[0], replace(place, grants=())) == ()


def test_statements_are_databricks_sql_whatever_the_names_are() -> None:
    source = TableAccess(table="glue.`my schema`.`a``b`", grants=of("o'neil`; DROP TABLE x", "SELECT"))
    moves = swap(source, ANN[1])
    [statement] = revoke_statements(moves.source, moves.revokes)
    assert statement == "REVOKE SELECT ON TABLE `glue`.`my schema`.`a``b` FROM `o'neil``; DROP TABLE x`"
    assert len(sqlglot.parse(statement, dialect="databricks")) == 1


# After, inverse, what is left


def test_after_changes_only_the_table_s_own_grants() -> None:
    access = old(*held("ann", "SELECT", "MODIFY"), *held("ann", "SELECT", kind="SCHEMA", name="glue.sales"))
    changes = (GrantChange(principal="ann", add=("APPLY_TAG",), remove=("SELECT",)),)
    then = after(access, changes)
    assert {(one.privilege, one.inherited_from_type) for one in then.grants} == {
        ("MODIFY", ""), ("APPLY_TAG", ""), ("SELECT", "SCHEMA"),
    }  # fmt: skip
    assert left_of(access, changes) == changes
    assert left_of(then, changes) == ()


principals = st.sampled_from(["ann", "bob", "analysts"])
some_privileges = st.lists(st.sampled_from(["SELECT", "ALL_PRIVILEGES", "MODIFY", "MANAGE"]), unique=True, max_size=3)
parents = st.sampled_from([("", ""), ("", ""), ("SCHEMA", "glue.sales"), ("CATALOG", "glue")])


@st.composite
def accesses(draw: st.DrawFn) -> TableAccess:
    grants: list[Grant] = []
    for _ in range(draw(st.integers(0, 5))):
        kind, name = draw(parents)
        grants += held(draw(principals), *draw(some_privileges), kind=kind, name=name)
    grants += [*ways("account users", "glue")]
    return old(*dict.fromkeys(grants))


@given(source=accesses(), target=accesses())
def test_the_inverse_restores_exactly_what_was_there(source: TableAccess, target: TableAccess) -> None:
    moves = swap(source, replace(target, table=NEW, owner="copier"))
    for access, changes in ((source, moves.revokes), (target, moves.grants)):
        assert left_of(access, changes) == changes, "each change changes something"
        back = after(after(access, changes), inverse(changes))
        assert set(back.grants) == set(access.grants)
        assert drift(access, back) == ()


@given(source=accesses())
def test_what_is_recorded_can_be_read_again_in_whatever_order_it_was_answered(source: TableAccess) -> None:
    shuffled = list(source.grants)
    random.Random(1).shuffle(shuffled)
    record = json.loads(json.dumps(to_record(source)))
    assert record == to_record(replace(source, grants=tuple(shuffled)))
    assert drift(from_record(record), source) == ()
    assert swap(from_record(record), ANN[1]).revokes == swap(source, ANN[1]).revokes


# Drift


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (replace(ANN[0], owner="bob"), ("owner admin is gone", "owner bob is new")),
        (old(*ANN[0].grants, *held("eve", "MODIFY")), ("grant MODIFY to eve is new",)),
        (
            old(*ANN[0].grants, *held("eve", "SELECT", kind="SCHEMA", name="glue.sales")),
            ("grant SELECT of SCHEMA glue.sales to eve is new",),
        ),
        (old(*held("ann", "SELECT")), 2),
        (replace(ANN[0], row_filter=MINE), ("row filter lake.gov.mine(city) is new",)),
        (replace(ANN[0], masks={"ssn": STARS}), ("mask lake.gov.stars() of column ssn is new",)),
        (replace(ANN[0], table_id="2"), ("table  is gone", "table 2 is new")),
        (
            replace(ANN[0], policies=(Policy(name="p", kind=PolicyKind.DENY, principals=("ann",)),)),
            ("policy p (DENY  for ann) is new",),
        ),
    ],
)
def test_what_bears_on_reading_is_drift(now: TableAccess, says: tuple[str, ...] | int) -> None:
    found = drift(ANN[0], now)
    assert len(found) == says if isinstance(says, int) else found == says


@pytest.mark.parametrize(
    "now",
    [
        replace(ANN[0], comment="other", tags={"team": "x"}),
        old(*ANN[0].grants, *ways("eve", "glue")),
        old(*ANN[0].grants, *held("eve", "BROWSE", "CREATE_TABLE", kind="CATALOG", name="glue")),
        replace(ANN[0], grants=ANN[0].grants[::-1]),
        replace(ANN[0], groups={"ann": ("new group",)}),
    ],
)
def test_what_opens_no_table_is_no_drift(now: TableAccess) -> None:
    assert drift(ANN[0], now) == ()


def test_tags_are_drift_where_a_policy_looks_at_them() -> None:
    policies = (Policy(name="p", kind=PolicyKind.ROW_FILTER, when="hasTag('pii')"),)
    recorded = replace(ANN[0], policies=policies)
    assert drift(recorded, replace(recorded, tags={"pii": ""})) == ("tag pii= is new",)


def test_a_principal_that_left_a_group_it_entered_by_is_drift() -> None:
    recorded = replace(ANN[0], groups={"ann": ("analysts", "everyone")})
    assert drift(recorded, replace(recorded, groups={"ann": ("everyone",)})) == ("way in ann in analysts is gone",)
    assert drift(recorded, replace(recorded, groups={})) == ()

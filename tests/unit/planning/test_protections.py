"""What of the source must stand on its copy, that it can be taken back, and that nobody else's is touched."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.model import codec
from icebridge_provider.model.access import TableAccess, from_record, to_record
from icebridge_provider.model.protection import Limit, Mask, Policy, PolicyKind, ProtectionChange, Protections, Tag
from icebridge_provider.planning.privileges import drift, swap
from icebridge_provider.planning.protections import (
    after_protection,
    done_of,
    inverse_of,
    left_to_protect,
    names_of,
    wanted,
)

MINE, STARS = Limit(function="gov.f.mine", columns=("city",)), Limit(function="gov.f.stars", columns=("id",))
OWN = Policy(
    name="own", kind=PolicyKind.ROW_FILTER, on="TABLE glue.s.t", principals=("ann",), function="gov.f.keep",
    when="hasTag('pii')", definition='{"name":"own"}',
)  # fmt: skip
SOURCE = TableAccess(
    table="glue.s.t", owner="copier", comment="orders", row_filter=MINE, masks={"password": STARS, "ssn": STARS},
    policies=(OWN,), tags={"pii": "yes", "team": "x"}, column_tags={"ssn": {"secret": ""}},
)  # fmt: skip
COPY = TableAccess(table="lake.s.t__icebridge_p", owner="copier")


def test_everything_that_stands_on_the_source_is_put_on_the_copy() -> None:
    moves = swap(SOURCE, COPY)
    assert moves.refusals == ()
    assert moves.protections.add == Protections(
        comment="orders",
        row_filter=MINE,
        masks=(Mask(column="password", limit=STARS), Mask(column="ssn", limit=STARS)),
        policies=(replace(OWN, on=""),),
        tags=(Tag(name="pii", value="yes"), Tag(name="team", value="x"), Tag(name="secret", column="ssn")),
    )
    assert moves.protections.remove == Protections()
    protected = after_protection(COPY, moves.protections)
    assert swap(SOURCE, protected).protections.empty
    assert "mask gov.f.stars(id) of column ssn" in names_of(moves.protections.add)


def test_tags_go_along_only_where_a_policy_looks_at_them() -> None:
    assert wanted(replace(SOURCE, policies=()), COPY).add.tags == ()
    assert wanted(replace(SOURCE, policies=(replace(OWN, when=""),)), COPY).add.tags == ()


def test_what_is_inherited_is_refused_with_the_statement_that_makes_it() -> None:
    made = {
        "row_filter": {"function_name": "gov.f.keep", "using": [{"alias": "c"}, {"constant": "it's"}]},
        "when_condition": "hasTag('pii')",
        "match_columns": [{"alias": "c", "condition": "hasTag('city')"}],
    }
    above = replace(OWN, on="SCHEMA glue.s", except_principals=("bob",), definition=json.dumps(made))
    [refusal] = swap(TableAccess(table="glue.s.t", policies=(above,)), COPY).refusals
    assert refusal.endswith(
        "Run: CREATE POLICY `own` ON SCHEMA `lake`.`s` ROW FILTER `gov`.`f`.`keep` TO `ann` EXCEPT `bob` FOR TABLES"
        " WHEN hasTag('pii') MATCH COLUMNS hasTag('city') AS `c` USING COLUMNS (`c`, 'it\\'s')"
    )
    denied = replace(above, kind=PolicyKind.DENY)
    [refusal] = swap(TableAccess(table="glue.s.t", policies=(denied,)), COPY).refusals
    assert refusal.endswith("Create it on schema `lake`.`s` first")


def test_a_policy_that_cannot_be_made_anew_is_refused() -> None:
    source = TableAccess(table="glue.s.t", policies=(replace(OWN, definition="", when=""),))
    [refusal] = swap(source, COPY).refusals
    assert "is in force on glue.s.t and not on" in refusal


def test_what_a_person_put_there_is_neither_replaced_nor_taken_off() -> None:
    theirs = replace(COPY, comment="mine", row_filter=STARS, masks={"ssn": MINE})
    change = wanted(SOURCE, COPY)
    left = left_to_protect(theirs, change)
    assert (left.add.comment, left.add.row_filter, left.add.masks) == (
        "",
        None,
        (Mask(column="password", limit=STARS),),
    )
    assert left_to_protect(theirs, inverse_of(change)).empty


def test_a_filter_with_other_columns_is_drift() -> None:
    assert drift(SOURCE, replace(SOURCE, row_filter=replace(MINE, columns=("town",)))) == (
        "row filter gov.f.mine(city) is gone",
        "row filter gov.f.mine(town) is new",
    )


limits = st.sampled_from([MINE, STARS])
protections = st.builds(
    Protections,
    comment=st.sampled_from(["", "a"]),
    row_filter=st.none() | limits,
    masks=st.lists(st.builds(Mask, column=st.sampled_from("ab"), limit=limits), unique_by=lambda one: one.column).map(
        tuple
    ),
    policies=st.sampled_from([(), (OWN,)]),
    tags=st.sampled_from([(), (Tag(name="pii"),), (Tag(name="token", value="x", column="a"),)]),
)


@given(added=protections)
def test_taken_back_it_is_as_it_was(added: Protections) -> None:
    change = ProtectionChange(add=added)
    protected = after_protection(COPY, change)
    assert left_to_protect(protected, change).empty
    assert left_to_protect(COPY, inverse_of(change)).empty
    back = after_protection(protected, inverse_of(change))
    assert to_record(back) == to_record(COPY)
    assert done_of(COPY, change).empty
    assert from_record(json.loads(json.dumps(to_record(protected)))) == replace(
        protected, grants=(), policies=protected.policies
    )
    assert codec.from_json(ProtectionChange, json.loads(json.dumps(codec.to_json(change)))) == change

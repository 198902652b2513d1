from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.model import codec
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.plan import (
    Approval,
    CopyMethod,
    Estimate,
    Loss,
    MigrationPlan,
    MigrationRequest,
    Rates,
    TablePlan,
)

NAMES = st.text(min_size=1, max_size=20).filter(lambda text: "\x00" not in text)
IDENTIFIERS = st.builds(
    TableIdentifier, catalog=NAMES, namespace=st.lists(NAMES, min_size=1, max_size=3).map(tuple), name=NAMES
)
COUNTS = st.integers(min_value=0, max_value=2**62)
TABLES = st.builds(
    TablePlan,
    source=IDENTIFIERS,
    target=IDENTIFIERS,
    staged=IDENTIFIERS,
    method=st.sampled_from(CopyMethod),
    table_uuid=st.uuids().map(str),
    metadata_location=NAMES,
    snapshot_id=st.none() | COUNTS,
    location=NAMES,
    files=COUNTS,
    bytes=COUNTS,
    rows=COUNTS,
    losses=st.lists(st.builds(Loss, id=NAMES, what=NAMES, why=NAMES), max_size=2).map(tuple),
    properties=st.dictionaries(NAMES, NAMES, max_size=2),
)
PLANS = st.builds(
    MigrationPlan,
    plan_id=NAMES,
    created_at=NAMES,
    request=st.builds(
        MigrationRequest,
        source_conn_id=NAMES,
        target_conn_id=NAMES,
        approval=st.sampled_from(Approval),
        max_cost=st.none() | st.floats(0, 1e9),
    ),
    tables=st.lists(TABLES, max_size=3).map(tuple),
    waves=st.just(()),
    findings=st.just(()),
    estimate=st.builds(
        Estimate,
        bytes=COUNTS,
        seconds=st.floats(0, 1e9),
        cost=st.floats(0, 1e9),
        throughput_mb_s=st.floats(1, 1e6),
        rates=st.just(Rates()),
    ),
)


@given(PLANS)
def test_a_plan_survives_its_json_file_with_its_digest(plan: MigrationPlan) -> None:
    sealed = plan.sealed()
    read = MigrationPlan.from_json(json.loads(codec.canonical(sealed)))
    assert read == sealed
    assert read.computed_digest() == sealed.digest


@given(PLANS)
def test_an_edit_changes_the_digest(plan: MigrationPlan) -> None:
    sealed = plan.sealed()
    edited = {**sealed.to_json(), "created_at": sealed.created_at + "x"}
    assert MigrationPlan.from_json(edited).computed_digest() != sealed.digest


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"source_conn_id": "a", "target_conn_id": "b", "tabels": []}, "$: unknown key 'tabels'; known keys: source"),
        ({"source_conn_id": "a"}, "$: key 'target_conn_id' is missing"),
        ({"source_conn_id": 1, "target_conn_id": "b"}, "$.source_conn_id: expected str, found int"),
        ({"source_conn_id": "a", "target_conn_id": "b", "approval": "maybe"}, "$.approval: 'maybe' is not one of"),
        ({"source_conn_id": "a", "target_conn_id": "b", "tables": "x"}, "$.tables: expected a list, found str"),
        ({"source_conn_id": "a", "target_conn_id": "b", "tables": ["x", 2]}, "$.tables[1]: expected str, found int"),
        ({"source_conn_id": "a", "target_conn_id": "b", "wave_tables": True}, "$.wave_tables: expected int, found bo"),
        ([], "$: expected an object, found list"),
    ],
)
def test_bad_input_is_named(value: object, message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace("$", r"\$").replace("[", r"\[")):
        codec.from_json(MigrationRequest, value)


def test_a_number_has_one_spelling() -> None:
    assert codec.digest({"cost": 2}) == codec.digest({"cost": 2.0})
    assert codec.digest({"cost": 2}) != codec.digest({"cost": 2.5})
    with pytest.raises(ValueError, match="Out of range float"):
        codec.canonical({"cost": float("nan")})

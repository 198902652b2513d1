"""The cheapest correct method is taken, files are never shared by accident, and planning refuses as the engine does."""

from __future__ import annotations

from typing import Any

import pytest

from icebridge_provider.engines.local.refusals import REFUSALS as ENGINE
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.plan import CopyMethod, MigrationRequest
from icebridge_provider.model.table import FileTotals
from icebridge_provider.planning.methods import DATABRICKS, EMBEDDED, REFUSALS, able, choose, refusals, requested
from tests.support.inventories import facts

COPY, INSERT, REGISTER = CopyMethod.COPY_FILES, CopyMethod.INSERT_SELECT, CopyMethod.REGISTER
CLONE = CopyMethod.DEEP_CLONE
ALL_COPIES = {COPY, INSERT, CLONE}


def request(**changes: Any) -> MigrationRequest:
    return MigrationRequest(source_conn_id="src", target_conn_id="dst", **changes)


@pytest.mark.parametrize(
    ("given", "rule", "expected"),
    [
        ({}, "", COPY),
        ({"method": "insert_select"}, "", INSERT),
        ({"method": "copy_files", "allow_zero_copy": True}, "", COPY),
        ({"allow_zero_copy": True}, "", REGISTER),
        ({"method": "insert_select"}, "copy_files", COPY),
        ({"method": "insert_select"}, "auto", COPY),
        ({"allow_zero_copy": True}, "register", REGISTER),
    ],
)
def test_the_method_is_the_one_asked_for_else_the_cheapest(
    given: dict[str, Any], rule: str, expected: CopyMethod
) -> None:
    assert choose(facts(), request(**given), rule) is expected


@pytest.mark.parametrize(("given", "rule"), [({"method": "register"}, ""), ({}, "register")])
def test_files_are_shared_only_when_allowed(given: dict[str, Any], rule: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        choose(facts(), request(**given), rule)
    assert caught.value.code == "IB-331"
    assert '"allow_zero_copy": true' in caught.value.remedy


def test_an_unknown_method_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"IB-330.*'copyfiles'.*Did you mean copy_files"):
        requested(request(method="copyfiles"))


@pytest.mark.parametrize(
    ("changes", "refused", "said"),
    [
        ({"format_version": 3}, ALL_COPIES, "format version 3"),
        ({"format_version": 4}, {COPY, INSERT, REGISTER, CLONE}, "format version 4"),
        (
            {"manifests": FileTotals(data_files=1, equality_delete_files=2)},
            {COPY, INSERT, CLONE},
            "2 equality delete files",
        ),
        ({"manifests": FileTotals(data_files=1, deletion_vectors=1)}, ALL_COPIES, "1 deletion vector"),
        ({"manifests": FileTotals(data_files=1, formats=("AVRO", "PARQUET"))}, {INSERT, CLONE}, "AVRO files"),
        ({"manifests": FileTotals(data_files=1, formats=("VORTEX",))}, ALL_COPIES, "VORTEX files"),
        ({"manifests": FileTotals(data_files=1, formats=("ORC", "PUFFIN"))}, {CLONE}, "ORC files"),
        ({"properties": {"encryption.key-id": "k"}}, ALL_COPIES, "table encryption"),
        ({"specs": ({"spec-id": 0, "fields": [{"name": "z", "transform": "zorder"}]},)}, {INSERT}, "transform zorder"),
        ({"specs": ({"spec-id": 0, "fields": [{"name": "z", "transform": "bucket[16]"}]},)}, set(), ""),
        ({"manifests": FileTotals(data_files=1, position_delete_files=9)}, set(), ""),
    ],
)
def test_what_a_method_cannot_carry_is_refused_by_name(changes: Any, refused: set[CopyMethod], said: str) -> None:
    found = {method: refusals(facts(**changes), method) for method in CopyMethod}
    assert {method for method, rules in found.items() if rules} == refused
    assert all(said in rules[0][1] for rules in found.values() if rules)
    assert set(able(facts(**changes), list(CopyMethod))) == set(CopyMethod) - refused


def test_planning_knows_every_refusal_of_the_engine() -> None:
    """IB-405 is left out: metadata does not tell of which format position deletes are."""
    engine = {(rule.code, method) for rule in ENGINE for method in rule.methods} - {("IB-405", COPY)}
    embedded = {(rule.code, method) for rule in REFUSALS for method in rule.methods if method in EMBEDDED}
    assert embedded == engine


@pytest.mark.parametrize(
    ("changes", "given", "expected"),
    [
        ({}, {}, CLONE),
        ({}, {"allow_zero_copy": True}, CLONE),
        ({}, {"method": "insert_select"}, INSERT),
        ({}, {"method": "copy_files"}, COPY),
        ({"manifests": FileTotals(data_files=1, formats=("ORC",))}, {}, INSERT),
    ],
)
def test_what_the_engine_offers_is_taken_unless_another_is_asked_for(
    changes: dict[str, Any], given: dict[str, Any], expected: CopyMethod
) -> None:
    assert choose(facts(**changes), request(**given), offered=DATABRICKS) is expected

"""One migration's cluster laid over the connection's."""

from __future__ import annotations

from typing import Any

import pytest

from icebridge_provider.engines.databricks.options import RunOptions
from icebridge_provider.engines.databricks.overlay import overlaid

BASE = {
    "spark_version": "16.4.x-scala2.12",
    "node_type_id": "m5d.xlarge",
    "autoscale": {"min": 1, "max": 8},
    "custom_tags": {"team": "lake", "env": "prod"},
    "spot": True,
}


def cluster(**over: Any) -> dict[str, Any]:
    return dict(overlaid({"cluster": BASE, "volume": "a.b.c"}, over)["cluster"])


def test_nothing_asked_for_changes_nothing() -> None:
    assert overlaid({"cluster": BASE}, {}) == {"cluster": BASE}
    assert overlaid({}, {}) == {}


@pytest.mark.parametrize(
    ("over", "gone", "built"),
    [
        ({"num_workers": 3}, "autoscale", {"num_workers": 3}),
        ({"photon": False}, "", {"runtime_engine": "STANDARD"}),
        ({"instance_pool_id": "p", "spot": None}, "node_type_id", {"instance_pool_id": "p"}),
        ({"custom_tags": {"env": "test"}}, "", {"custom_tags": {"team": "lake", "env": "test"}}),
        ({"custom_tags": {"env": None}}, "", {"custom_tags": {"team": "lake"}}),
        ({"spot": None}, "spot", {"node_type_id": "m5d.xlarge"}),
    ],
)
def test_what_is_asked_for_stands_instead(over: dict[str, Any], gone: str, built: dict[str, Any]) -> None:
    merged = cluster(**over)
    assert gone not in merged
    made = RunOptions.read({"cluster": merged}).cluster
    assert {key: made[key] for key in built} == built


def test_what_excludes_each_other_in_one_form_is_refused() -> None:
    with pytest.raises(Exception, match="IB-443"):
        RunOptions.read({"cluster": cluster(num_workers=1, autoscale={"min": 1, "max": 2})})


def test_the_connection_is_not_changed() -> None:
    before = {**BASE, "custom_tags": dict(BASE["custom_tags"])}  # type: ignore[call-overload]  # a mapping
    cluster(custom_tags={"more": "x"}, num_workers=1)
    assert before == BASE


def test_a_migration_may_bring_the_whole_cluster() -> None:
    assert overlaid({}, {"num_workers": 1}) == {"cluster": {"num_workers": 1}}

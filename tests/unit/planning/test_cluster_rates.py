"""What a cluster costs an hour: by its machines, or as a person says."""

from __future__ import annotations

from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.planning.cluster import build_photon_cluster
from icebridge_provider.planning.cluster_rates import RATES, cluster_rates

CLUSTER = {"spark_version": "17.3.x-scala2.13", "node_type_id": "m5d.xlarge", "num_workers": 3}


def rates(given: object = None, **changes: Any) -> Any:
    return cluster_rates(build_photon_cluster({**CLUSTER, **changes}), given)


def test_known_machines_have_their_price_and_everything_nobody_said_is_called_assumed() -> None:
    found = rates()
    assert (found.nodes, found.photon, found.dbu_per_node_hour, found.node_per_hour) == (4, True, 0.69, 0.226)
    assert (found.photon_factor, found.price_per_dbu) == (2.9, 0.15)
    assert found.assumed == RATES


def test_what_a_person_says_goes_before() -> None:
    found = rates({"price_per_dbu": 0.11, "node_per_hour": 0})
    assert (found.price_per_dbu, found.node_per_hour) == (0.11, 0.0)
    assert set(found.assumed) == set(RATES) - {"price_per_dbu", "node_per_hour"}


def test_a_cluster_that_scales_counts_at_its_largest() -> None:
    assert rates(num_workers=None, autoscale={"min": 1, "max": 8}).nodes == 9
    assert rates(num_workers=0).nodes == 1


def test_without_photon_and_on_azure() -> None:
    assert not rates(photon=False).photon
    azure = rates(node_type_id="Standard_E8ds_v4")
    assert (azure.photon_factor, azure.price_per_dbu, azure.dbu_per_node_hour) == (2.5, 0.30, 1.0)


@pytest.mark.parametrize(
    "given", [{"price_per_dbo": 1}, {"price_per_dbu": -1}, {"price_per_dbu": "0.15"}, {"photon_speedup": 0},
              {"price_per_dbu": float("nan")}, {"price_per_dbu": True}, [1]],
)  # fmt: skip
def test_a_rate_that_cannot_be_is_refused_by_name(given: object) -> None:
    with pytest.raises(ConfigurationError) as refused:
        rates(given)
    assert refused.value.code == "IB-466"
    assert next(iter(given)) in refused.value.message if isinstance(given, dict) else "rates" in refused.value.message

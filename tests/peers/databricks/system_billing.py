"""``system.billing``: usage of the clusters of runs that really ran, hour by hour, and list prices.

Usage arrives late, and is corrected by records beside the first ones: ``/admin/billing`` orders both.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends

from tests.peers.databricks.auth import BODY, admin
from tests.peers.databricks.clusters import Cluster
from tests.peers.databricks.model import now_ms
from tests.peers.databricks.run_model import Run, TaskRun
from tests.peers.databricks.shapes import NUMBER, TEXT, Each, Fields, check
from tests.peers.databricks.system_tables import TABLES, SystemTable
from tests.peers.databricks.world import World

if TYPE_CHECKING:
    import pyarrow as pa

ACCOUNT, CLOUD, HOUR_MS = "00000000-0000-0000-0000-0000000000ac", "AWS", 3600 * 1000
# DBUs an hour by instance type, without Photon; others by their cores.
DBUS = {"i3.xlarge": "1.0", "i3.2xlarge": "2.0", "m5d.xlarge": "0.69", "r5d.xlarge": "0.9"}
PHOTON_FACTOR = Decimal("2.9")
STANDARD, PHOTON = "PREMIUM_JOBS_COMPUTE", "PREMIUM_JOBS_COMPUTE_(PHOTON)"
_EXACT = Decimal("1e-18")
PRICE = Fields({"sku_name": TEXT, "price": TEXT, "currency_code": TEXT, "from": TEXT, "until": TEXT})
ORDER = Fields(
    {
        "delay_seconds": NUMBER,
        "prices": Each(PRICE),
        "corrections": Each(Fields({"run_id": NUMBER, "factor": TEXT}, ("run_id", "factor"))),
    }
)


@dataclass
class Billing:
    """What was ordered: how late usage is, which runs' usage was corrected by which factor, which prices hold."""

    delay_seconds: float = 0.0
    corrections: dict[int, list[Decimal]] = field(default_factory=dict)
    prices: list[dict[str, str]] = field(
        default_factory=lambda: [{"sku_name": sku, "price": "0.15"} for sku in (STANDARD, PHOTON)]
    )


@functools.cache
def billing_of(_: World) -> Billing:
    """The one account of a workspace."""
    return Billing()


# Usage


def _usage(world: World) -> Iterator[tuple[Any, ...]]:
    from tests.peers.databricks.runs import runs_of

    runs, seen = runs_of(world), set()
    for run, task in list(runs.tasks.values()):
        cluster = task.cluster
        if cluster is None or cluster.source != "JOB" or not task.running or cluster.cluster_id in seen:
            continue
        seen.add(cluster.cluster_id)
        for start, end in _hours(task, cluster):
            yield from _records(billing_of(world), world, run, cluster, start, end)


def _hours(task: TaskRun, cluster: Cluster) -> Iterator[tuple[int, int]]:
    """The clock's hours in which a cluster was up, cut to when it was."""
    start, over = task.running, cluster.ended_at or now_ms()
    while start < over:
        end = min(over, (start // HOUR_MS + 1) * HOUR_MS)
        yield start, end
        start = end


def _records(
    billing: Billing, world: World, run: Run, cluster: Cluster, start: int, end: int
) -> Iterator[tuple[Any, ...]]:
    if end + billing.delay_seconds * 1000 > now_ms():
        return
    quantity = (_dbus_an_hour(cluster.spec) * (end - start) / HOUR_MS).quantize(_EXACT)
    yield _record(world, run, cluster, start, end, quantity, "ORIGINAL", 0)
    for number, factor in enumerate(billing.corrections.get(run.run_id, ()), 1):
        yield _record(world, run, cluster, start, end, -quantity, "RETRACTION", number)
        quantity = (quantity * factor).quantize(_EXACT)
        yield _record(world, run, cluster, start, end, quantity, "RESTATEMENT", number)


def _record(
    world: World, run: Run, cluster: Cluster, start: int, end: int, quantity: Decimal, kind: str, number: int
) -> tuple[Any, ...]:
    name = f"{cluster.cluster_id} {start} {kind} {number}"
    tags = list((cluster.spec.get("custom_tags") or {}).items())
    photon = _has_photon(cluster.spec)
    metadata = {
        "cluster_id": cluster.cluster_id,
        "job_id": str(run.job_id),
        "job_run_id": str(run.run_id),
        "job_name": None,
        "node_type": cluster.spec.get("node_type_id"),
        "warehouse_id": None,
    }
    features = {"jobs_tier": "CLASSIC", "is_serverless": False, "is_photon": photon}
    people = {"run_as": run.run_as, "owned_by": None, "created_by": None}
    return (
        hashlib.sha256(name.encode()).hexdigest()[:32], ACCOUNT, world.workspace_id, PHOTON if photon else STANDARD,
        CLOUD, _time(start), _time(end), _time(start).date(), tags, "DBU", quantity, metadata, people, kind,
        _time(now_ms()).date(), "JOBS", features, "COMPUTE_TIME",
    )  # fmt: skip


def _has_photon(spec: dict[str, Any]) -> bool:
    return spec.get("runtime_engine") == "PHOTON" or "-photon-" in str(spec.get("spark_version"))


def _dbus_an_hour(spec: dict[str, Any]) -> Decimal:
    """Driver and workers; of a cluster that scales the fewest, which is what it starts with."""
    workers = (spec.get("autoscale") or {}).get("min_workers", spec.get("num_workers") or 0)
    rate = Decimal(DBUS.get(str(spec.get("node_type_id")), "1.0"))
    return rate * (1 + int(workers)) * (PHOTON_FACTOR if _has_photon(spec) else 1)


def _time(milliseconds: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.UTC)


def _prices(world: World) -> Iterator[tuple[Any, ...]]:
    for one in billing_of(world).prices:
        until = one.get("until")
        price = one["price"]
        pricing = {"default": price, "promotional": {"default": None}, "effective_list": {"default": price}}
        yield (
            _read(one.get("from", "2020-01-01T00:00:00+00:00")), _read(until) if until else None, ACCOUNT,
            one["sku_name"], CLOUD, one.get("currency_code", "USD"), "DBU", pricing,
        )  # fmt: skip


def _read(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


# Columns


def _usage_columns() -> pa.Schema:
    import pyarrow as pa

    text, when = pa.string(), pa.timestamp("us", "UTC")
    metadata = ("cluster_id", "job_id", "job_run_id", "job_name", "node_type", "warehouse_id")
    features = [("jobs_tier", text), ("is_serverless", pa.bool_()), ("is_photon", pa.bool_())]
    return pa.schema(
        [
            *((name, text) for name in ("record_id", "account_id", "workspace_id", "sku_name", "cloud")),
            ("usage_start_time", when),
            ("usage_end_time", when),
            ("usage_date", pa.date32()),
            ("custom_tags", pa.map_(text, text)),
            ("usage_unit", text),
            ("usage_quantity", pa.decimal128(38, 18)),
            ("usage_metadata", pa.struct([(name, text) for name in metadata])),
            ("identity_metadata", pa.struct([(name, text) for name in ("run_as", "owned_by", "created_by")])),
            ("record_type", text),
            ("ingestion_date", pa.date32()),
            ("billing_origin_product", text),
            ("product_features", pa.struct(features)),
            ("usage_type", text),
        ]
    )


def _price_columns() -> pa.Schema:
    import pyarrow as pa

    text, when = pa.string(), pa.timestamp("us", "UTC")
    one = pa.struct([("default", text)])
    return pa.schema(
        [
            ("price_start_time", when),
            ("price_end_time", when),
            *((name, text) for name in ("account_id", "sku_name", "cloud", "currency_code", "usage_unit")),
            ("pricing", pa.struct([("default", text), ("promotional", one), ("effective_list", one)])),
        ]
    )


TABLES["system.billing.usage"] = SystemTable(_usage_columns, _usage)
TABLES["system.billing.list_prices"] = SystemTable(_price_columns, _prices)


def router(world: World) -> APIRouter:
    """``PATCH /admin/billing``: how late usage is, prices (they replace those before), and corrections of runs."""
    routes = APIRouter(prefix="/admin", dependencies=[Depends(admin(world))])

    @routes.patch("/billing")
    def order(body: Any = BODY) -> dict[str, Any]:
        check(body, ORDER)
        billing = billing_of(world)
        with world.lock:
            billing.delay_seconds = body.get("delay_seconds", billing.delay_seconds)
            billing.prices = body.get("prices", billing.prices)
            for one in body.get("corrections", ()):
                billing.corrections.setdefault(int(one["run_id"]), []).append(Decimal(one["factor"]))
        return {}

    return routes

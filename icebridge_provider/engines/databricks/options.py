"""What a person says of the runs, in the target connection's extra."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from icebridge_provider.engines.databricks import faults
from icebridge_provider.model.identifier import split_parts
from icebridge_provider.planning.cluster import build_photon_cluster
from icebridge_provider.planning.cluster_rates import cluster_rates

LONGEST_TIMEOUT = 30 * 24 * 3600
_TAG_VALUE = re.compile(r"[\w .:/=+@-]{1,255}", re.ASCII)  # what the tags of all three clouds take


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options of job runs.

    ``cluster`` is the ready ``new_cluster``. ``volume`` (``catalog.schema.volume``) is where program and jobs are put;
    without it they go to the principal's own folder in the workspace, which nobody else may write to.
    ``timeout_seconds`` ends a run, ``parallel_tables`` are copied at once by one run; one of more than ``chunk_bytes``
    is written a few partitions at a time where it is partitioned and copied by INSERT. ``cost_center`` becomes a tag of
    every cluster, ``rates`` are the prices of estimates (:mod:`icebridge_provider.planning.cluster_rates`),
    ``jobs_table`` (``catalog.schema.table``) is where the progress of every table is written as well.
    """

    cluster: Mapping[str, Any] = field(default_factory=dict)
    volume: tuple[str, ...] = ()
    timeout_seconds: int = 24 * 3600
    parallel_tables: int = 4
    chunk_bytes: int = 500 * 1000**3
    cost_center: str = ""
    rates: Mapping[str, Any] = field(default_factory=dict)
    jobs_table: tuple[str, ...] = ()

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> RunOptions:
        """Build the options of ``given``.

        :raises ConfigurationError: IB-440 to IB-444 about the cluster, IB-466 about a rate, IB-445 about anything else.
        """
        known = {item.name for item in fields(cls)}
        for key in given:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                remedy = f"Did you mean {near[0]}?" if near else f"Take some of {', '.join(sorted(known))}."
                raise faults.unfit_option(str(key), "there is no such option", remedy)
        cluster, rates = _cluster(given.get("cluster")), given.get("rates") or {}
        cluster_rates(cluster, rates)
        return cls(
            cluster=cluster,
            volume=_parts("volume", given.get("volume"), "volume", "catalog.schema.volume"),
            timeout_seconds=_number("timeout_seconds", given.get("timeout_seconds"), 24 * 3600, LONGEST_TIMEOUT),
            parallel_tables=_number("parallel_tables", given.get("parallel_tables"), 4, 64),
            chunk_bytes=_number("chunk_bytes", given.get("chunk_bytes"), 500 * 1000**3, 10**18),
            cost_center=_tag("cost_center", given.get("cost_center")),
            rates=dict(rates),
            jobs_table=jobs_table_of(given.get("jobs_table")),
        )


def _cluster(value: object) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise faults.unfit_option(
            "cluster",
            "it is missing" if value is None else "it is no object",
            'Add it to the extra, for example "cluster": {"spark_version": "16.4.x-scala2.12", '
            '"node_type_id": "m5d.xlarge", "autoscale": {"min": 1, "max": 8}}.',
        )
    return build_photon_cluster(value)


def jobs_table_of(name: object) -> tuple[str, ...]:
    """Return catalog, schema and name of the jobs table, empty when none is asked for.

    :raises ConfigurationError: IB-445.
    """
    return _parts("jobs_table", name, "table", "catalog.schema.table")


def _tag(key: str, value: object) -> str:
    if value in (None, ""):
        return ""
    if not isinstance(value, str) or not _TAG_VALUE.fullmatch(value):
        raise faults.unfit_option(
            key, f"{str(value)[:80]!r} is no value of a tag", "Take letters, digits, blanks and . : / = + @ - _."
        )
    return value


def _parts(key: str, value: object, what: str, form: str) -> tuple[str, ...]:
    if value in (None, ""):
        return ()
    try:
        parts = tuple(split_parts(str(value)))
    except ValueError:
        parts = ()
    if len(parts) != 3 or any(bad in part for part in parts for bad in "/\\") or {".", ".."} & set(parts):
        raise faults.unfit_option(key, f"{value!r} names no {what}", f"Write {form}.")
    return parts


def _number(key: str, value: object, default: int, most: int) -> int:
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise faults.unfit_option(key, f"it is {value!r}", f"Give a whole number from 1 to {most}.")
    return value

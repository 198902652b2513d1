"""What a person says of the runs, in the target connection's extra."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from icebridge_provider.engines.databricks import faults
from icebridge_provider.model.identifier import split_parts
from icebridge_provider.planning.cluster import build_photon_cluster

LONGEST_TIMEOUT = 30 * 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options of job runs.

    ``cluster`` is the ready ``new_cluster``. ``volume`` (``catalog.schema.volume``) is where program and jobs are put;
    without it they go to the principal's own folder in the workspace, which nobody else may write to.
    ``timeout_seconds`` ends a run, ``parallel_tables`` are copied at once by one run.
    """

    cluster: Mapping[str, Any] = field(default_factory=dict)
    volume: tuple[str, ...] = ()
    timeout_seconds: int = 24 * 3600
    parallel_tables: int = 4

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> RunOptions:
        """Build the options of ``given``.

        :raises ConfigurationError: IB-440 to IB-444 about the cluster, IB-445 about anything else.
        """
        known = {item.name for item in fields(cls)}
        for key in given:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, 1)
                remedy = f"Did you mean {near[0]}?" if near else f"Take some of {', '.join(sorted(known))}."
                raise faults.unfit_option(str(key), "there is no such option", remedy)
        return cls(
            cluster=_cluster(given.get("cluster")),
            volume=_volume(given.get("volume")),
            timeout_seconds=_number("timeout_seconds", given.get("timeout_seconds"), 24 * 3600, LONGEST_TIMEOUT),
            parallel_tables=_number("parallel_tables", given.get("parallel_tables"), 4, 64),
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


def _volume(value: object) -> tuple[str, ...]:
    if value in (None, ""):
        return ()
    try:
        parts = tuple(split_parts(str(value)))
    except ValueError:
        parts = ()
    if len(parts) != 3 or any(bad in part for part in parts for bad in "/\\") or {".", ".."} & set(parts):
        raise faults.unfit_option("volume", f"{value!r} names no volume", "Write catalog.schema.volume.")
    return parts


def _number(key: str, value: object, default: int, most: int) -> int:
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise faults.unfit_option(key, f"it is {value!r}", f"Give a whole number from 1 to {most}.")
    return value

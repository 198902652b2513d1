"""Compares two metadata files in everything but location."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from icebridge_provider.engines.local.metadata import PLACES
from icebridge_provider.engines.local.proof import Proof
from icebridge_provider.model.plan import CopyMethod, TablePlan

CHECK = "metadata"
_OWN = frozenset({"location", "table-uuid", "metadata-log", "properties"})
_PATHS = {"snapshots": "manifest-list", "statistics": "statistics-path", "partition-statistics": "statistics-path"}


def compare_metadata(
    proof: Proof, source: Mapping[str, Any], target: Mapping[str, Any], table: TablePlan, file: str,
    relocate: Callable[[str], str],
) -> None:  # fmt: skip
    """Note every key that differs beyond location, uuid, log and IceBridge's own marks."""
    keys = (set(source) | set(target)) - _OWN
    proof.count(CHECK, len(set(source) - _OWN), len(set(target) - _OWN))
    for key in sorted(keys):
        expected, found = source.get(key), target.get(key)
        if key in _PATHS:
            expected = [_moved(item, _PATHS[key], relocate) for item in expected or ()]
            found = list(found or ())
            _compare_items(proof, file, key, expected, found)
        else:
            proof.same(CHECK, file, f"{key} differs", expected, found)
    proof.same(CHECK, file, "location is not the planned one", table.location, target.get("location"))
    if target.get("table-uuid") == source.get("table-uuid"):
        proof.differ(CHECK, file, "both tables have one uuid", source.get("table-uuid"), target.get("table-uuid"))
    _compare_properties(proof, source.get("properties") or {}, target.get("properties") or {}, table, file)


def _moved(item: Mapping[str, Any], key: str, relocate: Callable[[str], str]) -> dict[str, Any]:
    new = dict(item)
    if new.get(key):
        new[key] = relocate(new[key])
    if new.get("manifests"):
        new["manifests"] = [relocate(path) for path in new["manifests"]]
    return new


def _compare_items(proof: Proof, file: str, key: str, expected: list[Any], found: list[Any]) -> None:
    if not proof.same(CHECK, file, f"number of {key}", len(expected), len(found)):
        return
    for one, other in zip(expected, found, strict=True):
        proof.same(CHECK, file, f"{key}: {one.get('snapshot-id')} differs", one, other)


def _compare_properties(
    proof: Proof, source: Mapping[str, str], target: Mapping[str, str], table: TablePlan, file: str
) -> None:
    expected = {key: value for key, value in source.items() if key not in PLACES}
    if table.method is CopyMethod.REGISTER:
        expected["gc.enabled"] = "false"
    expected.update(table.properties)
    ours = "icebridge."
    for key in sorted({*expected, *target}):
        if not key.startswith(ours):
            proof.same(CHECK, file, f"property {key} differs", expected.get(key), target.get(key))

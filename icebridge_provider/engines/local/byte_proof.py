"""Proves that a clone is the table it was made of: every file byte for byte, every entry, every key.

Both sides are read again from storage. Nothing that the copier computed is believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.engines.local import metadata
from icebridge_provider.engines.local.engine import store_of
from icebridge_provider.engines.local.manifests import POSITION_DELETES
from icebridge_provider.engines.local.proof import Proof
from icebridge_provider.engines.local.proof_deletes import compare_deletes
from icebridge_provider.engines.local.proof_manifests import FilePair, ManifestPair, compare_lists, compare_manifests
from icebridge_provider.engines.local.proof_metadata import compare_metadata
from icebridge_provider.engines.local.relocation import Relocation
from icebridge_provider.model.plan import CopyMethod, TablePlan
from icebridge_provider.model.report import Check
from icebridge_provider.ports import Catalog, FileStore, Ledger

FILES, BYTES = "files", "bytes"
THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    source: FileStore
    target: FileStore
    before: metadata.Metadata
    after: metadata.Metadata


def prove_bytes(
    source: Catalog, target: Catalog, ledger: Ledger, table: TablePlan, copy: Mapping[str, Any]
) -> tuple[tuple[Check, ...], tuple[dict[str, Any], ...]]:
    """Compare a copied (or registered) table with its source as of the copied snapshot.

    :param copy: result of the copy: ``source_metadata_location`` and ``metadata_location``.
    :returns: one check for each kind of thing compared, and the differences: check, file, what, source, target.
    :raises PreflightFailed: IB-412 when one side's metadata file cannot be read.
    """
    sides = _open(source, target, table, copy)
    shared = table.method is CopyMethod.REGISTER
    relocate = (lambda path: path) if shared else Relocation(str(sides.before["location"]), table.location)
    proof = Proof(table=str(table.source), relocate=relocate)
    compare_metadata(proof, sides.before, sides.after, table, str(copy["metadata_location"]), relocate)
    _compare_entry_in_catalog(proof, target, table, str(copy["metadata_location"]))
    with ThreadPoolExecutor(THREADS, thread_name_prefix="proof") as pool:
        try:
            files = _compare_manifests(proof, sides, pool)
            _compare_files(proof, sides, files, pool, shared=shared)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    _record(ledger, proof, table, sides)
    return proof.checks(), tuple(proof.differences)


def _open(source: Catalog, target: Catalog, table: TablePlan, copy: Mapping[str, Any]) -> _Sides:
    loaded = source.load(table.source)
    store = store_of(source, loaded) if loaded else source.store()
    return _Sides(
        source=store,
        target=target.store(),
        before=metadata.read_metadata(store, str(copy["source_metadata_location"]), table.source),
        after=metadata.read_metadata(target.store(), str(copy["metadata_location"]), table.staged),
    )


def _compare_entry_in_catalog(proof: Proof, target: Catalog, table: TablePlan, location: str) -> None:
    """The staged entry must be at the proven file; once published it has moved on."""
    there = target.load(table.staged)
    if there is not None:
        proof.count("catalog entry", 1, 1)
        proof.same(
            "catalog entry", str(table.staged), "points at another metadata file", location, there.metadata_location
        )


def _compare_manifests(proof: Proof, sides: _Sides, pool: ThreadPoolExecutor) -> list[FilePair]:
    """Compare all manifest lists and manifests, each once; return all pairs of live files, each once."""
    before, after = list(metadata.manifest_lists(sides.before)), list(metadata.manifest_lists(sides.after))
    lists = dict(zip(before, after, strict=False))
    found = pool.map(lambda pair: compare_lists(proof, sides.source, sides.target, *pair), lists.items())
    manifests = {pair.source: pair for pairs in found for pair in pairs}
    bare = zip(metadata.inline_manifests(sides.before), metadata.inline_manifests(sides.after), strict=False)
    manifests |= {one: ManifestPair(source=one, target=other) for one, other in bare}
    compared = pool.map(lambda pair: compare_manifests(proof, sides.source, sides.target, pair), manifests.values())
    return list({pair.source: pair for pairs in compared for pair in pairs}.values())


def _statistics(sides: _Sides) -> list[FilePair]:
    pairs = zip(
        metadata.statistics_files(sides.before).items(), metadata.statistics_files(sides.after).items(), strict=False
    )
    return [
        FilePair(source=one, target=other, source_size=size, target_size=other_size, content=0)
        for (one, size), (other, other_size) in pairs
    ]


def _compare_files(
    proof: Proof, sides: _Sides, files: list[FilePair], pool: ThreadPoolExecutor, *, shared: bool
) -> None:
    pairs = [*files, *_statistics(sides)]
    compare = _compare_shared if shared else _compare_file
    sizes = list(pool.map(lambda pair: compare(proof, sides, pair), pairs))
    proof.count(FILES, len(pairs), len(pairs))
    proof.count(BYTES, sum(sizes), sum(sizes))
    if not proof.failed.get(BYTES):
        digest = _digest((pair.target, size) for pair, size in zip(pairs, sizes, strict=True))
        proof.details.setdefault(FILES, f"names and sizes sha256 {digest}")


def _compare_shared(proof: Proof, sides: _Sides, pair: FilePair) -> int:
    """A registered table has the very files of its source: they must be there, as long as the manifest says."""
    size = sides.target.size(pair.target)
    if proof.same(FILES, pair.target, "is missing" if size is None else "has another length", pair.source_size, size):
        return pair.source_size
    return 0


def _compare_file(proof: Proof, sides: _Sides, pair: FilePair) -> int:
    """Compare one file and return the bytes of it on the source side."""
    if pair.content == POSITION_DELETES:
        return compare_deletes(proof, sides.source, sides.target, pair)
    before = proof.checksum(FILES, sides.source, pair.source)
    after = proof.checksum(FILES, sides.target, pair.target)
    if before is None or after is None:
        return 0
    proof.same(FILES, pair.source, "length is not what the source's manifest says", pair.source_size, before[0])
    proof.same(FILES, pair.target, "length is not what the target's manifest says", pair.target_size, after[0])
    if proof.same(FILES, pair.target, "length differs", before[0], after[0]):
        proof.same(BYTES, pair.target, "CRC-32 differs", f"{before[1]:08x}", f"{after[1]:08x}")
    return before[0]


def _digest(items: Iterable[tuple[str, int]]) -> str:
    text = "\n".join(f"{size} {path}" for path, size in sorted(items))
    return hashlib.sha256(text.encode()).hexdigest()


def _record(ledger: Ledger, proof: Proof, table: TablePlan, sides: _Sides) -> None:
    """Keep what was proven of the files, for certificate and support."""
    plan_id = str(sides.after.get("properties", {}).get("icebridge.plan-id", ""))
    content = {
        "files": proof.counts.get(FILES, [0])[0],
        "bytes": proof.counts.get(BYTES, [0])[0],
        "passed": not proof.differences,
        "detail": proof.details.get(FILES, ""),
    }
    with side_effect("validate.files"):
        ledger.save_document("files", f"{plan_id}/{table.source}", content)

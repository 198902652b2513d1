"""Compares a position-delete file with its rewritten copy: the same rows deleted from the same files."""

from __future__ import annotations

import io
from typing import Any

from icebridge_provider.engines.local.position_deletes import path_column
from icebridge_provider.engines.local.proof import Proof
from icebridge_provider.engines.local.proof_manifests import FilePair
from icebridge_provider.ports import FileStore

CHECK = "position deletes"


def compare_deletes(proof: Proof, source: FileStore, target: FileStore, pair: FilePair) -> int:
    """Compare two delete files row by row, and the target's manifest entry with the file; return source bytes."""
    before, after = _read(proof, source, pair.source), _read(proof, target, pair.target)
    if before is None or after is None:
        return 0
    proof.same(CHECK, pair.source, "length is not what the source's manifest says", pair.source_size, before.size)
    proof.same(CHECK, pair.target, "length is not what the target's manifest says", pair.target_size, after.size)
    proof.count(CHECK, before.rows.num_rows, after.rows.num_rows)
    proof.same(CHECK, pair.target, "column names or field ids differ", before.columns, after.columns)
    _compare_rows(proof, pair, before, after)
    _compare_bounds(proof, pair, after)
    return before.size


class _Deletes:
    """A delete file: its bytes, its rows, and which column holds the paths."""

    def __init__(self, data: bytes) -> None:
        import pyarrow.parquet as pq

        file = pq.ParquetFile(io.BytesIO(data))
        self.size = len(data)
        self.rows = file.read()
        self.column = path_column(self.rows.schema)
        self.columns = [(field.name, (field.metadata or {}).get(b"PARQUET:field_id")) for field in self.rows.schema]

    def paths(self) -> list[str]:
        """Path of each row."""
        return list(self.rows.column(self.column).to_pylist())

    def rest(self) -> Any:
        """All other columns."""
        return self.rows.remove_column(self.column)


def _read(proof: Proof, store: FileStore, path: str) -> _Deletes | None:
    data = proof.read(CHECK, store, path)
    if data is None:
        return None
    try:
        return _Deletes(data)
    except (OSError, ValueError) as error:
        proof.differ(CHECK, path, f"cannot be read ({type(error).__name__}: {error})")
        return None


def _compare_rows(proof: Proof, pair: FilePair, before: _Deletes, after: _Deletes) -> None:
    expected = [proof.target_of(path) for path in before.paths()]
    found = after.paths()
    if expected == found and before.rest().equals(after.rest()):
        return
    wanted, there = _rows(expected, before), _rows(found, after)
    if wanted == there and found == sorted(found, key=str.encode):
        return  # sorted again, since the new paths sort otherwise than the old ones
    lost, added = sorted(set(wanted) - set(there)), sorted(set(there) - set(wanted))
    if lost:
        proof.differ(CHECK, pair.target, f"{len(lost)} deleted rows would come back", lost[0], "")
    if added:
        proof.differ(CHECK, pair.target, f"{len(added)} rows would be deleted too many", "", added[0])
    if not lost and not added:
        proof.differ(CHECK, pair.target, "rows are in another order or repeated", len(wanted), len(there))


def _rows(paths: list[str], deletes: _Deletes) -> list[tuple[str, str]]:
    return sorted(zip(paths, (str(row) for row in deletes.rest().to_pylist()), strict=True))


def _compare_bounds(proof: Proof, pair: FilePair, after: _Deletes) -> None:
    """Readers skip a delete file whose bounds leave a data file out: they must hold every path in it."""
    paths = sorted(set(after.paths()), key=str.encode)
    low, high = pair.bounds
    if paths and low is not None:
        proof.same(CHECK, pair.target, "lower bound of its paths is wrong", paths[0], low)
    if paths and high is not None:
        proof.same(CHECK, pair.target, "upper bound of its paths is wrong", paths[-1], high)

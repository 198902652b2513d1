"""Rows of two sides matched by hash, then by key: what is left over is lost, phantom, duplicated or changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from icebridge_provider.engines.fingerprint.cells import Array
from icebridge_provider.engines.fingerprint.files import Batch, SnapshotReader
from icebridge_provider.engines.fingerprint.rows import HashedRows, RowHasher
from icebridge_provider.engines.fingerprint.schema import Field
from icebridge_provider.engines.fingerprint.snapshot import SnapshotFiles
from icebridge_provider.ports import FileStore

_PAIR = np.dtype([("high", "<u8"), ("low", "<u8")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row that has no equal on the other side: its hash, its cells' hashes, its key and where it lies."""

    digest: bytes
    cells: tuple[bytes, ...]
    key_cells: tuple[bytes, ...]
    key: dict[str, Any]
    place: dict[str, Any]
    values: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One table of a comparison, readable again and again."""

    files: SnapshotFiles
    fields: tuple[Field, ...]
    store: FileStore
    table: str
    key: tuple[str, ...]
    values: bool

    @property
    def key_numbers(self) -> tuple[int, ...]:
        """Where the key columns stand among the fields."""
        names = [item.name for item in self.fields]
        return tuple(names.index(name) for name in self.key)

    def hashed(self) -> Iterator[tuple[Batch, HashedRows]]:
        """Read and hash all live rows, batch by batch."""
        reader = SnapshotReader(files=self.files, fields=self.fields, store=self.store, table=self.table)
        hasher = RowHasher(self.fields)
        for file in self.files.data:
            for batch in reader.batches(file):
                yield batch, hasher.hash(batch.arrays, batch.rows, batch.path)

    def digests(self, buckets: Sequence[int], bucket_count: int) -> Array:
        """Hashes of all rows in some buckets."""
        parts = [
            _pairs(rows.digests)[np.isin(rows.buckets(bucket_count), np.array(buckets))] for _, rows in self.hashed()
        ]
        return np.concatenate([np.empty(0, dtype=_PAIR), *parts])

    def fetch(self, pick: Callable[[HashedRows], Array]) -> list[Row]:
        """Return the rows that ``pick`` selects from each batch (it returns a mask)."""
        return [
            self._row(batch, rows, int(number))
            for batch, rows in self.hashed()
            for number in np.flatnonzero(pick(rows))
        ]

    def _row(self, batch: Batch, rows: HashedRows, number: int) -> Row:
        cells = []
        for column in rows.columns:
            code = number if column.codes is None else int(column.codes[number])
            cells.append(column.slots[:, code].tobytes())
        shown = {
            item.name: _text(array, number)
            for item, array in zip(self.fields, batch.arrays, strict=True)
            if self.values or item.name in self.key
        }
        return Row(
            digest=rows.digests[:, number].tobytes(),
            cells=tuple(cells),
            key_cells=tuple(cells[at] for at in self.key_numbers),
            key={name: shown[name] for name in self.key},
            place={"file": batch.path, "row": int(batch.positions[number])},
            values=shown if self.values else {},
        )


def match(left: Side, right: Side, buckets: Sequence[int], bucket_count: int, limit: int) -> list[dict[str, Any]]:
    """Return up to ``limit`` differences between two sides."""
    surplus = _surplus(left.digests(buckets, bucket_count), right.digests(buckets, bucket_count))
    lost = _fetch_surplus(left, [item for item in surplus if item[1] > 0][:limit])
    extra = _fetch_surplus(right, [item for item in surplus if item[1] < 0][:limit])
    copies = {digest: abs(net) for digest, net, _ in surplus}
    shared = {digest for digest, _, both in surplus if both}
    found = _changed(left, right, lost, extra)
    paired = {id(row) for pair in found for row in pair}
    names = [item.name for item in left.fields]
    differences = [_changed_row(names, old, new) for old, new in found]
    for kind, rows in (("lost", lost), ("phantom", extra)):
        for row in rows:
            if id(row) not in paired:
                word = "duplicated" if kind == "phantom" and row.digest in shared else kind
                differences.append(_lone_row(word, row, copies[row.digest]))
    return differences[:limit]


def _surplus(left: Array, right: Array) -> list[tuple[bytes, int, bool]]:
    """Return hash, surplus (positive: left has more) and whether both sides have it, for every unequal count."""
    both = np.concatenate([left, right])
    values, inverse = np.unique(both, return_inverse=True)
    of_left = np.bincount(inverse[: left.size], minlength=values.size)
    of_right = np.bincount(inverse[left.size :], minlength=values.size)
    return [
        (values[at].tobytes(), int(of_left[at]) - int(of_right[at]), bool(of_left[at] and of_right[at]))
        for at in np.flatnonzero(of_left != of_right)
    ]


def _fetch_surplus(side: Side, surplus: list[tuple[bytes, int, bool]]) -> list[Row]:
    """One row for each hash that a side has too many of."""
    if not surplus:
        return []
    wanted = np.frombuffer(b"".join(digest for digest, _, _ in surplus), dtype=_PAIR)
    rows = side.fetch(lambda batch: np.isin(_pairs(batch.digests), wanted))
    return list({row.digest: row for row in reversed(rows)}.values())


def _changed(left: Side, right: Side, lost: list[Row], extra: list[Row]) -> list[tuple[Row, Row]]:
    """Pair old and new versions of a row: by key, else by the most equal columns (at least half of them)."""
    if not left.key:
        return _alike(lost, extra)
    news = {row.key_cells: row for row in _by_key(right, lost)}
    olds = {row.key_cells: row for row in _by_key(left, extra)}
    news |= {row.key_cells: row for row in extra}
    olds |= {row.key_cells: row for row in lost}
    pairs = [(old, news[key]) for key, old in olds.items() if key in news]
    return [(old, new) for old, new in pairs if old.cells != new.cells]


def _by_key(side: Side, rows: list[Row]) -> list[Row]:
    """Rows of one side that have the key of some row of the other."""
    if not rows:
        return []
    wanted = {row.key_cells for row in rows}
    numbers = side.key_numbers
    firsts = np.unique(np.array([_first_word(key[0]) for key in wanted], dtype=np.uint64))

    def pick(batch: HashedRows) -> Array:
        column = batch.columns[numbers[0]]
        words = column.slots[1].astype(np.uint64) << np.uint64(32) | column.slots[2].astype(np.uint64)
        return np.isin(words if column.codes is None else words[column.codes], firsts)

    return [row for row in side.fetch(pick) if row.key_cells in wanted]


def _first_word(cell: bytes) -> int:
    words = np.frombuffer(cell, dtype=np.uint32)
    return int(words[1]) << 32 | int(words[2])


def _alike(lost: list[Row], extra: list[Row]) -> list[tuple[Row, Row]]:
    scored = sorted(
        ((_equal_cells(old, new), i, k) for i, old in enumerate(lost) for k, new in enumerate(extra)), reverse=True
    )
    pairs, olds, news = [], set(), set()
    for equal, i, k in scored:
        if equal * 2 >= len(lost[i].cells) and equal and i not in olds and k not in news:
            pairs.append((lost[i], extra[k]))
            olds.add(i)
            news.add(k)
    return pairs


def _equal_cells(old: Row, new: Row) -> int:
    return sum(a == b for a, b in zip(old.cells, new.cells, strict=True))


def _changed_row(names: list[str], old: Row, new: Row) -> dict[str, Any]:
    columns = [name for name, a, b in zip(names, old.cells, new.cells, strict=True) if a != b]
    difference: dict[str, Any] = {
        "kind": "changed",
        "key": old.key,
        "row": old.digest.hex(),
        "columns": columns,
        "copies": 1,
        "source": old.place,
        "target": new.place,
    }
    if old.values:
        difference["values"] = {name: {"source": old.values[name], "target": new.values[name]} for name in columns}
    return difference


def _lone_row(kind: str, row: Row, copies: int) -> dict[str, Any]:
    side = "source" if kind == "lost" else "target"
    difference: dict[str, Any] = {
        "kind": kind, "key": row.key, "row": row.digest.hex(), "columns": [], "copies": copies, side: row.place,
    }  # fmt: skip
    if row.values:
        difference["values"] = {name: {side: value} for name, value in row.values.items()}
    return difference


def _pairs(digests: Array) -> Array:
    """Hashes as one comparable value a row."""
    return np.ascontiguousarray(digests.T).view(_PAIR).ravel()


def _text(array: Any, number: int) -> str:
    value = array[number].as_py()
    return "NULL" if value is None else str(value)

"""Compares manifest lists and manifests of two tables, entry by entry, in everything but paths.

Read by fastavro, which has nothing in common with the code that rewrote them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import fastavro

from icebridge_provider.engines.local.avro import read_blocks, read_header
from icebridge_provider.engines.local.manifests import DATA, DELETED, FILE_PATH_ID, POSITION_DELETES
from icebridge_provider.engines.local.proof import Proof
from icebridge_provider.ports import FileStore

LISTS, MANIFESTS = "manifest lists", "manifest entries"
_NEEDS_MORE_PACKAGES = {"snappy", "zstandard"}  # for fastavro to unpack them
_Record = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePair:
    """A live file on both sides, and the bytes each manifest says; ``bounds``: a delete file's first and last path."""

    source: str
    target: str
    source_size: int
    target_size: int
    content: int
    bounds: tuple[str | None, str | None] = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestPair:
    """A manifest on both sides."""

    source: str
    target: str


def compare_lists(
    proof: Proof, source: FileStore, target: FileStore, source_path: str, target_path: str
) -> list[ManifestPair]:
    """Compare two manifest lists and return the pairs of manifests they name."""
    records = _read_both(proof, LISTS, source, target, source_path, target_path)
    if records is None:
        return []
    pairs = []
    for one, other in zip(*records, strict=True):
        pair = ManifestPair(source=one.pop("manifest_path"), target=other.pop("manifest_path"))
        one.pop("manifest_length")
        length, actual = other.pop("manifest_length"), target.size(pair.target)
        proof.same(LISTS, pair.target, "length of a manifest is not what its list says", actual, length)
        proof.same(LISTS, target_path, f"entry of {pair.source} differs", one, other)
        proof.observed(pair.source, pair.target)
        pairs.append(pair)
    return pairs


def compare_manifests(proof: Proof, source: FileStore, target: FileStore, pair: ManifestPair) -> list[FilePair]:
    """Compare two manifests and return the pairs of live files they name."""
    records = _read_both(proof, MANIFESTS, source, target, pair.source, pair.target)
    if records is None:
        return []
    files = []
    for one, other in zip(*records, strict=True):
        found = _compare_entry(proof, pair.target, one, other)
        if one["status"] != DELETED:
            files.append(found)
    return files


def _read_both(
    proof: Proof, check: str, source: FileStore, target: FileStore, source_path: str, target_path: str
) -> tuple[list[_Record], list[_Record]] | None:
    one, other = _Avro.read(proof, check, source, source_path), _Avro.read(proof, check, target, target_path)
    if one is None or other is None:
        return None
    proof.count(check, len(one.records), len(other.records))
    proof.same(check, target_path, "header differs", one.header, other.header)
    if not proof.same(check, target_path, "number of entries differs", len(one.records), len(other.records)):
        return None
    return one.records, other.records


@dataclass(frozen=True, slots=True, kw_only=True)
class _Avro:
    header: Mapping[str, Any]
    records: list[_Record]

    @classmethod
    def read(cls, proof: Proof, check: str, store: FileStore, path: str) -> _Avro | None:
        data = proof.read(check, store, path)
        if data is None:
            return None
        try:
            if read_header(data).codec in _NEEDS_MORE_PACKAGES:
                return cls._unpacked(data)
            reader = fastavro.reader(io.BytesIO(data))
            return cls(records=cast("list[_Record]", list(reader)), header=dict(reader.metadata))
        except Exception as error:  # noqa: BLE001 - broken bytes make fastavro raise anything, zlib.error too
            proof.differ(check, path, f"cannot be read ({type(error).__name__}: {error})")
            return None

    @classmethod
    def _unpacked(cls, data: bytes) -> _Avro:
        """Unpack the blocks here and leave only the records to fastavro."""
        header = read_header(data)
        schema = fastavro.parse_schema(header.schema)
        records: list[Any] = []
        for count, block in read_blocks(header, data):
            stream = io.BytesIO(block)
            records += (fastavro.schemaless_reader(stream, schema) for _ in range(count))
        return cls(records=records, header=header.metadata)


def _compare_entry(proof: Proof, manifest: str, one: _Record, other: _Record) -> FilePair:
    before, after = dict(one["data_file"]), dict(other["data_file"])
    content = before.get("content", DATA)
    pair = FilePair(
        source=before.pop("file_path"),
        target=after.pop("file_path"),
        source_size=before["file_size_in_bytes"],
        target_size=after["file_size_in_bytes"],
        content=content,
        bounds=_path_bounds(after) if content == POSITION_DELETES else (None, None),
    )
    proof.observed(pair.source, pair.target)
    if content == POSITION_DELETES:
        _leave_out_rewritten(proof, manifest, before, after)
    same = {**one, "data_file": before} == {**other, "data_file": after}
    if not same:
        names = ", ".join(_changed({**one, "data_file": None}, {**other, "data_file": None}) + _changed(before, after))
        proof.differ(MANIFESTS, manifest, f"entry of {pair.source} differs in {names}")
    return pair


def _changed(one: _Record, other: _Record) -> list[str]:
    return [key for key in {**one, **other} if one.get(key) != other.get(key)]


def _path_bounds(file: _Record) -> tuple[str | None, str | None]:
    found = [_bound(file.get(name)) for name in ("lower_bounds", "upper_bounds")]
    return found[0], found[1]


def _bound(items: list[_Record] | None) -> str | None:
    values = [item["value"] for item in items or () if item["key"] == FILE_PATH_ID]
    return values[0].decode(errors="replace") if values else None


def _leave_out_rewritten(proof: Proof, manifest: str, before: _Record, after: _Record) -> None:
    """Take out what a delete file with other paths in it cannot keep; that is checked against the file itself."""
    referenced = before.pop("referenced_data_file", None)
    expected = None if referenced is None else proof.relocate(referenced)
    proof.same(MANIFESTS, manifest, "referenced data file differs", expected, after.pop("referenced_data_file", None))
    for name in ("file_size_in_bytes", "split_offsets", "column_sizes"):
        one, other = before.pop(name, None), after.pop(name, None)
        proof.same(MANIFESTS, manifest, f"{name} is given on one side only", one is None, other is None)
    for name in ("lower_bounds", "upper_bounds"):
        for side in (before, after):
            side[name] = list(_without_path(side.get(name)))


def _without_path(items: list[_Record] | None) -> Iterator[_Record]:
    for item in items or ():
        yield item if item["key"] != FILE_PATH_ID else {"key": FILE_PATH_ID}

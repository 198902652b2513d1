"""Manifests and manifest lists with other paths in them, and nothing else changed.

The field ids are those of the Iceberg spec, "Manifests". Header, codec, block structure and every byte that is no
path (or, for a rewritten position-delete file, its size, offsets and bounds) stay as the writer left them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from icebridge_provider.engines.local.avro import (
    AvroError,
    Header,
    read_blocks,
    read_bytes,
    read_header,
    read_long,
    write_block,
    write_bytes,
    write_long,
)
from icebridge_provider.engines.local.avro_fields import Field, Locator, Spans

FILE_PATH_ID = 2147483546  # reserved id of a position delete's file_path column
DATA, POSITION_DELETES, EQUALITY_DELETES = 0, 1, 2
DELETED = 2
_ENTRY = (
    Field(id=0, name="status"),
    Field(id=134, name="content"),
    Field(id=100, name="file_path"),
    Field(id=101, name="file_format"),
    Field(id=103, name="record_count"),
    Field(id=104, name="file_size_in_bytes"),
    Field(id=131, name="key_metadata"),
)
_DELETE_ENTRY = (
    *_ENTRY,
    Field(id=108, name="column_sizes"),
    Field(id=125, name="lower_bounds"),
    Field(id=128, name="upper_bounds"),
    Field(id=132, name="split_offsets"),
    Field(id=143, name="referenced_data_file"),
)
_LIST_ENTRY = (
    Field(id=500, name="manifest_path"),
    Field(id=501, name="manifest_length"),
    Field(id=517, name="content"),
    Field(id=512, name="added_rows_count"),
    Field(id=513, name="existing_rows_count"),
    Field(id=519, name="key_metadata"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One file as a manifest names it. ``size`` is what the manifest says, in bytes."""

    path: str
    size: int
    content: int
    format: str
    live: bool
    rows: int
    encrypted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestEntry:
    """One manifest as a manifest list names it; ``rows`` is None where a format version 1 writer left it out."""

    path: str
    length: int
    content: int
    rows: int | None
    encrypted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteFile:
    """A rewritten position-delete file: what its manifest entry must say now.

    ``column_sizes`` are bytes by field id, ``offsets`` where its row groups begin, ``lowest`` and ``highest`` the
    least and greatest path in it (None for a file without rows).
    """

    size: int
    column_sizes: Mapping[int, int]
    offsets: tuple[int, ...]
    lowest: str | None
    highest: str | None


_Edit = tuple[int, int, bytes]
_Editor = Callable[[bytes, Spans, Locator], list[_Edit]]


def read_manifest(data: bytes) -> list[FileEntry]:
    """Return the entries of a manifest, deleted ones too.

    :raises AvroError: when it is not a manifest.
    """
    return [_entry(block, spans, locator) for block, spans, locator in _records(data, _ENTRY)]


def rewrite_manifest(
    data: bytes, relocate: Callable[[str], str], deletes: Mapping[str, DeleteFile] | None = None
) -> tuple[bytes, list[FileEntry]]:
    """Return a manifest with all paths relocated, and the entries it had before.

    :param deletes: for a manifest of delete files, what became of each, by its old path; one that is not there is
        an entry of status deleted whose file is gone, and keeps its statistics.
    :raises AvroError: when it is not a manifest.
    """
    entries: list[FileEntry] = []

    def edit(block: bytes, spans: Spans, locator: Locator) -> list[_Edit]:
        entry = _entry(block, spans, locator)
        entries.append(entry)
        if deletes is None:
            start = locator.slots["file_path"]
            return [(spans[start], spans[start + 1], write_bytes(relocate(entry.path).encode()))]
        return _delete_edits(block, spans, locator, relocate, deletes.get(entry.path))

    return _rewrite(data, _ENTRY if deletes is None else _DELETE_ENTRY, edit), entries


def read_manifest_list(data: bytes) -> list[ManifestEntry]:
    """Return the manifests that a manifest list names.

    :raises AvroError: when it is not a manifest list.
    """
    return [_manifest(block, spans, locator) for block, spans, locator in _records(data, _LIST_ENTRY)]


def rewrite_manifest_list(data: bytes, relocate: Callable[[str], str], lengths: Mapping[str, int]) -> bytes:
    """Return a manifest list with all paths relocated and ``lengths`` (by old path) in place of the old ones.

    :raises AvroError: when it is not a manifest list.
    :raises KeyError: when the length of one of its manifests is not given.
    """

    def edit(block: bytes, spans: Spans, locator: Locator) -> list[_Edit]:
        path = _text(block, spans, locator, "manifest_path")
        first, second = locator.slots["manifest_path"], locator.slots["manifest_length"]
        return [
            (spans[first], spans[first + 1], write_bytes(relocate(path).encode())),
            (spans[second], spans[second + 1], write_long(lengths[path])),
        ]

    return _rewrite(data, _LIST_ENTRY, edit)


def _records(data: bytes, wanted: tuple[Field, ...]) -> Iterator[tuple[bytes, Spans, Locator]]:
    header = read_header(data)
    locator = _locator(header, wanted)
    for count, block in read_blocks(header, data):
        position = 0
        for _ in range(count):
            spans, position = locator.find(block, position)
            yield block, spans, locator
        if position != len(block):
            raise AvroError("has bytes behind its last record")


def _locator(header: Header, wanted: tuple[Field, ...]) -> Locator:
    locator = Locator(header.schema, wanted)
    missing = {"file_path", "file_format", "file_size_in_bytes", "status"} if wanted is not _LIST_ENTRY else {
        "manifest_path", "manifest_length"}  # fmt: skip
    missing -= set(locator.slots)
    if missing:
        raise AvroError(f"has no field {sorted(missing)[0]}")
    return locator


def _rewrite(data: bytes, wanted: tuple[Field, ...], edit: _Editor) -> bytes:
    header = read_header(data)
    locator = _locator(header, wanted)
    out = [header.raw]
    for count, block in read_blocks(header, data):
        out.append(write_block(header, count, _rewrite_block(block, count, locator, edit)))
    return b"".join(out)


def _rewrite_block(block: bytes, count: int, locator: Locator, edit: _Editor) -> bytes:
    parts: list[bytes] = []
    kept = position = 0
    for _ in range(count):
        spans, position = locator.find(block, position)
        for start, end, new in sorted(edit(block, spans, locator)):
            parts += (block[kept:start], new)
            kept = end
    if position != len(block):
        raise AvroError("has bytes behind its last record")
    parts.append(block[kept:])
    return b"".join(parts)


def _entry(block: bytes, spans: Spans, locator: Locator) -> FileEntry:
    slots = locator.slots
    content = read_long(block, spans[slots["content"]])[0] if "content" in slots else DATA
    return FileEntry(
        path=_text(block, spans, locator, "file_path"),
        size=read_long(block, spans[slots["file_size_in_bytes"]])[0],
        content=content,
        format=_text(block, spans, locator, "file_format").lower(),
        live=read_long(block, spans[slots["status"]])[0] != DELETED,
        rows=read_long(block, spans[slots["record_count"]])[0] if "record_count" in slots else 0,
        encrypted=_given(block, spans, locator, "key_metadata"),
    )


def _manifest(block: bytes, spans: Spans, locator: Locator) -> ManifestEntry:
    slots = locator.slots
    counts = [_number(block, spans, locator, name) for name in ("added_rows_count", "existing_rows_count")]
    return ManifestEntry(
        path=_text(block, spans, locator, "manifest_path"),
        length=read_long(block, spans[slots["manifest_length"]])[0],
        content=read_long(block, spans[slots["content"]])[0] if "content" in slots else DATA,
        rows=None if None in counts else sum(count or 0 for count in counts),
        encrypted=_given(block, spans, locator, "key_metadata"),
    )


def _text(block: bytes, spans: Spans, locator: Locator, name: str) -> str:
    return read_bytes(block, spans[locator.slots[name]])[0].decode()


def _given(block: bytes, spans: Spans, locator: Locator, name: str) -> bool:
    """Say whether an optional field holds a value: anything but the union's null is longer than its index."""
    slot = locator.slots.get(name)
    if slot is None:
        return False
    schema = locator.schemas[name]
    if not isinstance(schema, list):
        return True
    return bool(schema[read_long(block, spans[slot])[0]] != "null")


def _number(block: bytes, spans: Spans, locator: Locator, name: str) -> int | None:
    if not _given(block, spans, locator, name):
        return None
    position = spans[locator.slots[name]]
    if isinstance(locator.schemas[name], list):
        _, position = read_long(block, position)
    return read_long(block, position)[0]


def _delete_edits(
    block: bytes, spans: Spans, locator: Locator, relocate: Callable[[str], str], new: DeleteFile | None
) -> list[_Edit]:
    """Return what changes in the entry of a position-delete file."""
    values: dict[str, bytes] = {"file_path": relocate(_text(block, spans, locator, "file_path")).encode()}
    edits = [_edit(spans, locator, "file_path", write_bytes(values["file_path"]))]
    if _given(block, spans, locator, "referenced_data_file"):
        branch, text = _branch(block, spans, locator, "referenced_data_file")
        path = relocate(read_bytes(text, 0)[0].decode())
        edits.append(_edit(spans, locator, "referenced_data_file", branch + write_bytes(path.encode())))
    for name, bound in (("lower_bounds", new.lowest if new else None), ("upper_bounds", new.highest if new else None)):
        if _given(block, spans, locator, name):
            branch, packed = _branch(block, spans, locator, name)
            edits.append(_edit(spans, locator, name, branch + _bounds(packed, bound, relocate)))
    if new is None:
        return edits
    edits.append(_edit(spans, locator, "file_size_in_bytes", write_long(new.size)))
    if _given(block, spans, locator, "column_sizes"):
        branch, _ = _branch(block, spans, locator, "column_sizes")
        items = [write_long(key) + write_long(size) for key, size in new.column_sizes.items()]
        edits.append(_edit(spans, locator, "column_sizes", branch + _array(items)))
    if _given(block, spans, locator, "split_offsets"):
        branch, _ = _branch(block, spans, locator, "split_offsets")
        edits.append(_edit(spans, locator, "split_offsets", branch + _array([write_long(o) for o in new.offsets])))
    return edits


def _edit(spans: Spans, locator: Locator, name: str, new: bytes) -> _Edit:
    slot = locator.slots[name]
    return spans[slot], spans[slot + 1], new


def _branch(block: bytes, spans: Spans, locator: Locator, name: str) -> tuple[bytes, bytes]:
    """Split an optional field that is given into the bytes of its union index and the rest."""
    slot = locator.slots[name]
    start, end = spans[slot], spans[slot + 1]
    if not isinstance(locator.schemas[name], list):
        return b"", block[start:end]
    _, inner = read_long(block, start)
    return block[start:inner], block[inner:end]


def _array(items: list[bytes]) -> bytes:
    return b"".join((write_long(len(items)), *items, b"\x00")) if items else b"\x00"


def _bounds(packed: bytes, bound: str | None, relocate: Callable[[str], str]) -> bytes:
    """Return a map of bounds with another path; without a known ``bound`` a whole path in it is relocated.

    Readers take equal lower and upper paths for "deletes of this one file", so bounds of known files are exact.
    """
    items = []
    for key, value in _map_items(packed):
        if key == FILE_PATH_ID:
            value = (relocate(value.decode(errors="surrogateescape")) if bound is None else bound).encode(
                errors="surrogateescape"
            )
        items.append(write_long(key) + write_bytes(value))
    return _array(items)


def _map_items(packed: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while True:
        count, position = read_long(packed, position)
        if count == 0:
            return
        if count < 0:
            _, position = read_long(packed, position)
        for _ in range(abs(count)):
            key, position = read_long(packed, position)
            value, position = read_bytes(packed, position)
            yield key, value

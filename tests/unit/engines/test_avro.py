"""The splice rewriter against fastavro, which shares no code with it."""

from __future__ import annotations

import io
import zlib
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icebridge_provider.engines.local.avro import AvroError, read_header, read_long, write_long
from icebridge_provider.engines.local.avro_fields import Field, Locator
from icebridge_provider.engines.local.manifests import (
    FILE_PATH_ID,
    DeleteFile,
    read_manifest,
    read_manifest_list,
    rewrite_manifest,
    rewrite_manifest_list,
)

CODECS = ("null", "deflate", "snappy", "zstandard", "bzip2", "xz")
OURS = ("null", "deflate", "bzip2", "xz")  # fastavro needs packages of its own for the others
numbers = st.integers(min_value=-(2**63), max_value=2**63 - 1)
small = st.integers(min_value=-(2**31), max_value=2**31 - 1)
texts = st.text(max_size=40)


@given(numbers)
def test_numbers_read_back(value: int) -> None:
    data = write_long(value)
    assert read_long(data, 0) == (value, len(data))


def _map(key: int, value: int, kind: str) -> Any:
    record = {
        "type": "record",
        "name": f"k{key}_v{value}",
        "fields": [
            {"name": "key", "type": "int", "field-id": key},
            {"name": "value", "type": kind, "field-id": value},
        ],
    }
    return ["null", {"type": "array", "items": record, "logicalType": "map"}]


def entry_schema(partition: list[Any], *, ids: bool = True) -> dict[str, Any]:
    """Return a manifest entry's Avro schema as writers of format version 2 have it."""
    data_file = [
        ("content", 134, "int"),
        ("file_path", 100, "string"),
        ("file_format", 101, "string"),
        ("partition", 102, {"type": "record", "name": "r102", "fields": partition}),
        ("record_count", 103, "long"),
        ("file_size_in_bytes", 104, "long"),
        ("column_sizes", 108, _map(117, 118, "long")),
        ("value_counts", 109, _map(119, 120, "long")),
        ("lower_bounds", 125, _map(126, 127, "bytes")),
        ("upper_bounds", 128, _map(129, 130, "bytes")),
        ("key_metadata", 131, ["null", "bytes"]),
        ("split_offsets", 132, ["null", {"type": "array", "items": "long", "element-id": 133}]),
        ("sort_order_id", 140, ["null", "int"]),
        ("referenced_data_file", 143, ["null", "string"]),
    ]
    fields = [{"name": name, "type": kind, **({"field-id": number} if ids else {})} for name, number, kind in data_file]
    top = [
        ("status", 0, "int"),
        ("snapshot_id", 1, ["null", "long"]),
        ("sequence_number", 3, ["null", "long"]),
        ("data_file", 2, {"type": "record", "name": "r2", "fields": fields}),
    ]
    found = [{"name": name, "type": kind, **({"field-id": number} if ids else {})} for name, number, kind in top]
    return {"type": "record", "name": "manifest_entry", "fields": found}


PARTITIONS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (["null", "string"], st.none() | texts),
    (["null", "int"], st.none() | small),
    (["null", "double"], st.none() | st.floats(allow_nan=False)),
    (["null", "boolean"], st.none() | st.booleans()),
    (["null", {"type": "fixed", "name": "f4", "size": 4}], st.none() | st.binary(min_size=4, max_size=4)),
    (["null", "bytes"], st.none() | st.binary(max_size=9)),
]


def pairs(value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | st.lists(st.fixed_dictionaries({"key": small, "value": value}), max_size=4)


@st.composite
def entries(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Draw a schema and records of it."""
    kinds = draw(st.lists(st.sampled_from(PARTITIONS), max_size=3, unique_by=lambda kind: str(kind[0])))
    partition = [{"name": f"p{n}", "type": kind, "field-id": 1000 + n} for n, (kind, _) in enumerate(kinds)]
    data_file = st.fixed_dictionaries(
        {
            "content": st.sampled_from([0, 1]),
            "file_path": texts,
            "file_format": st.sampled_from(["PARQUET", "orc"]),
            "partition": st.fixed_dictionaries({f"p{n}": value for n, (_, value) in enumerate(kinds)}),
            "record_count": numbers,
            "file_size_in_bytes": numbers,
            "column_sizes": pairs(numbers),
            "value_counts": pairs(numbers),
            "lower_bounds": pairs(st.binary(max_size=200)),
            "upper_bounds": pairs(st.binary(max_size=200)),
            "key_metadata": st.none() | st.binary(max_size=9),
            "split_offsets": st.none() | st.lists(numbers, max_size=3),
            "sort_order_id": st.none() | small,
            "referenced_data_file": st.none() | texts,
        }
    )
    record = st.fixed_dictionaries(
        {
            "status": st.sampled_from([0, 1, 2]),
            "snapshot_id": st.none() | numbers,
            "sequence_number": st.none() | numbers,
            "data_file": data_file,
        }
    )
    return entry_schema(partition, ids=draw(st.booleans())), draw(st.lists(record, max_size=6))


def encode(schema: Any, records: list[Any], codec: str, interval: int = 16_000) -> bytes:
    sink = io.BytesIO()
    metadata = {"schema": '{"type":"struct"}', "content": "data"}
    fastavro.writer(sink, schema, records, codec=codec, sync_interval=interval, metadata=metadata)
    return sink.getvalue()


def decode(data: bytes) -> tuple[list[Any], dict[str, Any]]:
    reader = fastavro.reader(io.BytesIO(data))
    return list(reader), dict(reader.metadata)


def moved(path: str) -> str:
    return f"s3://new/{path}/moved"


@settings(deadline=None)
@given(entries(), st.sampled_from(OURS), st.sampled_from([1, 16_000]))
def test_only_paths_change_and_all_of_them(drawn: tuple[Any, list[Any]], codec: str, interval: int) -> None:
    schema, records = drawn
    data = encode(schema, records, codec, interval)
    before, header = decode(data)
    new, found = rewrite_manifest(data, moved)
    after, new_header = decode(new)
    for record in before:
        record["data_file"]["file_path"] = moved(record["data_file"]["file_path"])
    assert after == before
    assert new_header == header
    assert [moved(entry.path) for entry in found] == [record["data_file"]["file_path"] for record in before]
    assert [entry.size for entry in found] == [record["data_file"]["file_size_in_bytes"] for record in before]
    assert [entry.live for entry in found] == [record["status"] != 2 for record in before]
    assert [entry.encrypted for entry in found] == [r["data_file"]["key_metadata"] is not None for r in before]
    assert read_manifest(data) == found


@settings(deadline=None)
@given(entries(), st.sampled_from(["null", "bzip2"]), st.sampled_from([1, 16_000]))
def test_the_same_paths_give_the_same_bytes(drawn: tuple[Any, list[Any]], codec: str, interval: int) -> None:
    data = encode(*drawn, codec, interval)
    assert rewrite_manifest(data, lambda path: path)[0] == data


@settings(deadline=None)
@given(entries())
def test_delete_entries_say_what_the_rewritten_files_are(drawn: tuple[Any, list[Any]]) -> None:
    schema, records = drawn
    records = [record for record in records if _unique_keys(record)]
    data = encode(schema, records, "deflate")
    new_file = DeleteFile(size=77, column_sizes={5: 6}, offsets=(4, 9), lowest="low", highest="high")
    gone = {record["data_file"]["file_path"] for record in records if record["status"] == 2}
    deletes = {r["data_file"]["file_path"]: new_file for r in records if r["data_file"]["file_path"] not in gone}
    after, _ = decode(rewrite_manifest(data, moved, deletes)[0])
    expected, _ = decode(data)
    for record in expected:
        _expect(record["data_file"], deletes.get(record["data_file"]["file_path"]))
    assert after == expected


def _unique_keys(record: Any) -> bool:
    maps = [record["data_file"][name] or () for name in ("lower_bounds", "upper_bounds")]
    return all(all(item["key"] != FILE_PATH_ID for item in found) for found in maps)


def _expect(file: dict[str, Any], new: DeleteFile | None) -> None:
    file["file_path"] = moved(file["file_path"])
    if file["referenced_data_file"] is not None:
        file["referenced_data_file"] = moved(file["referenced_data_file"])
    if new is None:
        return
    file["file_size_in_bytes"] = new.size
    if file["column_sizes"] is not None:
        file["column_sizes"] = [{"key": 5, "value": 6}]
    if file["split_offsets"] is not None:
        file["split_offsets"] = [4, 9]


@pytest.mark.parametrize("known", [True, False])
def test_path_bounds_are_those_of_the_file_or_relocated(known: bool) -> None:
    file = {
        "content": 1, "file_path": "d", "file_format": "PARQUET", "partition": {}, "record_count": 1,
        "file_size_in_bytes": 9, "column_sizes": None, "value_counts": None, "key_metadata": None,
        "split_offsets": None, "sort_order_id": None, "referenced_data_file": None,
        "lower_bounds": [{"key": 1, "value": b"x"}, {"key": FILE_PATH_ID, "value": b"a"}],
        "upper_bounds": [{"key": FILE_PATH_ID, "value": b"b"}, {"key": 2, "value": b""}],
    }  # fmt: skip
    record = {"status": 1, "snapshot_id": None, "sequence_number": None, "data_file": file}
    new_file = DeleteFile(size=9, column_sizes={}, offsets=(4,), lowest="low", highest="high")
    data = encode(entry_schema([]), [record], "null")
    after, _ = decode(rewrite_manifest(data, moved, {"d": new_file} if known else {})[0])
    low, high = (b"low", b"high") if known else (moved("a").encode(), moved("b").encode())
    assert after[0]["data_file"]["lower_bounds"] == [{"key": 1, "value": b"x"}, {"key": FILE_PATH_ID, "value": low}]
    assert after[0]["data_file"]["upper_bounds"] == [{"key": FILE_PATH_ID, "value": high}, {"key": 2, "value": b""}]


LIST = {
    "type": "record",
    "name": "manifest_file",
    "fields": [
        {"name": "manifest_path", "type": "string", "field-id": 500},
        {"name": "manifest_length", "type": "long", "field-id": 501},
        {"name": "partition_spec_id", "type": "int", "field-id": 502},
        {"name": "content", "type": "int", "field-id": 517},
        {"name": "added_rows_count", "type": ["null", "long"], "field-id": 512},
        {"name": "existing_rows_count", "type": ["null", "long"], "field-id": 513},
        {
            "name": "partitions",
            "field-id": 507,
            "type": [
                "null",
                {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "r508",
                        "fields": [
                            {"name": "contains_null", "type": "boolean", "field-id": 509},
                            {"name": "contains_nan", "type": ["null", "boolean"], "field-id": 518},
                            {"name": "lower_bound", "type": ["null", "bytes"], "field-id": 510},
                            {"name": "upper_bound", "type": ["null", "bytes"], "field-id": 511},
                        ],
                    },
                },
            ],
        },
        {"name": "key_metadata", "type": ["null", "bytes"], "field-id": 519},
    ],
}
summaries = st.fixed_dictionaries(
    {
        "contains_null": st.booleans(),
        "contains_nan": st.none() | st.booleans(),
        "lower_bound": st.none() | st.binary(max_size=5),
        "upper_bound": st.none() | st.binary(max_size=5),
    }
)
manifests = st.fixed_dictionaries(
    {
        "manifest_path": texts,
        "manifest_length": numbers,
        "partition_spec_id": small,
        "content": st.sampled_from([0, 1]),
        "added_rows_count": st.none() | small,
        "existing_rows_count": st.none() | small,
        "partitions": st.none() | st.lists(summaries, max_size=3),
        "key_metadata": st.none() | st.binary(max_size=3),
    }
)


@settings(deadline=None)
@given(st.lists(manifests, max_size=5, unique_by=lambda item: item["manifest_path"]), st.sampled_from(OURS), numbers)
def test_lists_get_new_paths_and_lengths(records: list[Any], codec: str, length: int) -> None:
    data = encode(LIST, records, codec)
    lengths = {record["manifest_path"]: length for record in records}
    after, header = decode(rewrite_manifest_list(data, moved, lengths))
    for entry, record in zip(read_manifest_list(data), records, strict=True):
        counts = (record["added_rows_count"], record["existing_rows_count"])
        assert (entry.path, entry.length) == (record["manifest_path"], record["manifest_length"])
        assert entry.rows == (None if None in counts else sum(counts))
        assert entry.encrypted == (record["key_metadata"] is not None)
        record |= {"manifest_path": moved(record["manifest_path"]), "manifest_length": length}
    assert after == records
    assert header == decode(data)[1]


@settings(deadline=None, max_examples=200)
@given(entries(), st.data())
def test_damaged_files_are_refused_or_read_but_never_crash(drawn: tuple[Any, list[Any]], data: st.DataObject) -> None:
    whole = bytearray(encode(*drawn, "null"))
    at = data.draw(st.integers(min_value=len(read_header(bytes(whole)).raw), max_value=len(whole)))
    if at < len(whole):
        whole[at] ^= data.draw(st.integers(min_value=1, max_value=255))
    del whole[data.draw(st.integers(min_value=at, max_value=len(whole))) :]
    try:
        _, found = rewrite_manifest(bytes(whole), moved)
    except (AvroError, UnicodeDecodeError):
        return
    assert all(isinstance(entry.path, str) for entry in found)


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_of_the_specification_goes_both_ways(codec: str) -> None:
    from icebridge_provider.engines.local import avro

    pack, unpack = avro._codec(codec)[1], avro._codec(codec)[0]
    for data in (b"", b"x" * 10, b"path/" * 5_000):
        assert unpack(pack(data)) == data


def test_a_snappy_block_is_unpacked_and_its_checksum_checked() -> None:
    from icebridge_provider.engines.local import avro

    literal = bytes([3, (3 - 1) << 2]) + b"abc"  # length, one literal of three bytes
    checksum = zlib.crc32(b"abc").to_bytes(4, "big")
    assert avro._codec("snappy")[0](literal + checksum) == b"abc"
    with pytest.raises(AvroError, match="checksum"):
        avro._codec("snappy")[0](literal + b"\x00\x00\x00\x00")


def test_blocks_that_tell_their_size_are_passed_over() -> None:
    schema = {
        "type": "record",
        "name": "r",
        "fields": [
            {"name": "before", "type": {"type": "array", "items": "string"}},
            {"name": "wanted", "type": "string"},
        ],
    }
    items = b"\x02a" + b"\x02b"
    data = write_long(-2) + write_long(len(items)) + items + b"\x00" + b"\x06abc"
    locator = Locator(schema, [Field(id=1, name="wanted")])
    assert locator.find(data, 0) == ([len(data) - 4, len(data)], len(data))


def test_a_file_that_is_no_manifest_is_told() -> None:
    data = encode({"type": "record", "name": "r", "fields": [{"name": "x", "type": "int"}]}, [{"x": 1}], "null")
    with pytest.raises(AvroError, match="has no field"):
        read_manifest(data)
    with pytest.raises(AvroError, match="not an Avro container"):
        read_manifest(b"PAR1")

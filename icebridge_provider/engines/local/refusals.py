"""What a copy method cannot do right, and therefore refuses by name. To carry one of these later, take its line out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from icebridge_provider.engines.local.manifests import EQUALITY_DELETES, POSITION_DELETES, FileEntry
from icebridge_provider.exceptions import PreflightFailed
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.stores.local import local_path

NEWEST_KNOWN_VERSION = 3
_TRANSFORM = re.compile(r"identity|void|year|month|day|hour|(bucket|truncate)\[\d+\]")
_COPY, _INSERT, _REGISTER = CopyMethod.COPY_FILES, CopyMethod.INSERT_SELECT, CopyMethod.REGISTER
_OTHER_ENGINE = "Copy it with an engine that can, or rewrite the table first."


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One thing that ``methods`` cannot carry: ``where`` finds it in the metadata or in a live file's entry."""

    code: str
    methods: frozenset[CopyMethod]
    what: str
    remedy: str
    in_metadata: Callable[[Mapping[str, Any]], bool] = lambda _: False
    in_entry: Callable[[FileEntry], bool] = lambda _: False


def _version(metadata: Mapping[str, Any]) -> int:
    return int(metadata.get("format-version", 1))


def _has_unknown_transform(metadata: Mapping[str, Any]) -> bool:
    default = metadata.get("default-spec-id", 0)
    specs = [spec for spec in metadata.get("partition-specs") or () if spec["spec-id"] == default]
    return any(not _TRANSFORM.fullmatch(field["transform"]) for spec in specs for field in spec["fields"])


REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        code="IB-400",
        methods=frozenset({_COPY, _INSERT}),
        what="has format version 3 or newer",
        remedy=_OTHER_ENGINE,
        in_metadata=lambda metadata: _version(metadata) > 2,
    ),
    Refusal(
        code="IB-400",
        methods=frozenset({_REGISTER}),
        what=f"has a format version newer than {NEWEST_KNOWN_VERSION}",
        remedy=_OTHER_ENGINE,
        in_metadata=lambda metadata: _version(metadata) > NEWEST_KNOWN_VERSION,
    ),
    Refusal(
        code="IB-401",
        methods=frozenset({_COPY, _INSERT}),
        what="has equality deletes",
        remedy="Rewrite its data files first (Spark: CALL system.rewrite_data_files with delete-file-threshold 1), "
        "then expire the older snapshots.",
        in_entry=lambda entry: entry.content == EQUALITY_DELETES,
    ),
    Refusal(
        code="IB-402",
        methods=frozenset({_COPY, _INSERT}),
        what="has deletion vectors",
        remedy="Rewrite its data files first (Spark: CALL system.rewrite_data_files with delete-file-threshold 1), "
        "then expire the older snapshots.",
        in_entry=lambda entry: entry.format == "puffin",
    ),
    Refusal(
        code="IB-403",
        methods=frozenset({_COPY}),
        what="has files of an unknown format",
        remedy=_OTHER_ENGINE,
        in_entry=lambda entry: entry.format not in {"parquet", "orc", "avro", "puffin"},
    ),
    Refusal(
        code="IB-403",
        methods=frozenset({_INSERT}),
        what="has data files that are neither Parquet nor ORC",
        remedy="Use copy_files, or rewrite its data files as Parquet.",
        in_entry=lambda entry: entry.format not in {"parquet", "orc", "puffin"},
    ),
    Refusal(
        code="IB-404",
        methods=frozenset({_COPY, _INSERT}),
        what="is encrypted",
        remedy="Its keys cannot be carried over; rewrite it without table encryption first.",
        in_metadata=lambda metadata: (
            bool(metadata.get("encryption-keys")) or "encryption.key-id" in metadata.get("properties", {})
        ),
        in_entry=lambda entry: entry.encrypted,
    ),
    Refusal(
        code="IB-405",
        methods=frozenset({_COPY}),
        what="has position deletes that are not Parquet",
        remedy="Rewrite its position deletes first (Spark: CALL system.rewrite_position_delete_files), "
        "with write.delete.format.default set to parquet.",
        in_entry=lambda entry: entry.content == POSITION_DELETES and entry.format not in {"parquet", "puffin"},
    ),
    Refusal(
        code="IB-406",
        methods=frozenset({_INSERT}),
        what="is partitioned by a transform that is unknown here",
        remedy="Use copy_files, or give the table another partition spec first.",
        in_metadata=_has_unknown_transform,
    ),
)


def refuse_metadata(table: object, method: CopyMethod, metadata: Mapping[str, Any]) -> None:
    """Check what the metadata file alone tells.

    :raises PreflightFailed: IB-400 to IB-406 naming the table and why.
    """
    for refusal in REFUSALS:
        if method in refusal.methods and refusal.in_metadata(metadata):
            raise _refused(table, method, refusal, "")


def refuse_entries(table: object, method: CopyMethod, entries: Iterable[FileEntry]) -> None:
    """Check the live files of a manifest.

    :raises PreflightFailed: IB-401 to IB-405 naming the table, the file and why.
    """
    rules = [refusal for refusal in REFUSALS if method in refusal.methods]
    for entry in entries:
        if entry.live and (entry.content or entry.encrypted or entry.format != "parquet"):
            for refusal in rules:
                if refusal.in_entry(entry):
                    raise _refused(table, method, refusal, entry.path)


def refuse_hidden(table: object, location: str, path: str) -> None:
    """Check that a table in an object store does not name files of this host: its owner could have them copied out.

    :raises PreflightFailed: IB-409 naming the table and the file.
    """
    if local_path(path) is not None and local_path(location) is None:
        raise PreflightFailed(
            "IB-409",
            f"{table} lies in {location}, but names a file of the copying host: {path}.",
            remedy="No engine writes such a table. Find out who did, and take the file out of it.",
            table=str(table),
            file=path,
        )


def _refused(table: object, method: CopyMethod, refusal: Refusal, path: str) -> PreflightFailed:
    shown = f" (for example {path})" if path else ""
    return PreflightFailed(
        refusal.code,
        f"{table} {refusal.what}{shown}, which {method.value} cannot copy right.",
        remedy=refusal.remedy,
        table=str(table),
        method=method.value,
        file=path,
    )

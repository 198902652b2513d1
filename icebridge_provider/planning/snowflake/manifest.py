"""The manifest of an export: made of what was listed and counted, and held against what is there before a load."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from icebridge_provider.exceptions import ConfigurationError, ValidationFailed
from icebridge_provider.model import codec
from icebridge_provider.model.snowflake import (
    Carried,
    CarriedColumn,
    Export,
    ExportedFile,
    FileColumn,
    ListedFile,
    LoadRecord,
    SchemaPlan,
    ShareManifest,
)

SHOWN = 10
FORMAT = 1
_SUFFIX = ".parquet"
_SAME = {"byte": "tinyint", "short": "smallint", "integer": "int", "long": "bigint", "real": "float", "dec": "decimal"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What a listing has otherwise than the manifest. ``kind``: missing, truncated, grown, replaced or stale.

    ``stale`` files, of an earlier run or of somebody else, are told and not loaded; all others refuse the load.
    """

    kind: str
    file: str
    detail: str

    @property
    def refuses(self) -> bool:
        """Whether no load may begin."""
        return self.kind != "stale"


def make_manifest(
    work: Export,
    source: str,
    counted: Iterable[tuple[str, int, int]],
    listed: Iterable[ListedFile],
    columns: Sequence[FileColumn],
    fingerprint: Sequence[str],
    created_at: str,
    limited: str = "",
) -> ShareManifest:
    """Return the manifest of an export that has ended.

    :param counted: name, bytes and rows of each file, as the engine reads them (``sql.snowflake_export``).
    :param listed: the same files as the store lists them, other files too.
    :param columns: as the engine finds them in the files.
    :param fingerprint: of ``sql.snowflake_fingerprint.sums``.
    :raises ValidationFailed: IB-910 when store and engine do not tell the same files, or the fingerprint has other
        rows; IB-911 when the files' columns are not those that were asked for.
    """
    refuse_drift(work.columns, columns)
    sizes = {item.name: item for item in listed if is_data(item.name)}
    files = []
    wrong = []
    for name, size, rows in sorted(counted):
        there = sizes.pop(name, None)
        if there is None or there.size != size:
            wrong.append(f"{name} has {size} bytes for the engine, {there.size if there else 'no file'} in the store")
        else:
            files.append(ExportedFile(name=name, size=size, rows=int(rows), checksum=there.checksum))
    # A file without rows is not counted by the engine; it holds nothing to load.
    rows = sum(item.rows for item in files)
    if fingerprint and int(fingerprint[0]) != rows:
        wrong.append(f"the fingerprint has {fingerprint[0]} rows, the files have {rows}")
    if work.limit is not None and rows > work.limit:
        wrong.append(f"{rows} rows were exported, the limit is {work.limit}")
    if wrong:
        raise ValidationFailed(
            "IB-910",
            f"The export of {source} to {work.location} is not whole: {_listed(wrong)}.",
            remedy="Run it again: it replaces the folder. Nobody else may write there.",
            changed="Files were written; nothing was loaded.",
            location=work.location,
        )
    return ShareManifest(
        run_id=work.run_id,
        source=source,
        location=work.location,
        asked=work.digest,
        columns=work.columns,
        files=tuple(files),
        rows=rows,
        created_at=created_at,
        version=work.version,
        fingerprint=tuple(fingerprint),
        limited=limited,
    )


def dump(manifest: ShareManifest) -> bytes:
    """Return the manifest as a file, with its own digest: half a file is known as such."""
    document = {"format": FORMAT, "sha256": manifest.digest, "manifest": codec.to_json(manifest)}
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def load(data: bytes, location: str) -> ShareManifest:
    """Read a manifest.

    :raises ValidationFailed: IB-912 when it is cut off, changed by hand, or of another format.
    """
    try:
        manifest, digest = _read(json.loads(data))
    except (ValueError, KeyError, RecursionError) as error:
        raise _unusable(location, str(error)[:200] or "it is cut off") from None
    if manifest.digest != digest:
        raise _unusable(location, "it was changed after it was written")
    return manifest


def _read(document: Any) -> tuple[ShareManifest, object]:
    if not isinstance(document, Mapping) or document.get("format") != FORMAT:
        raise ValueError("it is of another format")
    return codec.from_json(ShareManifest, document["manifest"]), document.get("sha256")


def _unusable(location: str, why: str) -> ValidationFailed:
    return ValidationFailed(
        "IB-912",
        f"The manifest in {location} cannot be used: {why}.",
        remedy="Run the export again.",
        location=location,
    )


def refuse_other_run(manifest: ShareManifest, work: Export) -> None:
    """Make sure that a manifest found in the folder is of this export.

    :raises ConfigurationError: IB-913 when the run id was used before for something else.
    """
    if manifest.run_id != work.run_id or manifest.asked != work.digest or manifest.location != work.location:
        raise ConfigurationError(
            "IB-913",
            f"The run id {work.run_id[:200]!r} was used before, for another export: {manifest.source},"
            f" {manifest.rows} rows at {manifest.created_at}.",
            remedy="Start a new run: every run has an id of its own.",
            run_id=work.run_id,
        )


def refuse_other_load(record: LoadRecord, manifest: ShareManifest) -> None:
    """Make sure that a load's row, found by its key, is of this manifest.

    :raises ConfigurationError: IB-913 when the run id was used before for something else.
    """
    if record.manifest != manifest.digest or record.run_id != manifest.run_id:
        raise ConfigurationError(
            "IB-913",
            f"The run id {manifest.run_id[:200]!r} was used before for {record.target}, with other files"
            f" ({record.rows_exported} rows, {record.state.value}).",
            remedy="Start a new run: every run has an id of its own.",
            run_id=manifest.run_id,
        )


def refuse_drift(wanted: Sequence[CarriedColumn], found: Sequence[FileColumn]) -> None:
    """Make sure that the files have the columns that were asked for: Snowflake fills absent ones with NULL.

    :raises ValidationFailed: IB-911 naming each column.
    """
    types = {item.name: item.type for item in found}
    wrong = [f"{item.file_name} is missing" for item in wanted if item.file_name not in types]
    for item in wanted:
        expected, has = _file_type(item), _spelled(types.get(item.file_name, ""))
        if has and has != expected:
            wrong.append(f"{item.file_name} is {has}, {expected} is expected")
    known = {item.file_name for item in wanted}
    wrong += [f"{item.name} was not asked for" for item in found if item.name not in known]
    wrong += [f"{name} is there {count} times" for name, count in Counter(i.name for i in found).items() if count > 1]
    if wrong:
        raise ValidationFailed(
            "IB-911",
            f"The files' columns are not those of the plan: {_listed(wrong)}.",
            remedy="The table changed meanwhile: start a new run.",
            changed="Nothing was loaded.",
        )


def refuse_new_shape(manifest: ShareManifest, schema: SchemaPlan) -> None:
    """Make sure that the plan of the load is made for the manifest's columns.

    :raises ValidationFailed: IB-911 when the source's columns were others at the time of the export.
    """
    if SchemaPlan(columns=manifest.columns).digest != schema.digest:
        raise ValidationFailed(
            "IB-911",
            f"The columns of {manifest.source} were others when it was exported at {manifest.created_at}.",
            remedy="Start a new run.",
            changed="Nothing was loaded.",
        )


def differences(manifest: ShareManifest, listed: Iterable[ListedFile]) -> list[Difference]:
    """Compare the manifest with what a store or a Snowflake stage lists of its folder now.

    :param listed: names relative to the folder.
    """
    there = {item.name: item for item in listed}
    found = []
    for file in manifest.files:
        now = there.pop(file.name, None)
        if now is None:
            found.append(Difference(kind="missing", file=file.name, detail=f"{file.rows} rows are not there any more"))
        elif now.size != file.size:
            kind = "truncated" if now.size < file.size else "grown"
            found.append(Difference(kind=kind, file=file.name, detail=f"{now.size} of {file.size} bytes"))
        elif file.checksum and now.checksum and _sum(file.checksum) != _sum(now.checksum):
            found.append(Difference(kind="replaced", file=file.name, detail="its checksum is another"))
    stale = (item for name, item in sorted(there.items()) if is_data(name))
    found += [Difference(kind="stale", file=item.name, detail=f"{item.size} bytes, not of this run") for item in stale]
    return found


def refuse_differences(manifest: ShareManifest, found: Sequence[Difference]) -> None:
    """Make sure that every file of the manifest is there as it was written.

    :raises ValidationFailed: IB-914 naming each file that is missing, truncated, grown or replaced.
    """
    wrong = [f"{item.file} is {item.kind} ({item.detail})" for item in found if item.refuses]
    if wrong:
        raise ValidationFailed(
            "IB-914",
            f"The files of {manifest.source} below {manifest.location} are not those of the export: {_listed(wrong)}.",
            remedy="Start a new run. Nobody else may write or delete below this folder.",
            changed="Nothing was loaded.",
            location=manifest.location,
        )


def is_data(name: str) -> bool:
    """Say whether a file of an export's folder holds rows: Spark writes marks such as _SUCCESS beside them."""
    base = name.rsplit("/", 1)[-1]
    return base.endswith(_SUFFIX) and not base.startswith(("_", "."))


def _file_type(column: CarriedColumn) -> str:
    if column.carried is Carried.MICROS:
        return "bigint"
    return "string" if column.carried is Carried.JSON else _spelled(column.source_type)


def _spelled(declared: str) -> str:
    """Return one spelling of a type; CHAR and VARCHAR are strings in files, whatever their length."""
    text = "".join(declared.lower().split("collate")[0].split())
    word, bracket, rest = text.partition("(")
    word = _SAME.get(word, word)
    if word in {"char", "varchar", "character"}:
        return "string"
    if word in {"decimal", "numeric"}:
        inner = rest.rstrip(")") if bracket else "10"
        return f"decimal({inner if ',' in inner else inner + ',0'})"
    return word + bracket + rest


def _sum(checksum: str) -> str:
    return checksum.strip('"').lower()


def _listed(wrong: Sequence[str]) -> str:
    more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return "; ".join(wrong[:SHOWN]) + more

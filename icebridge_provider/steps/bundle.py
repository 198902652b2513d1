"""Packs all evidence of one plan into one zip, and checks such a zip with nothing else at hand.

The same ledger gives the same bytes. ``SHA256SUMS`` covers every other file; what can be derived (findings, losses,
approvals, before and after) is derived again when the zip is checked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model import codec
from icebridge_provider.model.plan import MigrationPlan
from icebridge_provider.state import chain
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.state.signing import keys_by_id
from icebridge_provider.state.whole_file import write_whole
from icebridge_provider.steps.bundle_pages import derived, page, verify_text
from icebridge_provider.steps.evidence import (
    Record,
    StoredCertificate,
    approval_problems,
    certificate_problems,
    plan_problems,
)

SUMS, PLAN, EVENTS, CHAIN, SETS = "SHA256SUMS", "plan.json", "events.jsonl", "chain.json", "certificate_sets.json"
LARGEST = 2 * 1000**3
_SAME_TIME = (1980, 1, 1, 0, 0, 0)


def bundle(ledger: SqlLedger, plan_id: str, path: Path, public_keys: Mapping[str, str]) -> Path:
    """Write the evidence of a plan to one zip and return its path; an existing file is replaced whole.

    :param public_keys: PEM texts by key id; those that certificates name go into the zip.
    :raises ConfigurationError: IB-120 when there is no such plan, IB-118 when the path cannot be written.
    """
    plan = ledger.plan(plan_id)
    files = _files(ledger, plan, public_keys)
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    with side_effect("audit.bundle"):
        write_whole("The bundle", path, lambda partial: _write(partial, {**files, SUMS: sums.encode()}))
    return path


def verify_bundle(path: Path, public_keys: Mapping[str, str] | None = None) -> list[str]:
    """Check a zip that :func:`bundle` wrote, without a ledger; return what is wrong, in words.

    :param public_keys: keys you trust, by id. Without them the keys in the zip are used, which shows that the zip is
        whole, not who signed.
    """
    try:
        files = _read(path)
        return list(_problems(files, public_keys))
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, AttributeError, ConfigurationError) as error:
        return [f"{path} is not a whole IceBridge bundle: {type(error).__name__}: {error}"]


def checkpoints_of(path: Path) -> dict[int, str]:
    """Return the event hashes by number that a bundle holds, to check a ledger against it."""
    return {int(line["seq"]): str(line["hash"]) for line in _lines(_read(path)[EVENTS])}


def _files(ledger: SqlLedger, plan: MigrationPlan, public_keys: Mapping[str, str]) -> dict[str, bytes]:
    prefix = f"{plan.plan_id}/"
    lines = _of_plan(ledger.lines(), plan.plan_id)
    kept = [_stored(plan.plan_id, key, document) for key, document in ledger.documents("certificate", prefix)]
    sets = {key.removeprefix(prefix): doc["tables"] for key, doc in ledger.documents("certificate_set", prefix)}
    reports = {key.removeprefix(prefix): doc for key, doc in ledger.documents("report", prefix)}
    documents = derived(plan, _full(lines), kept)
    files: dict[str, Any] = {PLAN: plan.to_json(), SETS: sets, **documents}
    files[CHAIN] = _ends(lines)
    for number, one in enumerate(kept, start=1):
        files[f"certificates/{number:05}.json"] = {"table": one.table, "document": one.document}
    for number, (table, report) in enumerate(reports.items(), start=1):
        files[f"reports/{number:05}.json"] = {"table": table, "report": report}
    found = {name: f"{codec.canonical(content)}\n".encode() for name, content in files.items()}
    found[EVENTS] = "".join(f"{codec.canonical(line)}\n" for line in lines).encode()
    found |= _signed(kept) | _keys(kept, public_keys)
    found["verify.txt"] = verify_text().encode()
    found["index.html"] = page(plan, documents, kept, files[CHAIN]["last"], _full(lines)).encode()
    return found


def _problems(files: Mapping[str, bytes], public_keys: Mapping[str, str] | None) -> Iterator[str]:
    yield from _sum_problems(files)
    plan = MigrationPlan.from_json(json.loads(files[PLAN]))
    lines = list(_lines(files[EVENTS]))
    ends = json.loads(files[CHAIN])
    yield from _chain_problems(lines, ends)
    full = _full(lines)
    record = Record.of(full)
    kept = list(_certificates(plan.plan_id, files))
    keys = keys_by_id(data.decode() for name, data in files.items() if name.startswith("keys/"))
    yield from plan_problems(plan, record)
    yield from certificate_problems(kept, record, public_keys if public_keys is not None else keys)
    yield from approval_problems(plan, record, json.loads(files[SETS]))
    for name, content in derived(plan, full, kept).items():
        if files.get(name) != f"{codec.canonical(content)}\n".encode():
            yield f"{name} does not follow from the plan, the events and the certificates"
    for name, data in _signed(kept).items():
        if files.get(name) != data:
            yield f"{name} is not what the certificate says"


def _sum_problems(files: Mapping[str, bytes]) -> Iterator[str]:
    lines = (line.partition("  ") for line in files[SUMS].decode().splitlines())
    listed = {name: digest for digest, _, name in lines}
    for name in sorted(listed.keys() | (files.keys() - {SUMS})):
        if name not in files:
            yield f"{name} is missing"
        elif name not in listed:
            yield f"{name} does not belong to the bundle"
        elif hashlib.sha256(files[name]).hexdigest() != listed[name]:
            yield f"{name} was changed"


def _chain_problems(lines: list[dict[str, Any]], ends: Mapping[str, Any]) -> Iterator[str]:
    if ends != _ends(lines):
        yield "the events are not all there: their first, last or number does not fit chain.json"
    if not lines:
        return
    check = chain.ChainCheck(seq=int(lines[0]["seq"]) - 1, hash=str(lines[0]["previous"]))
    for line in lines:
        yield from check.problems(line)


def _ends(lines: list[dict[str, Any]]) -> dict[str, Any]:
    ends = [chain.link(line) for line in (lines[0], lines[-1])] if lines else [None, None]
    return {"first": ends[0], "last": ends[1], "lines": len(lines)}


def _of_plan(lines: Iterable[dict[str, Any]], plan_id: str) -> list[dict[str, Any]]:
    """Return the plan's events from its first to its last; of others between them only their links in the chain."""
    found: list[dict[str, Any]] = []
    end = 0
    for line in lines:
        ours = line["plan_id"] == plan_id
        if ours or found:
            found.append(line if ours else chain.link(line))
        if ours:
            end = len(found)
    return found[:end]


def _full(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if "data" in line]


def _stored(plan_id: str, key: str, document: Mapping[str, Any]) -> StoredCertificate:
    return StoredCertificate(plan_id=plan_id, table=key.partition("/")[2], document=document)


def _certificates(plan_id: str, files: Mapping[str, bytes]) -> Iterator[StoredCertificate]:
    for name in sorted(name for name in files if name.startswith("certificates/")):
        content = json.loads(files[name])
        yield StoredCertificate(plan_id=plan_id, table=str(content["table"]), document=content["document"])


def _signed(certificates: Iterable[StoredCertificate]) -> dict[str, bytes]:
    """Return the very bytes that were signed, and the raw signatures, for other people's tools."""
    found = {}
    for number, one in enumerate(certificates, start=1):
        found[f"signed/{number:05}.json"] = codec.canonical(one.document.get("certificate")).encode()
        if one.document.get("signed"):
            found[f"signed/{number:05}.sig"] = base64.b64decode(str(one.document.get("signature")))
    return found


def _keys(certificates: Iterable[StoredCertificate], public_keys: Mapping[str, str]) -> dict[str, bytes]:
    named = {str(one.document.get("key_id")) for one in certificates}
    return {f"keys/{key_id}.pem": pem.encode() for key_id, pem in public_keys.items() if key_id in named}


def _lines(data: bytes) -> Iterator[dict[str, Any]]:
    for text in data.decode().split("\n"):  # not splitlines: JSON may hold other line ends
        if text:
            yield json.loads(text)


def _write(path: Path, files: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, date_time=_SAME_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)


def _read(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > LARGEST:
            raise ValueError("its files are larger than any bundle's")
        if len({entry.filename for entry in entries}) != len(entries):
            raise ValueError("two of its files have one name")
        return {entry.filename: archive.read(entry) for entry in entries}

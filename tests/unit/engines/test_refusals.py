"""What a method cannot do right it refuses by name, before anything is entered in the catalog."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pyiceberg.table import Table

from icebridge_provider.engines.local.refusals import REFUSALS
from icebridge_provider.exceptions import PreflightFailed
from icebridge_provider.model.plan import CopyMethod
from tests.support import tables
from tests.support.copying import CopyLake, content, local
from tests.support.manifest_edit import edit_manifest

COPY, INSERT, REGISTER = CopyMethod.COPY_FILES, CopyMethod.INSERT_SELECT, CopyMethod.REGISTER


def _metadata(**changes: Any) -> Callable[[Table], None]:
    def change(table: Table) -> None:
        path = local(table.metadata_location)
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def _entry(**changes: Any) -> Callable[[Table], None]:
    """Change the entries of the newest manifest of deletes, or of data where there is none."""

    def change(table: Table) -> None:
        manifests = sorted(table.current_snapshot().manifests(table.io), key=lambda found: -int(found.content))
        edit_manifest(local(manifests[0].manifest_path), lambda entry: entry["data_file"].update(changes))

    return change


def _transform(table: Table) -> None:
    path = local(table.metadata_location)
    path.write_text(path.read_text().replace('"identity"', '"zorder"'))


CASES = [
    ("IB-400", COPY, _metadata(**{"format-version": 3})),
    ("IB-400", INSERT, _metadata(**{"format-version": 3})),
    ("IB-400", REGISTER, _metadata(**{"format-version": 4})),
    ("IB-401", COPY, _entry(content=2)),
    ("IB-401", INSERT, _entry(content=2)),
    ("IB-402", COPY, _entry(file_format="PUFFIN")),
    ("IB-402", INSERT, _entry(file_format="puffin")),
    ("IB-403", COPY, _entry(content=0, file_format="VORTEX")),
    ("IB-403", INSERT, _entry(content=0, file_format="AVRO")),
    ("IB-404", COPY, _entry(key_metadata=b"key")),
    ("IB-404", INSERT, _entry(key_metadata=b"key")),
    ("IB-404", COPY, _metadata(**{"encryption-keys": [{"key-id": "1"}]})),
    ("IB-405", COPY, _entry(file_format="ORC")),
    ("IB-406", INSERT, _transform),
]


@pytest.mark.parametrize(("code", "method", "change"), CASES)
def test_it_is_refused_by_name(lake: CopyLake, code: str, method: CopyMethod, change: Callable[[Table], None]) -> None:
    change(tables.position_deletes(lake.native))
    loaded = lake.source.load(lake.job("deletes", method).source)
    assert loaded is not None
    with pytest.raises(PreflightFailed) as caught:
        lake.run(lake.job("deletes", method))
    assert caught.value.code == code
    assert "foreign.lake.deletes" in caught.value.message
    assert method.value in caught.value.message
    assert lake.target.load(lake.job("deletes", method).staged) is None


def test_every_refusal_has_a_case() -> None:
    expected = {(refusal.code, method) for refusal in REFUSALS for method in refusal.methods}
    assert {(code, method) for code, method, _ in CASES} == expected


def test_a_dead_entry_refuses_nothing(lake: CopyLake) -> None:
    table = tables.plain(lake.native)
    table.overwrite(tables.rows(0, 5))
    for manifest in table.current_snapshot().manifests(table.io):
        edit_manifest(
            local(manifest.manifest_path),
            lambda entry: entry["data_file"].update(file_format="VORTEX") if entry["status"] == 2 else None,
        )
    job = lake.job("plain")
    lake.run(job)
    assert content(lake.copied(job)) == content(table)


def test_register_carries_what_it_does_not_touch(lake: CopyLake) -> None:
    table = tables.position_deletes(lake.native)
    _entry(content=2)(table)
    job = lake.job("deletes", REGISTER)
    lake.run(job)
    assert lake.target.load(job.staged) is not None

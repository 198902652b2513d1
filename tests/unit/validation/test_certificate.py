"""Certificates: the same facts give the same one, each hangs on the one before, and no credential gets in."""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.model import codec
from icebridge_provider.validation.certificate import FIRST, build_certificate, digest_of, wave_digest
from tests.support import tables as shapes
from tests.support.migration import PLAN, Migration

NAMES = {"source": "src.lake.t", "staged": "dst.lake.t__icebridge_p1", "target": "dst.lake.t"}
PROOF = {"passed": True, "rows": 100, "sum128": "340282366920938463463374607431768211455", "source_snapshot_id": 1}


def _built(m: Migration, **changes: Any) -> dict[str, Any]:
    loaded = m.source.load(m.table.source)
    assert loaded is not None
    given_facts: dict[str, Any] = {"validation": PROOF, "previous": FIRST, "names": NAMES, **changes}
    return build_certificate(plan=m.plan, table=m.table, source=loaded, **given_facts)


def test_the_same_facts_give_the_same_certificate(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    assert _built(m) == _built(m)
    assert digest_of(_built(m)) == digest_of(_built(m, names=dict(reversed(NAMES.items()))))


def test_it_names_what_was_proven(tmp_path: Path) -> None:
    m = Migration(tmp_path, shapes.partitioned)
    made = _built(m)
    table = m.native.load_table("lake.t")
    assert made["source"]["table_uuid"] == str(table.metadata.table_uuid)
    assert made["source"]["snapshots"] == [snapshot.snapshot_id for snapshot in table.metadata.snapshots]
    assert made["source"]["schema"]["schema-id"] == table.metadata.current_schema_id
    assert len(made["source"]["partition_spec"]["fields"]) == 3
    assert made["source"]["sort_order"]["order-id"] == table.metadata.default_sort_order_id
    assert made["plan"] == {"id": PLAN, "digest": m.plan.digest}
    assert made["approval"] is None


def test_the_digest_is_plain_sha_256_of_canonical_json(tmp_path: Path) -> None:
    made = _built(Migration(tmp_path))
    text = json.dumps(made, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert digest_of(made) == hashlib.sha256(text.encode()).hexdigest()


def test_each_hangs_on_the_one_before(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    first = digest_of(_built(m))
    assert digest_of(_built(m, previous=first)) not in {first, digest_of(_built(m, previous="1" * 64))}


def test_a_credential_does_not_get_in(tmp_path: Path) -> None:
    made = _built(Migration(tmp_path), names={**NAMES, "instruction": "open s3://AKIAABCDEFGHIJKLMNOP:x@bucket"})
    assert "AKIAABCDEFGHIJKLMNOP" not in codec.canonical(made)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [leaf for key, item in items for leaf in _leaves(item, (*path, key))]
    return found or [path]


def test_a_change_of_any_value_changes_the_digest(tmp_path: Path) -> None:
    made = json.loads(codec.canonical(_built(Migration(tmp_path))))
    digest, unnoticed = digest_of(made), []
    for path in _leaves(made):
        changed = copy.deepcopy(made)
        place = changed
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = "tampered"
        if digest_of(changed) == digest:
            unnoticed.append(path)
    assert unnoticed == []


digests = st.lists(st.text("0123456789abcdef", min_size=64, max_size=64), min_size=1, max_size=8)


@given(one=digests, two=digests)
def test_a_wave_s_digest_tells_tables_and_their_order(one: list[str], two: list[str]) -> None:
    assert (wave_digest(one) == wave_digest(two)) == (one == two)


def test_a_wave_s_digest_can_be_told_by_hand() -> None:
    assert wave_digest(["a" * 64]) == hashlib.sha256(f"{'a' * 64}\n".encode()).hexdigest()


def test_a_table_proven_again_without_a_change_is_certified_alike(tmp_path: Path) -> None:
    m = Migration(tmp_path)
    digest = m.certified()
    assert m.certify() == digest
    assert wave_digest([m.state.certificate["digest"]]) == digest

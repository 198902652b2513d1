"""The SQL of docs/fingerprint.md, run as written there, computes the golden table."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from pathlib import Path

import pytest

from tests.support import fingerprint_vectors as vectors
from tests.support.hashing import arrow_table

datafusion = pytest.importorskip("datafusion")
PAGE = Path(__file__).parents[3] / "docs" / "fingerprint.md"
GOLDEN = json.loads(vectors.PATH.read_text())["table"]


def recipe() -> tuple[str, str]:
    """The two expressions of the page: for a word ``w`` and for a text ``t``."""
    block = re.search(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    word, text = (re.sub(r"^--.*$", "", part, flags=re.MULTILINE).strip() for part in block[1].split("\n\n"))
    return word, text


def test_the_page_computes_the_golden_table() -> None:
    word, text = recipe()
    words = {"id": "id", "amount": "cast(amount * 100 as bigint)", "at": "unix_micros(at)"}
    slots = [re.sub(r"\bw\b", words["amount"], word), re.sub(r"\bw\b", words["at"], word)]
    slots += [re.sub(r"\bw\b", words["id"], word), re.sub(r"\bt\b", "name", text)]
    context = datafusion.SessionContext()
    context.enable_spark_functions()
    rows = [
        {item["name"]: vectors.parse(row[item["name"]], item["type"]) for item in GOLDEN["fields"]}
        for row in GOLDEN["rows"]
    ]
    content = arrow_table(rows, GOLDEN["fields"]).rename_columns(["id", "name", "amount", "at"])
    context.register_record_batches("t", [content.to_batches()])
    query = f"select r, md5(unhex(r)) m, crc32(unhex(r)) c from (select {' || '.join(slots)} r from t)"
    found = [row for batch in context.sql(query).collect() for row in batch.to_pylist()]
    assert [row["r"].lower() for row in found] == GOLDEN["row_encodings"]
    for row in found:
        content_bytes = bytes.fromhex(row["r"])
        assert row["m"] == hashlib.md5(content_bytes).hexdigest()
        assert row["c"] == zlib.crc32(content_bytes)
    limbs = [sum(int(row["m"][at : at + 8], 16) for row in found) for at in (0, 8, 16, 24)]
    total = (limbs[0] << 96) + (limbs[1] << 64) + (limbs[2] << 32) + limbs[3]
    assert str(total % 2**128) == GOLDEN["fingerprint"]["sum128"]
    assert sum(row["c"] for row in found) == GOLDEN["fingerprint"]["crc_sum"]

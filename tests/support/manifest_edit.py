"""Changes manifests the slow, plain way, to plant damage and odd contents."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro


def edit_manifest(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Apply ``change`` to every record of an Avro file, keeping schema, header metadata and length in the list."""
    reader = fastavro.reader(io.BytesIO(path.read_bytes()))
    records = [dict(record) for record in reader]
    for record in records:
        change(record)
    reserved = {"avro.schema", "avro.codec"}
    metadata = {key: value for key, value in reader.metadata.items() if key not in reserved}
    sink = io.BytesIO()
    fastavro.writer(sink, reader.writer_schema, records, codec="deflate", metadata=metadata)
    path.write_bytes(sink.getvalue())

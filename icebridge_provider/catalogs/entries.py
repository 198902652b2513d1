"""Looks a table up in a pyiceberg catalog: where its metadata file is, and how its files are reached."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.redaction import scrubbed

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

_IO_PREFIXES = ("s3.", "gcs.", "adls.", "adlfs.", "hdfs.", "hf.", "oss.", "client.", "fs.", "py-io-impl")
_NO_ENTRY = ("NoSuchTable", "NoSuchNamespace", "NoSuchIcebergTable", "Table does not exist", "Namespace does not exist")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the catalog says of a table; ``metadata`` only where the catalog itself hands it out (REST)."""

    metadata_location: str
    io_properties: Mapping[str, str] = field(repr=False, default_factory=dict)
    metadata: Mapping[str, Any] | None = field(repr=False, default=None)


class MetadataGone(Exception):
    """The catalog has the entry and says that the metadata file behind it is not there."""


def io_only(properties: Mapping[str, Any]) -> dict[str, str]:
    """Return the properties that configure file access; addresses and passwords of the catalog stay behind."""
    return {key: str(value) for key, value in properties.items() if key.startswith(_IO_PREFIXES)}


def find_entry(native: Catalog, table: TableIdentifier) -> Entry | None:
    """Return the entry of a table, None when the catalog has none.

    :raises MetadataGone: when a REST server says that the entry's metadata file is missing.
    """
    from pyiceberg.catalog.sql import SqlCatalog

    if isinstance(native, SqlCatalog):
        return _sql_entry(native, table)
    return _loaded_entry(native, table)


def parse_metadata(table: TableIdentifier, location: str, data: bytes) -> dict[str, Any]:
    """Return the JSON of a metadata file, compressed or not.

    :raises ConfigurationError: IB-204 when it is no Iceberg metadata.
    """
    try:
        text = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        metadata = dict(json.loads(text))
        int(metadata["format-version"])
        str(metadata["location"])
    except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
        raise unreadable(table, location, f"{type(error).__name__}: {error}") from None
    return metadata


def unreadable(table: TableIdentifier, location: str, why: str) -> ConfigurationError:
    """Return the error for an entry whose metadata file is missing or broken."""
    location = scrubbed(location)
    return ConfigurationError(
        "IB-204",
        f"The metadata of {table} cannot be read: {why} ({location or 'location unknown'}).",
        remedy="Restore that file, or point the entry at an older one: the newest *.metadata.json that is left in the "
        "table's metadata folder (drop the entry without purging, then register_table).",
        table=str(table),
        metadata_location=location,
    )


def _sql_entry(native: Any, table: TableIdentifier) -> Entry | None:
    """Read the row itself: pyiceberg's own lookup would also parse the metadata file and fail where that is broken."""
    from sqlalchemy import text

    query = text(
        "SELECT * FROM iceberg_tables WHERE catalog_name = :catalog AND table_namespace = :namespace"
        " AND table_name = :name"
    )
    wanted = {"catalog": native.name, "namespace": ".".join(table.namespace), "name": table.name}
    with native.engine.connect() as connection:
        row = connection.execute(query, wanted).mappings().first()
    if row is None or row.get("iceberg_type") not in (None, "TABLE"):
        return None
    return Entry(metadata_location=row["metadata_location"] or "", io_properties=io_only(native.properties))


def _loaded_entry(native: Catalog, table: TableIdentifier) -> Entry | None:
    from pyiceberg.exceptions import NoSuchIcebergTableError, NoSuchNamespaceError, NoSuchTableError

    try:
        loaded = native.load_table((*table.namespace, table.name))
    except (NoSuchIcebergTableError, NoSuchNamespaceError):
        return None
    except NoSuchTableError as error:
        # A REST server answers 404 both for "no entry" and for "entry without its file"; only the type tells.
        if _says_file_is_gone(str(error)):
            raise MetadataGone(str(error)) from None
        return None
    return Entry(
        metadata_location=loaded.metadata_location,
        io_properties=io_only({**native.properties, **loaded.io.properties}),
        metadata=json.loads(loaded.metadata.model_dump_json()),
    )


def _says_file_is_gone(text: str) -> bool:
    return text.startswith("NotFoundException") and not any(mark in text for mark in _NO_ENTRY)

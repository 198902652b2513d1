"""What Airflow learns of this provider, without importing any of it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from icebridge_provider import __version__
from icebridge_provider.model.settings import Settings

_NAME = "IceBridge"
_TYPES = {bool: "boolean", int: "integer", float: "float", str: "string"}


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description (schema: ``airflow/provider_info.schema.json``)."""
    return {
        "package-name": "airflow-provider-icebridge",
        "name": _NAME,
        "description": "Move Iceberg tables between catalogs and prove that nothing was lost.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _NAME,
                "external-doc-url": "https://iceberg.apache.org/",
                "tags": ["software"],
            }
        ],
        "operators": [
            _modules(
                "operators",
                "catalog",
                "plan",
                "tables",
                "certify",
                "approval",
                "waves",
                "costs",
                "databricks",
                "extract",
                "events",
                "release",
                "share",
            )
        ],
        "sensors": [_modules("sensors", "snapshot", "events")],
        "hooks": [_modules("hooks", "catalog", "ledger", "unity", "mssql", "share")],
        "triggers": [_modules("triggers", "snapshot", "job", "events", "share")],
        "extra-links": [
            f"icebridge_provider.operators.links.{kind}Link"
            for kind in ("Run", "Catalog", "Report", "WarehouseQuery", "SnowflakeQuery", "Shares")
        ],
        "bundles": [_modules("", "bundle")],
        "connection-types": [_catalog(), _ledger()],
        "config": {"icebridge": {"description": "Defaults of IceBridge.", "options": _options()}},
        "cli": ["icebridge_provider.cli.get_cli_commands"],
        "plugins": [
            {"name": "icebridge", "plugin-class": "icebridge_provider.plugins.icebridge_plugin.IceBridgePlugin"}
        ],
    }


def _modules(folder: str, *names: str) -> dict[str, Any]:
    prefix = f"icebridge_provider.{folder}." if folder else "icebridge_provider."
    return {"integration-name": _NAME, "python-modules": [prefix + name for name in names]}


def _options() -> dict[str, Any]:
    return {
        field.name: {
            "description": field.metadata["text"],
            "version_added": "0.1.0",
            "type": _TYPES[type(field.default)],
            "example": None,
            "default": str(field.default),
        }
        for field in fields(Settings)
    }


def _catalog() -> dict[str, Any]:
    return {
        "connection-type": "icebridge_catalog",
        "hook-class-name": "icebridge_provider.hooks.catalog.IcebergCatalogHook",
        "hook-name": "IceBridge catalog",
        "ui-field-behaviour": {
            "hidden-fields": ["port"],
            "relabeling": {
                "host": "URI",
                "schema": "Warehouse",
                "login": "OAuth client id",
                "password": "OAuth client secret, or bearer token",
            },
            "placeholders": {"host": "https://catalog.example.com/api", "schema": "s3://bucket/warehouse"},
        },
        "conn-fields": {
            "type": {
                "label": "Kind",
                "description": "Properties without a field here go into Extra, by pyiceberg's names",
                "schema": {"type": ["string", "null"], "enum": ["rest", "glue", "hive", "sql", None]},
            },
            "uri": _text("Catalog URI", "Address, when it is not in URI above; for sql an SQLAlchemy URL", secret=True),
            "warehouse": _text("Catalog warehouse", "Name or location, when it is not in Warehouse above"),
            "token": _text("Bearer token", "Of a REST catalog, when it is not the password above", secret=True),
            "credential": _text("OAuth credential", "client-id:client-secret of a REST catalog", secret=True),
            "s3.endpoint": _text("S3 endpoint", "Of a store that is not AWS: https://s3.example.com"),
            "s3.region": _text("S3 region", "For example eu-central-1"),
            "s3.access-key-id": _text("S3 access key", "Empty when the host's role or the catalog gives credentials"),
            "s3.secret-access-key": _text("S3 secret key", "Belongs to the access key", secret=True),
            "read_only": {
                "label": "Read-only",
                "description": "IceBridge then never changes this catalog",
                "schema": {"type": "boolean", "default": False},
            },
        },
    }


def _ledger() -> dict[str, Any]:
    return {
        "connection-type": "icebridge_ledger",
        "hook-class-name": "icebridge_provider.hooks.ledger.LedgerHook",
        "hook-name": "IceBridge ledger",
        "ui-field-behaviour": {
            "hidden-fields": ["extra"],
            "relabeling": {"schema": "Database, or path of an SQLite file"},
            "placeholders": {"host": "postgres.example.com", "port": "5432", "schema": "icebridge"},
        },
    }


def _text(label: str, description: str, *, secret: bool = False) -> dict[str, Any]:
    """Return a field of the form; a secret one is shown as dots and masked in logs."""
    schema: dict[str, Any] = {"type": ["string", "null"], **({"format": "password"} if secret else {})}
    return {"label": label, "description": description, "schema": schema}

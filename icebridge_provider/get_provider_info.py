"""What Airflow learns of this provider."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the provider's description."""
    return {"package-name": "airflow-provider-icebridge", "name": "IceBridge", "description": "Move Iceberg tables."}

"""One migrated Airflow home for the tests of the command line and the API."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUNDLES = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"
OURS = [{"name": "icebridge", "classpath": "icebridge_provider.bundle.IceBridgeDagBundle", "kwargs": {}}]


def prepare_home(home: Path) -> None:
    """Point this process at an Airflow home of its own; must come before the first import of Airflow."""
    if "airflow.settings" in sys.modules:
        raise RuntimeError("Airflow was imported before its home was prepared: it would use the home of the user")
    os.environ.update(
        {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "adm:admin,opr:op,usr:user,view:viewer",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__API__BASE_URL": "https://airflow.example",
            "AIRFLOW__API__SECRET_KEY": "k" * 32,
            "AIRFLOW__API_AUTH__JWT_SECRET": "j" * 64,
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            BUNDLES: json.dumps(OURS),
        }
    )


def migrate_home() -> None:
    """Create the tables of the prepared home's database."""
    from airflow.utils.db import upgradedb

    upgradedb()


@contextmanager
def environment(**values: str) -> Iterator[None]:
    """Set environment variables for a while: Airflow reads its options from them each time."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def connection(kind: str, **fields: object) -> str:
    """Return a connection as an environment variable holds it."""
    return json.dumps({"conn_type": kind, **fields})

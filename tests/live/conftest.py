from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.airflow_cli import migrate_home, prepare_home

# When this file is loaded alone no test is: tests may import Airflow at their head. Else a home is prepared already.
OWN = "airflow.settings" not in sys.modules and "AIRFLOW__API__SECRET_KEY" not in os.environ
HOME = Path(tempfile.mkdtemp(prefix="icebridge-live-")) if OWN else Path(os.environ["AIRFLOW_HOME"])
if OWN:
    prepare_home(HOME)


def pytest_unconfigure() -> None:
    if OWN:
        shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow_cli_home() -> Path:
    migrate_home()
    return HOME

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.support.airflow_cli import migrate_home, prepare_home

# When this file is loaded no test is: tests may import Airflow at their head.
HOME = Path(tempfile.mkdtemp(prefix="icebridge-airflow-"))
prepare_home(HOME)


def pytest_unconfigure() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow_cli_home() -> Path:
    migrate_home()
    return HOME

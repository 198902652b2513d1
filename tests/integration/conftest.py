from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.airflow_cli import make_home


@pytest.fixture(scope="session")
def airflow_cli_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("airflow"))

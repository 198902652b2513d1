from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.copying import CopyLake


@pytest.fixture
def lake(tmp_path: Path) -> CopyLake:
    return CopyLake(folder=tmp_path)

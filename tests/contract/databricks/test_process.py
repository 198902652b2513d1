"""The workspace as a process: how it ends, and that every door is open."""

from __future__ import annotations

import re
import signal
from pathlib import Path

from tests.peers.databricks.app import ROUTERS
from tests.support.databricks import ROOT, Workspace


def test_it_ends_when_told_and_when_its_parent_does(tmp_path: Path) -> None:
    with Workspace(tmp_path / "a", spark=False) as workspace:
        workspace._process.send_signal(signal.SIGTERM)
        assert workspace._process.wait(20) == 0
    with Workspace(tmp_path / "b", spark=False) as workspace:
        process = workspace._process
    assert process.returncode == 0  # its standard input was closed


def test_every_router_is_mounted() -> None:
    folder = ROOT / "tests" / "peers" / "databricks"
    made = {path.stem for path in folder.glob("*.py") if re.search(r"^def router\(", path.read_text(), re.MULTILINE)}
    assert made - {"admin_api", "run_sql"} <= set(ROUTERS)  # the app and the jobs' router mount these two

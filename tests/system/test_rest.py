"""docs/rest.md, run literally: sign in, start, look, approve, roll back, all with curl."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from icebridge_provider.demo.components import USER, Components
from icebridge_provider.demo.rest import AirflowClient
from tests.system import lakes

pytestmark = pytest.mark.system
PAGE = Path(__file__).parents[2] / "docs" / "rest.md"
PLAN = "by-rest"


class Shell:
    """One bash that the page's blocks are pasted into, one after another."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.blocks = dict(sections())

    def paste(self, heading: str, number: int = 0) -> str:
        script = self.blocks[heading][number] + '\nprintf "\\nTOKEN=%s\\n" "$TOKEN"'
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=self.environment, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr
        output, _, token = ran.stdout.rpartition("\nTOKEN=")
        self.environment["TOKEN"] = token.strip()
        return output


def sections() -> Iterator[tuple[str, list[str]]]:
    for part in PAGE.read_text().split("\n## ")[1:]:
        yield part.splitlines()[0], re.findall(r"^```sh\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("rest")
    lakes.small_tables(made, "orders", "items")
    return made


def test_the_page_from_top_to_bottom(folder: Path) -> None:
    home = lakes.airflow(folder)
    with Components(home) as components:
        components.start()
        components.wait_until_healthy()
        client = AirflowClient(home.url, USER, home.password)
        wait(lambda: client.has_dag("icebridge_migrate") and client.has_dag("icebridge_rollback"))
        shell = Shell(
            {
                "PATH": os.environ["PATH"], "TOKEN": "", "AIRFLOW_URL": home.url, "AIRFLOW_USER": USER,
                "AIRFLOW_PASSWORD": home.password, "SOURCE": lakes.SOURCE, "TARGET": lakes.TARGET, "PLAN": PLAN,
            }
        )  # fmt: skip
        shell.paste("Sign in")
        shell.paste("Start a migration")
        wait(lambda: "Cut over 2 tables?" in shell.paste("What waits for approval?"))
        assert "icebridge" in shell.paste("Where is it?", 2)
        assert "wave.copy shop.orders" in shell.paste("Where is it?", 1)
        wait(client.approvals)  # not sooner than a person would: see its docstring
        shell.paste("Approve")
        wait(lambda: succeeded(shell))
        target = lakes.catalog_of(folder / lakes.TARGET, lakes.TARGET)
        assert target.load_table("shop.orders").scan().count() == 150
        shell.paste("Roll back")
        wait(lambda: client.run_state("icebridge_rollback", f"rollback-{PLAN}") == "success")
        source = lakes.catalog_of(folder / lakes.SOURCE, lakes.SOURCE)
        assert sorted(name for _, name in source.list_tables("shop")) == ["items", "orders"]
        listening(components)


def succeeded(shell: Shell) -> bool:
    state = shell.paste("Where is it?").strip()
    print(shell.paste("Where is it?", 1))  # shown if the test fails
    assert state != "failed"
    return state == "success"


def wait(condition: object, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(1)


def listening(components: Components) -> None:
    """Nothing that was started may listen beyond loopback (Linux: /proc/net, the sockets of our process groups)."""
    groups = {process.pid for process in components.processes.values()}
    inodes = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) in groups:
                inodes |= {str(fd.readlink()) for fd in (process / "fd").iterdir()}
        except OSError:
            continue
    seen = 0
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            parts = line.split()
            if parts[3] == "0A" and f"socket:[{parts[9]}]" in inodes:
                seen += 1
                assert parts[1].partition(":")[0] in {"0100007F", "00000000000000000000000001000000"}, line
    assert seen >= 1

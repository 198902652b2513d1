"""Starts and stops Airflow's own components for the demo and the system tests; everything listens on loopback only."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from icebridge_provider.exceptions import ConfigurationError

USER = "admin"
_BUNDLES = [
    {"name": "dags-folder", "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle", "kwargs": {}},
    {"name": "icebridge", "classpath": "icebridge_provider.bundle.IceBridgeDagBundle", "kwargs": {}},
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AirflowHome:
    """A folder with everything one local Airflow needs: its environment, port and the password of its only user."""

    folder: Path
    port: int
    environment: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where the API server answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def password(self) -> str:
        """Password of the user ``admin``."""
        return str(json.loads((self.folder / "passwords.json").read_text())[USER])

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one ``airflow`` command in this home; its output is in the result."""
        return subprocess.run(  # noqa: S603 - our own arguments
            [*_airflow(), *arguments], env=dict(self.environment), check=False, text=True, capture_output=True
        )


def prepare(folder: Path, connections: Mapping[str, Mapping[str, object]], settings: Mapping[str, str]) -> AirflowHome:
    """Return an Airflow home in ``folder`` with the given connections and ``AIRFLOW__…`` settings, migrated."""
    folder.mkdir(parents=True, exist_ok=True)
    secret = _kept_secret(folder / "secrets.json")
    port = _free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "16",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin,viewer:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(folder / "passwords.json"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secret["api"],
        "AIRFLOW__API_AUTH__JWT_SECRET": secret["jwt"],
        "AIRFLOW__CORE__FERNET_KEY": secret["fernet"],
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(_BUNDLES),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
        "PYTHONWARNINGS": "ignore",
        **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(value) for name, value in connections.items()},
        **settings,
    }
    (folder / "dags").mkdir(exist_ok=True)
    home = AirflowHome(folder=folder, port=port, environment=environment)
    _must(home.command("db", "migrate"), "airflow db migrate")
    _must(home.command("icebridge", "init"), "airflow icebridge init")
    return home


class Components:
    """API server, scheduler, DAG processor and triggerer of one home, each in a process group of its own."""

    NAMES = ("api-server", "dag-processor", "scheduler", "triggerer")

    def __init__(self, home: AirflowHome) -> None:
        self.home = home
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str, environment: Mapping[str, str] | None = None) -> None:
        """Start components (all when none is named); their output goes to ``<name>.log`` in the home.

        :param environment: another environment than the home's.
        """
        for name in names or self.NAMES:
            extra = ["--skip-serve-logs"] if name in {"scheduler", "triggerer"} else []
            with (self.home.folder / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(  # noqa: S603 - our own arguments
                    [*_airflow(), name, *extra],
                    env=dict(environment or self.home.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    def wait_until_healthy(self, seconds: float = 240) -> None:
        """Wait for the API server and the heartbeats of all components.

        :raises ConfigurationError: IB-751 naming the log of a component that ended or stayed silent.
        """
        deadline = time.monotonic() + seconds
        wanted = {"scheduler", "triggerer", "dag_processor"}
        while time.monotonic() < deadline:
            for name, process in self.processes.items():
                if process.poll() is not None:
                    raise self._failed(name)
            health = _health(self.home.url)
            if all(health.get(name, {}).get("status") == "healthy" for name in wanted):
                return
            time.sleep(0.5)
        raise self._failed("api-server")

    def kill(self, name: str) -> None:
        """End one component and its children at once, as a crash would."""
        process = self.processes.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End all components: politely first, then for certain."""
        for process in self.processes.values():
            _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + 6
        for process in self.processes.values():
            while process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            _signal(process, signal.SIGKILL)
            process.wait()
        self.processes.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _failed(self, name: str) -> ConfigurationError:
        log = self.home.folder / f"{name}.log"
        tail = log.read_text(errors="replace")[-1500:] if log.exists() else ""
        return ConfigurationError(
            "IB-751",
            f"Airflow's {name} did not come up. The end of its log:\n{tail}",
            remedy=f"Read {log}, mend what it says and run the command again.",
            changed="The demo's folder was prepared; no table was touched.",
        )


def _airflow() -> list[str]:
    return [sys.executable, "-m", "airflow"]


def _health(url: str) -> dict[str, dict[str, str]]:
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5) as answer:  # noqa: S310 - loopback
            return dict(json.load(answer))
    except (OSError, ValueError):
        return {}


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)  # the whole group: workers of an executor outlive their scheduler
    except ProcessLookupError:
        return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _kept_secret(path: Path) -> dict[str, str]:
    if path.exists():
        return dict(json.loads(path.read_text()))
    from cryptography.fernet import Fernet

    fernet = Fernet.generate_key().decode()
    made = {"jwt": secrets.token_urlsafe(64), "api": secrets.token_urlsafe(32), "fernet": fernet}
    path.touch(mode=0o600)
    path.write_text(json.dumps(made))
    return made


def _must(result: subprocess.CompletedProcess[str], command: str) -> None:
    if result.returncode:
        raise ConfigurationError(
            "IB-752",
            f"`{command}` failed: {(result.stderr or result.stdout)[-1500:]}",
            remedy="Mend what it says and run the command again.",
        )

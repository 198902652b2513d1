"""A local Databricks workspace in its own process, for tests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.core import Config

from icebridge_provider.demo import stand_in
from tests.peers.environment import ensure

ROOT = Path(__file__).parents[2]
FAST = {"http_timeout_seconds": 20, "retry_timeout_seconds": 20}


class Workspace:
    """A running workspace: ``with Workspace(folder) as workspace``."""

    def __init__(self, folder: Path, *, spark: bool = True) -> None:
        self.folder, self._spark = folder, spark
        self._tokens: dict[str, str] = {}

    def __enter__(self) -> Self:
        command = [str(ensure().python), "-m", "tests.peers.databricks", "--folder", str(self.folder)]
        command += [] if self._spark else ["--no-spark"]
        self._process, started = stand_in.start(command)
        if not started:
            stand_in.end(self._process)
            raise RuntimeError("the workspace did not start; its error is above")
        self.url: str = started["url"]
        self.admin_token: str = started["admin_token"]
        bearer = {"Authorization": f"Bearer {self.admin_token}"}
        self.admin = httpx.Client(base_url=f"{self.url}/admin", headers=bearer, timeout=60)
        return self

    def __exit__(self, *_: object) -> None:
        stand_in.end(self._process)
        self.admin.close()

    @property
    def host(self) -> str:
        return "127.0.0.1"

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def order(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the admin routes for something; an error is raised."""
        answer = self.admin.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def principal(self, name: str, *, service: bool = False, groups: tuple[str, ...] = ()) -> str:
        """Make a principal, in groups made on the way."""
        self.order("POST", "/principals", {"name": name, "service": service, "groups": list(groups)})
        return name

    def token(self, principal: str, *, lifetime_seconds: float | None = None) -> str:
        """A bearer of a principal (made if it is new): always the same one, unless a lifetime is given."""
        body: dict[str, Any] = {"principal": principal}
        if lifetime_seconds is not None:
            return str(self.order("POST", "/tokens", {**body, "lifetime_seconds": lifetime_seconds})["token"])
        if principal not in self._tokens:
            self._tokens[principal] = str(self.order("POST", "/tokens", body)["token"])
        return self._tokens[principal]

    def expire(self, principal: str) -> None:
        """All bearers of a principal are good no more."""
        self._tokens.pop(principal, None)
        self.order("POST", "/tokens/expire", {"principal": principal})

    def client(self, principal: str, *, lifetime_seconds: float = 3600) -> tuple[str, str]:
        """An OAuth client id and secret of a service principal."""
        given = self.order("POST", "/clients", {"principal": principal, "lifetime_seconds": lifetime_seconds})
        return given["client_id"], given["client_secret"]

    def sdk(self, principal: str = "admin", **config: Any) -> WorkspaceClient:
        """An unmodified SDK client of a principal, that gives up after 20 s."""
        return WorkspaceClient(config=self.config(principal, **config))

    def config(self, principal: str = "admin", **more: Any) -> Config:
        if "client_id" not in more:
            more["token"] = more.get("token") or self.token(principal)
        return Config(**{"host": self.url, **FAST, **more})

    def fail(self, fault: int | str, path: str = ".*", method: str = ".*", **more: Any) -> None:
        """Order a fault: a status, ``lost``, ``cut`` or ``delay``, for the next request (or ``times``) that fits."""
        self.order("POST", "/faults", [{"fault": fault, "path": path, "method": method, **more}])

    def calm(self) -> None:
        """No more faults."""
        self.order("DELETE", "/faults")

    def requests(self, path: str = "") -> list[dict[str, Any]]:
        """Requests since the last :meth:`forget_requests` whose path holds this."""
        return [entry for entry in self.order("GET", "/requests") if path in entry["path"]]

    def forget_requests(self) -> None:
        self.order("DELETE", "/requests")

    def settings(self, **values: Any) -> None:
        """``page_size``, ``external_access_enabled``, ``default_predictive_optimization``, ``quotas``."""
        self.order("PATCH", "/settings", values)

    def consume(self, statement: str, principal: str = "admin", **entity: Any) -> str:
        """Run a statement as a dashboard, job, notebook, … does; gives its id. One that fails is an error."""
        found = self.order("POST", "/consumers", {"principal": principal, "statement": statement, **entity})
        limit = time.monotonic() + 240  # the engine may have to start
        while found["state"] in {"PENDING", "RUNNING"} and time.monotonic() < limit:
            time.sleep(0.1)
            found = self.order("GET", f"/consumers/{found['statement_id']}")
        assert found["state"] == "SUCCEEDED", found
        return str(found["statement_id"])

    def connection(self, name: str, options: dict[str, str], kind: str = "HIVE_METASTORE") -> None:
        """A connection to another catalog; ``options`` are pyiceberg's properties."""
        body = {"name": name, "connection_type": kind, "options": options}
        self.api("POST", "/connections", body)

    def api(self, method: str, path: str, body: Any = None, principal: str = "admin") -> Any:
        """Call Unity Catalog's REST without a client between."""
        bearer = {"Authorization": f"Bearer {self.token(principal)}"}
        address = f"{self.url}/api/2.1/unity-catalog{path}"
        answer = httpx.request(method, address, json=body, headers=bearer, timeout=60)
        assert answer.is_success, answer.text
        return answer.json()


@pytest.fixture(scope="session")
def databricks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with its engine; one for the session."""
    with Workspace(tmp_path_factory.mktemp("databricks")) as workspace:
        yield workspace


@pytest.fixture(scope="session")
def databricks_uc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace without its engine: Unity Catalog's REST only."""
    with Workspace(tmp_path_factory.mktemp("databricks-uc"), spark=False) as workspace:
        yield workspace

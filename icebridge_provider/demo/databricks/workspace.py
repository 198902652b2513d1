"""Starts the local Databricks workspace of the source checkout and talks to it with Databricks' own client."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from icebridge_provider.demo import stand_in
from icebridge_provider.demo.stand_in import CHECKOUT
from icebridge_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.sql import StatementResponse

ADMIN = "admin"
_CONSOLE = "the account console"
PATIENCE_SECONDS = 120
LOG = "workspace.log"


class LocalWorkspace:
    """A workspace in its own process: ``with LocalWorkspace(folder) as workspace``. It keeps nothing when it ends.

    :param options: more of its command line.
    :param environment: variables for it, such as the keys of an S3 server.
    """

    def __init__(self, folder: Path, options: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> None:
        self._folder, self._options, self._environment = folder, tuple(options), environment
        self._tokens: dict[str, str] = {}
        self._clients: dict[str, WorkspaceClient] = {}

    def __enter__(self) -> Self:
        command = [prepared_python(), "-m", "tests.peers.databricks", "--folder", str(self._folder), *self._options]
        self._process, started = stand_in.start(command, self._folder / LOG, self._environment)
        if not started:
            raise _failed(self._folder / LOG)
        self.url, self._tokens[_CONSOLE] = str(started["url"]), str(started["admin_token"])
        return self

    def __exit__(self, *_: object) -> None:
        stand_in.end(self._process)

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        return int(self.url.rsplit(":", 1)[1])

    def order(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Ask for what is done in a real workspace's account console: people, groups, tokens, the metastore."""
        return self.client(_CONSOLE).api_client.do(method, f"/admin{path}", body=dict(body))

    def principal(self, name: str, *groups: str) -> None:
        """Make a person or a service, in groups made on the way."""
        self.order("POST", "/principals", {"name": name, "groups": list(groups)})

    def token(self, principal: str) -> str:
        """Return an access token of a principal."""
        if principal not in self._tokens:
            self._tokens[principal] = str(self.order("POST", "/tokens", {"principal": principal})["token"])
        return self._tokens[principal]

    def client(self, principal: str) -> WorkspaceClient:
        """Return Databricks' own client, signed in as a principal."""
        if principal not in self._clients:
            from databricks.sdk import WorkspaceClient
            from databricks.sdk.core import Config

            config = Config(
                host=self.url,
                token=self.token(principal),
                http_timeout_seconds=PATIENCE_SECONDS,
                retry_timeout_seconds=PATIENCE_SECONDS,
            )
            self._clients[principal] = WorkspaceClient(config=config)
        return self._clients[principal]

    @cached_property
    def warehouse(self) -> str:
        """Id of its SQL warehouse."""
        return str(next(iter(self.client(ADMIN).warehouses.list())).id)

    def run(self, statement: str, principal: str = ADMIN) -> list[list[str]]:
        """Return the rows of a statement.

        :raises ConfigurationError: IB-754 with what the workspace says when it refuses.
        """
        answer = self._answer(statement, principal)
        if answer.status is not None and answer.status.error is not None:
            raise ConfigurationError(
                "IB-754",
                f"The local workspace refused {statement!r}: {answer.status.error.message}",
                remedy="Remove the demo's folder and run it again; its log is workspace.log there.",
            )
        return list(self._rows(answer, principal))

    def reads(self, principal: str, table: str) -> str:
        """Say what a principal gets who counts a table's rows: their number, or *refused*."""
        answer = self._answer(f"SELECT count(*) FROM {table}", principal)  # noqa: S608 - the demo's own names
        if answer.status is not None and answer.status.error is not None:
            return "refused"
        rows = (answer.result.data_array if answer.result else None) or [["?"]]
        return f"{int(rows[0][0]):,} rows"

    def _rows(self, answer: StatementResponse, principal: str) -> Iterator[list[str]]:
        chunk = answer.result
        while chunk is not None:
            yield from chunk.data_array or ()
            if chunk.next_chunk_index is None:
                return
            api = self.client(principal).statement_execution
            chunk = api.get_statement_result_chunk_n(str(answer.statement_id), chunk.next_chunk_index)

    def _answer(self, statement: str, principal: str) -> StatementResponse:
        from databricks.sdk.service.sql import StatementState

        api = self.client(principal).statement_execution
        answer = api.execute_statement(statement, self.warehouse, wait_timeout="30s")
        while answer.status and answer.status.state in {StatementState.PENDING, StatementState.RUNNING}:
            time.sleep(0.2)
            answer = api.get_statement(str(answer.statement_id))
        return answer


def prepared_python() -> str:
    """Make the workspace's own environment (Spark, a Java) or find it, and return its interpreter.

    :raises ConfigurationError: IB-753 when this is no source checkout, or the environment cannot be made.
    """
    if not (CHECKOUT / "tests" / "peers" / "databricks").is_dir():
        raise ConfigurationError(
            "IB-753",
            "The local Databricks workspace comes with IceBridge's source checkout, not with its package.",
            remedy="Clone the repository and run README's command there with: -- --stack databricks",
        )
    made = subprocess.run(
        [sys.executable, "-m", "tests.peers.environment"], cwd=CHECKOUT, check=False, capture_output=True, text=True
    )
    if made.returncode:
        raise ConfigurationError(
            "IB-753",
            f"The environment of the local Databricks workspace could not be made: {made.stderr[-1500:]}",
            remedy="Mend what it says and run the command again.",
        )
    return made.stdout.strip().splitlines()[-1]


def _failed(log: Path) -> ConfigurationError:
    return ConfigurationError(
        "IB-754",
        f"The local Databricks workspace did not start. The end of its log:\n{stand_in.tail(log)}",
        remedy=f"Read {log}, mend what it says and run the command again.",
    )

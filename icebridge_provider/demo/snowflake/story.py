"""``icebridge demo --stack snowflake``: three tables of a workspace in a Snowflake account, by all modes, and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from icebridge_provider.demo import show
from icebridge_provider.demo.components import USER, AirflowHome, Components, prepare
from icebridge_provider.demo.databricks.workspace import LocalWorkspace
from icebridge_provider.demo.rest import AirflowClient
from icebridge_provider.demo.snowflake import estate, proof, tell
from icebridge_provider.demo.snowflake.account import CA_VARIABLE, LocalAccount, LocalBucket
from icebridge_provider.demo.snowflake.estate import ADDED, FLIGHTS, PLANES, TABLES, Shared, Window
from icebridge_provider.demo.stand_in import begin_anew
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.sql.snowflake import LOADS

MARK = "snowflake-demo"
SHARE = "icebridge_databricks_to_snowflake"
SYNC = "/icebridge/api/sync"
POC_PREFIX, POC_ROWS = "poc_", 1000
LIMITED = "LIMITED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The processes that the story is played on."""

    workspace: LocalWorkspace
    account: LocalAccount
    home: AirflowHome
    client: AirflowClient
    console: Console


def run(folder: Path, scale: float, console: Console) -> int:
    """Tell the whole story; 0 when everything came out as it should."""
    begin_anew(folder, MARK)
    windows = estate.windows(scale)
    with ExitStack() as stack:
        with show.timed(console, "Starting an S3 server, a Snowflake account and a Databricks workspace"):
            bucket = stack.enter_context(LocalBucket(folder / "s3", estate.BUCKET))
            account = stack.enter_context(LocalAccount(folder / "snowflake", bucket))
            reached = ("--s3-endpoint", bucket.endpoint)
            workspace = stack.enter_context(LocalWorkspace(folder / "workspace", reached, bucket.environment))
        console.print(f"  {estate.ROOT} at {bucket.endpoint}, Snowflake at {account.address}, {workspace.url}")
        with show.timed(console, "Making three tables of real rows and rights on both sides; meanwhile, Airflow"):
            workspace.principal(estate.BRIDGE)
            filled = stack.enter_context(ThreadPoolExecutor(1)).submit(estate.set_up, workspace, windows[1].until)
            connections = estate.connections(workspace, bucket, account, estate.let_in(account))
            home = prepare(folder / "airflow", connections, settings(account))
            client = _started(stack.enter_context(Components(home)))
            rows = filled.result()
        console.print(f"  {rows:,} rows in {', '.join(table.source for table in TABLES)}; Airflow at {home.url}")
        stage = Stage(workspace=workspace, account=account, home=home, client=client, console=console)
        return _Story(stage, *windows).told()


def _started(components: Components) -> AirflowClient:
    components.start()
    components.wait_until_healthy()
    client = AirflowClient(components.home.url, USER, components.home.password)
    client.wait_for_dags(SHARE)
    return client


def settings(account: LocalAccount) -> dict[str, str]:
    """Return Airflow's settings: the account's authority, and a pace for statements that take a second."""
    return {
        CA_VARIABLE: str(account.bundle),
        "AIRFLOW__ICEBRIDGE__SHARE_WAIT_SECONDS": "30",
        "AIRFLOW__ICEBRIDGE__SHARE_POLL_SECONDS": "5",
    }


def request(lines: Sequence[str], window: Window | None = None, **more: Any) -> dict[str, Any]:
    """Return the trigger form's values.

    :param window: what is bound to ``:since`` and ``:until``.
    """
    connections = {
        "source_conn_id": estate.DATABRICKS,
        "target_conn_id": estate.SNOWFLAKE,
        "storage_conn_id": estate.LAKE,
    }
    values = window.values() if window is not None else None
    return {**connections, "tables": "\n".join(lines), "values": values, "stage": estate.STAGE, **more}


class _Story:
    """What happens, in order."""

    def __init__(self, stage: Stage, first: Window, second: Window) -> None:
        self._stage, self._client, self._console = stage, stage.client, stage.console
        self._workspace, self._account = stage.workspace, stage.account
        self._first, self._second = first, second
        self._expected = proof.Expected()
        self._wrong: list[str] = []

    def told(self) -> int:
        """Share, clear and share, change and share, share what did not change, and look at a thousand rows."""
        run_id = self._started([table.line() for table in TABLES], self._first)
        self._followed(run_id)
        self._loaded(TABLES, self._first)
        self._compare("After the first run")
        self._again(run_id)
        self._changed()
        self._unchanged_and_poc()
        self._tidy()
        self._history()
        tell.where(self._console, self._stage.home)
        if self._wrong:
            self._console.print(f"[red]Not as it should be:[/] {'; '.join(self._wrong)}")
        return 1 if self._wrong else 0

    def _again(self, run_id: str) -> None:
        """Clear all tasks of the run: everything is asked for once more, under the same run id."""
        self._console.print(f"\nAll tasks of that run are cleared: Airflow does them once more as {run_id}.")
        before = proof.writes(self._workspace, self._account)
        self._client.clear(SHARE, run_id)
        self._followed(run_id)
        after = proof.writes(self._workspace, self._account)
        more = tuple(now - then for now, then in zip(after, before, strict=True))
        self._compare("After the same run once more")
        words = "[green]Nothing was loaded twice:[/]" if not any(more) else "[red]Something was written:[/]"
        self._console.print(f"{words} {more[0]} exports in Databricks, {more[1]} writing statements in Snowflake.")
        self._wrong += [f"the repeated run wrote {more}"] if any(more) else []
        told = self._report(run_id)
        self._wrong += [] if told.get("again") == len(TABLES) else [f"the report does not say again: {told}"]

    def _changed(self) -> None:
        with show.timed(self._console, "\nA week passes: flights corrected and gone, planes too, a column more"):
            estate.change(self._workspace, self._second)
        run_id = self._started([table.line() for table in TABLES], self._second, publish="swap")
        self._followed(run_id)
        self._loaded(TABLES, self._second)
        self._compare("After the second run: the new days, whole planes swapped in, corrected and new flights")

    def _unchanged_and_poc(self) -> None:
        """Two runs at once: replace and upsert of what is there already, and a proof of concept."""
        tables = (PLANES, FLIGHTS)
        same = self._started([table.line() for table in tables], self._second)
        poc = self._started([f"{FLIGHTS.source} -> {'.'.join(FLIGHTS.target(POC_PREFIX))}"], None, preset="poc")
        self._followed(same)
        self._loaded(tables, self._second)
        self._compare("After a third run over the same days: replace and upsert change nothing")
        self._followed(poc)
        self._poc(poc)

    def _started(self, lines: Sequence[str], window: Window | None, **more: Any) -> str:
        run_id = self._client.trigger(SHARE, request(lines, window, **more))
        tell.started(self._console, SHARE, run_id, lines, {**(window.values() if window else {}), **more})
        return run_id

    def _followed(self, run_id: str) -> None:
        """Show a run's tasks until it is over.

        :raises ConfigurationError: IB-972 when it failed.
        """
        seen: set[str] = set()
        for _ in self._client.watch(SHARE, run_id):
            seen = show.progress(self._console, self._client.tasks(SHARE, run_id), seen)
        state = self._client.run_state(SHARE, run_id)
        if state != "success":
            raise self._failed(run_id, state)

    def _failed(self, run_id: str, state: str) -> ConfigurationError:
        logs = [line for item in self._syncs() if item["id"] == run_id for line in item["logs"]][-8:]
        listed = "\n".join(str(line) for line in logs)
        return ConfigurationError(
            "IB-972",
            f"The run {run_id} of {SHARE} ended as {state}. The end of its history:\n{listed}",
            remedy=f"Read the logs of its tasks in {self._stage.home.folder / 'logs'}.",
        )

    def _loaded(self, tables: Sequence[Shared], window: Window) -> None:
        """Let the model do what the run should have done, with rows that Databricks answers to our own queries."""
        for table in tables:
            columns = self._columns(table)
            self._expected.loaded(table, columns, proof.source_rows(self._workspace, table, columns, window))

    def _columns(self, table: Shared) -> proof.Columns:
        changed = table is PLANES and any(row[0] == ADDED[0] for row in self._workspace.run(f"DESCRIBE {table.source}"))
        return (*table.columns, ADDED) if changed else table.columns

    def _compare(self, title: str) -> None:
        found = [self._expected.compare(self._account, table) for table in TABLES]
        tell.compared(self._console, title, found)
        self._wrong += [f"{title}: {item.table} is not what it should be" for item in found if not item.same]

    def _report(self, run_id: str) -> dict[str, Any]:
        return dict(self._client.xcom(SHARE, run_id, "report"))

    def _poc(self, run_id: str) -> None:
        """A thousand rows, all of them real ones, and labelled wherever somebody may look."""
        target = FLIGHTS.target(POC_PREFIX)
        rows = proof.target_rows(self._account, target, FLIGHTS.columns)
        unknown = Counter(rows) - Counter(proof.source_rows(self._workspace, FLIGHTS, FLIGHTS.columns))
        said = proof.comment(self._account, target)
        tell.limited(self._console, ".".join(target), len(rows), said)
        if len(rows) != POC_ROWS or unknown or LIMITED not in said:
            self._wrong.append(f"{'.'.join(target)}: {len(rows)} rows, {unknown.total()} unknown, {said!r}")
        captions = [str(task.get("rendered_map_index") or "") for task in self._client.tasks(SHARE, run_id)]
        shown = [caption for caption in captions if caption]
        if not shown or not all(LIMITED in caption for caption in shown):
            self._wrong.append(f"the grid does not say {LIMITED}: {shown}")
        self._wrong += [] if self._report(run_id).get("limited") else ["the report does not say that it is limited"]

    def _tidy(self) -> None:
        """No table of a try is left in the account: the shared ones stand there, and the bridge's own notes."""
        wanted = {table.target()[2] for table in TABLES} | {FLIGHTS.target(POC_PREFIX)[2]}
        found = proof.tables(self._account)
        self._console.print(f"\nTables of {estate.DATABASE}.{estate.SCHEMA} in the end: {', '.join(found)}")
        left = set(found) - wanted - {LOADS}
        self._wrong += [f"tables are left over: {', '.join(sorted(left))}"] if left else []

    def _syncs(self) -> list[dict[str, Any]]:
        return list(self._client.plugin(SYNC))

    def _history(self) -> None:
        """The history of runs, as the seed's web page asks for it."""
        runs = self._syncs()
        tell.history(self._console, runs)
        states = [item["status"] for item in runs]
        self._wrong += [] if states == ["SUCCESS"] * 4 else [f"the history of runs says {states}"]

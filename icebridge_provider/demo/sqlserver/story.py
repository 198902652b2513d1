"""``icebridge demo --stack mssql``: three countries' SQL Server databases to a Databricks Volume, and events back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from icebridge_provider.demo import show
from icebridge_provider.demo.components import USER, AirflowHome, Components, prepare
from icebridge_provider.demo.databricks.workspace import LocalWorkspace
from icebridge_provider.demo.rest import AirflowClient
from icebridge_provider.demo.sqlserver import countries, estate, events, files, proof, tell
from icebridge_provider.demo.sqlserver.countries import COLOMBIA, COUNTRIES, HOUSEHOLD_TO_FORGET
from icebridge_provider.demo.sqlserver.server import LocalSqlServer
from icebridge_provider.demo.stand_in import begin_anew
from icebridge_provider.exceptions import ConfigurationError

MARK = "mssql-demo"
EXTRACT, APPLY, RELEASE = "icebridge_mssql_to_databricks", "icebridge_databricks_to_mssql", "icebridge_release_event"
LONGEST_SECONDS, WATCHER_SECONDS = 600, 120
_OPEN = {"pending", "processing", "blocked"}
_COLUMNS = ("event_id", "operation", "target_table", "status", "rows_expected", "rows_affected", "discrepancy",
            "warning", "error_message", "attempt")  # fmt: skip


def run(folder: Path, scale: float, console: Console) -> int:
    """Tell the whole story; 0 when everything came out as it should."""
    begin_anew(folder, MARK)
    with LocalSqlServer(folder / "sqlserver") as server, LocalWorkspace(folder / "workspace") as workspace:
        with show.timed(console, f"Filling a SQL Server at {server.address}: {len(COUNTRIES)} countries' databases"):
            purchases = sum(countries.build(server, country, scale) for country in COUNTRIES)
        console.print(f"  {purchases:,} purchases in {', '.join(country.database for country in COUNTRIES)}")
        with show.timed(console, f"Setting up a Databricks workspace at {workspace.url}: catalog, volume, rights"):
            estate.set_up(workspace)
            password = estate.let_in(server)
        with show.timed(console, "Preparing Airflow: metadata database, ledger, pool, DAGs; events table and inbox"):
            home = _prepared(folder, workspace, server, password)
        with Components(home) as components:
            with show.timed(console, "Starting Airflow: API server, scheduler, DAG processor, triggerer"):
                components.start()
                components.wait_until_healthy()
                client = AirflowClient(home.url, USER, home.password)
                client.wait_for_dags(EXTRACT, APPLY, RELEASE)
            return _Story(workspace, server, home, client, console).told()


def _prepared(folder: Path, workspace: LocalWorkspace, server: LocalSqlServer, password: str) -> AirflowHome:
    files.write_extraction(folder / "extraction")
    settings = estate.settings(server, files.write_sync(folder / "sync"), folder / "extraction")
    home = prepare(folder / "airflow", estate.connections(workspace, server, password), settings)
    made = home.command("icebridge", "events", "init")
    if made.returncode:
        raise ConfigurationError(
            "IB-758",
            f"`airflow icebridge events init` failed: {(made.stderr or made.stdout)[-1500:]}",
            remedy="Mend what it says and run the command again.",
        )
    return home


class _Story:
    """What happens, in order."""

    def __init__(
        self,
        workspace: LocalWorkspace,
        server: LocalSqlServer,
        home: AirflowHome,
        client: AirflowClient,
        console: Console,
    ) -> None:
        self._workspace, self._server, self._home = workspace, server, home
        self._client, self._console = client, console
        self._wrong: list[str] = []

    def told(self) -> int:
        """Extract everything, write back what is asked for, and ask for it once more."""
        self._extract()
        with show.timed(self._console, "\nMaking Databricks tables of the files, and rows to write back"):
            events.load(self._workspace)
            events.prepare_rows(self._workspace)
        self._in_databricks()
        self._in_sqlserver("SQL Server before")
        events.emit(self._workspace)
        self._events("An analyst inserts six events")
        self._settled()
        self._events("What became of them")
        self._in_sqlserver("SQL Server after")
        self._wrong += [*self._unexpected(times=1), *proof.written_back(self._workspace, self._server)]
        self._again()
        tell.where(self._console, self._home)
        if self._wrong:
            self._console.print(f"[red]Not as it should be:[/] {'; '.join(self._wrong)}")
        return 1 if self._wrong else 0

    def _extract(self) -> None:
        run_id = self._client.trigger(EXTRACT, request())
        self._console.print(f"\nTriggered [bold]{EXTRACT}[/bold] over REST: run {run_id}")
        seen: set[str] = set()
        for _ in self._client.watch(EXTRACT, run_id):
            seen = show.progress(self._console, self._client.tasks(EXTRACT, run_id), seen)
        state = self._client.run_state(EXTRACT, run_id)
        if state != "success":
            raise _failed(EXTRACT, state, self._home)
        found = list(proof.compared(self._workspace, self._server))
        tell.extracted(self._console, found)
        self._wrong += [f"{item.country}/{item.query} is not what SQL Server has" for item in found if not item.same]

    def _in_databricks(self) -> None:
        query = "SELECT pais, count(*), sum(quantidade), min(data_compra), max(data_compra), count(preco_unitario)"
        grouped = f"{query} FROM {estate.SCHEMA}.purchases GROUP BY pais ORDER BY pais"
        rows = self._workspace.run(grouped, estate.ANALYST)
        heads = ("country", "rows", "quantity", "first", "last", "with a price")
        tell.rows(self._console, "Purchases of all countries, as a Databricks table", heads, map(tuple, rows))
        self._wrong += [] if len(rows) == len(COUNTRIES) else ["the Databricks table lacks a country"]

    def _in_sqlserver(self, title: str) -> None:
        columns = "idproduto, descricao, marca, preco, atualizado_em"
        chosen = "idproduto <= 6 OR idproduto > 100 OR idproduto IN (39, 42)"
        query = f"SELECT {columns} FROM dbo.Produto WHERE {chosen} ORDER BY idproduto"  # noqa: S608 - the demo's own
        rows = self._server.rows(COLOMBIA.database, query)
        tell.rows(self._console, f"{title}: dbo.Produto of {COLOMBIA.database} (some rows)", columns.split(", "), rows)
        self._console.print(f"  purchases of household {HOUSEHOLD_TO_FORGET}: {self._of_household()}")

    def _of_household(self) -> int:
        table, condition = f"dbo.{COLOMBIA.purchases}", f"iddomicilio = {HOUSEHOLD_TO_FORGET}"
        return int(self._server.rows(COLOMBIA.database, f"SELECT COUNT(*) FROM {table} WHERE {condition}")[0][0])  # noqa: S608

    def _again(self) -> None:
        """Deliver the same events once more: nothing may change."""
        before, inbox = proof.tables_digest(self._server), proof.settled(self._server)
        self._console.print("\nThe analyst has lost the answer and inserts the same six events once more.")
        events.emit(self._workspace)
        self._settled()
        self._events("After the second delivery")
        self._wrong += [f"after the second delivery: {text}" for text in self._unexpected(times=2)]
        same = before == proof.tables_digest(self._server)
        words = "[green]Nothing changed:[/]" if same else "[red]Something changed:[/]"
        self._console.print(f"{words} every row of SQL Server compared; its inbox holds {len(inbox)} events.")
        self._wrong += [] if same else ["the second delivery changed SQL Server's tables"]

    def _settled(self) -> None:
        """Wait until no event is open; answer questions as a person would, and start a run if none starts by itself."""
        before = {row["dag_run_id"] for row in self._runs()}
        watched, deadline, pushed = set(before), time.monotonic() + LONGEST_SECONDS, False
        began = time.monotonic()
        while any(row["status"] in _OPEN for row in self._rows()):
            if time.monotonic() > deadline:
                self._wrong.append("some events are still open")
                return
            watched = self._show_runs(watched)
            self._answer()
            if not pushed and watched == before and time.monotonic() - began > WATCHER_SECONDS:
                pushed = True
                self._console.print(f"The triggerer is slow today: triggered {APPLY} over REST")
                self._client.trigger(APPLY, {})
            time.sleep(2)
        self._show_runs(watched)

    def _show_runs(self, seen: set[str]) -> set[str]:
        """Print each new run of the DAG that applies events; return all that were printed."""
        found = {str(row["dag_run_id"]): str(row["run_type"]) for row in self._runs()}
        for run_id in sorted(found.keys() - seen):
            by = "the triggerer saw events" if found[run_id] == "asset_triggered" else found[run_id]
            self._console.print(f"  {APPLY} runs: {by}")
        return seen | found.keys()

    def _runs(self) -> list[dict[str, Any]]:
        return list(self._client.get(f"/dags/{APPLY}/dagRuns?limit=100")["dag_runs"])

    def _answer(self) -> None:
        for asked in self._client.approvals():
            values = {name: item["value"] for name, item in dict(asked["params"]).items()}
            tell.question(self._console, asked, values)
            self._client.answer(asked, "Approve", values)

    def _rows(self) -> list[dict[str, Any]]:
        query = f"SELECT {', '.join(_COLUMNS)} FROM {files.EVENTS_TABLE} ORDER BY created_at, event_id"  # noqa: S608 - our names
        return [dict(zip(_COLUMNS, row, strict=True)) for row in self._workspace.run(query, estate.ANALYST)]

    def _events(self, title: str) -> None:
        tell.events(self._console, title, self._rows())

    def _unexpected(self, times: int) -> Iterator[str]:
        """What did not end as the story says; every event stands there so many times."""
        rows = self._rows()
        for asked in events.ASKED:
            found = [row for row in rows if row["event_id"] == asked.event_id]
            if len(found) != times:
                yield f"{asked.event_id} stands there {len(found)} times, not {times}"
            for row in found:
                yield from _differences(asked, row)
        if self._of_household():
            yield "the household was not forgotten"


def _differences(asked: events.Asked, row: Mapping[str, Any]) -> Iterator[str]:
    ended = (row["status"], int(row["rows_affected"] or 0))
    if ended != (asked.status, asked.rows):
        yield f"{asked.event_id} ended as {ended[0]} with {ended[1]} rows"
    if asked.status == events.COMPLETED and int(row["discrepancy"] or 0) != asked.missing:
        yield f"{asked.event_id} has the discrepancy {row['discrepancy']}, not {asked.missing}"
    if asked.missing and not row["warning"]:
        yield f"{asked.event_id} has no warning"
    if asked.status == events.FAILED and not row["error_message"]:
        yield f"{asked.event_id} says no reason"


def request() -> dict[str, Any]:
    """Return the trigger form's values: every query, every country."""
    return {
        "source_conn_id": estate.SQLSERVER,
        "target_conn_id": estate.DATABRICKS,
        "location": estate.LOCATION,
        "queries": [],
        "countries": [],
    }


def _failed(dag_id: str, state: str, home: AirflowHome) -> ConfigurationError:
    return ConfigurationError(
        "IB-759",
        f"The run of {dag_id} ended as {state}.",
        remedy=f"Read the logs of its tasks in {home.folder / 'logs'}.",
    )

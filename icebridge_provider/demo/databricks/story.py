"""``icebridge demo --stack databricks``: foreign tables of a local workspace become managed ones, and back again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from icebridge_provider.demo import show
from icebridge_provider.demo.components import USER, AirflowHome, Components, prepare
from icebridge_provider.demo.databricks import estate, lakes
from icebridge_provider.demo.databricks.estate import ANALYST, COLLEAGUE, FOREIGN, TARGET
from icebridge_provider.demo.databricks.lakes import GLUE, HMS
from icebridge_provider.demo.databricks.workspace import LocalWorkspace
from icebridge_provider.demo.rest import AirflowClient
from icebridge_provider.demo.stand_in import begin_anew
from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.status import status

MARK = "databricks-demo"
LOSSES = ("history", "refs", "old_schemas", "old_specs", "old_sort_orders", "format_version")
MIGRATE, ROLLBACK = "icebridge_migrate", "icebridge_rollback"
BACK = "flights.flights"
REFUSED = {GLUE: {lakes.BY_MONTH, lakes.UNSEEN}, HMS: {lakes.BROKEN, lakes.STALE}}
READ = ("shop.customers", "open.airports"), ("flights.flights", "tpch.orders")


def run(folder: Path, scale: float, console: Console) -> int:
    """Tell the whole story; 0 when every table came out as it should."""
    begin_anew(folder, MARK)
    with show.timed(console, "Building two foreign lakes, as Glue and as a Hive metastore keep them"):
        glue = lakes.build_glue(folder / GLUE)
        lakes.build_hms(folder / HMS, scale)
    with LocalWorkspace(folder / "workspace") as workspace:
        with show.timed(
            console, f"Setting up a Databricks workspace at {workspace.url}: catalogs, people, grants, a mask"
        ):
            estate.set_up(workspace, folder)
            lakes.hide(glue)
        with show.timed(console, "Preparing Airflow: metadata database, ledger, pool, DAGs"):
            home = prepare(folder / "airflow", estate.connections(workspace, folder), {})
        with Components(home) as components:
            with show.timed(console, "Starting Airflow: API server, scheduler, DAG processor, triggerer"):
                components.start()
                components.wait_until_healthy()
                client = AirflowClient(home.url, USER, home.password)
                client.wait_for_dags(MIGRATE, ROLLBACK)
            return _Story(workspace, home, client, console).told()


class _Story:
    """What happens, in order."""

    def __init__(self, workspace: LocalWorkspace, home: AirflowHome, client: AirflowClient, console: Console) -> None:
        self._workspace, self._home, self._client, self._console = workspace, home, client, console
        self._ledger = SqlLedger(f"sqlite:///{home.folder}/icebridge/ledger.db")

    def told(self) -> int:
        """Migrate both lakes, mend what a person must decide, go back and forth once."""
        self._who_reads("Who reads what before")
        first = self._migrate(HMS, GLUE)
        self._refusal()
        second = self._migrate(GLUE)
        self._who_reads("Who reads what after")
        back = self._rollback()
        self._who_reads(f"After the rollback of {BACK}")
        again = self._migrate(HMS)
        self._who_reads("And after its second cut-over")
        for plan_id in FOREIGN:
            show.tables(self._console, status(self._ledger, plan_id))
            show.certificate(self._console, self._ledger, plan_id)
        show.where(self._console, self._home, HMS)
        states = {**first, **second, "rollback": back, **again}
        wrong = [*self._unexpected(), *(name for name, state in states.items() if state != "success")]
        if wrong:
            self._console.print(f"[red]Not as it should be:[/] {', '.join(wrong)}")
        return 1 if wrong else 0

    def _migrate(self, *names: str) -> dict[str, str]:
        runs = {name: self._client.trigger(MIGRATE, request(name)) for name in names}
        self._console.print(f"\nTriggered [bold]{MIGRATE}[/bold] over REST for {' and '.join(names)}")
        return {name: self._followed(MIGRATE, run_id) for name, run_id in runs.items()}

    def _rollback(self) -> str:
        given = {"plan_id": HMS, "tables": [f"{HMS}.{BACK}"]}
        self._console.print(f"\nTriggered [bold]{ROLLBACK}[/bold] over REST for {BACK}")
        return self._followed(ROLLBACK, self._client.trigger(ROLLBACK, given))

    def _followed(self, dag_id: str, run_id: str) -> str:
        """Show a run's tasks and answer its questions as a person would; return its final state."""
        seen: set[str] = set()
        for _ in self._client.watch(dag_id, run_id):
            seen = show.progress(self._console, self._client.tasks(dag_id, run_id), seen)
            for question in self._client.approvals():
                show.question(self._console, question)
                self._client.answer(question, "Approve", {"writers_stopped": True})
        return self._client.run_state(dag_id, run_id)

    def _refusal(self) -> None:
        """Two tables are readable by a grant on their schema: that is for their owner to decide, so he does."""
        left = [row for row in status(self._ledger, GLUE) if row["state"] == "validated"]
        self._console.print(f"\n{len(left)} tables of {FOREIGN[GLUE]}.open are proven and not cut over:")
        for row in left:
            self._console.print(f"  {row['source']}: {row['problem']}", style="yellow", markup=False)
        self._console.print("So the schema's owner runs:")
        for statement in estate.MENDED:
            self._console.print(f"  {statement}", markup=False)
            self._workspace.run(statement)

    def _who_reads(self, title: str) -> None:
        grid = Table(title=title)
        for head in ("table", "who", "foreign", "managed"):
            grid.add_column(head, no_wrap=True)
        for name, tables in zip((GLUE, HMS), READ, strict=True):
            for table in tables:
                for who in (ANALYST, COLLEAGUE):
                    places = (f"{FOREIGN[name]}.{table}", f"main.{table}")
                    grid.add_row(table, who, *(self._workspace.reads(who, place) for place in places))
        self._console.print(grid)

    def _unexpected(self) -> Iterator[str]:
        for plan_id, refused in REFUSED.items():
            for row in status(self._ledger, plan_id):
                name = str(row["source"]).removeprefix(f"{plan_id}.")
                expected = "refused" if name in refused else "cut over"
                if row["state"] != expected:
                    yield f"{row['source']} is {row['state']}, not {expected}"


def request(name: str) -> dict[str, Any]:
    """Return the trigger form's values for one lake."""
    return {
        "source_conn_id": name,
        "target_conn_id": TARGET,
        "tables": ["*"],
        "plan_id": name,
        "accept_losses": list(LOSSES),
    }

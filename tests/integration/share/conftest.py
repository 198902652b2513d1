"""One Snowflake account for all of them, and a home whose source is a world without Spark."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from icebridge_provider.model.snowflake import SourceColumn
from icebridge_provider.state.ledger import SqlLedger
from tests.support.airflow_cli import connection, environment
from tests.support.share_world import SourceWorld
from tests.support.snowflake import Account

COLUMNS = [SourceColumn(name="id", type="bigint"), SourceColumn(name="text", type="string")]
ENDS: dict[str, Any] = {"source_conn_id": "dbx", "target_conn_id": "snow", "storage_conn_id": "files"}


@dataclass(frozen=True, kw_only=True)
class Home:
    """A source, an account's database with a stage, and a ledger, known to Airflow by connections."""

    folder: Path
    account: Account
    world: SourceWorld
    database: str

    @property
    def ledger(self) -> SqlLedger:
        return SqlLedger(f"sqlite:///{self.folder / 'ledger.db'}")

    @property
    def stage(self) -> str:
        return f"{self.database}.PUBLIC.LAND"

    def fill(self, name: str, ids: Sequence[int], text: str = "x") -> None:
        """Let ``main.sales.<name>`` have these rows."""
        table = pa.table({"id": pa.array(ids, pa.int64()), "text": pa.array([text] * len(ids), pa.string())})
        self.world.table(("main", "sales", name), COLUMNS, table)

    def line(self, name: str, more: str = "") -> str:
        return f"main.sales.{name} -> {self.database}.PUBLIC.{name.upper()}{more}"

    def rows(self, name: str) -> list[tuple[int, str]]:
        """The target's rows, read by a plain connection."""
        with contextlib.closing(self.account.connect(self.database)) as opened:
            found = opened.cursor().execute(f'SELECT "id", "text" FROM {name.upper()} ORDER BY 1, 2').fetchall()
        return [(int(number), str(text)) for number, text in found]

    def conf(self, *lines: str, **more: Any) -> dict[str, Any]:
        return {**ENDS, "tables": "\n".join(lines), "stage": self.stage, **more}


@pytest.fixture(scope="session")
def accounts(snowflake: Account, airflow_cli_home: Path) -> Account:
    return snowflake


@pytest.fixture
def home(accounts: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    from icebridge_provider.hooks import share

    assert accounts.s3 is not None
    database = accounts.database()
    accounts.stage(database, prefix=f"{database}/")
    made = Home(
        folder=tmp_path, account=accounts, world=SourceWorld(tmp_path / "source", accounts.s3), database=database
    )
    # The workspace's own part, HTTP and Spark, is proven in tests/contract/databricks and by the demo's system test.
    monkeypatch.setattr(share, "_warehouse", made.world.runner)
    monkeypatch.setattr(share, "location_check", lambda *_: None)
    values = {
        "AIRFLOW_CONN_DBX": connection("databricks", host="127.0.0.1", port=1, schema="http", password="dapi-secret"),
        "AIRFLOW_CONN_SNOW": accounts.airflow_uri(database),
        "AIRFLOW_CONN_FILES": connection("icebridge_catalog", extra=accounts.s3),
        "AIRFLOW_CONN_ICEBRIDGE_LEDGER": connection("icebridge_ledger", schema=str(tmp_path / "ledger.db")),
        "AIRFLOW__ICEBRIDGE__SHARE_POLL_SECONDS": "0.1",
    }
    with environment(**values):
        made.ledger.migrate()
        yield made
    accounts.calm()


def planned(home: Home, *lines: str, run: str = "manual", **more: Any) -> list[dict[str, Any]]:
    """Plan by the operator, as the DAG does."""
    from icebridge_provider.operators.share import PlanSharesOperator
    from tests.support.dag_runs import context

    operator = PlanSharesOperator(task_id="plan", **home.conf(*lines, **more))
    return operator.execute(context(run))


def export_task(item: dict[str, Any], **more: Any) -> Any:
    from icebridge_provider.operators.share import DatabricksExportOperator

    return DatabricksExportOperator(task_id="export", **ENDS, **item, **more)


def load_task(item: dict[str, Any], **more: Any) -> Any:
    from icebridge_provider.operators.share import SnowflakeLoadOperator

    return SnowflakeLoadOperator(task_id="load", **ENDS, **item, **more)

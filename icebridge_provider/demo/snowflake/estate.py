"""What stands before the first run: three tables of a workspace, a bucket that both sides reach, and rights."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from icebridge_provider.demo import data
from icebridge_provider.demo.databricks.workspace import LocalWorkspace
from icebridge_provider.demo.snowflake.account import LocalAccount, LocalBucket

BRIDGE, USER, ROLE, PASSWORD = "icebridge", "SHARE_BRIDGE", "ICEBRIDGE", "Pb1!"
BUCKET = "icebridge-share"
ROOT = f"s3://{BUCKET}/"
DATABASE, SCHEMA = "ANALYTICS", "NEW_YORK"
STAGE = f"{DATABASE}.{SCHEMA}.LAKE"
SOURCE = "main.ny"
RAW = "/Volumes/main/ny/raw"
DATABRICKS, SNOWFLAKE, LAKE = "databricks", "snowflake", "lake"
FIRST_DAY = date(2013, 1, 1)
DAYS_AT_FULL_SCALE = 140


class Kind(StrEnum):
    """How a value is compared, whichever side it comes from."""

    TEXT = "text"
    WHOLE = "whole"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    TIME = "time"
    INSTANT = "instant"
    BYTES = "bytes"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A table of the story, and how it is shared.

    :param columns: names and kinds, in order.
    :param selected: SQL that makes it of the raw files.
    :param key: names of an upsert's keys.
    :param summed: a column whose sums both sides are asked for.
    """

    name: str
    mode: str
    selected: str
    columns: tuple[tuple[str, Kind], ...]
    summed: str
    key: tuple[str, ...] = ()
    where: str = ""

    @property
    def source(self) -> str:
        """Its name in the workspace."""
        return f"{SOURCE}.{self.name}"

    def target(self, prefix: str = "") -> tuple[str, str, str]:
        """Return its name in the account."""
        return DATABASE, SCHEMA, f"{prefix}{self.name}".upper()

    def line(self, prefix: str = "") -> str:
        """Return its line of the trigger form."""
        said = [f"{self.source} -> {'.'.join(self.target(prefix))}", f"mode={self.mode}"]
        said += [f"keys={','.join(f'`{name}`' for name in self.key)}"] if self.key else []
        said += [f"where={self.where}"] if self.where else []
        return "; ".join(said)


WEATHER = Shared(
    name="weather", mode="append", summed="temp °F", where="day >= :since AND day < :until",
    selected="origin, CAST(time_hour AS DATE) AS day, time_hour AS observed_at, temp AS `temp °F`,"
    " CAST(precip AS DECIMAL(38,10)) AS precip, CAST(humid AS FLOAT) AS humid,"
    " named_struct('direction', wind_dir, 'speed', wind_speed, 'gust', wind_gust) AS wind",
    columns=(
        ("origin", Kind.TEXT), ("day", Kind.DATE), ("observed_at", Kind.INSTANT), ("temp °F", Kind.FLOAT),
        ("precip", Kind.DECIMAL), ("humid", Kind.FLOAT), ("wind", Kind.JSON),
    ),
)  # fmt: skip
PLANES = Shared(
    name="planes", mode="replace", summed="seats",
    selected="tailnum, CAST(year AS SMALLINT) AS year, type, manufacturer, model, CAST(seats AS INT) AS seats,"
    " unhex(md5(tailnum)) AS token, array(type, engine) AS tags, map(engine, engines) AS engines",
    columns=(
        ("tailnum", Kind.TEXT), ("year", Kind.WHOLE), ("type", Kind.TEXT), ("manufacturer", Kind.TEXT),
        ("model", Kind.TEXT), ("seats", Kind.WHOLE), ("token", Kind.BYTES), ("tags", Kind.JSON),
        ("engines", Kind.JSON),
    ),
)  # fmt: skip
FLIGHTS = Shared(
    name="flights", mode="upsert", summed="arr_delay", key=("carrier", "flight", "Scheduled At"),
    where="changed_on >= :since AND changed_on < :until",
    selected="carrier, CAST(flight AS INT) AS flight, CAST(time_hour AS TIMESTAMP_NTZ) AS `Scheduled At`, origin,"
    " dest, tailnum, CAST(arr_delay AS DECIMAL(9,2)) AS arr_delay, distance, arr_delay IS NULL AS lost,"
    " CAST(time_hour AS DATE) AS changed_on",
    columns=(
        ("carrier", Kind.TEXT), ("flight", Kind.WHOLE), ("Scheduled At", Kind.TIME), ("origin", Kind.TEXT),
        ("dest", Kind.TEXT), ("tailnum", Kind.TEXT), ("arr_delay", Kind.DECIMAL), ("distance", Kind.WHOLE),
        ("lost", Kind.BOOLEAN), ("changed_on", Kind.DATE),
    ),
)  # fmt: skip
TABLES = (WEATHER, PLANES, FLIGHTS)
ADDED = ("note", Kind.TEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Days of a run: ``since`` is in, ``until`` is not."""

    since: date
    until: date

    def values(self) -> dict[str, str]:
        """Return what is bound in conditions."""
        return {"since": self.since.isoformat(), "until": self.until.isoformat()}


def windows(scale: float) -> tuple[Window, Window]:
    """Return the days of the first run and of the second."""
    days = timedelta(days=min(max(round(scale * DAYS_AT_FULL_SCALE), 2), 30))
    middle = FIRST_DAY + days
    return Window(since=FIRST_DAY, until=middle), Window(since=middle, until=middle + days)


def set_up(workspace: LocalWorkspace, last: date) -> int:
    """Make the tables of real rows up to a day, and give the bridge, who is known, its rights; return the rows."""
    from databricks.sdk.service.catalog import AwsIamRoleRequest, VolumeType

    client = workspace.client("admin")
    client.catalogs.create("main")
    client.schemas.create("ny", "main")
    client.volumes.create("main", "ny", "raw", VolumeType.MANAGED)
    role = AwsIamRoleRequest(role_arn="arn:aws:iam::001234567890:role/databricks")
    client.storage_credentials.create("lake", aws_iam_role=role)
    client.external_locations.create("lake", ROOT, "lake")
    rows = 0
    for table in TABLES:
        found = _until(data.flights(table.name), last)
        client.files.upload(f"{RAW}/{table.name}/part.parquet", io.BytesIO(_parquet(found)))
        files = f"read_files('{RAW}/{table.name}', format => 'parquet')"
        workspace.run(f"CREATE TABLE {table.source} USING ICEBERG AS SELECT {table.selected} FROM {files}")  # noqa: S608 - our names
        rows += found.num_rows
    for statement in databricks_rights():
        workspace.run(statement)
    return rows


def databricks_rights() -> Iterator[str]:
    """What an administrator of the workspace runs."""
    yield f"GRANT USE CATALOG ON CATALOG main TO `{BRIDGE}`"
    yield f"GRANT USE SCHEMA, SELECT ON SCHEMA {SOURCE} TO `{BRIDGE}`"
    yield f"GRANT READ FILES, WRITE FILES ON EXTERNAL LOCATION lake TO `{BRIDGE}`"


def let_in(account: LocalAccount) -> str:
    """Make database, stage and the bridge's role and user; return the password."""
    account.run(*snowflake_rights())
    password = f"{PASSWORD}{secrets.token_urlsafe(16)}"
    account.user(USER, password, ROLE)
    return password


def snowflake_rights() -> Iterator[str]:
    """What an administrator of the account runs: no key stands in any of it."""
    yield f"CREATE DATABASE {DATABASE}"
    yield f"CREATE SCHEMA {DATABASE}.{SCHEMA}"
    yield (
        "CREATE STORAGE INTEGRATION ICEBRIDGE_S3 TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3' ENABLED = TRUE"
        f" STORAGE_AWS_ROLE_ARN = 'arn:aws:iam::001234567890:role/snowflake' STORAGE_ALLOWED_LOCATIONS = ('{ROOT}')"
    )
    yield f"CREATE STAGE {STAGE} URL = '{ROOT}' STORAGE_INTEGRATION = ICEBRIDGE_S3"
    yield f"CREATE ROLE {ROLE}"
    yield f"GRANT USAGE ON WAREHOUSE WH TO ROLE {ROLE}"
    yield f"GRANT USAGE ON DATABASE {DATABASE} TO ROLE {ROLE}"
    yield f"GRANT USAGE, CREATE TABLE ON SCHEMA {DATABASE}.{SCHEMA} TO ROLE {ROLE}"
    yield f"GRANT USAGE ON STAGE {STAGE} TO ROLE {ROLE}"


def connections(
    workspace: LocalWorkspace, bucket: LocalBucket, account: LocalAccount, password: str
) -> dict[str, dict[str, Any]]:
    """Return the three connections, as a person enters them in Airflow's form."""
    login = {"conn_type": "databricks", "host": "127.0.0.1", "schema": "http", "port": workspace.port}
    extra = {"catalog": "main", "warehouse_id": workspace.warehouse}
    return {
        DATABRICKS: {**login, "password": workspace.token(BRIDGE), "extra": extra},
        SNOWFLAKE: account.connection(USER, password, ROLE, DATABASE, SCHEMA),
        LAKE: bucket.connection(),
    }


def change(workspace: LocalWorkspace, window: Window) -> None:
    """A week passes: flights are corrected and forgotten, planes come and go, and one table gets a column."""
    corrected = f"SET arr_delay = arr_delay + 60.25, changed_on = DATE '{window.since}'"
    early = f"changed_on < DATE '{window.since}'"
    flights, planes = FLIGHTS.source, PLANES.source
    columns = ", ".join(f"`{name}`" for name, _ in (*PLANES.columns, ADDED))
    workspace.run(f"UPDATE {flights} {corrected} WHERE carrier = 'UA' AND {early}")
    workspace.run(f"DELETE FROM {flights} WHERE carrier = 'HA' AND {early}")  # noqa: S608 - our names
    workspace.run(f"DELETE FROM {planes} WHERE year < 1985")  # noqa: S608 - as above
    workspace.run(f"ALTER TABLE {planes} ADD COLUMN {ADDED[0]} STRING")
    workspace.run(
        f"INSERT INTO {planes} ({columns}) VALUES"  # noqa: S608 - as above
        " ('N0ICE', CAST(2026 AS SMALLINT), 'Œuvre d''art', 'Łódź & Söhne', '', 4, X'00FF', array('🧊', NULL),"
        " map('solar', CAST(8 AS BIGINT)), 'flies on “ice”')"
    )


def _until(rows: pa.Table, last: date) -> pa.Table:
    if "time_hour" not in rows.column_names:
        return rows
    end = pa.scalar(datetime(last.year, last.month, last.day, tzinfo=UTC), pa.timestamp("s", "UTC"))
    kept = rows.filter(pc.less(rows["time_hour"], end))
    at = kept.schema.get_field_index("time_hour")
    return kept.set_column(at, "time_hour", kept["time_hour"].cast(pa.timestamp("us", "UTC")))


def _parquet(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    return sink.getvalue()

"""A local Snowflake account in its own process, with an S3 server for its stages, for tests."""

from __future__ import annotations

import contextlib
import io
import json
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import boto3
import certifi
import httpx
import pytest

from tests.peers.snowflake.environment import ensure
from tests.support.s3 import BUCKET, s3_server

ROOT = Path(__file__).parents[2]
INTEGRATION = "ICEBRIDGE_S3"


class Account:
    """A running account: ``with Account(folder, s3) as account``.

    ``s3`` are the properties of :func:`tests.support.s3.s3_server`; without them there are no stages. Clients verify
    the server by ``bundle``: entering sets REQUESTS_CA_BUNDLE to it, which the connector heeds.
    """

    def __init__(self, folder: Path, s3: dict[str, str] | None = None) -> None:
        self.folder, self.s3 = folder, s3
        self.bundle = folder / "bundle.pem"
        self._databases = 0

    def __enter__(self) -> Self:
        command = [str(ensure()), "-m", "tests.peers.snowflake", "--folder", str(self.folder)]
        command += ["--s3-endpoint", self.s3["s3.endpoint"]] if self.s3 else []
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=self._environment()
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.__exit__()
            raise RuntimeError("the account did not start; its error is above")
        self.started: dict[str, Any] = json.loads(line)
        ca = Path(self.started["ca_file"]).read_text()
        self.bundle.write_text(Path(certifi.where()).read_text() + ca)
        self._before = os.environ.get("REQUESTS_CA_BUNDLE")
        os.environ["REQUESTS_CA_BUNDLE"] = str(self.bundle)
        bearer = {"Authorization": f"Bearer {self.started['admin_token']}"}
        verify = ssl.create_default_context(cadata=ca)
        self.admin = httpx.Client(base_url=f"{self.url}/admin", headers=bearer, timeout=60, verify=verify)
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "admin"):
            self.admin.close()
            if self._before is None:
                os.environ.pop("REQUESTS_CA_BUNDLE", None)
            else:
                os.environ["REQUESTS_CA_BUNDLE"] = self._before
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "AIRFLOW"))}
        if self.s3:
            kept["AWS_ACCESS_KEY_ID"] = self.s3["s3.access-key-id"]
            kept["AWS_SECRET_ACCESS_KEY"] = self.s3["s3.secret-access-key"]
            kept["AWS_DEFAULT_REGION"] = self.s3["s3.region"]
        return {**kept, "PYTHONUNBUFFERED": "1"}

    @property
    def url(self) -> str:
        return f"https://{self.started['host']}:{self.started['port']}"

    def order(self, method: str, path: str, body: Any = None) -> Any:
        """Ask the admin routes for something; an error is raised."""
        answer = self.admin.request(method, path, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def database(self) -> str:
        """A new, empty database."""
        self._databases += 1
        name = f"DB{self._databases}"
        self.order("POST", "/databases", {"name": name})
        return name

    def user(self, name: str, *roles: str, password: str = "a-password") -> str:
        """A user with roles; gives the password."""
        self.order("POST", "/users", {"name": name, "password": password, "roles": list(roles)})
        return password

    def arguments(self, database: str | None = None, **more: Any) -> dict[str, Any]:
        """What ``snowflake.connector.connect`` wants."""
        started = self.started
        given = {"user": started["user"], "password": started["password"], "account": started["account"]}
        place = {"host": started["host"], "port": started["port"], "warehouse": "WH", "database": database}
        # Certificates are checked all the same: this turns off only the question to a responder outside.
        quiet = {"disable_ocsp_checks": True, "session_parameters": {"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False}}
        return {**given, **place, "schema": "PUBLIC", "login_timeout": 20, "network_timeout": 60, **quiet, **more}

    def connect(self, database: str | None = None, **more: Any) -> Any:
        """An unmodified connection of the connector."""
        import snowflake.connector

        return snowflake.connector.connect(**self.arguments(database, **more))

    def airflow_uri(self, database: str, **extra: Any) -> str:
        """A connection for Airflow's SnowflakeHook, as JSON."""
        started = self.started
        place = {"account": started["account"], "host": started["host"], "port": started["port"]}
        quiet = {"session_parameters": {"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False}, "insecure_mode": True}
        inside = {**place, "database": database, "warehouse": "WH", **quiet, **extra}
        connection = {"conn_type": "snowflake", "login": started["user"], "password": started["password"]}
        return json.dumps({**connection, "schema": "PUBLIC", "extra": inside})

    def stage(self, database: str, name: str = "LAND", *, prefix: str = "") -> str:
        """A storage integration over the bucket and a stage at ``prefix`` in it; gives the stage's full name."""
        url = f"s3://{BUCKET}/{prefix}"
        with contextlib.closing(self.connect(database)) as connection:
            connection.cursor().execute(
                f"CREATE STORAGE INTEGRATION IF NOT EXISTS {INTEGRATION} TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3' "
                "ENABLED = TRUE STORAGE_AWS_ROLE_ARN = 'arn:aws:iam::001234567890:role/r' "
                f"STORAGE_ALLOWED_LOCATIONS = ('s3://{BUCKET}/')"
            )
            connection.cursor().execute(f"CREATE STAGE {name} URL = '{url}' STORAGE_INTEGRATION = {INTEGRATION}")
        return f"{database}.PUBLIC.{name}"

    def put(self, key: str, content: Any) -> int:
        """Write an object: bytes, or an Arrow table as Parquet; gives its size."""
        assert self.s3 is not None
        if not isinstance(content, bytes):
            content = parquet(content)
        s3_client(self.s3).put_object(Bucket=BUCKET, Key=key, Body=content)
        return len(content)

    def fail(self, fault: int | str, statement: str = "", **more: Any) -> None:
        """Order a fault for the next statement (or ``times``) that fits: see ``tests.peers.snowflake.faults``."""
        self.order("POST", "/faults", [{"fault": fault, "statement": statement, **more}])

    def calm(self) -> None:
        """No more faults."""
        self.order("DELETE", "/faults")

    def advance(self, *, days: float = 0, seconds: float = 0) -> None:
        """Move the account's clock forward."""
        self.order("POST", "/clock", {"advance_seconds": days * 86400 + seconds})

    def reset_clock(self) -> None:
        self.order("POST", "/clock", {"reset": True})

    def queries(self, text: str = "") -> list[dict[str, Any]]:
        """All statements seen whose text holds this."""
        return [one for one in self.order("GET", "/queries") if text in one["text"]]


def parquet(table: Any) -> bytes:
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def s3_client(properties: dict[str, str]) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=properties["s3.endpoint"],
        aws_access_key_id=properties["s3.access-key-id"],
        aws_secret_access_key=properties["s3.secret-access-key"],
        region_name=properties["s3.region"],
    )


@pytest.fixture(scope="session")
def snowflake_s3() -> Iterator[dict[str, str]]:
    """The S3 server under the stages; one for the session."""
    with s3_server() as properties:
        yield properties


@pytest.fixture(scope="session")
def snowflake(tmp_path_factory: pytest.TempPathFactory, snowflake_s3: dict[str, str]) -> Iterator[Account]:
    """An account with an S3 server; one for the session."""
    with Account(tmp_path_factory.mktemp("snowflake"), snowflake_s3) as account:
        yield account

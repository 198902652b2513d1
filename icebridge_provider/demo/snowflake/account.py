"""Starts the S3 server and the Snowflake stand-in of the source checkout, and asks the account as its administrator."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from icebridge_provider.demo import stand_in
from icebridge_provider.demo.stand_in import CHECKOUT
from icebridge_provider.exceptions import ConfigurationError

S3_LOG, ACCOUNT_LOG = "s3.log", "snowflake.log"
WAREHOUSE = "WH"
CA_VARIABLE = "REQUESTS_CA_BUNDLE"  # by which Snowflake's connector finds the authorities that it trusts
# Certificates are checked all the same: what is turned off are questions to a responder and to telemetry outside.
_QUIET = {"session_parameters": {"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False}}


class LocalBucket:
    """A bucket of an S3 server in its own process: ``with LocalBucket(folder, name) as bucket``; all in memory."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self.name = folder, name

    def __enter__(self) -> Self:
        refuse_package()
        command = [sys.executable, "-m", "tests.peers.s3", "--bucket", self.name]
        self._process, told = stand_in.start(command, self._folder / S3_LOG)
        if not told:
            raise _failed("S3 server", self._folder / S3_LOG)
        self.endpoint, self._told = str(told["endpoint"]), told
        return self

    def __exit__(self, *_: object) -> None:
        stand_in.end(self._process)

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which a process has the right to the bucket."""
        keys = {"AWS_ACCESS_KEY_ID": self._told["key"], "AWS_SECRET_ACCESS_KEY": self._told["secret"]}
        return {**keys, "AWS_DEFAULT_REGION": self._told["region"], "AWS_REGION": self._told["region"]}

    def connection(self) -> dict[str, Any]:
        """Return Airflow's connection to it: for listing and for manifests, no row passes through."""
        told = self._told
        keys = {"s3.endpoint": told["endpoint"], "s3.region": told["region"], "s3.access-key-id": told["key"]}
        return {"conn_type": "icebridge_catalog", "extra": {**keys, "s3.secret-access-key": told["secret"]}}


class LocalAccount:
    """A Snowflake account in its own process: ``with LocalAccount(folder, bucket) as account``; all in memory."""

    def __init__(self, folder: Path, bucket: LocalBucket) -> None:
        self._folder, self._bucket = folder, bucket
        self.bundle = folder / "authorities.pem"

    def __enter__(self) -> Self:
        place = ["--folder", str(self._folder), "--s3-endpoint", self._bucket.endpoint]
        command = [prepared_python(), "-m", "tests.peers.snowflake", *place]
        log = self._folder / ACCOUNT_LOG
        self._process, self._told = stand_in.start(command, log, self._bucket.environment)
        if not self._told:
            raise _failed("Snowflake account", log)
        import certifi

        own = Path(self._told["ca_file"]).read_text()
        self.bundle.write_text(Path(certifi.where()).read_text() + own)
        self._before = os.environ.get(CA_VARIABLE)
        os.environ[CA_VARIABLE] = str(self.bundle)
        return self

    def __exit__(self, *_: object) -> None:
        os.environ.pop(CA_VARIABLE, None)
        if self._before is not None:
            os.environ[CA_VARIABLE] = self._before
        stand_in.end(self._process)

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{self._told['host']}:{self._told['port']}"

    def user(self, name: str, password: str, role: str) -> None:
        """Make a user, as an administrator does in a real account's console."""
        self._order("POST", "/users", {"name": name, "password": password, "roles": [role]})

    def queries(self) -> list[dict[str, Any]]:
        """All statements that came so far, oldest first: ``text``, ``tag``, ``status`` and more."""
        return list(self._order("GET", "/queries"))

    def connection(self, user: str, password: str, role: str, database: str, schema: str) -> dict[str, Any]:
        """Return Airflow's connection of a user, for its SnowflakeHook."""
        told = self._told
        place = {"account": told["account"], "host": told["host"], "port": told["port"], "database": database}
        extra = {**place, "warehouse": WAREHOUSE, "role": role, "insecure_mode": True, **_QUIET}
        return {"conn_type": "snowflake", "login": user, "password": password, "schema": schema, "extra": extra}

    def run(self, *statements: str) -> None:
        """Run statements as the administrator."""
        with closing(self._connected()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def rows(self, statement: str, values: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Return the rows of a query, by the plain connector and none of IceBridge's code."""
        with closing(self._connected()) as connection, connection.cursor() as cursor:
            cursor.execute(statement, dict(values) if values else None)
            return [tuple(row) for row in cursor.fetchall()]

    def _order(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._told['admin_token']}", "Content-Type": "application/json"}
        url = f"https://{self.address}/admin{path}"
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - https, loopback
        trusted = ssl.create_default_context(cafile=self._told["ca_file"])
        with urllib.request.urlopen(request, timeout=60, context=trusted) as answer:  # noqa: S310 - as above
            return json.load(answer)

    def _connected(self) -> Any:
        import snowflake.connector

        told = self._told
        place = {"account": told["account"], "host": told["host"], "port": told["port"], "warehouse": WAREHOUSE}
        login = {"user": told["user"], "password": told["password"], "login_timeout": 30}
        session = {**_QUIET["session_parameters"], "TIMEZONE": "UTC"}
        return snowflake.connector.connect(**place, **login, disable_ocsp_checks=True, session_parameters=session)


def refuse_package(checkout: Path = CHECKOUT) -> None:
    """Make sure that this is a source checkout, which the stand-ins come with.

    :raises ConfigurationError: IB-970 for an installed package.
    """
    if not (checkout / "tests" / "peers" / "snowflake").is_dir():
        raise ConfigurationError(
            "IB-970",
            "The Snowflake account of this demo comes with IceBridge's source checkout, not with its package.",
            remedy="Clone the repository and run README's command there with: -- --stack snowflake",
            changed="Nothing was done.",
        )


def prepared_python() -> str:
    """Make the account's own environment or find it, and return its interpreter.

    :raises ConfigurationError: IB-970 when this is no source checkout, or the environment cannot be made.
    """
    refuse_package()
    command: Sequence[str] = [sys.executable, "-m", "tests.peers.snowflake.environment"]
    made = subprocess.run(command, cwd=CHECKOUT, check=False, capture_output=True, text=True)  # noqa: S603 - our own
    if made.returncode:
        raise ConfigurationError(
            "IB-970",
            f"The environment of the local Snowflake account could not be made: {made.stderr[-1500:]}",
            remedy="Mend what it says and run the command again.",
            changed="Nothing was done.",
        )
    return made.stdout.strip().splitlines()[-1]


def _failed(what: str, log: Path) -> ConfigurationError:
    return ConfigurationError(
        "IB-971",
        f"The local {what} did not start. The end of its log:\n{stand_in.tail(log)}",
        remedy=f"Read {log}, mend what it says and run the command again.",
        changed="The demo's folder was emptied; nothing else was touched.",
    )

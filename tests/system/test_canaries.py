"""Credentials of every kind stand in connections and in tables; none may come out anywhere, in any spelling."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import socket
import socketserver
import sqlite3
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import psycopg2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from icebridge_provider.state.ledger import SqlLedger
from icebridge_provider.steps.status import status
from tests.support import canary_run, postgres

pytestmark = [pytest.mark.system, pytest.mark.postgres]
ROOT = Path(__file__).parents[2]


def canary(kind: str, odd: str = "") -> str:
    """Return a secret that no program would write by itself; ``odd`` characters are spelled otherwise in addresses."""
    return f"{kind}{odd}{secrets.token_hex(12)}"


@dataclass(frozen=True, kw_only=True)
class Canaries:
    """All planted secrets by what they are."""

    values: dict[str, str]
    pem: str

    @classmethod
    def new(cls) -> Canaries:
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        values = {
            "password in an SQL uri": canary("sqlpw", "@/:%"),
            "password in the uri of a database that is gone": canary("gonepw", "#?"),
            "password in a REST uri": canary("resturi", "@"),
            "REST bearer": canary("bearer"),
            "OAuth client secret": canary("oauth"),
            "s3.secret-access-key": canary("s3key", "/+"),
            "s3.session-token": canary("s3session"),
            "adls.account-key": canary("adls", "=="),
            "authorization header": canary("basic"),
            "ledger password": canary("ledgerpw", "@/ "),
            "signing key": pem.splitlines()[1],
            "scraper's password": canary("scrape"),
            "table property by its name": canary("property"),
            "table property in an address": canary("jdbc"),
            "signature in a metadata address": canary("presigned"),
        }
        return cls(values=values, pem=pem)


def spellings(secret: str) -> set[str]:
    """Return a secret as it may appear: plain, in addresses, in JSON, in base64 at any offset, in hexadecimal."""
    found = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1]}
    found |= {secret.encode().hex(), secret.encode().hex().upper()}
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(b"x" * before + secret.encode()).decode()[4 if before else 0 : -4])
    return {spelling for spelling in found if len(spelling) >= 12}


def hits(canaries: Canaries, texts: dict[str, bytes]) -> list[str]:
    """Return where secrets come out, without the secrets."""
    wanted = [(name, s.encode()) for name, secret in canaries.values.items() for s in spellings(secret)]
    return sorted({f"{name} in {where}" for where, text in texts.items() for name, s in wanted if s in text})


def connections(canaries: Canaries, source: str, target: str, ledger_port: int, ledger: str) -> dict[str, Any]:
    """Return connections of all kinds.

    :param source: address of a database, without a password, as ``target``.
    """
    secret = canaries.values
    pair = base64.b64encode(f"user:{secret['authorization header']}".encode()).decode()
    storage = {name: secret[name] for name in ("s3.secret-access-key", "s3.session-token", "adls.account-key")} | {
        "s3.access-key-id": "AKIA" + "Q" * 16,
        "token": secret["REST bearer"],
        "header.Authorization": f"Basic {pair}",
    }
    password = quote(secret["password in an SQL uri"], safe="")

    def catalog(uri: str, **more: str) -> dict[str, Any]:
        return {"conn_type": "icebridge_catalog", "extra": {"type": "sql", "uri": uri, **storage, **more}}

    in_rest = quote(secret["password in a REST uri"], safe="")
    gone = quote(secret["password in the uri of a database that is gone"], safe="")
    return {
        "src": catalog(source.replace("icebridge@", f"icebridge:{password}@"), warehouse=""),
        "dst": catalog(target.replace("icebridge@", f"icebridge:{password}@"), warehouse=""),
        "gone": catalog(f"postgresql+psycopg2://icebridge:{gone}@127.0.0.1:1/none"),
        "rest": {
            "conn_type": "icebridge_catalog",
            "login": "client",
            "password": secret["OAuth client secret"],
            "extra": {**storage, "type": "rest", "uri": f"http://user:{in_rest}@127.0.0.1:1/catalog"},
        },
        "icebridge_ledger": {
            "conn_type": "icebridge_ledger", "host": "127.0.0.1", "port": ledger_port, "schema": ledger,
            "login": "icebridge", "password": secret["ledger password"],
        },
        "signer": {"conn_type": "generic", "password": canaries.pem},
        "scraper": {"conn_type": "generic", "password": secret["scraper's password"]},
        "presigned": {
            "conn_type": "generic",
            "host": f"s3://user:{secret['signature in a metadata address']}@bucket/metadata/v1.metadata.json"
            f"?X-Amz-Signature={secret['signature in a metadata address']}",
        },
    }  # fmt: skip


def properties(canaries: Canaries) -> dict[str, str]:
    secret = canaries.values
    return {
        "fs.azure.account-key": secret["table property by its name"],
        "connect.source": f"jdbc:postgresql://app:{secret['table property in an address']}@db.example/orders",
        "connect.header": "Basic " + base64.b64encode(f"a:{secret['authorization header']}".encode()).decode(),
    }


@contextmanager
def port_of(folder: Path) -> Iterator[int]:
    """Let a PostgreSQL that listens on a socket file answer on a free port of loopback."""

    class Pass(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as inner:
                inner.connect(str(folder / ".s.PGSQL.5432"))
                back = threading.Thread(target=_pump, args=(inner, self.request), daemon=True)
                back.start()
                _pump(self.request, inner)
                back.join(5)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Pass) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def _pump(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        return


@dataclass(frozen=True, kw_only=True)
class Ran:
    canaries: Canaries
    folder: Path
    said: bytes
    summary: dict[str, Any]
    ledger: str
    dumped: bytes

    def texts(self) -> dict[str, bytes]:
        """Return everything that came out, by where: output, every file of the home, databases row by row, archives."""
        found = {"output": self.said, "ledger": self.dumped}
        for top in ("home", "out"):
            for path in (self.folder / top).rglob("*"):
                if path.is_file():
                    found[str(path.relative_to(self.folder))] = path.read_bytes()
                if path.suffix == ".zip":
                    with zipfile.ZipFile(path) as archive:
                        found |= {f"{path.name}/{name}": archive.read(name) for name in archive.namelist()}
        with sqlite3.connect(self.folder / "home" / "airflow.db") as connection:
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            found["Airflow's database"] = "\n".join(connection.iterdump()).encode()
        return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder, canaries = tmp_path_factory.mktemp("canaries"), Canaries.new()
    with postgres.running() as server, port_of(server.folder) as port:
        urls = [server.new_database() for _ in range(3)]
        ledger = urls[2].partition("@/")[2].partition("?")[0]
        made = connections(canaries, urls[0], urls[1], port, ledger)
        for name in ("src", "dst"):
            made[name]["extra"]["warehouse"] = f"file://{folder}/{name}"
        (folder / "connections.json").write_text(json.dumps(made))
        (folder / "properties.json").write_text(json.dumps(properties(canaries)))
        said = _run(folder)
        summary = json.loads(said.decode(errors="replace").strip().splitlines()[-1])
        yield Ran(
            canaries=canaries, folder=folder, said=said, summary=summary, ledger=urls[2],
            dumped=_dump(server, ledger),
        )  # fmt: skip


def _run(folder: Path) -> bytes:
    settings = {
        "AIRFLOW__ICEBRIDGE__ALLOW_UNAPPROVED_CUTOVER": "True",
        "AIRFLOW__ICEBRIDGE__TASK_RETRIES": "0",
        "AIRFLOW__ICEBRIDGE__SIGNING_CONN_ID": "signer",
        "AIRFLOW__ICEBRIDGE__SCRAPE_CONN_ID": "scraper",
    }
    ran = subprocess.run(
        [sys.executable, "-m", "tests.support.canary_run", str(folder)],
        cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout.decode(errors="replace")[-6000:]
    return ran.stdout


def _dump(server: postgres.PostgresServer, name: str) -> bytes:
    """Return every row of every table of a database."""
    with psycopg2.connect(host=str(server.folder), user="icebridge", dbname=name) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        lines = []
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            lines.extend(f"{table}: {row[0]}" for row in cursor.fetchall())
    connection.close()
    return "\n".join(lines).encode()


def test_no_secret_comes_out_anywhere(ran: Ran) -> None:
    texts = ran.texts()
    assert hits(ran.canaries, texts) == []


def test_what_was_searched_is_what_people_and_machines_read(ran: Ran) -> None:
    texts = ran.texts()
    for wanted in (
        r"home/airflow\.db", r"home/icebridge/data_docs/.*index\.html", r"out/plan\.json", r"out/assessment\.html",
        r"out/docs/.*\.html", r"out/metrics\.txt", r"out/backup\.jsonl", r"bundle\.zip/.*certificate.*",
    ):  # fmt: skip
        found = [name for name in texts if re.fullmatch(wanted, name)]
        assert found, f"{wanted} not in {sorted(texts)}"
        assert all(len(texts[name]) > 20 for name in found)
    for part in (b'INSERT INTO "xcom"', b'INSERT INTO "rendered_task_instance_fields"'):
        assert part in texts["Airflow's database"]
    for part in (b"icebridge status", b'"state"', b"IB-201"):
        assert part in texts["output"]
    assert b"certificate" in texts["ledger"]


def test_the_credentials_were_in_use_and_the_runs_went_as_they_should(ran: Ran) -> None:
    assert ran.summary["states"] == {"migrate": "failed", "rest": "failed", "gone": "failed"}
    rows = {row["source"].rpartition(".")[2]: row for row in status(SqlLedger(ran.ledger), canary_run.PLAN)}
    assert rows[canary_run.GOOD]["state"] == "cut over"
    assert rows[canary_run.FAILS]["problem"]
    assert rows[canary_run.BROKEN]["state"] == "refused"
    assert any(b'"signed": true' in text or b'"signed":true' in text for text in ran.texts().values())
    codes = ran.summary["codes"]
    assert codes["after"][f"status {canary_run.PLAN} --json"] == 0
    assert codes["before"]["check-connection rest --json"] == 1


@pytest.mark.parametrize("name", sorted(Canaries.new().values))
def test_a_secret_that_comes_out_is_found_in_every_spelling(name: str) -> None:
    planted = Canaries.new()
    secret = planted.values[name]
    for spelled in (
        secret, quote(secret, safe=""), json.dumps(secret)[1:-1], secret.encode().hex(),
        base64.b64encode(secret.encode()).decode(), base64.b64encode(f"user:{secret}".encode()).decode(),
        base64.urlsafe_b64encode(f"ab:{secret} more".encode()).decode(),
    ):  # fmt: skip
        assert f"{name} in log" in hits(planted, {"log": f"said: {spelled}.".encode()})

"""``audit`` through the command line: what holds is said to hold, what was changed is named."""

from __future__ import annotations

import sqlite3
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support import tables
from tests.support.airflow_cli import connection, environment
from tests.support.cli import icebridge

pytestmark = pytest.mark.airflow
KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def private_pem(key: Ed25519PrivateKey) -> str:
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, none).decode()


def public_file(key: Ed25519PrivateKey, path: Path) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
    return str(path)


@pytest.fixture
def migrated(airflow_cli_home: Path, tmp_path: Path) -> Iterator[Path]:
    """A ledger with one plan that was cut over, its certificates signed."""
    made = tables.open_catalog(tmp_path / "src")
    for name in ("first", "second"):
        tables.plain(made, name)
    (tmp_path / "dst").mkdir()
    names = {
        f"AIRFLOW_CONN_{name.upper()}": connection(
            "icebridge_catalog", extra=tables.catalog_properties(tmp_path / name)
        )
        for name in ("src", "dst")
    }
    with environment(
        AIRFLOW_CONN_ICEBRIDGE_LEDGER=connection("icebridge_ledger", schema=str(tmp_path / "ledger.db")),
        AIRFLOW_CONN_SIGNING=connection("generic", password=private_pem(KEY)),
        AIRFLOW__ICEBRIDGE__SIGNING_CONN_ID="signing",
        AIRFLOW__ICEBRIDGE__ALLOW_UNAPPROVED_CUTOVER="True",
        **names,
    ):
        assert icebridge("db", "migrate").code == 0
        plan = ("plan", "--source", "src", "--target", "dst", "--plan-id", "p1", "--approval", "none")
        assert icebridge(*plan).code == 0
        assert icebridge("retry", "p1", "--here").code == 0
        yield tmp_path


def test_a_whole_record_holds_and_its_bundle_is_checked_without_a_ledger(migrated: Path) -> None:
    found = icebridge("audit", "verify", "--json")
    assert (found.code, found.json["certificates"], found.json["signed"]) == (0, 2, 2)
    zipped = str(migrated / "p1.zip")
    assert icebridge("audit", "bundle", "p1", "--out", zipped).code == 0
    assert "index.html" in zipfile.ZipFile(zipped).namelist()
    with environment(AIRFLOW_CONN_ICEBRIDGE_LEDGER=connection("http"), AIRFLOW__ICEBRIDGE__SIGNING_CONN_ID="gone"):
        assert icebridge("audit", "verify", "--bundle", zipped, "--json").json["keys"] == "own"
        ours, others = public_file(KEY, migrated / "k.pem"), public_file(OTHER, migrated / "o.pem")
        assert icebridge("audit", "verify", "--bundle", zipped, "--public-key", ours).code == 0
        assert icebridge("audit", "verify", "--bundle", zipped, "--public-key", others).code == 1
    assert icebridge("audit", "verify", "--since", zipped).code == 0


def test_a_certificate_that_no_longer_holds_is_named(migrated: Path) -> None:
    with sqlite3.connect(migrated / "ledger.db") as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        database.executescript("".join(f"DROP TRIGGER {name};" for name in names))
        (before,) = database.execute(
            "SELECT content FROM icebridge_documents WHERE kind = 'certificate' AND key LIKE '%second'"
        ).fetchone()
        assert '"rows":100' in before
        database.execute(
            "UPDATE icebridge_documents SET content = ? WHERE kind = 'certificate' AND key LIKE '%second'",
            (before.replace('"rows":100', '"rows":101'),),
        )
    said = icebridge("audit", "verify", "--json")
    assert said.code == 1
    assert any("second" in problem for problem in said.json["problems"])
    assert not any("first" in problem for problem in said.json["problems"])


def test_certificates_signed_with_a_key_that_was_replaced_need_it_by_file(migrated: Path) -> None:
    with environment(AIRFLOW_CONN_SIGNING=connection("generic", password=private_pem(OTHER))):
        assert icebridge("audit", "verify").code == 1
        assert icebridge("audit", "verify", "--public-key", public_file(KEY, migrated / "k.pem")).code == 0


def test_a_bundle_that_is_none_is_told(migrated: Path) -> None:
    (migrated / "x.zip").write_text("no zip")
    assert icebridge("audit", "verify", "--bundle", str(migrated / "x.zip"), "--json").json["ok"] is False
    assert icebridge("audit", "verify", "--since", str(migrated / "x.zip"), "--json").refusal == "IB-764"
    assert icebridge("audit", "bundle", "p9", "--json").refusal == "IB-120"

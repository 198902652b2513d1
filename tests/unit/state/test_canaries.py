"""Twelve canaries in many disguises: none gets into the ledger's file, whichever way it tries."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.event import Actor, Outcome, Step
from icebridge_provider.model.plan import Estimate, MigrationPlan, MigrationRequest, Rates
from icebridge_provider.state.ledger import SqlLedger, require_shared
from tests.support.ledgers import PLAN, TABLE, an_event, sqlite_ledger

CANARIES = {
    "password": "Can4ry00pQwErTy",
    "s3.secret-access-key": "Can4ry01/x+SecretAccessKeyOfForty",
    "s3.access-key-id": "AKIACANARY02ABCDEFGH",
    "s3.session-token": "Can4ry03//////////Session==",
    "token": "Can4ry04dapi0123456789abcdef",
    "credential": "client:Can4ry05secret",
    "adls.account-key": "Can4ry06AccountKey==",
    "adls.sas-token": "sv=2024&sig=Can4ry07%2Fsig",
    "adls.connection-string": "AccountName=a;AccountKey=Can4ry08==;EndpointSuffix=x",
    "private_key": "-----BEGIN PRIVATE KEY-----\nCan4ry09\n-----END PRIVATE KEY-----",
    "uri": "postgresql://me:Can4ry10pw@db/x",
    "presigned": "https://b.s3.aws/k?X-Amz-Credential=x&X-Amz-Signature=Can4ry11sig",
}
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "address": lambda text: quote(text, safe=""),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "quoted": json.dumps,
}
SELF_EVIDENT = {"uri", "presigned"}  # known by their shape, which base64 hides; their names say nothing


def _plan(name: str, value: str) -> MigrationPlan:
    return MigrationPlan(
        plan_id=PLAN,
        created_at="2026-01-01",
        request=MigrationRequest(source_conn_id="a", target_conn_id="b"),
        tables=(),
        waves=(),
        findings=(),
        estimate=Estimate(bytes=0, seconds=0.0, cost=0.0, throughput_mb_s=1.0, rates=Rates()),
        versions={name: value},
    ).sealed()


def _ways(ledger: SqlLedger, name: str, value: str) -> list[Callable[[], Any]]:
    message = f"the driver said: {name}={value}"
    return [
        lambda: ledger.append(an_event(**{name: value})),
        lambda: ledger.append(an_event(deep=[{"more": {name: value}}])),
        lambda: ledger.append_many([an_event(), an_event(**{name: value})]),
        lambda: ledger.append(an_event(Step.COPY, Outcome.FAILED, message=message, remedy=message)),
        lambda: ledger.append(replace(an_event(), actor=Actor(who="me", origin=message))),
        lambda: ledger.save_document("report", "k", {"rows": [{name: value}]}),
        lambda: ledger.save_document("inventory", "k", {"properties": {name: value}}),
        lambda: ledger.save_document("certificate", "k", {"certificate": {"properties": {name: value}}}),
        lambda: ledger.save_plan(_plan(name, value)),
    ]


def _core(value: str) -> str:
    """The part of a canary that nothing else contains, whatever stands around it."""
    start = max(value.find("Can4ry"), value.find("AKIACANARY"))
    return value[start : start + 10]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", CANARIES)
def test_no_canary_gets_into_the_ledger(tmp_path: Path, name: str, encoding: str) -> None:
    if name in SELF_EVIDENT and encoding == "base64":
        name_there, value = f"{name}.secret", ENCODINGS[encoding](CANARIES[name])
    else:
        name_there, value = name, ENCODINGS[encoding](CANARIES[name])
    ledger = sqlite_ledger(tmp_path)
    outcomes = []
    for way in _ways(ledger, name_there, value):
        try:
            way()
            outcomes.append("stored")
        except ConfigurationError as error:
            outcomes.append(error.code)
            assert _core(CANARIES[name]) not in f"{error}{error.facts}"
            assert value not in f"{error}{error.facts}"
    assert set(outcomes) <= {"stored", "IB-119"}
    assert outcomes[0] == outcomes[1] == outcomes[2] == outcomes[-1] == "IB-119"
    ledger.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"icebridge_events" in kept
    for form in (value, _core(CANARIES[name]), base64.b64encode(CANARIES[name].encode()).decode()):
        assert form.encode() not in kept


def test_a_failure_is_recorded_with_its_secret_taken_out(tmp_path: Path) -> None:
    ledger = sqlite_ledger(tmp_path)
    message = "cannot reach postgresql://me:Can4ry10pw@db/x"
    recorded = ledger.append(an_event(Step.COPY, Outcome.FAILED, message=message))
    assert recorded.data == {"message": "cannot reach postgresql://***@db/x"}
    assert ledger.state(PLAN, TABLE).problem == "cannot reach postgresql://***@db/x"


def test_a_refusal_records_nothing(tmp_path: Path) -> None:
    ledger = sqlite_ledger(tmp_path)
    with pytest.raises(ConfigurationError, match=r"IB-119.*\$\.token"):
        ledger.append_many([an_event(rows=1), an_event(token="Can4ry04dapi")])
    assert ledger.head()[0] == 0


def test_a_certificate_is_stored_to_the_letter_or_not_at_all(tmp_path: Path) -> None:
    ledger = sqlite_ledger(tmp_path)
    document = {"certificate": {"note": "password: none was needed", "why": "token=x"}}
    ledger.save_document("certificate", "k", document)
    assert ledger.document("certificate", "k") == document
    with suppress(ConfigurationError):
        ledger.save_document("certificate", "k", {"certificate": {"doc": CANARIES["uri"]}})
    assert ledger.document("certificate", "k") == document


@pytest.mark.parametrize("executor", ["CeleryExecutor", "KubernetesExecutor", "my.own.RemoteExecutor"])
def test_a_file_cannot_be_shared_by_hosts(tmp_path: Path, executor: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"IB-112.*{executor}.*db migrate"):
        require_shared(sqlite_ledger(tmp_path), executor)


@pytest.mark.parametrize("executor", ["LocalExecutor", "airflow.executors.local_executor.LocalExecutor", ""])
def test_a_file_is_enough_for_one_host(tmp_path: Path, executor: str) -> None:
    ledger = sqlite_ledger(tmp_path)
    require_shared(ledger, executor)
    require_shared(SqlLedger(f"postgresql+psycopg2:///x?host={tmp_path}"), "CeleryExecutor")
    assert ledger.is_local

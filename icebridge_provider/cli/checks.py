"""What ``doctor`` looks at: one function a matter, each answers with what it found and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec

from icebridge_provider.cli import bundles, runs, surroundings
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.settings import SHORTEST_SCRAPE_SECRET

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1", "[::1]"})


class Level(StrEnum):
    """``ok`` is green, ``wrong`` is red; ``advice`` works but could be better."""

    OK = "ok"
    ADVICE = "advice"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """One matter of the installation: what was found and, unless all is well, what to type."""

    matter: str
    level: Level
    found: str
    fix: str = ""


def _ok(matter: str, found: str) -> Diagnosis:
    return Diagnosis(matter=matter, level=Level.OK, found=found)


def _wrong(matter: str, found: str, fix: str) -> Diagnosis:
    return Diagnosis(matter=matter, level=Level.WRONG, found=found, fix=fix)


def _advice(matter: str, found: str, fix: str) -> Diagnosis:
    return Diagnosis(matter=matter, level=Level.ADVICE, found=found, fix=fix)


def _settings() -> Iterator[Diagnosis]:
    options = surroundings.settings()
    yield _ok("settings", "section [icebridge] is readable")
    if options.allow_unapproved_cutover:
        yield _advice(
            "approval",
            "[icebridge] allow_unapproved_cutover is on: approval=none swaps tables without a person",
            "Set AIRFLOW__ICEBRIDGE__ALLOW_UNAPPROVED_CUTOVER=False unless you mean it.",
        )


def _ledger() -> Iterator[Diagnosis]:
    from icebridge_provider.state.ledger import require_shared

    ledger = surroundings.raw_ledger()
    ledger.check_migrated()
    yield _ok("ledger", f"{'SQLite file' if ledger.is_local else 'database'} of this version")
    executor = _executor()
    require_shared(ledger, executor)
    yield _ok("ledger and executor", f"fits {executor}")
    report = ledger.verify_chain()
    if report.intact:
        yield _ok("event chain", f"{report.events:,} events, unbroken")
    else:
        yield _wrong(
            "event chain", "; ".join(report.problems[:3]), "Run `airflow icebridge audit verify` for all of it."
        )


def _executor() -> str:
    from airflow.configuration import conf

    first = conf.get("core", "executor", fallback="LocalExecutor").split(",")[0]
    return first.rsplit(":", 1)[-1].rsplit(".", 1)[-1]


def _pool() -> Iterator[Diagnosis]:
    slots, wanted = runs.pool_slots(), surroundings.settings().max_parallel_writers
    if slots is None:
        yield _wrong("pool", f"{runs.POOL} is missing", "Run `airflow icebridge init`.")
    elif slots < 1:
        yield _wrong("pool", f"{runs.POOL} has no slot", f"Run `airflow icebridge init --slots {wanted}`.")
    else:
        yield _ok("pool", f"{runs.POOL} has {slots} slots")


def _bundle() -> Iterator[Diagnosis]:
    if bundles.is_configured():
        yield _ok("DAG bundle", f"configured as {bundles.name()}")
    else:
        yield _wrong("DAG bundle", "not configured", f"Set {bundles.line()} for every component and restart them.")


def _dags() -> Iterator[Diagnosis]:
    known = runs.dags()
    missing = [dag for dag in runs.DAGS if dag not in known]
    paused = [dag for dag, is_paused in known.items() if is_paused]
    if missing:
        yield _wrong("DAGs", f"not known to Airflow: {', '.join(missing)}", "Run `airflow icebridge init`.")
    else:
        yield _ok("DAGs", f"{len(known)} known")
    if paused:
        commands = "; ".join(f"airflow dags unpause {dag}" for dag in paused)
        yield _wrong("paused DAGs", ", ".join(paused), f"Run `airflow icebridge init`, or: {commands}")
    yield from _import_errors()


def _import_errors() -> Iterator[Diagnosis]:
    from airflow.models.errors import ParseImportError
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(ParseImportError.filename).where(ParseImportError.bundle_name == bundles.name()))
        files = sorted(str(file) for file in found)
    if files:
        yield _wrong("DAG imports", ", ".join(files), "Run `airflow dags list-import-errors` to see why.")


def _components() -> Iterator[Diagnosis]:
    from airflow.api.common.airflow_health import get_airflow_health

    health = get_airflow_health()
    silent = [name for name in ("scheduler", "triggerer", "dag_processor") if health[name]["status"] != "healthy"]
    if silent:
        commands = " and ".join(f"`airflow {name.replace('_', '-')}`" for name in silent)
        yield _advice("components", f"no heartbeat: {', '.join(silent)}", f"Start {commands} before `icebridge apply`.")
    else:
        yield _ok("components", "scheduler, triggerer and DAG processor are alive")


def _validation() -> Iterator[Diagnosis]:
    if find_spec("great_expectations"):
        yield _ok("Great Expectations", "installed")
    else:
        yield _wrong(
            "Great Expectations",
            "not installed: nothing can be validated",
            "Run `pip install 'airflow-provider-icebridge[gx]'` on every worker.",
        )


def _signing() -> Iterator[Diagnosis]:
    conn_id = surroundings.settings().signing_conn_id
    signer = surroundings.signer()
    if signer is None:
        yield _advice(
            "signing key",
            "none: certificates will say unsigned",
            "Put an Ed25519 private key (PEM) into a connection's password and set [icebridge] signing_conn_id to it.",
        )
    else:
        yield _ok("signing key", f"{signer.key_id} from {conn_id}")


def _scraping() -> Iterator[Diagnosis]:
    conn_id = surroundings.settings().scrape_conn_id
    if not conn_id:
        yield _ok("metrics", "/icebridge/metrics is for Airflow's users only")
        return
    length = len(surroundings.password(conn_id))
    if length < SHORTEST_SCRAPE_SECRET:
        yield _wrong(
            "metrics",
            f"the password of {conn_id} has {length} characters: no scraper is let in",
            f"Give it at least {SHORTEST_SCRAPE_SECRET}, for example from `openssl rand -hex 24`.",
        )
    else:
        yield _ok("metrics", f"scrapers with the password of {conn_id} may read /icebridge/metrics")


def _connections() -> Iterator[Diagnosis]:
    found = surroundings.catalog_connections()
    broken: dict[str, IceBridgeError] = {}
    for conn_id in found:
        try:
            surroundings.catalog(conn_id)
        except IceBridgeError as error:
            broken[conn_id] = error
    for conn_id, problem in broken.items():
        yield _wrong(f"connection {conn_id}", f"{problem.code} {problem.message}", problem.remedy)
    healthy = [conn_id for conn_id in found if conn_id not in broken]
    if healthy:
        yield _ok("connections", f"{', '.join(healthy)}; `icebridge check-connection` tries what they may do")
    elif not broken:
        yield _advice(
            "connections",
            "no catalog among the connections of the environment and the database",
            "Add one: `airflow connections add NAME --conn-type icebridge_catalog --conn-extra '{…}'`.",
        )


def _syncs() -> Iterator[Diagnosis]:
    if not surroundings.settings().syncs_file:
        return
    from icebridge_provider.hooks.bridge import configured, queue_of
    from icebridge_provider.steps.permissions import PermissionsFile

    for sync in configured():
        matter = f"sync {sync.name}"
        try:
            PermissionsFile(sync.permissions_file, sync.user).rights()
            count, _ = queue_of(sync).waiting()
        except IceBridgeError as error:
            yield _wrong(matter, f"{error.code} {error.message}", error.remedy)
        else:
            yield _ok(matter, f"{count} events wait; it writes as {sync.user}")


def _extraction() -> Iterator[Diagnosis]:
    folder = surroundings.settings().extraction_folder
    if not folder:
        return
    from icebridge_provider.engines.mssql.connect import odbc_missing
    from icebridge_provider.steps.extract import plan_jobs

    yield _ok("extraction", f"{len(plan_jobs(folder))} jobs in {folder}")
    missing = odbc_missing()
    if missing:
        yield _advice(
            "SQL Server driver",
            f"mssql-python cannot be used here ({missing}): rows are read more slowly, and some types refused",
            "Install what it needs: apt-get install libltdl7 libkrb5-3 libgssapi-krb5-2",
        )


def _listening() -> Iterator[Diagnosis]:
    from airflow.configuration import conf

    host = conf.get("api", "host", fallback="0.0.0.0")  # noqa: S104 - Airflow's default, which this finds
    if host in LOOPBACK:
        yield _ok("API server", f"listens on {host}")
    elif conf.get("api", "ssl_cert", fallback=""):
        yield _ok("API server", f"listens on {host} with TLS")
    else:
        yield _advice(
            "API server",
            f"listens on {host} without TLS",
            "Set AIRFLOW__API__HOST=127.0.0.1, or put it behind TLS (AIRFLOW__API__SSL_CERT).",
        )
    yield _advice(
        "log servers",
        "scheduler (8793) and triggerer (8794) serve logs on all addresses",
        "Start them with --skip-serve-logs where logs are remote or all components share a host.",
    )


CHECKS: tuple[tuple[str, Callable[[], Iterator[Diagnosis]]], ...] = (
    ("settings", _settings),
    ("ledger", _ledger),
    ("pool", _pool),
    ("DAG bundle", _bundle),
    ("DAGs", _dags),
    ("components", _components),
    ("Great Expectations", _validation),
    ("signing key", _signing),
    ("metrics", _scraping),
    ("connections", _connections),
    ("syncs", _syncs),
    ("extraction", _extraction),
    ("listening", _listening),
)


def diagnose() -> list[Diagnosis]:
    """Return the findings of all checks; one that breaks is itself a finding."""
    return [found for matter, check in CHECKS for found in _examine(matter, check)]


def rights(conn_id: str) -> list[Diagnosis]:
    """Return what a catalog's connection may do, right by right."""
    try:
        rows = surroundings.rights(conn_id)
    except IceBridgeError as error:
        return [_wrong(conn_id, f"{error.code} {error.message}", error.remedy)]
    levels = {"failed": Level.WRONG}
    return [
        Diagnosis(
            matter=f"{conn_id}: {row['check']}",
            level=levels.get(row["outcome"], Level.OK),
            found=row["message"],
            fix=row["remedy"],
        )
        for row in rows
    ]


def _examine(matter: str, check: Callable[[], Iterator[Diagnosis]]) -> list[Diagnosis]:
    found: list[Diagnosis] = []
    try:
        found.extend(check())
    except IceBridgeError as error:
        found.append(_wrong(matter, f"{error.code} {error.message}", error.remedy))
    except Exception as error:  # noqa: BLE001 - a doctor that falls over helps nobody
        found.append(_wrong(matter, f"could not be checked: {type(error).__name__}", _FALLEN.get(matter, _LOOK)))
    return found


_LOOK = "Run `airflow db check` and `airflow info`; the cause is in Airflow's own set-up."
_FALLEN = {
    "ledger": "Check the connection of the ledger: `airflow connections get icebridge_ledger`.",
    "signing key": "The connection's password must be an Ed25519 private key in PEM.",
}

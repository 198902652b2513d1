"""Every default a person can change, in one place: config section ``[icebridge]``, forms and docs are made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.plan import Rates

TARGET_READERS = ("auto", "sql", "files")
SHORTEST_SCRAPE_SECRET = 16  # characters; a shorter password of scrape_conn_id lets nobody in


@dataclass(frozen=True, slots=True, kw_only=True)
class FormField:
    """How an option looks in the trigger form; a migration may then differ from the configuration in it."""

    title: str
    minimum: float = 0
    maximum: float | None = None


def _option(default: Any, text: str, form: FormField | None = None) -> Any:
    return field(default=default, metadata={"text": text, "form": form})


def _form(title: str, minimum: float = 0, maximum: float | None = None) -> FormField:
    return FormField(title=title, minimum=minimum, maximum=maximum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Values of the config section; field names are option names."""

    ledger_conn_id: str = _option("icebridge_ledger", "Connection of the ledger; without it an SQLite file is used.")
    signing_conn_id: str = _option("", "Connection whose password is the Ed25519 private key (PEM) for certificates.")
    scrape_conn_id: str = _option("", "Connection whose password lets a metrics scraper read /icebridge/metrics.")
    allow_unapproved_cutover: bool = _option(False, "Whether approval=none is honoured.")
    approval_timeout_days: int = _option(
        7, "Days of silence after which a cut-over that awaits approval fails.", _form("Days to approve", 1, 365)
    )
    max_parallel_writers: int = _option(64, "Slots of the pool icebridge_writers: tables copied at once, all hosts.")
    max_commits_per_min: int = _option(800, "Catalog commits a minute, over all workers.")
    parallel_tables: int = _option(
        4, "Tables one host copies at once with the embedded engine.", _form("Tables at once on a host", 1, 256)
    )
    copy_threads: int = _option(4, "Threads that copy the files of one table.", _form("Threads per table", 1, 64))
    task_retries: int = _option(3, "Retries of a task after a transient error.")
    wave_tables: int = _option(200, "Most tables in a wave.", _form("Tables in a wave", 1, 1000))
    wave_bytes: int = _option(10 * 1000**4, "Most bytes in a wave.", _form("Bytes in a wave", 1))
    canary_tables: int = _option(
        5,
        "Smallest tables that form the first wave of a plan of more than one wave.",
        _form("Tables in the canary wave", 1, 1000),
    )
    failure_limit: int = _option(5, "Failed tables at which a wave stops.", _form("Failed tables that stop a wave", 1))
    failure_percent: int = _option(
        10,
        "Share of failed tables, in per cent, at which a wave of 10 or more stops.",
        _form("Per cent of failed tables that stop a wave", 1, 100),
    )
    batch_tables: int = _option(
        100,
        "Most tables per mapped task in a wave of more than named_tasks tables.",
        _form("Tables per mapped task", 1, 1000),
    )
    batch_bytes: int = _option(
        20 * 1000**3,
        "Most bytes per mapped task of several tables; a larger table has a task of its own. Not on Databricks.",
        _form("Bytes per mapped task", 1),
    )
    named_tasks: int = _option(
        50,
        "Up to this many tables each has a task of its own, named after it. On Databricks tables share tasks and runs.",
        _form("Tables with a task of their own", 0, 1000),
    )
    purge_grace_days: int = _option(
        30, "Days after cut-over before archived data may be purged.", _form("Days until purge", 0)
    )
    sync_schedule: str = _option("", "Cron expression by which icebridge_sync keeps copies fresh; empty means by hand.")
    syncs_file: str = _option("", "File that lists the event syncs to SQL Server (syncs.yaml); empty means none.")
    events_schedule: str = _option(
        "watch",
        "When icebridge_databricks_to_mssql runs: watch (as soon as the triggerer sees an event), @continuous, a cron "
        "expression, or empty for by hand.",
    )
    audit_file: str = _option("", "File that what event syncs asked and did is appended to, a JSON object a line.")
    extraction_folder: str = _option("", "Folder with queries/ and config/ that icebridge_mssql_to_databricks runs.")
    share_poll_seconds: float = _option(
        0.0, "Seconds between two looks at a running statement of a share; 0: as its preset says (30)."
    )
    share_wait_seconds: float = _option(
        10.0, "Seconds that a worker waits for a statement of a share itself before it gives its slot back."
    )
    lease_seconds: int = _option(300, "Seconds after which a table's silent owner may be replaced.")
    show_values: bool = _option(
        False, "Whether differing values are shown in reports; keys always are.", _form("Show differing values")
    )
    advisory_rules: str = _option(
        "",
        "Rules of pre-flight about Databricks (PRE-034 to PRE-049) that only warn, with commas between.",
        _form("Databricks rules that only warn"),
    )
    target_reader: str = field(
        default="auto",
        metadata={
            "text": "Who reads a copy for its proof: auto (the SQL warehouse of a Databricks target, else files), sql "
            "or files (the table's own files).",
            "form": None,
            "choices": TARGET_READERS,
        },
    )
    throughput_mb_s: float = _option(
        100.0, "MB/s assumed for estimates until a run has measured its own.", _form("MB/s assumed", 0.001)
    )
    currency: str = _option("USD", "Currency of all costs.")
    storage_per_gb_month: float = _option(0.023, "Price of a GB stored for a month.")
    transfer_per_gb: float = _option(0.0, "Price of a GB moved.")
    compute_per_hour: float = _option(0.5, "Price of an hour of the copying host.")

    def rates(self) -> Rates:
        """Return the prices behind every cost."""
        return Rates(
            currency=self.currency,
            storage_per_gb_month=self.storage_per_gb_month,
            transfer_per_gb=self.transfer_per_gb,
            compute_per_hour=self.compute_per_hour,
        )

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Settings:
        """Build settings from texts or values; what is not given keeps its default.

        :raises ConfigurationError: IB-101 naming the option, its value and what fits.
        """
        known = {item.name: item for item in fields(cls)}
        return cls(**{name: _parse(known[name], value) for name, value in given.items() if name in known})

    def overlaid(self, options: Mapping[str, Any]) -> Settings:
        """Return these settings with what one migration's form says instead.

        :raises ConfigurationError: IB-101 for a value that cannot be read or an option that no form may change.
        """
        unknown = sorted(set(options) - set(form_fields()))
        if unknown:
            raise ConfigurationError(
                "IB-101",
                f"A migration cannot set the option {unknown[0]!r}.",
                remedy=f"Set it in the section [icebridge]; a migration may set: {', '.join(form_fields())}.",
                option=unknown[0],
            )
        return replace(self, **{name: getattr(Settings.read({name: value}), name) for name, value in options.items()})


def form_fields() -> dict[str, tuple[Any, str, FormField]]:
    """Return default, meaning and form of the options that a migration may set for itself, by name."""
    return {
        item.name: (item.default, item.metadata["text"], item.metadata["form"])
        for item in fields(Settings)
        if item.metadata["form"] is not None
    }


def _parse(option: Any, value: Any) -> Any:
    kind = type(option.default)
    try:
        if kind is bool:
            return _boolean(value)
        return _chosen(kind(value), option.metadata.get("choices", ()))
    except (TypeError, ValueError):
        raise ConfigurationError(
            "IB-101",
            f"Option [icebridge] {option.name} is {value!r}, which is not {kind.__name__}.",
            remedy=f"Set AIRFLOW__ICEBRIDGE__{option.name.upper()}, for example to {option.default!r}.",
            option=option.name,
        ) from None


def _chosen(value: Any, choices: tuple[str, ...]) -> Any:
    if choices and value not in choices:
        raise ValueError(value)
    return value


def _boolean(value: Any) -> bool:
    text = str(value).strip().lower()
    if text in {"true", "1", "yes", "on", "t"}:
        return True
    if text in {"false", "0", "no", "off", "f", ""}:
        return False
    raise ValueError(value)

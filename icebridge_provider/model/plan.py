"""What a person asked for, and the plan that answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from icebridge_provider.model import codec
from icebridge_provider.model.consumer import ConsumerNames
from icebridge_provider.model.identifier import TableIdentifier
from icebridge_provider.model.report import Finding


class CopyMethod(StrEnum):
    """How bytes move. ``register`` shares the source's files and is used only when asked for.

    ``deep_clone`` is Databricks' own copy of a table: rows and schema, no history.
    """

    COPY_FILES = "copy_files"
    INSERT_SELECT = "insert_select"
    REGISTER = "register"
    DEEP_CLONE = "deep_clone"

    @property
    def rewrites(self) -> bool:
        """Whether rows are written anew: then history goes, and no file can be compared byte by byte."""
        return self in {CopyMethod.INSERT_SELECT, CopyMethod.DEEP_CLONE}


class Approval(StrEnum):
    """Whether a person must approve the cut-over."""

    REQUIRED = "required"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRates:
    """What the cluster of the copy runs costs.

    ``nodes`` counts driver and workers, of a cluster that scales the most. ``dbu_per_node_hour`` is without Photon,
    which consumes ``photon_factor`` times as many and is taken to copy ``photon_speedup`` times as fast.
    ``node_per_hour`` is the cloud's price of a machine, paid for ``startup_minutes`` before the first row as well.
    ``assumed`` names the rates that nobody gave.
    """

    nodes: int
    photon: bool = True
    node_type: str = ""
    dbu_per_node_hour: float = 1.0
    photon_factor: float = 2.9
    photon_speedup: float = 2.0
    price_per_dbu: float = 0.15
    node_per_hour: float = 0.30
    startup_minutes: float = 5.0
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Prices behind every cost in a plan, per unit of ``currency``; ``cluster`` where a cluster copies."""

    currency: str = "USD"
    storage_per_gb_month: float = 0.023
    transfer_per_gb: float = 0.0
    compute_per_hour: float = 0.50
    cluster: ClusterRates | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationRequest:
    """The trigger form: what to move, how, and within which limits. Names are the DAG's params.

    ``mapping`` holds rules as text (see planning/mapping.py), ``accept_losses`` loss ids, ``deadline`` an ISO 8601
    instant, ``cutover_window`` ``cron|minutes|time zone``. ``options`` are those of the configuration's that this
    migration has otherwise (see :func:`icebridge_provider.model.settings.form_fields`), ``cluster`` the keys of the
    target connection's ``cluster`` that it has otherwise (see :mod:`icebridge_provider.engines.databricks.overlay`),
    ``managed_location`` where schemas that are made for it keep their tables.
    ``consumer_names`` says whether tables may get other names than their consumers use today.
    """

    source_conn_id: str
    target_conn_id: str
    tables: tuple[str, ...] = ("*",)
    method: str = "auto"
    mapping: tuple[str, ...] = ()
    accept_losses: tuple[str, ...] = ()
    approval: Approval = Approval.REQUIRED
    allow_zero_copy: bool = False
    max_cost: float | None = None
    deadline: str = ""
    cutover_window: str = ""
    wave_tables: int = 200
    wave_bytes: int = 10 * 1000**4
    throughput_mb_s: float = 100.0
    rates: Rates = field(default_factory=Rates)
    options: Mapping[str, str] = field(default_factory=dict)
    cluster: Mapping[str, Any] = field(default_factory=dict)
    managed_location: str = ""
    consumer_names: ConsumerNames = ConsumerNames.NEW


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Something the target cannot keep. ``id`` is what a person pastes into ``accept_losses``."""

    id: str
    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePlan:
    """Everything the copier, the validator and the cut-over need to know of one table.

    ``snapshot_id`` is the source head when the plan was made (None: no snapshot yet); the copy pins the head it
    finds and records it. ``location`` is the new table's own folder, never shared with another table.
    """

    source: TableIdentifier
    target: TableIdentifier
    staged: TableIdentifier
    method: CopyMethod
    table_uuid: str
    metadata_location: str
    snapshot_id: int | None
    location: str
    files: int
    bytes: int
    rows: int
    wave: int = 0
    losses: tuple[Loss, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Tables that run together; the first wave of a large plan is a canary of its smallest tables."""

    number: int
    tables: int
    bytes: int
    canary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterEstimate:
    """What the copy runs will take: ``hours`` of the cluster in all, and what that costs.

    ``baseline_cost`` is what copying without Photon would cost on the same machines, in ``baseline_hours``; both
    costs are DBUs and machines.
    """

    runs: int
    hours: float
    dbus: float
    dbu_cost: float
    instance_cost: float
    baseline_hours: float
    baseline_cost: float

    @property
    def cost(self) -> float:
        """DBUs and machines."""
        return round(self.dbu_cost + self.instance_cost, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What the plan will take: seconds at ``throughput_mb_s``, and money at the stated rates.

    ``cost`` is ``transfer`` + ``compute`` + ``storage``: the last is what is stored twice for ``grace_days`` until
    purge. ``measured`` says whether the speed was measured by earlier runs between these catalogs, or assumed.
    ``cluster`` is the clusters' part of ``compute``, None where none copies.
    """

    bytes: int
    seconds: float
    cost: float
    throughput_mb_s: float
    rates: Rates
    transfer: float = 0.0
    compute: float = 0.0
    storage: float = 0.0
    grace_days: int = 0
    measured: bool = False
    cluster: ClusterEstimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationPlan:
    """One JSON file. ``digest`` covers all other fields; an edited plan needs ``sealed()``, an explicit step."""

    plan_id: str
    created_at: str
    request: MigrationRequest
    tables: tuple[TablePlan, ...]
    waves: tuple[Wave, ...]
    findings: tuple[Finding, ...]
    estimate: Estimate
    versions: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    def computed_digest(self) -> str:
        """SHA-256 of the canonical JSON of this plan without its digest."""
        return codec.digest(replace(self, digest=""))

    def sealed(self) -> MigrationPlan:
        """Return this plan with the digest that fits it."""
        return replace(self, digest=self.computed_digest())

    def of_wave(self, number: int) -> tuple[TablePlan, ...]:
        """Tables of one wave, in plan order."""
        return tuple(table for table in self.tables if table.wave == number)

    def table(self, source: str) -> TablePlan:
        """Return the table whose source is ``source`` (``str`` of its identifier).

        :raises KeyError: when the plan has no such table.
        """
        for table in self.tables:
            if str(table.source) == source:
                return table
        raise KeyError(source)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain JSON values."""
        return dict(codec.to_json(self))

    @classmethod
    def from_json(cls, value: Any) -> MigrationPlan:
        """Read a plan; the digest is not checked here.

        :raises ValueError: naming the first key that does not fit.
        """
        return codec.from_json(cls, value)

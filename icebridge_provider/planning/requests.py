"""Is what a person asked for well formed? Said before a catalog is read."""

from __future__ import annotations

import re

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.plan import Approval, MigrationRequest
from icebridge_provider.model.settings import Settings
from icebridge_provider.planning import cost, methods, scaffold
from icebridge_provider.planning.cluster import build_photon_cluster
from icebridge_provider.planning.mapping import parse_rules
from icebridge_provider.planning.window import parse_window

_PLAN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,63}")


def check_request(request: MigrationRequest, settings: Settings, plan_id: str = "") -> None:
    """Check every field of the trigger form that can be checked without a catalog.

    :raises ConfigurationError: IB-101 an option, IB-311 a mapping rule, IB-315 the deadline, IB-317 the window,
        IB-330 the method, IB-331 zero copy, IB-332 a loss, IB-333 the plan id, IB-335 the approval, IB-336 a limit,
        IB-440 to IB-444 the cluster.
    """
    _check_plan_id(plan_id)
    methods.requested(request)
    parse_rules(request.mapping)
    scaffold.refuse_unknown(request.accept_losses)
    cost.deadline_is_readable(request)
    parse_window(request.cutover_window)
    _check_limits(request)
    check_approval(request, settings)
    settings.overlaid(request.options)
    if request.cluster:  # each key by itself, credentials before all: what is missing is the connection's to give
        build_photon_cluster({"policy_id": "any", **request.cluster})


def check_approval(request: MigrationRequest, settings: Settings) -> None:
    """Stop before a byte is copied when nobody is to approve and the configuration wants somebody to.

    :raises ConfigurationError: IB-335.
    """
    if request.approval is Approval.NONE and not settings.allow_unapproved_cutover:
        raise ConfigurationError(
            "IB-335",
            "approval is none, and this installation asks for approval of every cut-over.",
            remedy='Take "approval": "required", or set AIRFLOW__ICEBRIDGE__ALLOW_UNAPPROVED_CUTOVER=True.',
        )


def _check_plan_id(plan_id: str) -> None:
    if plan_id and not _PLAN_ID.fullmatch(plan_id):
        raise ConfigurationError(
            "IB-333",
            f"{plan_id!r} cannot be a plan id.",
            remedy="Use up to 64 letters, digits, _ . : + and -, a letter or digit first.",
            plan_id=plan_id,
        )


def _check_limits(request: MigrationRequest) -> None:
    limits = {"wave_tables": request.wave_tables, "wave_bytes": request.wave_bytes,
              "throughput_mb_s": request.throughput_mb_s}  # fmt: skip
    wrong = [name for name, value in limits.items() if not value > 0]
    wrong += ["max_cost"] * (request.max_cost is not None and not request.max_cost >= 0)
    if wrong:
        value = getattr(request, wrong[0])
        raise ConfigurationError(
            "IB-336", f"{wrong[0]} is {value}.", remedy="It must be greater than zero.", option=wrong[0]
        )

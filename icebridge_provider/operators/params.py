"""The fields of the trigger forms."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from icebridge_provider.model.plan import CopyMethod

CONNECTION = r"^[A-Za-z0-9_.()-]{1,250}$"
PLAN = r"^[A-Za-z0-9_.-]{0,100}$"
_WHAT, _HOW, _LIMITS = "What to move", "How", "Limits"


def migration_params() -> dict[str, Param]:
    """Return the form of ``icebridge_migrate``; names are those of ``MigrationRequest``."""
    return {
        "source_conn_id": Param(
            "", type="string", title="Source connection", section=_WHAT, pattern=r"^$|" + CONNECTION,
            description="Connection of the catalog the tables are in. Not needed with the id of a kept plan.",
        ),
        "target_conn_id": Param(
            "", type="string", title="Target connection", section=_WHAT, pattern=r"^$|" + CONNECTION,
            description="Connection of the catalog they move to.",
        ),
        "tables": _texts(
            ["*"], "Tables", _WHAT,
            "Globs over namespace.table, one a line; a leading ! excludes. Example: sales.*",
        ),
        "plan_id": Param(
            "", type="string", title="Plan id", section=_WHAT, pattern=PLAN,
            description="A kept plan to run or to go on with, or the id the new plan gets. Empty: made of the run.",
        ),
        "method": Param(
            "auto", type="string", enum=["auto", *(method.value for method in CopyMethod)], title="Copy method",
            section=_HOW, description="auto takes the cheapest that is correct.",
        ),
        "mapping": _texts(
            [], "Mapping", _HOW,
            "Rules for new names, one a line: explicit:a.b=c.d, prefix:old.=new., suffix:_raw=, regex:/…/ => …",
        ),
        "accept_losses": _texts(
            [], "Accepted losses", _HOW, "What may be lost, by name; the plan says what it would lose, and the name."
        ),
        "allow_zero_copy": Param(
            False, type="boolean", title="Allow zero copy", section=_HOW,
            description="Let the new tables share the source's files. The source's maintenance can then delete them.",
        ),
        "approval": Param(
            "required", type="string", enum=["required", "none"], title="Approval", section=_HOW,
            description="Whether a person approves the cut-over. none works only where the configuration allows it.",
        ),
        "cutover_window": Param(
            "", type="string", title="Cut-over window", section=_HOW, pattern=r"^$|^[^|]+\|\s*\d+\s*\|[^|]+$",
            description="When the cut-over may happen: cron|minutes|time zone. Example: 0 22 * * 6|240|Europe/Berlin",
        ),
        "max_cost": Param(
            None, type=["null", "number"], minimum=0, title="Most it may cost", section=_LIMITS,
            description="In the configured currency; a plan that costs more is refused.",
        ),
        "deadline": Param(
            "", type="string", title="Deadline", section=_LIMITS,
            description="ISO 8601 instant; a plan that cannot be done by then is refused.",
        ),
        "wave_tables": Param(
            0, type="integer", minimum=0, maximum=1000, title="Tables in a wave", section=_LIMITS,
            description="Most tables that run together; 0 for the configured number.",
        ),
    }  # fmt: skip


def plan_params(*, required: bool = True) -> dict[str, Param]:
    """Return the form of DAGs that work on a kept plan."""
    pattern = PLAN.replace("{0,", "{1,") if required else PLAN
    default: dict[str, Any] = {} if required else {"default": ""}
    return {
        "plan_id": Param(
            **default, type="string", title="Plan id", section=_WHAT, pattern=pattern,
            description="As `icebridge status` lists it.",
        ),
        "tables": _texts([], "Tables", _WHAT, "Sources as the plan spells them, one a line; none means all."),
    }  # fmt: skip


def _texts(default: list[str], title: str, section: str, description: str) -> Param:
    return Param(
        default, type="array", items={"type": "string"}, title=title, section=section, description=description
    )

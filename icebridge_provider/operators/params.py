"""The fields of the trigger forms."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

from icebridge_provider.hooks.settings import settings
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.model.settings import FormField, form_fields

CONNECTION = r"^[A-Za-z0-9_.()-]{1,250}$"
PLAN = r"^([A-Za-z0-9][A-Za-z0-9_.:+-]{0,63})?$"
LISTS = ("tables", "mapping", "accept_losses", "cluster")  # handed on as JSON
_WHAT, _HOW, _LIMITS, _TUNING = "What to move", "How", "Limits", "Defaults of the configuration"
_TYPES: dict[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


def migration_params() -> dict[str, Param]:
    """Return the form of ``icebridge_migrate``.

    It has the fields of ``MigrationRequest``, then the options of the section ``[icebridge]`` that a migration may have
    otherwise, each with the value in force as its default.
    """
    return {**_what(), **_how(), **_limits(), **option_params()}


def option_params() -> dict[str, Param]:
    """Return a form field for every option that a migration may set for itself."""
    now = settings()
    return {name: _option(text, form, getattr(now, name)) for name, (_, text, form) in form_fields().items()}


def plan_params(*, required: bool = True) -> dict[str, Param]:
    """Return the form of DAGs that work on a kept plan."""
    given: dict[str, Any] = {"pattern": PLAN.replace(")?$", ")$")} if required else {"default": "", "pattern": PLAN}
    return {
        "plan_id": Param(
            **given, type="string", title="Plan id", section=_WHAT,
            description="As `icebridge status` lists it." + ("" if required else " Empty: every plan."),
        ),
        "tables": _texts(
            [], "Tables", _WHAT, "Sources as the plan spells them, or globs over them, one a line; none means all."
        ),
    }  # fmt: skip


def templates(names: Any) -> dict[str, str]:
    """Return the templates that hand form fields on to an operator."""
    return {
        name: f"{{{{ params.{name} | tojson }}}}" if name in LISTS else f"{{{{ params.{name} }}}}" for name in names
    }


def _what() -> dict[str, Param]:
    return {
        "source_conn_id": Param(
            "", type="string", title="Source connection", section=_WHAT, pattern=r"^$|" + CONNECTION,
            description="Connection of the catalog the tables are in. Not needed with the id of a kept plan.",
        ),
        "target_conn_id": Param(
            "", type="string", title="Target connection", section=_WHAT, pattern=r"^$|" + CONNECTION,
            description="Connection of the catalog they move to. Not needed with the id of a kept plan.",
        ),
        "tables": _texts(
            ["*"], "Tables", _WHAT,
            "Globs over namespace.table, one a line; a leading ! excludes. Example: sales.*",
        ),
        "plan_id": Param(
            "", type="string", title="Plan id", section=_WHAT, pattern=PLAN,
            description="A kept plan to run or to go on with, or the id the new plan gets. Empty: made of the run.",
        ),
    }  # fmt: skip


def _how() -> dict[str, Param]:
    return {
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
        "consumer_names": Param(
            "new", type="string", enum=["new", "keep"], title="Names for consumers", section=_HOW,
            description="keep refuses the plan unless everybody can go on under the names of today.",
        ),
        "managed_location": Param(
            "", type="string", title="Storage location", section=_HOW, pattern=r"^$|^[a-z0-9]+://\S+$",
            description="Databricks: where schemas that are made for this migration keep their tables. Empty: where "
            "their catalog does. Example: s3://lake/managed/sales",
        ),
        "cluster": Param(
            {}, type=["object", "null"], title="Cluster", section=_HOW,
            description="Databricks: keys of the target connection's cluster that this migration has otherwise. "
            'Example: {"num_workers": 8, "photon": false}. Credentials as {{secrets/<scope>/<key>}} only.',
        ),
    }  # fmt: skip


def _limits() -> dict[str, Param]:
    return {
        "max_cost": Param(
            None, type=["null", "number"], minimum=0, title="Most it may cost", section=_LIMITS,
            description=f"In {settings().currency}; a plan that costs more is refused.",
        ),
        "deadline": Param(
            "", type="string", title="Deadline", section=_LIMITS,
            description="ISO 8601 instant; a plan that cannot be done by then is refused.",
        ),
    }  # fmt: skip


def _option(text: str, form: FormField, value: Any) -> Param:
    kind = _TYPES[type(value)]
    limits: dict[str, Any] = {} if kind in {"boolean", "string"} else {"minimum": form.minimum}
    if form.maximum is not None:
        limits["maximum"] = form.maximum
    return Param(value, type=kind, title=form.title, section=_TUNING, description=text, **limits)


def _texts(default: list[str], title: str, section: str, description: str) -> Param:
    return Param(default, type="array", items={"type": "string"}, title=title, section=section, description=description)

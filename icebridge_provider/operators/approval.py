"""The question a person answers before a cut-over, and the gate that decides whether anybody must be asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.branch import BaseBranchOperator
from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param

from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.operators.base import IceBridgeOperator
from icebridge_provider.operators.retry import retrying

if TYPE_CHECKING:
    from airflow.sdk import Context

    from icebridge_provider.model.plan import MigrationPlan

ASKED = "asked_digest"
SHOWN = 50
_HTML = str.maketrans({"<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "\\|", "`": "'", "\n": " "})


class ApprovalGateOperator(BaseBranchOperator):
    """Asks a person when something is ready and the plan wants approval; goes on, or ends, when not.

    :param plan_id: the plan.
    :param certificate: what ``CertifyOperator`` returned.
    :param ask: task that asks.
    :param go_on: task that cuts over.
    :param end: task for a wave with nothing to cut over.
    """

    template_fields: Sequence[str] = ("plan_id", "certificate")
    ui_color = IceBridgeOperator.ui_color

    def __init__(self, *, plan_id: str, certificate: Any, ask: str, go_on: str, end: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_id = plan_id
        self.certificate = certificate
        self.ask = ask
        self.go_on = go_on
        self.end = end

    def choose_branch(self, context: Context) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the task to go on with."""
        from icebridge_provider.hooks.ledger import LedgerHook

        if not self.certificate or not self.certificate.get("digest"):
            return self.end
        plan = LedgerHook().ledger().plan(self.plan_id)
        return self.go_on if plan.request.approval.value == "none" else self.ask


class ApproveCutOverOperator(ApprovalOperator):
    """Asks whether the certified tables may be cut over, in the UI under *Required Actions* or by REST.

    The question shows plan, tables, certificate digest, accepted losses and last writers. To approve, *writers_stopped*
    must be ticked. The answer holds for the digest that was shown: when the certificates have changed since, it is
    refused. A rejection, or silence for ``approval_timeout_days``, fails the task.

    :param plan_id: the plan.
    :param certificate: what ``CertifyOperator`` returned.
    :param wave: number of the wave.
    """

    template_fields: Sequence[str] = (*ApprovalOperator.template_fields, "plan_id", "certificate", "wave")
    ui_color = IceBridgeOperator.ui_color

    def __init__(self, *, plan_id: str, certificate: Any, wave: int | str = 0, **kwargs: Any) -> None:
        kwargs.setdefault("subject", "May the certified tables be cut over?")
        super().__init__(fail_on_reject=True, **{**retrying(), **kwargs})
        self.plan_id = plan_id
        self.certificate = certificate
        self.wave = wave

    def execute(self, context: Context) -> Any:
        """Ask.

        :returns: after the answer ``chosen_options, params_input, responded_at, responded_by_user`` and
            ``certificate`` (the digest that was shown).
        """
        from icebridge_provider.hooks.ledger import LedgerHook
        from icebridge_provider.hooks.settings import settings

        plan = LedgerHook().ledger().plan(self.plan_id)
        request = plan.request
        days = settings().overlaid(request.options).approval_timeout_days
        self.response_timeout = self.response_timeout or timedelta(days=days)
        digest = str(self.certificate["digest"])
        context["ti"].xcom_push(key=ASKED, value=digest)
        self._form(digest)
        self.subject = f"Cut over {len(self.certificate['tables'])} tables? Certificate {digest[:12]}"
        self.body = question(self.plan_id, self.wave, self.certificate, consumers(plan, self.certificate["tables"]))
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Take the answer.

        :raises ConfigurationError: IB-709 approved without the tick, IB-703 the certificates changed meanwhile.
        """
        ti = context["ti"]
        asked = str(ti.xcom_pull(task_ids=ti.task_id, key=ASKED, map_indexes=ti.map_index) or "")
        self._form(asked)
        given = dict(event.get("params_input") or {})
        if self.APPROVE in (event.get("chosen_options") or ()):
            self._check(given, asked)
        event = {**event, "params_input": {"certificate": asked, "writers_stopped": False, **given}}
        answer = super().execute_complete(context, event)
        return {**answer, "responded_at": str(answer["responded_at"]), "certificate": asked}

    def _form(self, digest: str) -> None:
        self.params["certificate"] = Param(
            digest, type="string", title="Certificate", const=digest, description="What is approved. Leave it as it is."
        )
        self.params["writers_stopped"] = Param(
            False, type="boolean", title="Writers stopped", description="Nobody writes to the sources any more."
        )

    def _check(self, given: Mapping[str, Any], asked: str) -> None:
        now = str((self.certificate or {}).get("digest", ""))
        if not asked == now == str(given.get("certificate", asked)):
            raise ConfigurationError(
                "IB-703",
                f"The approval is for certificate {str(given.get('certificate', asked))[:12]}; now {now[:12]} stands.",
                remedy="Clear this task to be asked again, and approve what it shows then.",
                changed="Nothing was cut over.",
            )
        if given.get("writers_stopped") is not True:
            raise ConfigurationError(
                "IB-709",
                "The approval lacks the tick that the writers are stopped.",
                remedy="Stop the writers, clear this task to be asked again, and tick writers_stopped.",
                changed="Nothing was cut over.",
            )


def approval_of(answer: Any) -> tuple[str, bool, str]:
    """Return who approved, whether they ticked that the writers are stopped, and the digest they were shown."""
    if not answer or "Approve" not in (answer.get("chosen_options") or ()):
        return "", False, ""
    user = answer.get("responded_by_user") or {}
    values = answer.get("params_input") or {}
    who = str(user.get("name") or user.get("id") or "")
    return who, values.get("writers_stopped") is True, str(answer.get("certificate", ""))


def consumers(plan: MigrationPlan, tables: Sequence[str]) -> str:
    """Return who uses the tables, in one line, and one statement for all; what cannot be told stops no question."""
    from icebridge_provider.hooks.catalog import catalog_for
    from icebridge_provider.steps.consumers import brief, warehouse_for

    try:
        source, target = catalog_for(plan.request.source_conn_id), catalog_for(plan.request.target_conn_id)
        sources = [plan.table(name).source for name in tables]
        return brief(source, sources, statements=warehouse_for(source, target))
    except IceBridgeError as error:
        return f"not known: {error.message}"


def question(plan_id: str, wave: int | str, certificate: Mapping[str, Any], users: str = "") -> str:
    """Return the question's text in Markdown; names come from catalogs, so they are escaped.

    :param users: who uses the tables, in one line.
    """
    tables, writers = list(certificate["tables"]), certificate["writers"]
    signed = "signed" if certificate["signed"] else "unsigned: no signing key is configured"
    losses = ", ".join(_text(loss) for loss in certificate["losses"]) or "none"
    rows = [f"| {_text(name)} | {_text((writers.get(name) or ['nobody'])[0])} |" for name in tables[:SHOWN]]
    more = [f"| and {len(tables) - SHOWN} more | |"] if len(tables) > SHOWN else []
    left_out = [f"* Left out, because it moved: {_text(name)}" for name in list(certificate.get("moved") or ())[:SHOWN]]
    listed = f"`airflow icebridge consumers --plan {plan_id}` lists them."
    used = [f"* Consumers: {_text(users)}. {listed}"] if users else []
    total = f"{len(tables)} tables are copied and proven, {certificate['rows']:,} rows."
    return "\n".join(
        [
            f"Plan **{plan_id}**, wave {wave}: {total}",
            "",
            f"* Certificate digest: `{certificate['digest']}` ({signed})",
            f"* Accepted losses: {losses}",
            *left_out,
            *used,
            "",
            "| table | last writer |",
            "| --- | --- |",
            *rows,
            *more,
            "",
            "Approving publishes the copies under their final names and archives the sources. Tick *writers_stopped* "
            "when nobody writes to the sources any more. `icebridge_rollback` undoes it.",
        ]
    )


def _text(value: object) -> str:
    return str(value).translate(_HTML)

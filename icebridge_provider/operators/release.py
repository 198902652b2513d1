"""A person decides about a DELETE that hit more rows than its limit allows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Param

from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.operators.base import IceBridgeOperator
from icebridge_provider.operators.retry import retrying

if TYPE_CHECKING:
    from airflow.sdk import Context

    from icebridge_provider.model.bridge import BridgeEvent
    from icebridge_provider.steps.sync_site import SyncSite

DAG_ID = "icebridge_release_event"
ASKED = "asked_payload"
_HTML = str.maketrans({"<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "\\|", "`": "'", "\n": " "})


class AskForReleaseOperator(TriggerDagRunOperator):
    """Starts a run of ``icebridge_release_event`` for a blocked event, once for each time it was blocked.

    :param sync: name of the sync.
    :param event_id: id of the event.
    :param attempt: the claim that blocked it.
    """

    template_fields: Sequence[str] = (*TriggerDagRunOperator.template_fields, "sync", "event_id", "attempt")
    ui_color = IceBridgeOperator.ui_color

    def __init__(self, *, sync: str, event_id: str, attempt: int | str = 0, **kwargs: Any) -> None:
        super().__init__(
            trigger_dag_id=DAG_ID,
            logical_date=None,
            skip_when_already_exists=True,
            fail_when_dag_is_paused=True,
            **{**retrying(), **kwargs},
        )
        self.sync = sync
        self.event_id = event_id
        self.attempt = attempt

    def execute(self, context: Context) -> Any:
        """Start the run; where it was started before, this task is skipped.

        :raises ConfigurationError: IB-894 when the DAG that asks is paused: nobody would ever be asked.
        """
        from airflow.providers.standard.operators.trigger_dagrun import DagIsPaused

        self.conf = {"sync": self.sync, "event_id": self.event_id}
        self.trigger_run_id = question_id(self.sync, self.event_id, int(self.attempt))
        try:
            return super().execute(context)
        except DagIsPaused as error:
            raise ConfigurationError(
                "IB-894",
                f"The DAG {DAG_ID} is paused: nobody would be asked about event {self.event_id[:100]!r}.",
                remedy=f"Run: airflow dags unpause {DAG_ID}, then clear this task. Or release the event by "
                "`airflow icebridge events release`.",
                changed="The event stays blocked.",
                event_id=self.event_id[:100],
            ) from error


class ReleaseBlockedEventOperator(ApprovalOperator):
    """Asks whether a blocked DELETE may delete more rows than its limit, under *Required Actions* or by REST.

    The question shows the event, what blocked it, and how many rows it would delete now. Approving releases it for the
    number of rows in the form, and no more; rejecting ends it for good. Either way the answer holds for the event that
    was shown. Nobody is asked about an event that is not blocked (any more).

    :param sync: name of the sync.
    :param event_id: id of the event.
    """

    template_fields: Sequence[str] = (*ApprovalOperator.template_fields, "sync", "event_id")
    ui_color = IceBridgeOperator.ui_color

    def __init__(self, *, event_id: str, sync: str = "", **kwargs: Any) -> None:
        kwargs.setdefault("subject", "May this event delete more rows than its limit?")
        super().__init__(**{**retrying(), **kwargs})
        self.event_id = event_id
        self.sync = sync

    def execute(self, context: Context) -> Any:
        """Ask.

        :returns: after the answer ``event_id, answer, rows, who``; ``answer`` is ``released``, ``rejected``, or the
            event's status where there was nothing to ask.
        """
        site = self._site(context)
        event = _known(site, self.event_id)
        if event.status.value != "blocked":
            self.log.info("The event is %s: there is nothing to release.", event.status.value)
            return _answer(event, event.status.value)
        context["ti"].xcom_push(key=ASKED, value=event.payload)
        self.show(site, event)
        return super().execute(context)

    def show(self, site: SyncSite, event: BridgeEvent) -> None:
        """Write the question: its subject, its text, its form, and how long it stands."""
        from icebridge_provider.hooks.settings import settings

        rows, said = _hits(site, event)
        self.response_timeout = self.response_timeout or timedelta(days=settings().approval_timeout_days)
        self._form(event.payload, rows)
        self.subject = f"May event {event.event_id[:60]} delete {rows:,} rows of {event.target_table[:80]}?"
        self.body = question(site.options.name, event, said)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Take the answer, and release or reject the event.

        :raises ConfigurationError: IB-887 when the event is another one than was shown.
        """
        from icebridge_provider.steps.events import reject, release

        ti = context["ti"]
        asked = str(ti.xcom_pull(task_ids=ti.task_id, key=ASKED, map_indexes=ti.map_index) or "")
        self._form(asked, 1)
        given = {"event": asked, "rows": 1, **dict(event.get("params_input") or {})}
        answer = super().execute_complete(context, {**event, "params_input": given})
        who = _who(answer)
        site = self._site(context, who)
        found = _known(site, self.event_id)
        if found.status.value != "blocked":
            return _answer(found, found.status.value)
        if found.payload != asked or given["event"] != asked:
            raise _changed(self.event_id)
        if self.APPROVE in answer["chosen_options"]:
            release(site, found.event_id, int(given["rows"]))
            return _answer(found, "released", int(given["rows"]), who)
        reject(site, found.event_id, f"Rejected by {who or 'a person'}.")
        return _answer(found, "rejected", 0, who)

    def _site(self, context: Context, who: str = "") -> SyncSite:
        from dataclasses import replace

        from icebridge_provider.hooks.bridge import only, site_of
        from icebridge_provider.hooks.site import actor_of

        actor = actor_of(context)
        return site_of(only(self.sync), replace(actor, who=who) if who else actor)

    def _form(self, payload: str, rows: int) -> None:
        self.params["event"] = Param(
            payload, type="string", title="Event", const=payload, description="What is released. Leave it as it is."
        )
        self.params["rows"] = Param(
            max(rows, 1), type="integer", minimum=1, title="Most rows", description="It may delete this many, no more."
        )


def question_id(sync: str, event_id: str, attempt: int) -> str:
    """Return the id of the run that asks about an event: the same for the same claim, whatever the id holds."""
    return "blocked__" + hashlib.sha256(f"{sync}\n{event_id}\n{attempt}".encode()).hexdigest()[:32]


def question(sync: str, event: BridgeEvent, said: str) -> str:
    """Return the question's text in Markdown; names and texts come from an events table, so they are escaped.

    :param said: how many rows it would delete now, in words.
    """
    filters = ", ".join(f"{_text(key)} = {_text(value)}" for key, value in event.filter_conditions.items()) or "none"
    facts = {
        "sync": sync,
        "event": event.event_id,
        "deletes from": event.target_table,
        "rows named by": event.source_table,
        "keys": ", ".join(event.primary_keys),
        "metadata": ", ".join(f"{key} = {value}" for key, value in event.metadata.items()),
        "blocked because": event.warning or event.error_message,
    }
    lines = [f"* {name}: {_text(value)}" for name, value in facts.items() if value]
    return "\n".join(
        [
            said,
            "",
            *lines,
            f"* filters: {filters}",
            "",
            "Approving lets it delete at most the rows of the form; when it would delete more by then, it is blocked "
            "again. Rejecting ends it for good. Later events that touch the same rows wait for the answer.",
        ]
    )


def _hits(site: SyncSite, event: BridgeEvent) -> tuple[int, str]:
    """Return how many rows the event would delete now; that this cannot be told stops no question."""
    from icebridge_provider.steps.events import preview

    try:
        found = preview(site, event.event_id)
    except IceBridgeError as error:
        return event.rows_affected or 0, f"How many rows it would delete now cannot be told: {_text(error.message)}"
    return found.rows_affected, f"It would delete **{found.rows_affected:,} rows** now."


def _known(site: SyncSite, event_id: str) -> BridgeEvent:
    found = site.queue.event(event_id)
    if found is not None:
        return found
    raise ConfigurationError(
        "IB-886",
        f"There is no event {event_id[:100]!r} in the events table of sync {site.options.name!r}.",
        remedy="Correct the id; `airflow icebridge events status` lists the events.",
        event_id=event_id[:100],
    )


def _who(answer: Any) -> str:
    user = answer.get("responded_by_user") or {}
    return str(user.get("name") or user.get("id") or "")


def _answer(event: BridgeEvent, answer: str, rows: int = 0, who: str = "") -> dict[str, Any]:
    return {"event_id": event.event_id, "answer": answer, "rows": rows, "who": who}


def _changed(event_id: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-887",
        f"The event {event_id[:100]!r} asks for something else than the answer was given for.",
        remedy="Clear this task to be asked again, and answer what it shows then.",
        event_id=event_id[:100],
    )


def _text(value: object) -> str:
    return str(value)[:300].translate(_HTML)

"""Runs of ``icebridge_migrate_wave``, one a wave of a plan of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator

from icebridge_provider.exceptions import ConfigurationError, LimitExceeded
from icebridge_provider.operators.base import IceBridgeOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

DAG_ID = "icebridge_migrate_wave"
SECONDS_BETWEEN_LOOKS = 15


class TriggerWaveOperator(TriggerDagRunOperator):
    """Starts the DAG run of one wave and waits for its end without holding a worker.

    The run's id is made of the run that starts it, so a cleared task runs the same wave run again. It is not retried:
    the wave's own tasks are.

    :param plan_id: the plan.
    :param wave: number of the wave.
    """

    template_fields: Sequence[str] = (*TriggerDagRunOperator.template_fields, "plan_id", "wave")
    ui_color = IceBridgeOperator.ui_color

    def __init__(self, *, plan_id: str, wave: int, **kwargs: Any) -> None:
        kwargs.setdefault("retries", 0)
        super().__init__(
            trigger_dag_id=DAG_ID,
            logical_date=None,
            reset_dag_run=True,
            wait_for_completion=True,
            deferrable=True,
            poke_interval=SECONDS_BETWEEN_LOOKS,
            fail_when_dag_is_paused=True,
            **kwargs,
        )
        self.plan_id = plan_id
        self.wave = wave

    def execute(self, context: Context) -> Any:
        """Start the run.

        :raises ConfigurationError: IB-710 when the wave's DAG is paused: its run would wait for ever.
        """
        from airflow.providers.standard.operators.trigger_dagrun import DagIsPaused

        self.conf = {"plan_id": self.plan_id, "wave": int(self.wave)}
        self.trigger_run_id = f"{context['dag_run'].run_id}.wave-{self.wave}"
        try:
            return super().execute(context)
        except DagIsPaused as error:
            raise ConfigurationError(
                "IB-710",
                f"The DAG {DAG_ID} is paused: the wave would never run.",
                remedy=f"Run: airflow dags unpause {DAG_ID}, then clear this task.",
                changed="The plan is kept; this wave was not begun.",
            ) from error


def other_waves(waves: int, most: int) -> list[dict[str, int]]:
    """Return the arguments of the waves after the first.

    :raises LimitExceeded: IB-711 when they are more than Airflow can map.
    """
    if waves - 1 > most:
        raise LimitExceeded(
            "IB-711",
            f"The plan has {waves:,} waves; Airflow maps at most {most:,} tasks.",
            remedy="Plan with more tables in a wave (wave_tables), or raise [core] max_map_length.",
            waves=waves,
        )
    return [{"wave": number} for number in range(1, waves)]

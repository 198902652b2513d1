"""Errors of the Databricks engine."""

from __future__ import annotations

from icebridge_provider.exceptions import ConfigurationError, PreflightFailed, TransientError


def unfit_option(key: str, why: str, remedy: str) -> ConfigurationError:
    """An option of the connection cannot be used."""
    return ConfigurationError(
        "IB-445", f"The Databricks connection's option {key!r} cannot be used: {why}.", remedy=remedy, option=key
    )


def unsupported_method(table: object, method: str, known: tuple[str, ...]) -> ConfigurationError:
    """This engine does not run the method."""
    return ConfigurationError(
        "IB-450",
        f"Databricks cannot copy {table} by {method}.",
        remedy=f"Make a plan with method {' or '.join(known)}.",
        table=str(table),
        method=method,
    )


def source_gone(table: object) -> PreflightFailed:
    """The source is not there any more."""
    return PreflightFailed(
        "IB-451",
        f"{table} is not in its catalog any more.",
        remedy="Restore it, or make a new plan without it.",
        table=str(table),
    )


def other_run(table: object, run_id: str, page: str) -> TransientError:
    """An active run works on some of the tables, but not on all."""
    return TransientError(
        "IB-452",
        f"Run {run_id} copies {table} already, together with other tables than are asked for now.",
        remedy=f"Wait until it is over, or cancel it{f' at {page}' if page else ''}; the step is retried by itself.",
        changed="That run goes on.",
        table=str(table),
        run_id=run_id,
    )


def no_program(path: object) -> ConfigurationError:
    """The wheel is not whole."""
    return ConfigurationError(
        "IB-453",
        f"The Spark program {path} is missing from this installation.",
        remedy="Install the package anew: pip install --force-reinstall airflow-provider-icebridge",
    )

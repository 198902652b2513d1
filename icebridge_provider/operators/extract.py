"""Operators that bring rows of SQL Server into Parquet files: plan the jobs, run one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model import codec
from icebridge_provider.operators.base import IceBridgeOperator, listed

if TYPE_CHECKING:
    from airflow.sdk import Context

    from icebridge_provider.model.extraction import Extraction


class PlanExtractionOperator(IceBridgeOperator):
    """Finds the queries of a folder and makes one job of each query for each country, for ``expand_kwargs``.

    Everything is read and checked before the first row is: names, parameters, that each file is one SELECT.

    :param folder: folder with ``queries/`` and ``config/``; empty for ``[icebridge] extraction_folder``.
    :param queries: globs over the queries' names, a list, its JSON text or one a line; none means all.
    :param countries: globs over the countries of ``config/``; none means all.
    :param parameters: parameters that win over those of the files, an object or its JSON text.
    """

    template_fields: Sequence[str] = ("folder", "queries", "countries", "parameters")

    def __init__(
        self,
        *,
        folder: str = "",
        queries: Sequence[str] | str = (),
        countries: Sequence[str] | str = (),
        parameters: Mapping[str, Any] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.folder = folder
        self.queries = queries
        self.countries = countries
        self.parameters = parameters

    def execute(self, context: Context) -> list[dict[str, Any]]:
        """Plan the jobs.

        :returns: ``query, country, parameters, job_id, digest, caption`` of each.
        """
        given = given_parameters(self.parameters)
        jobs = planned(self.folder, listed(self.queries), listed(self.countries), given, job_of(context))
        self.log.info("%d jobs: %s", len(jobs), ", ".join(job.name for job in jobs))
        names = ("query", "country", "job_id", "digest")
        return [
            {**{name: getattr(job, name) for name in names}, "parameters": used(given, job), "caption": job.name}
            for job in jobs
        ]


class SqlServerToVolumeOperator(IceBridgeOperator):
    """Runs one query for one country and writes its rows as Parquet files, a manifest last.

    The files go to a Databricks Volume, an object store or a folder, below ``<location>/<country>/<query>``. Memory
    stays bounded whatever the number of rows; every value arrives exactly, or the column is refused by name. A task
    that is tried again keeps the parts that are whole where reading again gives the same rows.

    :param source_conn_id: connection of type ``mssql``; empty takes ``SQLSERVER_…`` of the environment.
    :param target_conn_id: connection that may write to ``location``: ``databricks`` for a Volume (empty takes
        ``DATABRICKS_…`` of the environment), a catalog with its storage keys for an object store, empty for folders.
    :param location: ``/Volumes/catalog/schema/volume/…``, ``s3://…`` or a folder; empty takes the Volume of the
        environment.
    :param query: the query's name: its path below ``queries/`` without ``.sql``.
    :param country: the country: the name of its file in ``config/``.
    :param folder: as in :class:`PlanExtractionOperator`.
    :param parameters: as in :class:`PlanExtractionOperator`.
    :param job_id: id that the ledger and the manifest know the job by; empty: made of the run. What the same id has
        extracted already is not extracted again.
    :param digest: of the job as it was planned; when the files say something else by now the task fails.
    :param caption: what the task is called in the grid when it is mapped.
    """

    template_fields: Sequence[str] = (
        "source_conn_id",
        "target_conn_id",
        "location",
        "query",
        "country",
        "folder",
        "parameters",
        "job_id",
        "digest",
    )

    def __init__(
        self,
        *,
        query: str,
        country: str,
        source_conn_id: str = "",
        target_conn_id: str = "",
        location: str = "",
        folder: str = "",
        parameters: Mapping[str, Any] | str | None = None,
        job_id: str = "",
        digest: str = "",
        caption: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.query = query
        self.country = country
        self.source_conn_id = source_conn_id
        self.target_conn_id = target_conn_id
        self.location = location
        self.folder = folder
        self.parameters = parameters
        self.job_id = job_id
        self.digest = digest
        self.caption = caption

    def execute(self, context: Context) -> dict[str, Any]:
        """Extract.

        :returns: ``job_id, country, query, rows, parts, bytes, isolation, folder``.
        """
        from icebridge_provider.hooks.extraction import extraction_site
        from icebridge_provider.hooks.site import actor_of
        from icebridge_provider.steps.extract import extract

        job = self._job(context)
        ends = self.source_conn_id, self.target_conn_id, self.location
        site = extraction_site(*ends, actor_of(context), self._tell)
        return outline(extract(site, job), f"{site.root}/{job.name}")

    def _tell(self, facts: Mapping[str, Any]) -> None:
        """Say in the task's log how far it is."""
        counts = ", ".join(f"{facts[name]:,} {name}" for name in ("rows", "parts") if isinstance(facts.get(name), int))
        part = f", range {facts['range']} of {facts['of']}" if facts.get("of", 1) != 1 else ""
        self.log.info("%s %s%s: %s", facts.get("job"), facts.get("outcome"), part, counts or facts.get("message", ""))

    def _job(self, context: Context) -> Extraction:
        given, job_id = given_parameters(self.parameters), self.job_id or job_of(context)
        found = planned(self.folder, [self.query], [self.country], given, job_id)
        job = next(iter(found), None)
        if job is not None and self.digest in {"", job.digest}:
            return job
        raise ConfigurationError(
            "IB-890",
            f"{self.country}/{self.query} asks for something else now than when the run was planned.",
            remedy="Clear the run from its first task on: it then plans anew.",
            query=self.query,
            country=self.country,
        )


def planned(
    folder: str, queries: Sequence[str], countries: Sequence[str], parameters: Mapping[str, Any], job_id: str
) -> list[Extraction]:
    """Return the jobs of a folder.

    :raises ConfigurationError: IB-888 without a folder, or what is wrong with the folder's files.
    """
    from icebridge_provider.hooks.extraction import folder_of
    from icebridge_provider.steps.extract import plan_jobs

    return list(plan_jobs(folder_of(folder), queries, countries, parameters, job_id))


def job_of(context: Context) -> str:
    """Return the id of a run's jobs: the same for a task that is tried again or cleared."""
    run = context["dag_run"]
    return "x" + hashlib.sha256(f"{run.dag_id}/{run.run_id}".encode()).hexdigest()[:12]


def used(given: Mapping[str, Any], job: Extraction) -> dict[str, Any]:
    """Return those of the given parameters that one job uses, by their whole paths; it would refuse the others."""
    return {
        path: value
        for name, value in given.items()
        for path in job.parameters
        if path == name or path.endswith(f".{name}")
    }


def given_parameters(given: Mapping[str, Any] | str | None) -> dict[str, Any]:
    """Return parameters given as an object or as its JSON text.

    :raises ConfigurationError: IB-891 when it is none.
    """
    value = codec.object_of(given)
    if value is not None:
        return {str(key): item for key, item in value.items()}
    raise ConfigurationError(
        "IB-891",
        f"The parameters are {str(given)[:80]!r}, which is no JSON object.",
        remedy='Write an object, for example {"from_date": "2026-01-01"}.',
    )


def outline(manifest: Any, folder: str) -> dict[str, Any]:
    """Return the plain values of a manifest."""
    return {
        "job_id": manifest.job_id,
        "country": manifest.country,
        "query": manifest.query,
        "rows": manifest.rows,
        "parts": len(manifest.parts),
        "bytes": sum(part.size for part in manifest.parts),
        "isolation": manifest.isolation,
        "folder": folder,
    }

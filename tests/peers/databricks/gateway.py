"""SQL of the workspace: read as Databricks SQL, authorised for one principal, run on Spark over real Iceberg tables."""

from __future__ import annotations

import functools
import threading
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlglot import exp

from tests.peers.databricks import (
    information_schema,
    sql_actions,
    sql_commands,
    sql_directory,
    sql_run,
    system_tables,
)
from tests.peers.databricks.errors import ApiError
from tests.peers.databricks.exports import exports_of, forget
from tests.peers.databricks.lineage import Flow, flows
from tests.peers.databricks.sql_errors import SqlError, from_api, from_spark, no_table, unsupported
from tests.peers.databricks.sql_lexer import quoted
from tests.peers.databricks.sql_query import Reading, parsed
from tests.peers.databricks.sql_result import Result, from_frame
from tests.peers.databricks.world import World

_CATALOG = {
    "type": "rest",
    "rest.auth.type": "none",
    "io-impl": "org.apache.iceberg.hadoop.HadoopFileIO",
    "cache-enabled": "false",
    "rest-metrics-reporting-enabled": "false",
    "view-endpoints-supported": "false",
}


@functools.lru_cache(maxsize=8)
def gateway_of(world: World) -> Gateway:
    """The one gateway of a workspace."""
    return Gateway(world)


class Gateway:
    """Runs statements; every door for SQL (Statement API, job runs, thrift) comes here."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._ready: set[str] = set()
        self._lock = threading.Lock()
        self._local = threading.local()
        self.flows: list[Flow] = []
        self.stopped: set[str] = set()

    def run(
        self,
        principal: str,
        statement: str,
        parameters: Mapping[str, Any] | Sequence[Any] = (),
        catalog: str | None = None,
        schema: str | None = None,
        tag: str = "",
    ) -> Result:
        """Run one statement with a principal's rights.

        :param parameters: values of ``:name`` parameters, or of ``?`` in order.
        :param tag: a name by which :meth:`cancel` finds it.
        :raises SqlError: for whatever Databricks would refuse.
        """
        self._local.views, self._local.folders = [], []
        try:
            reading = Reading(
                gateway=self, reader=principal, catalog=(catalog or "").lower(), schema=(schema or "").lower()
            )
            result = self._run(reading, statement, parameters, tag)
            self.flows += flows(reading, tag)
        except ApiError as error:
            raise from_api(error) from None
        except FileNotFoundError as error:
            text = f"File {error.filename or error} does not exist; it may have gone since the table was refreshed."
            raise SqlError("FAILED_READ_FILE.FILE_NOT_EXIST", "KD001", text) from None
        finally:
            self._forget_views()
            for folder in self._local.folders:
                forget(folder)
        if result.session == (None, None):
            result.session = (catalog, schema)
        return result

    def _run(self, reading: Reading, statement: str, parameters: Any, tag: str) -> Result:
        command = sql_commands.parse(statement)
        if command is not None:
            return sql_actions.act(reading, command)
        directory = sql_directory.read(statement)
        if directory is not None:
            return sql_directory.insert(reading, directory, parameters, tag)
        tree = parsed(statement)
        runner = sql_run.RUNNERS.get(type(tree))
        if runner is not None:
            return runner(reading, statement, tree, parameters, tag)
        if isinstance(tree, exp.Query):
            return self.execute(reading.rewritten(statement, tree), parameters, tag)
        raise unsupported(f"Statement is not served by this workspace: {type(tree).__name__.upper()}")

    def execute(self, text: str, parameters: Any = (), tag: str = "") -> Result:
        """Run a statement made fit on the engine."""
        from pyspark.errors import PySparkException

        session = self.session()
        given = dict(parameters) if isinstance(parameters, Mapping) else list(parameters)
        try:
            if tag:
                session.addTag(tag)
            return from_frame(session.sql(text, args=given or None))
        except PySparkException as error:
            raise from_spark(error) from None
        finally:
            if tag:
                session.removeTag(tag)

    def cancel(self, tag: str) -> None:
        """Interrupt what runs under a tag."""
        self.stopped.add(tag)
        if self.world.spark is not None:
            self.session().interruptTag(tag)

    def session(self) -> Any:
        """The engine's session; waits for it to start."""
        if self.world.spark is None:
            raise SqlError("CLUSTER_TERMINATED", "58030", "This workspace was started without an engine (--no-spark).")
        return self.world.spark.session("gateway")

    def needs(self, catalog: str) -> None:
        """Make a catalog known to the engine: it reads metadata through the inner door of the Iceberg protocol."""
        with self._lock:
            if catalog in self._ready:
                return
            conf, prefix = self.session().conf, f"spark.sql.catalog.{catalog}"
            conf.set(prefix, "org.apache.iceberg.spark.SparkCatalog")
            own = {
                "uri": f"{self.world.url}/internal/iceberg/{catalog}",
                "header.Authorization": f"Bearer {self.world.internal_token}",
            }
            for key, value in (_CATALOG | own).items():
                conf.set(f"{prefix}.{key}", value)
            self._ready.add(catalog)

    def path(self, path: str, principal: str) -> str:
        """The engine's name of a folder of files, fetched for this statement only, once the principal may read it."""
        store = exports_of(self.world)
        folder = store.fetched(store.checked(path, principal, write=False), principal)
        self._local.folders.append(folder)
        return f"{quoted('parquet')}.{quoted(str(folder))}"

    # system.information_schema

    def information_schema(self, principal: str, name: tuple[str, str, str]) -> str:
        """A view, for this statement only, of what the principal may see."""
        found = information_schema.view(self.world, principal, *name)
        return self._viewed(name, found)

    def system_table(self, name: tuple[str, str, str]) -> str:
        """Any other table of catalog ``system``, for this statement only; the right to read it was checked."""
        return self._viewed(name, system_tables.view(self.world, ".".join(name)))

    def _viewed(self, name: tuple[str, str, str], found: Result | None) -> str:
        if found is None:
            raise no_table(name)
        view = f"{name[1]}_{name[2]}_{uuid.uuid4().hex}"
        self.session().createDataFrame(found.arrow(), found.struct()).createOrReplaceTempView(view)
        self._local.views.append(view)
        return f"(SELECT * FROM {quoted(view)})"

    def _forget_views(self) -> None:
        for view in self._local.views:
            self.session().catalog.dropTempView(view)

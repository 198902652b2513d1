"""The Spark session of a program: every statement goes to the workspace's gateway under the run's own rights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyspark.sql
from pyspark.errors import AnalysisException, ParseException, PySparkNotImplementedError

from tests.peers.databricks.runtime_frame import Frame
from tests.peers.databricks.runtime_sql import Refused, Wire

NO_CATALOG = "[UC_NOT_ENABLED] Unity Catalog is not enabled on this cluster. SQLSTATE: 56038"


class Conf:
    """Settings of a session, the cluster's spark_conf first."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._values = dict(given)

    def get(self, key: str, default: str | None = None) -> str | None:
        if key not in self._values and default is None:
            raise AnalysisException(f'[SQL_CONF_NOT_FOUND] The SQL config "{key}" cannot be found. SQLSTATE: 42K0I')
        return self._values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self._values[key] = str(value).lower() if isinstance(value, bool) else str(value)

    def unset(self, key: str) -> None:
        self._values.pop(key, None)

    def isModifiable(self, key: str) -> bool:  # noqa: N802 - the name of pyspark
        return key.startswith("spark.sql.")


class Session:
    """What `SparkSession.builder.getOrCreate()` gives a program here."""

    current: Session | None = None
    context: Mapping[str, Any] = {}
    builder: Any = None

    def __init__(self) -> None:
        self.conf = Conf(self.context["conf"])
        self.version = pyspark.__version__
        self._wire = Wire(self.context["url"], self.context["credential"])

    @classmethod
    def getActiveSession(cls) -> Session | None:  # noqa: N802 - the name of pyspark
        return cls.current

    def sql(self, sqlQuery: str, args: Any = None, **kwargs: Any) -> Frame:  # noqa: N803
        """Run a statement at once; named (dict) or positional (list) arguments are bound by the gateway."""
        if kwargs:
            raise not_here("SparkSession.sql with DataFrames as arguments")
        if not self.context["unity_catalog"]:
            raise AnalysisException(NO_CATALOG)
        try:
            return Frame(self._wire.run(sqlQuery, _bound(args)))
        except Refused as error:
            raise _exception(error) from None

    def table(self, tableName: str) -> Frame:  # noqa: N803
        return self.sql(f"SELECT * FROM {tableName}")

    def stop(self) -> None:
        """Nothing: a cluster's session belongs to the cluster."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise not_here(f"SparkSession.{name}")


class Builder:
    """`SparkSession.builder`."""

    def __init__(self) -> None:
        self._settings: dict[str, Any] = {}

    def config(self, key: str | None = None, value: Any = None, **more: Any) -> Builder:
        self._settings |= {key: value} if key else {}
        self._settings |= more.get("map", {})
        return self

    def appName(self, name: str) -> Builder:  # noqa: N802
        return self.config("spark.app.name", name)

    def master(self, master: str) -> Builder:
        return self

    def remote(self, url: str) -> Builder:
        return self

    def enableHiveSupport(self) -> Builder:  # noqa: N802
        return self

    def getOrCreate(self) -> Session:  # noqa: N802
        Session.current = Session.current or Session()
        for key, value in self._settings.items():
            Session.current.conf.set(key, value)
        return Session.current

    create = getOrCreate


class _Builders:
    """A new builder each time it is asked for, as in pyspark."""

    def __get__(self, *_: Any) -> Builder:
        return Builder()


def install(context: Mapping[str, Any]) -> None:
    """Let programs that import SparkSession get this one."""
    Session.context, Session.builder = context, _Builders()
    pyspark.sql.SparkSession = pyspark.sql.session.SparkSession = Session


def _bound(args: Any) -> Any:
    """Arguments that JSON can carry without changing their type."""
    values = list(args.values() if isinstance(args, Mapping) else args or ())
    for value in values:
        if not isinstance(value, (str, int, float, bool, type(None))):
            raise not_here(f"an argument of type {type(value).__name__}")
    return dict(args) if isinstance(args, Mapping) else values


def _exception(error: Refused) -> Exception:
    """What pyspark raises, with its condition and SQLSTATE where programs look for them."""
    kind = ParseException if error.error_class.startswith("PARSE") else AnalysisException
    raised = kind(str(error).removeprefix(f"[{error.error_class}] "))
    raised._errorClass, raised._sql_state = error.error_class, error.sqlstate
    raised.getCondition = raised.getErrorClass = lambda: error.error_class
    raised.getSqlState = lambda: error.sqlstate
    return raised


def not_here(what: str) -> PySparkNotImplementedError:
    """The refusal of what the local workspace's session lacks."""
    feature = {"feature": f"{what} in the local workspace"}
    return PySparkNotImplementedError(errorClass="NOT_IMPLEMENTED", messageParameters=feature)

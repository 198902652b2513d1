"""A DataFrame that is already there: the rows of a statement's answer, with the actions programs take on them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pyspark.errors import PySparkNotImplementedError
from pyspark.sql import Row, types


class Frame:
    """Rows with their schema; anything but the actions below is refused by name."""

    def __init__(self, table: Any) -> None:
        from pyspark.sql.conversion import ArrowTableToRowsConversion

        described = (table.schema.metadata or {}).get(b"spark_schema", b'{"type": "struct", "fields": []}')
        self.schema = types.StructType.fromJson(json.loads(described))
        self._table = table
        self._rows: list[Row] = ArrowTableToRowsConversion.convert(table, self.schema) if self.schema.fields else []

    @property
    def columns(self) -> list[str]:
        return [field.name for field in self.schema.fields]

    @property
    def dtypes(self) -> list[tuple[str, str]]:
        return [(field.name, field.dataType.simpleString()) for field in self.schema.fields]

    def collect(self) -> list[Row]:
        return list(self._rows)

    def count(self) -> int:
        return len(self._rows)

    def isEmpty(self) -> bool:  # noqa: N802 - the name of pyspark
        return not self._rows

    def first(self) -> Row | None:
        return self._rows[0] if self._rows else None

    def head(self, n: int | None = None) -> Any:
        return self.first() if n is None else self._rows[:n]

    def take(self, num: int) -> list[Row]:
        return self._rows[:num]

    def limit(self, num: int) -> Frame:
        return Frame(self._table.slice(0, num))

    def toLocalIterator(self, prefetchPartitions: bool = False) -> Iterator[Row]:  # noqa: N802, N803
        return iter(self._rows)

    def cache(self) -> Frame:
        return self

    persist = unpersist = cache

    def show(self, n: int = 20, truncate: bool | int = True, vertical: bool = False) -> None:
        print(" | ".join(self.columns))
        for row in self._rows[:n]:
            print(" | ".join(str(value) for value in row))

    def toArrow(self) -> Any:  # noqa: N802
        return self._table

    def toPandas(self) -> Any:  # noqa: N802
        return self._table.to_pandas()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise PySparkNotImplementedError(
            errorClass="NOT_IMPLEMENTED", messageParameters={"feature": f"DataFrame.{name} in the local workspace"}
        )

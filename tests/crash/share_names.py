"""``python -m tests.crash.share_names --tables 80``: odd and hostile names, from the plan to the rows in Snowflake.

Every table has an odd name on both sides and many odd columns. What is in the target is read by a plain connector and
held against what was put into the source; beside it stands a canary whose loss, and tables nobody asked for, would
tell of SQL that broke out of its quotes.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.share import Share, ShareResult
from icebridge_provider.model.snowflake import Mode, SourceColumn
from icebridge_provider.planning.snowflake.requests import ShareForm, read_requests
from icebridge_provider.ports import Ledger
from icebridge_provider.steps.share import followed
from icebridge_provider.steps.share_plan import plan_shares
from icebridge_provider.steps.share_runs import Status, run
from icebridge_provider.steps.share_site import ShareSite
from tests.support.s3 import BUCKET, s3_server
from tests.support.share_world import SourceWorld, site_of, target_of
from tests.support.snowflake import Account

CANARY, STAGE = "CANARY", "LAND"
PER_TABLE = 24  # columns
PIECES = (
    '"', "'", "`", "\\", ";", "--", "/*", "*/", "%", "%s", "%(x)s", ":a", "?", "$$", "${x}", "{{x}}", "#", "@", "&",
    "/", ".", "..", "->", ",", "(", ")", "=", " ", "ß", "İ", "表", "🧊", "é", "\u202e", "a", "Z", "SELECT", "NULL", "0",
)  # fmt: skip
HOSTILE = (
    f'x"; DROP TABLE "{CANARY}"; --', f"x'; DROP TABLE {CANARY}; --", f"x`; DROP TABLE {CANARY}; --",
    f'x") SELECT 1; DELETE FROM "{CANARY}"; --', f"*/ DELETE FROM {CANARY} /*", '"', '""', "'", "''", "`", "``", "\\",
    "\\'", '\\"', "$$", "%s%s%s%n", "%(run_key)s", ":run_key", "?", "{}", "\u202egnp", "é", "e\u0301", "🧊" * 255,
    "x" * 255, '"' * 255, "select", "table", "null", "true", "1", "1e5", " lead", "trail ", " ", ".", "..", "a.b",
    "_metadata", "metadata$filename", "c1", "c2", "C3", "h0", "H1", "r", "s", "t", "cells", "hashed", "probe", "col",
    "file_name", "$1", "#tmp", "@stage", "password", "aws_secret_access_key", "</script><script>", "a -> b", "a;b=c",
)  # fmt: skip
ILLEGAL = ("", "a\nb", "a\tb", "a\rb", "a\0b", "\x1b[2J", "a\u2028b", "\ud800", "x" * 256)
_KINDS: tuple[tuple[str, pa.DataType, tuple[Any, ...]], ...] = (
    ("bigint", pa.int64(), (1, -2, 9_007_199_254_740_993)),
    ("string", pa.string(), ("it's; --", None, '"%s" \\ 🧊')),
    ("decimal(12,2)", pa.decimal128(12, 2), (Decimal("-0.05"), Decimal("1234567890.10"), None)),
    ("boolean", pa.bool_(), (True, None, False)),
    ("date", pa.date32(), (dt.date(1969, 12, 31), None, dt.date(2026, 11, 21))),
    ("int", pa.int32(), (None, 0, -7)),
    ("double", pa.float64(), (0.5, -1.25, None)),
    ("binary", pa.binary(), (b"\x00'", b"", None)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Odd:
    """One table: the parts of its name on both sides, and its columns."""

    source: tuple[str, str, str]
    target: tuple[str, str, str]
    columns: tuple[str, ...]
    mode: str

    @property
    def kinds(self) -> list[tuple[str, pa.DataType, tuple[Any, ...]]]:
        return list(islice(cycle(_KINDS), len(self.columns)))

    @property
    def schema(self) -> list[SourceColumn]:
        return [SourceColumn(name=name, type=kind[0]) for name, kind in zip(self.columns, self.kinds, strict=True)]

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return list(zip(*(kind[2] for kind in self.kinds), strict=True))

    def arrow(self) -> pa.Table:
        arrays = [pa.array(kind[2], kind[1]) for kind in self.kinds]
        return pa.Table.from_arrays(arrays, names=list(self.columns))

    @property
    def asked(self) -> dict[str, Any]:
        """The table as a person writes it in the list of tables."""
        keys = {"keys": [self.columns[0]]} if self.mode == Mode.UPSERT.value else {}
        way, _, publish = self.mode.partition("/")
        how = {"publish": publish} if publish else {}
        return {"source": list(self.source), "target": list(self.target), "mode": way, **keys, **how}


@dataclass(slots=True)
class Found:
    """What an examination found; ``violations`` is empty when all is well."""

    names: int = 0
    tables: int = 0
    rows: int = 0
    refused: int = 0
    seconds: float = 0.0
    modes: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        counts = {"names": self.names, "tables": self.tables, "rows": self.rows, "refused": self.refused}
        return {**counts, "modes": dict(self.modes), "seconds": round(self.seconds, 1), "violations": self.violations}


def odd_names(count: int, seed: int = 6) -> list[str]:
    """Different names but for the case of letters, the hostile ones first, all of them legal in both systems."""
    source, found = random.Random(seed), dict.fromkeys(HOSTILE)
    while len(found) < count * 2:
        found["".join(source.choices(PIECES, k=source.randint(1, 9)))[:255]] = None
    names = list({name.casefold(): name for name in reversed(found)}.values())[::-1]
    return sorted(names, key=lambda name: name not in HOSTILE)[:count]


def odd_tables(count: int, width: int, database: str, seed: int = 6) -> list[Odd]:
    """So many tables, no name used twice; every second one has odd names of catalog and schema, too."""
    names = odd_names(count * (width + 1), seed)
    random.Random(seed).shuffle(names)
    modes = ("append", "replace", "replace/swap", "upsert")
    made = []
    for number in range(count):
        table, *columns = names[number * (width + 1) : (number + 1) * (width + 1)]
        above = (columns[0], columns[1]) if number % 2 else ("main", "odd")
        source = (*above, table)
        made.append(
            Odd(
                source=source,
                target=(database, "PUBLIC", table),
                columns=tuple(columns),
                mode=modes[number % len(modes)],
            )
        )
    return made


def examine(
    count: int, folder: Path, account: Account, s3: dict[str, str], *, width: int = PER_TABLE, seed: int = 6
) -> Found:
    """Share so many odd tables of ``width`` columns, each twice by one run id, and judge what is there afterwards."""
    started, found, database = time.perf_counter(), Found(), account.database()
    tables = odd_tables(count, width, database, seed)
    with _site(folder, account, s3, database) as (site, world):
        account.stage(database, STAGE)
        _sql(account, database, f'CREATE TABLE "{CANARY}" AS SELECT 1 AS ID UNION ALL SELECT 2')
        for table in tables:
            world.table(table.source, table.schema, table.arrow(), files=1)
        form = {"stage": f"{database}.PUBLIC.{STAGE}", "location": f"s3://{BUCKET}/odd-{database}"}
        run_id = f'manual__2026-11-21T00:00:00+00:00 "{HOSTILE[0]}"'
        asked = read_requests(ShareForm(tables=[item.asked for item in tables], **form))
        shares = plan_shares(site, asked, run_id)
        for table, share in zip(tables, shares, strict=True):
            _share(site, table, share, found)
        _judge_history(site.ledger, run_id, found)
        _refusals(site, world, account, form, found)
    _judge(account, database, tables, found)
    found.names = len({name for item in tables for name in (item.source[2], *item.columns)})
    found.tables, found.seconds = len(tables), time.perf_counter() - started
    return found


def _share(site: ShareSite, table: Odd, share: Share, found: Found) -> None:
    try:
        first, again = (followed(site, share, sleep=lambda _: time.sleep(0.02)) for _ in range(2))
    except IceBridgeError as error:
        found.violations.append(f"{table.source} was not shared: {error}"[:600])
        return
    _expect(found, first.rows == len(table.rows) and not first.again, table, "other rows were told", first)
    _expect(found, again.again, table, "it was loaded again", again)
    found.modes[table.mode] += 1
    found.rows += first.rows


def _expect(found: Found, holds: bool, table: Odd, what: str, result: ShareResult) -> None:
    if not holds:
        found.violations.append(f"{table.source}: {what}: {result}"[:600])


def _judge(account: Account, database: str, tables: Sequence[Odd], found: Found) -> None:
    """Read every target by a connector, in double quotes of this test's own making."""
    for table in tables:
        try:
            rows, names = _read(account, database, table)
        except Exception as error:  # noqa: BLE001 - whatever it is, the table is not as it should be
            found.violations.append(f"{table.target} cannot be read: {error}"[:600])
            continue
        if names != list(table.columns):
            found.violations.append(f"{table.target} has other columns: {names}"[:600])
        if sorted(rows, key=repr) != sorted(table.rows, key=repr):
            found.violations.append(f"{table.target} has other rows: {rows}"[:600])
    listed = {row[1] for row in _sql(account, database, "SHOW TABLES IN SCHEMA PUBLIC")}
    wanted = {item.target[2] for item in tables} | {CANARY, "ICEBRIDGE_LOADS"}
    if listed != wanted:
        found.violations.append(f"tables that nobody asked for, or that are gone: {sorted(listed ^ wanted)}"[:600])
    if _sql(account, database, f'SELECT COUNT(*), SUM(ID) FROM "{CANARY}"') != [(2, 3)]:
        found.violations.append("the canary is dead")


def _read(account: Account, database: str, table: Odd) -> tuple[list[tuple[Any, ...]], list[str]]:
    quoted = '"' + table.target[2].replace('"', '""') + '"'
    with contextlib.closing(account.connect(database)) as connection:
        cursor = connection.cursor()
        rows = cursor.execute(f"SELECT * FROM {quoted}").fetchall()
        names = [item.name for item in cursor.description]
    return [tuple(bytes(cell) if isinstance(cell, bytearray) else cell for cell in row) for row in rows], names


def _judge_history(ledger: Ledger, run_id: str, found: Found) -> None:
    """The history must know every table by a name of its own, and each must have ended well."""
    told = run(ledger, run_id)
    states = Counter(item.status for item in told.tables) if told else Counter()
    if set(states) - {Status.SUCCESS}:
        found.violations.append(f"the history tells {dict(states)}")


def _refusals(site: ShareSite, world: SourceWorld, account: Account, form: dict[str, str], found: Found) -> None:
    """What no system takes as a name is refused before it stands in any statement."""
    database = form["stage"].partition(".")[0]
    for number, name in enumerate(ILLEGAL):
        good = ("main", "odd", f"with illegal columns {number}")
        if "\ud800" not in name:  # the world's own files cannot hold it
            world.table(
                good, [SourceColumn(name=name, type="int")], pa.table({"c": pa.array([1], pa.int32())}), files=1
            )
        asked = (
            {"source": list(good), "target": [database, "PUBLIC", name]},
            {"source": ["main", "odd", name], "target": [database, "PUBLIC", "T"]},
            {"source": list(good), "target": [database, "PUBLIC", "T"]},
        )
        for item in asked:
            try:
                plan_shares(site, read_requests(ShareForm(tables=[item], **form)), f"illegal {number} {item['target']}")
            except IceBridgeError:
                found.refused += 1
            else:
                found.violations.append(f"{name!r} was taken as a name: {item}"[:600])
    for seen in (account.queries(), world.statements()):
        texts = [one["text"] for one in seen]
        found.violations += [
            f"{name!r} stands in a statement"[:600] for name in ILLEGAL if name and any(name in text for text in texts)
        ]


@contextlib.contextmanager
def _site(folder: Path, account: Account, s3: dict[str, str], database: str) -> Iterator[tuple[ShareSite, SourceWorld]]:
    world = SourceWorld(folder / "source", s3)
    with target_of(account, database) as target:
        yield site_of(folder, world, target), world


def _sql(account: Account, database: str, text: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(account.connect(database)) as connection:
        return [tuple(row) for row in connection.cursor().execute(text).fetchall()]


def main(arguments: Sequence[str]) -> int:
    """Run it whole; 0 when nothing was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.share_names", description=__doc__)
    parser.add_argument("--tables", type=int, default=80, help="25 names each")
    parser.add_argument("--seed", type=int, default=6)
    options = parser.parse_args(arguments)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="icebridge-names-") as name, s3_server() as s3:
        folder = Path(name)
        with Account(folder / "account", s3) as account:
            found = examine(options.tables, folder, account, s3, seed=options.seed)
    print(json.dumps(found.told(), indent=1))
    return 1 if found.violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

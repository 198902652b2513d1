"""``icebridge share``: plan, run, go on, see, compare; over a local source and an account in another process."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.share.conftest import Home
from tests.support.cli import Said, icebridge

pytestmark = pytest.mark.airflow
ENDS = ("--source", "dbx", "--target", "snow", "--storage", "files")


def share(home: Home, command: str, *lines: str, options: tuple[str, ...] = ()) -> Said:
    return icebridge("share", command, *lines, *ENDS, "--stage", home.stage, *options)


@pytest.fixture
def filled(home: Home) -> Iterator[Home]:
    home.fill("orders", [1, 2])
    home.fill("events", [1, 2, 3])
    yield home
    home.world.calm()


def test_a_planned_run_is_done_seen_and_never_done_twice(filled: Home, tmp_path: Path) -> None:
    file = tmp_path / "tables.txt"
    file.write_text(f"# tables\n{filled.line('orders', '; mode=upsert; keys=id')}\n{filled.line('events')}\n")
    planned = share(filled, "plan", options=("--file", str(file), "--run-id", "friday", "--json"))
    assert planned.code == 0, planned.out
    assert [(row["mode"], row["columns"]) for row in planned.json["shares"]] == [("upsert", 2), ("append", 2)]
    assert planned.json["kept"]
    assert filled.world.statements("FROM `main`") == []
    assert icebridge("share", "status", "friday", "--json").json["status"] == "PENDING"

    # The run knows its connections, but for the storage's.
    ran = icebridge("share", "run", "--run-id", "friday", "--storage", "files", "--json")
    assert ran.code == 0, ran.out + ran.err
    assert [(row["state"], row["rows"], row["again"]) for row in ran.json["shares"]] == [
        ("loaded", 2, False), ("loaded", 3, False),
    ]  # fmt: skip
    assert "export done" in ran.err
    assert filled.rows("orders") == [(1, "x"), (2, "x")]
    again = icebridge("share", "run", "--run-id", "friday", "--storage", "files")
    assert (again.code, again.out.count("yes")) == (0, 2)
    assert "2 of 2 tables are loaded" in again.out
    assert filled.rows("events") == [(1, "x"), (2, "x"), (3, "x")]

    seen = icebridge("share", "status", "friday", "--json").json
    assert (seen["status"], seen["rows"], len(seen["tables"])) == ("SUCCESS", 5, 2)
    assert [item["id"] for item in icebridge("share", "status", "--json").json["runs"]] == ["friday"]
    assert "Run friday is SUCCESS" in icebridge("share", "status", "friday").out


def test_a_dry_run_shows_every_statement_and_leaves_nothing(filled: Home) -> None:
    said = share(filled, "plan", filled.line("orders", "; where=id > :low"), options=("--dry-run", "--value", "low=1"))
    assert said.code == 0, said.err
    for part in (
        "INSERT OVERWRITE DIRECTORY",
        "COPY INTO",
        "MATCH_BY_COLUMN_NAME",
        "COMMIT",
        "{'low': '1'}",
        "LIMITED",
    ):
        assert part in said.out
    document = share(filled, "plan", filled.line("orders"), options=("--dry-run", "--json")).json
    steps = [(item["side"], item["step"]) for item in document["shares"][0]["statements"]]
    assert steps[0] == ("source", "export")
    assert [step for _, step in steps].index("copies") < [step for _, step in steps].index("publish")
    assert filled.world.statements("INSERT") == []
    assert icebridge("share", "status", "--json").json["runs"] == []


def test_a_table_that_fails_stops_no_other_unless_the_preset_says_so(filled: Home) -> None:
    lines = filled.line("orders"), filled.line("events")
    for preset, state, rows in (("poc", "not begun", []), ("production", "", [(1, "x"), (2, "x"), (3, "x")])):
        filled.world.order("fail", "INSERT.*`orders`", message="out of luck", times=1)
        said = share(filled, "run", *lines, options=("--preset", preset, "--json"))
        assert said.code == 1
        first, second = said.json["shares"]
        assert "out of luck" in first["problem"]
        assert second["problem"].startswith(state)
        assert (second["state"] == "loaded") == (preset == "production")
        if rows:
            assert filled.rows("events") == rows
        filled.world.calm()
    assert icebridge("share", "status", said.json["run_id"]).code == 1


def test_what_may_pass_is_tried_again_by_itself(filled: Home) -> None:
    filled.world.order("fail", "INSERT.*`orders`", message="busy", retryable=True, times=2)
    said = share(filled, "run", filled.line("orders"))
    assert (said.code, said.err.count("Trying again.")) == (0, 2)
    assert filled.rows("orders") == [(1, "x"), (2, "x")]
    filled.world.order("fail", "INSERT.*`events`", message="busy", retryable=True, times=-1)
    poc = share(filled, "run", filled.line("events"), options=("--preset", "poc", "--run-id", "small"))
    assert (poc.code, poc.err.count("Trying again.")) == (1, 0)
    assert "LIMITED: at most 1000 rows" in icebridge("share", "status", "small").out


def test_an_interrupted_run_cancels_its_statement_and_goes_on_later(filled: Home) -> None:
    """Ctrl-C while the export runs."""
    filled.world.order("slow", "INSERT.*`orders`", looks=-1)

    def interrupt() -> None:
        until = time.monotonic() + 30
        while not filled.world.statements("`orders`") or not _begun(filled):
            if time.monotonic() > until:
                return
            time.sleep(0.05)
        _thread.interrupt_main()

    stop = threading.Thread(target=interrupt)
    stop.start()
    said = share(filled, "run", filled.line("orders"), options=("--run-id", "stopped"))
    stop.join()
    assert said.code == 130
    assert filled.world.statements("FROM `main`")[-1]["state"] == "cancelled"
    assert icebridge("share", "status", "stopped", "--json").json["status"] == "CANCELLED"
    filled.world.calm()
    assert icebridge("share", "run", "--run-id", "stopped", "--storage", "files").code == 0
    assert filled.rows("orders") == [(1, "x"), (2, "x")]


def _begun(home: Home) -> bool:
    return any(event.data.get("query_id") for event in home.ledger.events("stopped"))


def test_routes_say_what_is_not_known(filled: Home) -> None:
    said = share(filled, "routes", filled.line("orders"), options=("--bytes", "1000000000", "--json"))
    assert said.code == 0, said.out + said.err
    (table,) = said.json["tables"]
    assert table["chosen"]["route"] == "copy"
    assert [way["route"] for way in table["advice"] if way["fits"]] == ["copy"]
    assert table["facts"]["bytes"] == 10**9
    text = share(filled, "routes", filled.line("orders"), options=("--zero-copy", "--statements")).out
    assert "Not known: its size" in text
    assert "make it managed Iceberg" in text
    assert "CREATE" in text
    assert filled.world.statements("INSERT") == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("run",), "IB-951"), (("run", "main.sales.orders"), "IB-951"), (("plan", *ENDS, "--stage", "D.S.T"), "IB-951"),
        (("plan", "a.b.c", "--file", "x", *ENDS, "--stage", "D.S.T"), "IB-951"),
        (("plan", "a.b", *ENDS, "--stage", "D.S.T"), "IB-923"), (("plan", "a.b.c", *ENDS, "--stage", "D.S"), "IB-924"),
        (("plan", "a.b.c", *ENDS, "--stage", "D.S.T", "--limit", "0"), "IB-908"),
        (("run", "--run-id", "nope"), "IB-950"), (("status", "nope"), "IB-950"),
        (("plan", "a.b.c", "--file", "", "--source", "dbx", "--target", "nope", "--stage", "D.S.T"), "IB-102"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_its_code(home: Home, arguments: tuple[str, ...], code: str) -> None:
    said = icebridge("share", *arguments, "--json")
    assert (said.code, said.refusal) == (1, code)

"""Shares by the steps themselves: every mode, twice, resumed, and refused where they should be, each by its code."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model import codec
from icebridge_provider.model.running import Waiting
from icebridge_provider.model.share import RESULT, Published
from icebridge_provider.model.snowflake import Mode, Publish, ShareManifest
from icebridge_provider.steps.share import export, load
from tests.contract.snowflake.share_stage import NOON, Stage, refused, row
from tests.support.share_world import briefly, site_of


def test_every_value_arrives_and_a_second_call_changes_nothing(stage: Stage) -> None:
    result = stage.run()
    assert (result.rows, result.files, result.again, result.warnings, result.stale) == (3, 2, False, (), ())
    assert result.published is not None
    assert (result.published.before, result.published.after, result.published.inserted) == (0, 3, 3)
    assert result.checks >= 15
    found = stage.sql("SELECT * FROM T ORDER BY 1")
    wanted = [row(number) for number in (1, 2, 3)]
    assert [tuple(item[:2]) + tuple(item[3:8]) for item in found] == [tuple(i[:2]) + tuple(i[3:8]) for i in wanted]
    assert [item[2] and item[2].timestamp() for item in found] == [NOON.timestamp(), NOON.timestamp(), None]
    assert [item[8] and json.loads(item[8]) for item in found] == [{"a": None}, {"a": None}, None]
    before = len(stage.account.queries())
    again = stage.run()
    assert again == replace(result, again=True)
    assert stage.account.queries()[before:] == [], "nothing is asked of Snowflake again"
    assert stage.ids() == [1, 2, 3]
    assert stage.site.ledger.document(RESULT, stage.share().document) == codec.to_json(again)
    for changed in ({"where": "id > 1"}, {"limit": 1}, {"mode": Mode.REPLACE}):
        refused(stage, "IB-913", **changed, because="the ledger knows this run id with other parameters")


def test_each_mode_goes_by_its_rule_and_a_new_run_may_repeat_it(stage: Stage) -> None:
    stage.rows([1, 2], columns=4)
    first = stage.run(limit=2)
    assert (first.rows, first.limited, first.published) == (
        2,
        "at most 2 rows",
        Published(before=0, after=2, inserted=2),
    )
    assert "LIMITED: at most 2 rows" in stage.comment()
    stage.rows([2, 4], columns=4, price="7.77")
    upsert = {"mode": Mode.UPSERT, "keys": ("ID",)}
    assert stage.run(run_id="upsert", **upsert).published == Published(before=2, after=3, inserted=1, updated=1)
    assert stage.run(run_id="upsert again", **upsert).published == Published(before=3, after=3, updated=2)
    assert stage.prices() == {1: Decimal("-0.05"), 2: Decimal("7.77"), 4: Decimal("7.77")}
    assert "LIMITED" in stage.comment(), "the rows of then are still there"
    replaced = stage.run(run_id="replace", mode=Mode.REPLACE)
    assert replaced.published == Published(before=3, after=2, inserted=2, deleted=3)
    assert stage.ids() == [2, 4]
    assert "LIMITED" not in stage.comment(), "all rows are there again"
    stage.rows([7, 8, 9], columns=4)
    stage.sql("COMMENT ON TABLE T IS 'of sales'")
    swapped = stage.run(run_id="swap", mode=Mode.REPLACE, publish=Publish.SWAP)
    assert swapped.published == Published(before=0, after=3, inserted=3)
    assert stage.ids() == [7, 8, 9]
    assert stage.comment().startswith("of sales\nicebridge run "), "a person's comment stays"
    assert stage.tables() == ["ICEBRIDGE_LOADS", "T"], "nothing is left behind"


def test_an_export_of_no_row_is_a_share_too(stage: Stage) -> None:
    stage.narrow([1, 2])
    stage.run(run_id="rows")
    nothing = {"where": "id > 9"}
    for mode, keys in ((Mode.APPEND, ()), (Mode.UPSERT, ("id",))):
        result = stage.run(run_id=mode.value, mode=mode, keys=keys, **nothing)
        assert (result.rows, result.published) == (0, Published(before=2, after=2))
    emptied = stage.run(run_id="replace", mode=Mode.REPLACE, **nothing)
    assert emptied.published == Published(before=2, after=0, deleted=2)
    assert stage.ids() == []


def test_a_call_waits_for_nothing_and_another_process_goes_on(stage: Stage) -> None:
    """Long statements of both sides are met while they run; each call is made by somebody who knows the ledger only."""
    stage.world.order("slow", "INSERT OVERWRITE", looks=1)
    stage.world.order("slow", "file_name|WITH cells", times=2, looks=1)
    stage.account.fail("slow", "COPY INTO", seconds=1)
    stage.account.fail("slow", "WITH cells", seconds=1)
    stage.account.fail("slow", "COUNT_IF", seconds=1)
    stage.narrow([1, 2, 3])
    share = stage.share(mode=Mode.UPSERT, keys=("id",))
    met: list[tuple[str, str]] = []
    steps: list[Any] = [export, load]
    while steps:
        site = site_of(stage.folder, stage.world, stage.target)
        if isinstance(told := steps[0](site, share), Waiting):
            met.append((told.side, told.what.split()[0]))
            briefly(0)
        else:
            steps.pop(0)
    assert list(dict.fromkeys(met)) == [
        ("source", "export"), ("source", "count"), ("target", "copy"), ("target", "add"), ("target", "check"),
    ]  # fmt: skip
    assert stage.ids() == [1, 2, 3]
    assert len(stage.world.statements("INSERT OVERWRITE")) == 1
    assert len([one for one in stage.account.queries("COPY INTO") if stage.sql.database in one["text"]]) == 1


def test_a_lost_ledger_exports_and_loads_nothing_again(stage: Stage) -> None:
    """The manifest and the load's own row are enough, also when Snowflake has forgotten every file: after 65 days."""
    stage.narrow([1, 2, 3])
    stage.run()
    stage.account.advance(days=65)
    stage.elsewhere()
    again = stage.run()
    assert (again.again, again.rows, again.published) == (True, 3, None)
    assert stage.ids() == [1, 2, 3]
    assert len(stage.world.statements("INSERT OVERWRITE")) == 1
    stage.elsewhere()
    refused(stage, "IB-913", where="id > 1", because="the run id was used for other rows")


def test_files_are_the_manifest_s_or_nothing_is_loaded(stage: Stage) -> None:
    stage.narrow([1, 2, 3])
    share = stage.share()
    manifest = export(stage.site, share)
    assert isinstance(manifest, ShareManifest)
    first, second = (f"{manifest.location}/{item.name}".removeprefix("s3://bucket/") for item in manifest.files)
    content = stage.object(first)
    for spoiled in (content[:-1], content + b"x", None):
        stage.replace_object(first, spoiled)
        error = refused(stage, "IB-914", "a file is not as it was")
        assert manifest.files[0].name in str(error)
    stage.replace_object(first, content)
    stage.replace_object(second.replace("part-", "part-9"), content)
    result = stage.run()
    assert result.stale == (manifest.files[1].name.replace("part-", "part-9"),), "told, and not loaded"
    assert stage.ids() == [1, 2, 3]
    for key in (first, second):
        stage.replace_object(key, None)
    assert stage.run().again, "what is loaded needs no files any more"


def test_a_load_needs_its_export(stage: Stage) -> None:
    with pytest.raises(ConfigurationError, match="IB-941"):
        load(stage.site, stage.share())

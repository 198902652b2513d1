"""Losses are told before they happen, and each is accepted by name or the plan fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.plan import CopyMethod, MigrationRequest, TablePlan
from icebridge_provider.model.table import TableFacts
from icebridge_provider.planning.build import PlanContext, prospects
from icebridge_provider.planning.scaffold import KINDS, is_accepted, losses, refuse_unaccepted, translate
from tests.support.inventories import facts, inventory, table

RICH: dict[str, Any] = {
    "format_version": 1,
    "snapshots": 3,
    "refs": {"main": {}, "audit": {"type": "branch"}, "v1": {"type": "tag"}},
    "schemas": ({"schema-id": 0}, {"schema-id": 1}),
    "specs": ({"spec-id": 0, "fields": []}, {"spec-id": 1, "fields": []}, {"spec-id": 2, "fields": []}),
    "sort_orders": ({"order-id": 0, "fields": []}, {"order-id": 1, "fields": [{"source-id": 1}]}),
    "default_sort_order_id": 1,
}


def kinds(found: TableFacts, method: CopyMethod) -> dict[str, str]:
    return {loss.id.partition(":")[0]: loss.what for loss in losses("sales.orders", found, method)}


def planned(path: str, **changes: Any) -> TablePlan:
    request = MigrationRequest(source_conn_id="src", target_conn_id="dst", method="insert_select")
    found = next(prospects(inventory(table(path, **changes)), request, PlanContext(), "p1"))
    assert found.planned is not None
    return found.planned


def test_copies_of_files_lose_nothing() -> None:
    assert kinds(facts(**RICH), CopyMethod.COPY_FILES) == {}
    assert kinds(facts(**RICH), CopyMethod.REGISTER) == {}


def test_writing_anew_loses_what_only_files_hold() -> None:
    assert kinds(facts(**RICH), CopyMethod.INSERT_SELECT) == {
        "history": "3 snapshots with their ids and times",
        "refs": "branches and tags audit, v1",
        "old_schemas": "1 older schema",
        "old_specs": "2 older partition specs",
        "old_sort_orders": "1 older sort order",
        "format_version": "format version 1",
    }
    assert kinds(facts(snapshots=0, refs={}), CopyMethod.INSERT_SELECT) == {}


def test_a_table_that_shares_files_must_not_delete_them() -> None:
    assert translate("a.b", facts(), CopyMethod.REGISTER).properties == {"gc.enabled": "false"}
    assert translate("a.b", facts(), CopyMethod.COPY_FILES).properties == {}
    elsewhere = facts(properties={"write.data.path": "s3://x", "write.metadata.path": "s3://y"})
    assert translate("a.b", elsewhere, CopyMethod.COPY_FILES).left_out == ("write.data.path", "write.metadata.path")


def test_the_param_to_paste_is_enough() -> None:
    tables = [planned("sales.orders"), planned("sales.items", **RICH)]
    with pytest.raises(ConfigurationError) as caught:
        refuse_unaccepted(tables, ["refs:sales.items"])
    error = caught.value
    assert error.code == "IB-312"
    assert "history:sales.orders: 2 snapshots" in error.message
    pasted = json.loads("{" + error.remedy[error.remedy.index('"accept') : error.remedy.index("]") + 1] + "}")
    refuse_unaccepted(tables, pasted["accept_losses"])


@pytest.mark.parametrize(
    ("accepted", "enough"),
    [
        (["history"], True),
        (["history:sales.orders"], True),
        (["history:sales.*"], True),
        (["history:other.*", "history:sales.orders"], True),
        (["history:other.orders"], False),
        (["refs"], False),
        ([], False),
    ],
)
def test_losses_are_accepted_for_all_tables_or_for_some(accepted: list[str], enough: bool) -> None:
    assert is_accepted("history:sales.orders", accepted) is enough


def test_a_misspelt_loss_is_not_accepted_in_silence() -> None:
    with pytest.raises(ConfigurationError, match=r"IB-332.*'histroy'.*Did you mean 'history'"):
        refuse_unaccepted([], ["histroy"])
    refuse_unaccepted([], [kind.id for kind in KINDS])


def test_the_page_lists_every_loss() -> None:
    page = (Path(__file__).parents[3] / "docs" / "planning.md").read_text()
    for kind in KINDS:
        assert f"| `{kind.id}` |" in page

"""The SQL by which docs/snowflake.md sets up an account, run as it stands there: a share needs all of it, no more."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from icebridge_provider.engines.snowflake.target import SnowflakeTarget
from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model.share import ShareResult
from icebridge_provider.model.snowflake import SourceColumn
from icebridge_provider.planning.snowflake.requests import ShareForm, read_requests
from icebridge_provider.steps.share import followed
from icebridge_provider.steps.share_plan import plan_shares
from tests.support.s3 import BUCKET
from tests.support.share_world import SourceWorld, briefly, site_of
from tests.support.snowflake import Account

PAGE = Path(__file__).parents[3] / "docs" / "snowflake.md"
# The page's names of things that a test's account has under other names.
NAMES = {"LOAD_WH": "WH", "databricks-snowflake-share": BUCKET, "USER ICEBRIDGE": "USER BRIDGE"}
STAGE = "ANALYTICS.ICEBRIDGE.SHARE"
Share = Callable[..., ShareResult]


def statements() -> list[str]:
    block = re.search(r"### Snowflake\n\n```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    text = re.sub(r"--.*", "", block[1])
    for name, here in NAMES.items():
        text = text.replace(name, here)
    return [" ".join(item.split()) for item in text.split(";") if item.strip()]


def run(account: Account, *texts: str) -> None:
    with contextlib.closing(account.connect("ANALYTICS")) as connection:
        for text in texts:
            connection.cursor().execute(text)


@pytest.fixture(scope="module")
def prepared(snowflake: Account) -> Account:
    """The account as the page leaves it, with a table of somebody else's."""
    snowflake.order("POST", "/databases", {"name": "ANALYTICS"})
    run(snowflake, "CREATE TABLE PUBLIC.ORDERS (ID NUMBER(19,0), NAME VARCHAR)")
    made = statements()
    assert len(made) >= 12
    for text in made:
        if text.startswith("CREATE USER"):
            snowflake.user("BRIDGE", "PUBLIC", password="a-password")
        else:
            run(snowflake, text)
    return snowflake


@pytest.fixture
def share(prepared: Account, tmp_path: Path) -> Iterator[Share]:
    """Share ``main.sales.orders`` as the page's user, with the page's role alone."""
    login = {"user": "BRIDGE", "password": "a-password", "role": "ICEBRIDGE"}
    assert prepared.s3 is not None
    world = SourceWorld(tmp_path / "source", prepared.s3)
    columns = [SourceColumn(name="id", type="bigint"), SourceColumn(name="name", type="string")]
    world.table("main.sales.orders", columns, pa.table({"id": [1, 2], "name": ["a", None]}))
    with SnowflakeTarget(lambda: prepared.connect("ANALYTICS", **login), name="snowflake") as target:
        site = site_of(tmp_path, world, target)

        def shared(run_id: str, name: str = "ORDERS", **form: Any) -> ShareResult:
            line = f"main.sales.orders -> ANALYTICS.PUBLIC.{name}"
            asked = read_requests(ShareForm(tables=line, stage=STAGE, **form))
            (planned,) = plan_shares(site, asked, f"{tmp_path.name} {run_id}")
            return followed(site, planned, sleep=briefly)

        yield shared


def test_a_new_table_is_made_swapped_and_labelled_with_the_rights_of_the_page(share: Share) -> None:
    assert share("own", "MINE", mode="replace", publish="swap", upper=True).rows == 2
    assert share("own again", "MINE", mode="append", limit=1).warnings == ()


@pytest.mark.parametrize(("right", "mode"), [("UPDATE", "upsert"), ("DELETE", "replace"), ("INSERT", "append")])
def test_a_right_on_the_table_that_is_missing_is_told_and_once_granted_the_run_goes_on(
    prepared: Account, share: Share, right: str, mode: str
) -> None:
    keys = "id" if mode == "upsert" else ""
    with without(prepared, f"{right} ON TABLE ANALYTICS.PUBLIC.ORDERS"), pytest.raises(IceBridgeError) as raised:
        share(right, mode=mode, keys=keys)
    assert raised.value.code == "IB-932"
    assert "ORDERS" in str(raised.value)
    assert share(right, mode=mode, keys=keys).rows == 2


@pytest.mark.parametrize(
    ("right", "code"),
    [
        ("CREATE TABLE ON SCHEMA ANALYTICS.ICEBRIDGE", "IB-932"),
        ("USAGE ON STAGE ANALYTICS.ICEBRIDGE.SHARE", "IB-933"),
        ("USAGE ON WAREHOUSE WH", "IB-936"),
    ],
)
def test_another_right_that_is_missing_is_told(prepared: Account, share: Share, right: str, code: str) -> None:
    with without(prepared, right), pytest.raises(IceBridgeError) as raised:
        share(right)
    assert raised.value.code == code, raised.value


@contextlib.contextmanager
def without(account: Account, right: str) -> Iterator[None]:
    run(account, f"REVOKE {right} FROM ROLE ICEBRIDGE")
    try:
        yield
    finally:
        run(account, f"GRANT {right} TO ROLE ICEBRIDGE")

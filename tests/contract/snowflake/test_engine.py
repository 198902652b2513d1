"""The engine for Snowflake keeps the contract of a load's target, by the unmodified connector on the stand-in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from icebridge_provider.engines.snowflake.target import SnowflakeTarget
from tests.support.load_target_suite import LoadTargetSuite, Place
from tests.support.snowflake import Account


@pytest.fixture
def place(account: Account, database: str) -> Iterator[Place]:
    with SnowflakeTarget(lambda: account.connect(database, network_timeout=10), name="snow") as target:
        made = Place(target=target, database=database)
        made.make()
        yield made


@pytest.fixture
def slow(account: Account) -> Callable[[str, float], None]:
    return lambda statement, seconds: account.fail("slow", statement, seconds=seconds)


class TestSnowflakeTarget(LoadTargetSuite):
    """All of the suite."""

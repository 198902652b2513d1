from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from snowflake.connector import DatabaseError
from snowflake.connector.errors import Error

from tests.contract.snowflake.share_stage import stage  # noqa: F401 - fixture
from tests.support.snowflake import Account


class Sql:
    """A connection, one call a statement."""

    def __init__(self, account: Account, database: str, **more: Any) -> None:
        self.account, self.database = account, database
        self.connection = account.connect(database, **more)
        self.cursor = self.connection.cursor()

    def __call__(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.cursor.execute(statement, *values).fetchall()

    def close(self) -> None:
        self.connection.close()

    def one(self, statement: str) -> Any:
        ((found,),) = self(statement)
        return found

    def error(self, statement: str) -> int:
        """The number of the error that the statement must end with."""
        with pytest.raises(Error) as raised:
            self(statement)
        assert isinstance(raised.value, DatabaseError), raised.value
        return int(raised.value.errno)


@pytest.fixture
def account(snowflake: Account) -> Iterator[Account]:
    """The session's account, calm and at the right time afterwards."""
    yield snowflake
    snowflake.calm()
    snowflake.reset_clock()
    usual = {"answer_within_seconds": 45, "lock_timeout_seconds": 20, "idle_abort_seconds": 300}
    snowflake.order("POST", "/settings", usual)


@pytest.fixture
def database(account: Account) -> str:
    return account.database()


@pytest.fixture
def sql(account: Account, database: str) -> Iterator[Sql]:
    with contextlib.closing(Sql(account, database)) as found:
        yield found


@pytest.fixture
def other(account: Account, database: str) -> Iterator[Sql]:
    """A second session on the same database."""
    with contextlib.closing(Sql(account, database)) as found:
        yield found

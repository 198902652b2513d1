"""Lost answers, locks, cancels and expired results: what the engine for Snowflake says and does then."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from icebridge_provider.engines.snowflake.target import SnowflakeTarget
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, TransientError
from icebridge_provider.model.running import QueryState
from icebridge_provider.model.share import Published
from icebridge_provider.model.snowflake import Statement
from icebridge_provider.sql import snowflake as sql
from tests.contract.snowflake.conftest import Sql
from tests.support.load_target_suite import Place, accept, ended
from tests.support.snowflake import Account

NOISE = ("http://", "https://", "127.0.0.1", "requestId", "urllib", "Traceback")


@pytest.fixture
def opened(account: Account, database: str) -> Iterator[Callable[..., SnowflakeTarget]]:
    made: list[SnowflakeTarget] = []

    def opened(more: dict[str, Any] | None = None, **options: Any) -> SnowflakeTarget:
        given = {"network_timeout": 10, **(more or {})}
        target = SnowflakeTarget(lambda: account.connect(**{"database": database, **given}), name="snow", **options)
        made.append(target)
        return target

    yield opened
    account.calm()
    for target in made:
        target.close()


@pytest.fixture
def place(opened: Callable[..., SnowflakeTarget], database: str) -> Place:
    made = Place(target=opened(), database=database)
    made.make()
    return made


def quiet(error: IceBridgeError) -> bool:
    return not any(noise in str(error) for noise in NOISE)


def test_a_short_statement_is_sent_again(account: Account, place: Place) -> None:
    create = Statement(text="CREATE TABLE IF NOT EXISTS again (a INT)")
    account.fail("gone", "CREATE TABLE IF NOT EXISTS again", times=2)
    place.target.run("create a table", create)
    account.fail(404, "CREATE TABLE IF NOT EXISTS again", times=3)
    with pytest.raises(TransientError, match=r"IB-930.*no answer \(HTTP status 404\) to: create a table") as raised:
        place.target.run("create a table", create)
    assert quiet(raised.value)


def test_a_start_whose_answer_is_lost_is_found(account: Account, place: Place) -> None:
    insert = Statement(text=f"INSERT INTO {sql.name(*place.control, 'T')} VALUES (7, 'seven')")
    account.fail("gone", "INSERT INTO")
    found = place.target.start("write", insert, "icebridge:faults:1")
    assert ended(place.target, found).state is QueryState.DONE
    account.fail(404, "INSERT INTO")
    with pytest.raises(TransientError, match="IB-930"):
        place.target.start("write", insert, "icebridge:faults:2")
    place.target.start("write", insert, "icebridge:faults:2")
    ended(place.target, place.target.find("icebridge:faults:2"))
    assert place.ids() == [1, 7, 7]


def test_asking_about_a_statement_survives_a_lost_answer(account: Account, place: Place) -> None:
    found = place.target.start("look", Statement(text="SELECT 42"), "icebridge:faults:3")
    assert ended(place.target, found).state is QueryState.DONE
    account.fail(404, path="/monitoring/")
    assert place.target.look(found).state is QueryState.DONE
    account.fail("gone", "result_scan")
    assert place.target.answer(found).rows == ((42,),)
    account.fail(404, path="/monitoring/", times=2)
    with pytest.raises(TransientError, match="IB-930"):
        place.target.look(found)


def test_a_cancel_whose_answer_is_lost_has_worked(account: Account, place: Place) -> None:
    account.fail("slow", "SELECT 43", seconds=20)
    found = place.target.start("wait", Statement(text="SELECT 43"), "icebridge:faults:4")
    account.fail("gone", r"CANCEL_QUERY", times=3)
    place.target.cancel(found)
    assert ended(place.target, found).state is QueryState.CANCELLED


def test_a_result_is_gone_after_a_day_and_the_statement_runs_again(account: Account, place: Place) -> None:
    found = place.target.start("look", Statement(text="SELECT 44"), "icebridge:faults:5")
    ended(place.target, found)
    account.advance(days=1.1)
    with pytest.raises(TransientError, match="IB-937"):
        place.target.answer(found)
    again = place.target.start("look", Statement(text="SELECT 44"), "icebridge:faults:5")
    assert again != found
    ended(place.target, again)
    assert place.target.answer(again).rows == ((44,),)


def test_a_long_history_is_read_page_by_page(
    account: Account, opened: Callable[..., SnowflakeTarget], place: Place
) -> None:
    first = place.target.start("look", Statement(text="SELECT 45"), "icebridge:faults:6")
    ended(place.target, first)
    for _ in range(12):
        account.advance(seconds=2)
        place.ask("SELECT 1")
    small = opened(history_rows=5)
    assert small.find("icebridge:faults:6") == first
    assert small.find("icebridge:faults:none") == ""


def test_sessions_that_ended_are_replaced(account: Account, place: Place) -> None:
    found = place.target.start("look", Statement(text="SELECT 46"), "icebridge:faults:7")
    ended(place.target, found)
    account.order("POST", "/sessions/kill")
    assert place.target.look(found).state is QueryState.DONE
    account.order("POST", "/sessions/kill")
    assert place.ids() == [1]
    assert place.target.start("look", Statement(text="SELECT 46"), "icebridge:faults:8") != found
    account.order("POST", "/sessions/kill")
    assert place.target.publish(place.plan(), accept) is not None


@pytest.mark.parametrize("fault", ["gone", 404])
@pytest.mark.parametrize("statement", ["^BEGIN", "^UPDATE", "^SELECT COUNT", "^INSERT"])
def test_what_is_lost_before_commit_was_not_done(
    account: Account, place: Place, statement: str, fault: str | int
) -> None:
    account.fail(fault, statement)
    with pytest.raises(TransientError, match="IB-930") as raised:
        place.target.publish(place.plan(), accept)
    assert "nothing changed" in raised.value.changed
    assert (place.ids(), place.state()) == ([1], ("staging", 1))
    assert place.target.publish(place.plan(), accept) is not None, "no lock is left"
    assert place.ids() == [1, 2, 3]


def test_the_connector_itself_asks_again(account: Account, place: Place) -> None:
    """With the same request id, so that nothing is done twice."""
    account.fail("lost", "^INSERT")
    account.fail("lost", "^COMMIT")
    assert place.target.publish(place.plan(), accept) == Published(before=1, after=3, inserted=2)
    assert place.ids() == [1, 2, 3]


def test_a_lost_commit_that_was_done_is_success(account: Account, place: Place) -> None:
    account.fail("gone", "^COMMIT")
    assert place.target.publish(place.plan(), accept) == Published(before=1, after=3, inserted=2)
    assert (place.ids(), place.state()) == ([1, 2, 3], ("loaded", 1))


@pytest.mark.parametrize("closes", [True, False])
def test_a_lost_commit_that_was_not_done_may_be_tried_again(account: Account, place: Place, *, closes: bool) -> None:
    """Also where the session that holds the lock cannot be ended: then Snowflake ends its transaction in the end."""
    account.order("POST", "/settings", {"idle_abort_seconds": 1})
    account.fail(404, "^COMMIT")
    if not closes:
        account.fail(404, path="^/session$")
    with pytest.raises(TransientError, match=r"IB-930.*COMMIT was lost"):
        place.target.publish(place.plan(), accept)
    assert (place.ids(), place.state()) == ([1], ("staging", 1))
    assert place.next_try() == 1
    assert place.target.publish(place.plan(2), accept) is not None
    assert place.ids() == [1, 2, 3]


@pytest.mark.parametrize(("fault", "ids"), [("gone", [1, 2, 3]), (404, [1])])
def test_where_nobody_can_be_asked_after_commit_it_is_not_known(
    account: Account, place: Place, fault: str | int, ids: list[int]
) -> None:
    account.fail(fault, "^COMMIT")
    account.fail(404, "ICEBRIDGE_LOADS", skip=1, times=-1)
    with pytest.raises(TransientError, match="IB-938") as raised:
        place.target.publish(place.plan(), accept)
    assert "not known" in raised.value.changed
    account.calm()
    assert place.ids() == ids
    assert (place.target.publish(place.plan(), accept) is None) == (ids != [1])
    assert place.ids() == [1, 2, 3]


def test_a_refused_commit_is_settled_too(account: Account, place: Place) -> None:
    account.fail("error", "^COMMIT", code=603)
    with pytest.raises(TransientError, match=r"IB-930.*COMMIT was lost"):
        place.target.publish(place.plan(), accept)
    assert place.ids() == [1]


def test_a_newer_try_between_commit_and_the_look_is_told(account: Account, place: Place) -> None:
    def overtaken(_: Published) -> None:
        account.fail(404, "^COMMIT")
        account.fail("delay", "^SELECT .*ICEBRIDGE_LOADS", seconds=1.5)
        threading.Timer(0.5, place.next_try).start()

    assert place.target.publish(place.plan(), overtaken) is None
    assert (place.ids(), place.state()) == ([1], ("staging", 2))


class Interrupted(BaseException):
    """As Airflow's timeout of a task is."""


def test_a_lost_rollback_hides_nothing(account: Account, place: Place) -> None:
    def refuse(_: Published) -> None:
        account.fail(404, "^ROLLBACK")
        raise LookupError("refused")

    with pytest.raises(LookupError, match="refused"):
        place.target.publish(place.plan(), refuse)
    assert place.ids() == [1]
    assert place.target.publish(place.plan(), accept) is not None, "the session's end gave the locks back"


def test_an_interrupted_transaction_ends_at_once(account: Account, place: Place) -> None:
    def interrupt(*_: object) -> None:
        raise Interrupted

    account.fail("slow", "^INSERT", seconds=30)
    before = signal.signal(signal.SIGALRM, interrupt)
    begun = time.monotonic()
    try:
        signal.setitimer(signal.ITIMER_REAL, 1)
        with pytest.raises(Interrupted):
            place.target.publish(place.plan(), accept)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - begun < 10
    assert (place.ids(), place.state()) == ([1], ("staging", 1))
    assert place.target.publish(place.plan(), accept) is not None, "and no lock is left"


def test_a_lock_is_waited_for_and_told(opened: Callable[..., SnowflakeTarget], place: Place, other: Sql) -> None:
    other("BEGIN")
    other(f"UPDATE {sql.name(*place.control, sql.LOADS)} SET MODE = MODE")
    with pytest.raises(TransientError, match=r"IB-935.*SHOW LOCKS") as raised:
        opened(lock_seconds=1).publish(place.plan(), accept)
    assert raised.value.facts["number"] == 625
    other("ROLLBACK")
    assert place.target.publish(place.plan(), accept) is not None


@pytest.mark.parametrize(
    ("code", "kind", "told"),
    [(604, TransientError, "IB-930"), (625, TransientError, "IB-935"), (100038, ConfigurationError, "IB-934"),
     (606, ConfigurationError, "IB-936")],
)  # fmt: skip
def test_numbers_say_whether_to_try_again(
    account: Account, place: Place, code: int, kind: type[IceBridgeError], told: str
) -> None:
    account.fail("error", "^INSERT", code=code, message="Numeric value 'x' is not recognized")
    with pytest.raises(kind, match=told) as raised:
        place.target.publish(place.plan(), accept)
    assert "rolled back" in raised.value.changed
    assert quiet(raised.value)
    assert place.ids() == [1]


def test_close_from_another_thread_ends_a_transaction(account: Account, place: Place) -> None:
    """As when a task is told to stop: the statement ends, and nothing of it stays."""
    account.fail("slow", "^INSERT", seconds=15)
    seen: list[BaseException] = []

    def publish() -> None:
        try:
            place.target.publish(place.plan(), accept)
        except BaseException as error:  # noqa: BLE001 - told to the test
            seen.append(error)

    work = threading.Thread(target=publish)
    work.start()
    while not [one for one in account.queries("INSERT INTO") if one["status"] == "RUNNING"]:
        assert work.is_alive()
    place.target.close()
    work.join(10)
    assert not work.is_alive()
    assert [type(one) for one in seen] == [TransientError]
    assert (place.ids(), place.state()) == ([1], ("staging", 1))


def test_several_threads_use_one_target(place: Place) -> None:
    t, found = sql.name(*place.control, "T"), list[int]()

    def write(number: int) -> None:
        text = Statement(text=f"INSERT INTO {t} VALUES ({number}, 'x')")
        found.append(place.target.run("write", text).affected or 0)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(10, 16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1] * 6
    assert place.ids() == [1, *range(10, 16)]


def test_a_fork_leaves_its_parents_sessions_alone(place: Place) -> None:
    before = place.ask("SELECT CURRENT_SESSION()")
    child = os.fork()
    if not child:
        place.target.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert place.ask("SELECT CURRENT_SESSION()") == before


def test_what_an_account_has_set_otherwise_does_not_matter(opened: Callable[..., SnowflakeTarget]) -> None:
    """AUTOCOMMIT off for a user would undo every statement of ours at the session's end."""
    target = opened({"session_parameters": {"AUTOCOMMIT": False, "CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False}})
    target.run("make a table", Statement(text="CREATE TABLE kept (a INT)"))
    target.run("write", Statement(text="INSERT INTO kept VALUES (1)"))
    target.close()
    assert target.run("look", Statement(text="SELECT * FROM kept")).rows == ((1,),)

"""A wave that goes wrong stops: by number, and by share once there are enough tables to speak of shares."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.exceptions import LimitExceeded
from icebridge_provider.model.event import State, TableState
from icebridge_provider.model.settings import Settings
from icebridge_provider.steps.limits import check_failures


def _states(good: int, failed: int) -> list[TableState]:
    fine = [TableState(plan_id="p", table=f"s.a.good{n}", state=State.COPIED) for n in range(good)]
    bad = [
        TableState(plan_id="p", table=f"s.a.bad{n}", state=State.COPYING, failures={"copy": 1}, problem="broke")
        for n in range(failed)
    ]
    return fine + bad


def test_the_number_stops_it_and_the_tables_are_named() -> None:
    with pytest.raises(LimitExceeded, match="IB-650") as caught:
        check_failures(_states(1, 5), Settings())
    assert "5 of 6 tables failed: s.a.bad0, s.a.bad1" in str(caught.value)


def test_fewer_do_not_stop_it() -> None:
    check_failures(_states(5, 4), Settings())
    check_failures(_states(30, 3), Settings())
    check_failures([], Settings())


def test_the_share_stops_a_wave_of_ten_or_more() -> None:
    with pytest.raises(LimitExceeded, match="IB-650"):
        check_failures(_states(18, 2), Settings())


def test_one_failure_is_no_share() -> None:
    check_failures(_states(9, 1), Settings())


def test_a_table_that_failed_once_and_came_through_does_not_count() -> None:
    mended = [TableState(plan_id="p", table=f"s.a.t{n}", state=State.COPIED, failures={"copy": 2}) for n in range(50)]
    check_failures(mended, Settings())


@given(good=st.integers(0, 200), failed=st.integers(0, 50), limit=st.integers(1, 20), percent=st.integers(1, 100))
def test_it_stops_exactly_at_the_limits(good: int, failed: int, limit: int, percent: int) -> None:
    total = good + failed
    stops = failed >= limit or (total >= 10 and failed > 1 and failed / total >= percent / 100)
    settings = Settings(failure_limit=limit, failure_percent=percent)
    if stops:
        with pytest.raises(LimitExceeded):
            check_failures(_states(good, failed), settings)
    else:
        check_failures(_states(good, failed), settings)

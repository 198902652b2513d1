"""Cut-over windows: every instant is in or out as the cron line says, also when clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.planning.window import LONGEST_MINUTES, Window, parse_window

BERLIN = ZoneInfo("Europe/Berlin")
SATURDAYS = Window(cron="0 22 * * 6", minutes=240, zone="Europe/Berlin")


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_it_is_open_from_its_first_instant_until_before_its_last() -> None:
    opening = _utc("2026-01-10T21:00:00")
    assert SATURDAYS.opened_at(opening) == opening
    assert SATURDAYS.opened_at(opening - timedelta(microseconds=1)) is None
    assert SATURDAYS.opened_at(opening + timedelta(hours=4, microseconds=-1)) == opening
    assert SATURDAYS.opened_at(opening + timedelta(hours=4)) is None


def test_the_next_opening_of_a_closed_window() -> None:
    assert SATURDAYS.next_opening(_utc("2026-01-11T12:00:00")) == _utc("2026-01-17T21:00:00")


def test_an_open_window_opens_now() -> None:
    now = _utc("2026-01-10T22:30:00")
    assert SATURDAYS.next_opening(now) == now


def test_it_follows_local_time_over_the_change_of_clocks() -> None:
    assert SATURDAYS.next_opening(_utc("2026-03-22T12:00:00")) == _utc("2026-03-28T21:00:00")  # winter, UTC+1
    assert SATURDAYS.next_opening(_utc("2026-03-30T00:00:00")) == _utc("2026-04-04T20:00:00")  # summer, UTC+2


def test_a_window_over_the_missing_hour_lasts_its_minutes() -> None:
    opening = _utc("2026-03-28T21:00:00")  # clocks go forward at 01:00 UTC, four hours later
    longer = Window(cron="0 22 * * 6", minutes=360, zone="Europe/Berlin")
    assert longer.opened_at(opening + timedelta(minutes=359)) == opening
    assert longer.opened_at(opening + timedelta(minutes=360)) is None


def test_a_window_over_the_doubled_hour_lasts_its_minutes() -> None:
    opening = _utc("2026-10-24T20:00:00")  # clocks go back at 01:00 UTC
    longer = Window(cron="0 22 * * 6", minutes=480, zone="Europe/Berlin")
    assert longer.opened_at(opening + timedelta(minutes=479)) == opening
    assert longer.opened_at(opening + timedelta(minutes=480)) is None


@pytest.mark.parametrize(("opening", "minutes"), [("2026-03-28T21:00:00", 360), ("2026-10-24T20:00:00", 480)])
def test_a_time_in_the_window_s_own_zone_is_measured_as_any_other(opening: str, minutes: int) -> None:
    longer, opened = Window(cron="0 22 * * 6", minutes=minutes, zone="Europe/Berlin"), _utc(opening)
    assert longer.opened_at((opened + timedelta(minutes=minutes - 1)).astimezone(BERLIN)) == opened
    assert longer.opened_at((opened + timedelta(minutes=minutes)).astimezone(BERLIN)) is None


def test_an_opening_in_the_missing_hour_is_not_lost() -> None:
    nightly = Window(cron="30 2 * * *", minutes=60, zone="Europe/Berlin")
    night = [_utc("2026-03-29T00:00:00") + timedelta(minutes=minute) for minute in range(0, 180, 5)]
    assert any(nightly.opened_at(moment) is not None for moment in night)


instants = st.datetimes(datetime(2025, 1, 1), datetime(2028, 12, 31)).map(lambda found: found.replace(tzinfo=UTC))  # noqa: DTZ001
zones = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia"]
)
crons = st.sampled_from(["0 22 * * 6", "30 2 * * *", "*/20 * * * *", "15 4 1 * *", "0 0,12 * * 1-5", "59 23 31 12 *"])
windows = st.builds(Window, cron=crons, minutes=st.integers(1, 3000), zone=zones)


@given(window=windows, now=instants)
def test_it_is_open_exactly_when_it_opened_less_than_its_minutes_ago(window: Window, now: datetime) -> None:
    opened = window.opened_at(now)
    if opened is not None:
        assert timedelta(0) <= now - opened < timedelta(minutes=window.minutes)
        assert window.opened_at(opened) is not None
    else:
        assert window.next_opening(now) > now


@given(window=windows, now=instants)
def test_it_is_open_when_it_is_said_to_open(window: Window, now: datetime) -> None:
    opening = window.next_opening(now)
    assert opening >= now
    assert window.opened_at(opening) is not None


@given(window=windows, now=instants, zone=zones)
def test_the_zone_in_which_an_instant_is_written_does_not_matter(window: Window, now: datetime, zone: str) -> None:
    assert window.opened_at(now) == window.opened_at(now.astimezone(ZoneInfo(zone)))


def test_reading_a_window() -> None:
    assert parse_window("") is None
    assert parse_window("  ") is None
    assert parse_window(" 0 22 * * 6 | 240 | Europe/Berlin ") == SATURDAYS


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0 22 * * 6", "three parts"),
        ("0 22 * * 6|240|UTC|x", "three parts"),
        ("0 22 * *|240|UTC", "cron expression"),
        ("0 22 * * 6 *|240|UTC", "cron expression"),
        ("0 25 * * 6|240|UTC", "cron expression"),
        ("0 22 * * 6|0|UTC", "number of minutes"),
        ("0 22 * * 6|-5|UTC", "number of minutes"),
        (f"0 22 * * 6|{LONGEST_MINUTES + 1}|UTC", "number of minutes"),
        ("0 22 * * 6|4h|UTC", "number of minutes"),
        ("0 22 * * 6|240|Berlin", "IANA time zone"),
        ("0 22 * * 6|240|../../etc/passwd", "IANA time zone"),
        ("0 22 * * 6|240|", "IANA time zone"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match="IB-317") as caught:
        parse_window(text)
    assert why in str(caught.value)

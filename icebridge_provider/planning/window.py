"""When a cut-over may happen: ``cron|minutes|time zone``, for example ``0 22 * * 6|240|Europe/Berlin``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter

from icebridge_provider.exceptions import ConfigurationError

LONGEST_MINUTES = 7 * 24 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Opens whenever ``cron`` fires in ``zone`` and stays open for ``minutes``."""

    cron: str
    minutes: int
    zone: str

    def opened_at(self, now: datetime) -> datetime | None:
        """Return when the window that is open at ``now`` (aware) opened, None while it is closed."""
        local = now.astimezone(ZoneInfo(self.zone))
        # croniter's previous firing lies strictly before its start: one microsecond later includes this very instant
        opened: datetime = croniter(self.cron, local + timedelta(microseconds=1)).get_prev(datetime)
        # in UTC: two times of one zone are subtracted by their clocks' faces, whatever was changed in between
        past = now.astimezone(UTC) - opened.astimezone(UTC)
        return opened if past < timedelta(minutes=self.minutes) else None

    def next_opening(self, now: datetime) -> datetime:
        """Return ``now`` while the window is open, else when it opens next."""
        if self.opened_at(now) is not None:
            return now
        found: datetime = croniter(self.cron, now.astimezone(ZoneInfo(self.zone))).get_next(datetime)
        return found


def parse_window(text: str) -> Window | None:
    """Read a window, None for an empty text: then a cut-over may happen at any time.

    :raises ConfigurationError: IB-317 naming the part that cannot be read.
    """
    if not text.strip():
        return None
    parts = [part.strip() for part in text.split("|")]
    if len(parts) != 3:
        raise _wrong(text, "it has not three parts")
    cron, minutes, zone = parts
    if len(cron.split()) != 5 or not croniter.is_valid(cron):
        raise _wrong(text, f"{cron!r} is no cron expression of five fields")
    if not minutes.isdigit() or not 1 <= int(minutes) <= LONGEST_MINUTES:
        raise _wrong(text, f"{minutes!r} is no number of minutes between 1 and {LONGEST_MINUTES}")
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise _wrong(text, f"{zone!r} is no IANA time zone") from None
    return Window(cron=cron, minutes=int(minutes), zone=zone)


def _wrong(text: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-317",
        f"The cutover_window {text!r} cannot be used: {why}.",
        remedy='Write "cron|minutes|time zone", for example "0 22 * * 6|240|Europe/Berlin".',
    )

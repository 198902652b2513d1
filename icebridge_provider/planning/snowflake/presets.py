"""What the two presets set: ``production`` loads all rows and tries again, ``poc`` looks at a thousand and stops."""

from __future__ import annotations

from dataclasses import dataclass

from icebridge_provider.exceptions import ConfigurationError

MOST_ROWS = 1_000_000_000_000
SHORTEST_POLL, LONGEST_POLL = 30, 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How a share is run.

    :param limit: most rows of a table; None takes all.
    :param poll_seconds: between two looks at a running statement.
    :param timeout_seconds: of export and load each.
    """

    name: str
    limit: int | None = None
    retries: int = 3
    poll_seconds: float = 30
    timeout_seconds: int = 1800
    fail_fast: bool = False


PRODUCTION = Preset(name="production")
POC = Preset(name="poc", limit=1000, retries=0, fail_fast=True)
PRESETS = {item.name: item for item in (PRODUCTION, POC)}


def preset_of(name: str) -> Preset:
    """Return a preset by its name.

    :raises ConfigurationError: IB-908 when there is no such preset.
    """
    if name not in PRESETS:
        raise ConfigurationError(
            "IB-908", f"There is no preset {name[:80]!r}.", remedy=f"Take one of {', '.join(PRESETS)}.", preset=name
        )
    return PRESETS[name]


def limit_of(preset: Preset, asked: object) -> int | None:
    """Return the most rows of a table: what was asked for, else the preset's.

    :param asked: a whole number, as a number or as text; None or empty was not asked for.
    :raises ConfigurationError: IB-908 for anything else.
    """
    if asked is None or asked == "":
        return preset.limit
    text = str(asked)
    if isinstance(asked, bool) or not text.isascii() or not text.isdigit() or not 1 <= int(text[:14]) <= MOST_ROWS:
        raise ConfigurationError(
            "IB-908",
            f"The limit {text[:40]!r} is no whole number of rows from 1 on.",
            remedy="Write a number such as 1000, or leave it empty for all rows.",
        )
    return int(text)


def limited(limit: int | None, where: str) -> str:
    """Return why rows are not all of the table's, for titles, reports and comments; empty when they are."""
    said = [f"at most {limit} rows"] if limit is not None else []
    said += [f"only where {' '.join(where.split())[:200]}"] if where else []
    return ", ".join(said)

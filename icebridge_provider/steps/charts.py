"""Numbers for people, and bars as inline SVG that light and dark pages and printers show alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_CLASSES = (
    ("empty", 1),
    ("< 1 MB", 10**6),
    ("1 to 100 MB", 10**8),
    ("0.1 to 10 GB", 10**10),
    ("10 GB to 1 TB", 10**12),
)
_LAST_CLASS = "≥ 1 TB"
_LABEL, _BAR, _ROW = 150, 200, 24


def size(value: float) -> str:
    """Return bytes as text in powers of 1000: ``12.3 GB``."""
    number, unit = float(value), 0
    while number >= 999.5 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.0f} {_UNITS[unit]}" if unit == 0 or number >= 99.5 else f"{number:.1f} {_UNITS[unit]}"


def duration(seconds: float) -> str:
    """Return seconds as text: ``40 seconds``, ``12 minutes``, ``5.5 hours``, ``3.2 days``."""
    for unit, length, limit in (("second", 1, 90), ("minute", 60, 5400), ("hour", 3600, 2 * 86400)):
        if seconds < limit:
            number = f"{seconds / length:.1f}".removesuffix(".0") if length == 3600 else f"{seconds / length:.0f}"
            return f"{number} {unit}{'' if number == '1' else 's'}"
    return f"{seconds / 86400:.1f} days"


def day(at_ms: int) -> str:
    """Return milliseconds since 1970 as a UTC day; a dash where there is none."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d}" if at_ms else "-"


def count(value: int) -> str:
    """Return a whole number with separators."""
    return f"{value:,}"


def size_classes(sizes: Iterable[int]) -> list[tuple[str, int]]:
    """Return how many tables there are of each size."""
    counted = dict.fromkeys([*(name for name, _ in _CLASSES), _LAST_CLASS], 0)
    for value in sizes:
        counted[next((name for name, limit in _CLASSES if value < limit), _LAST_CLASS)] += 1
    return list(counted.items())


def bars(rows: Sequence[tuple[str, int]]) -> Markup:
    """Return horizontal bars with their numbers, one a row."""
    from markupsafe import Markup

    top = max((value for _, value in rows), default=0) or 1
    width, height = _LABEL + _BAR + 60, _ROW * max(len(rows), 1)
    drawn = Markup("").join(_bar(number, label, value, top) for number, (label, value) in enumerate(rows))
    empty = Markup("") if rows else Markup('<text x="0" y="16">none</text>')
    return Markup('<svg viewBox="0 0 {} {}" width="{}" role="img">{}{}</svg>').format(
        width, height, width, drawn, empty
    )


def _bar(number: int, label: str, value: int, top: int) -> Markup:
    from markupsafe import Markup

    length = max(round(_BAR * value / top), 1 if value else 0)
    shown = label if len(label) <= 22 else label[:21] + "…"
    return Markup(
        '<text x="{}" y="{}" text-anchor="end">{}<title>{}</title></text>'
        '<rect class="bar" x="{}" y="{}" width="{}" height="16" rx="2"/><text x="{}" y="{}">{:,}</text>'
    ).format(
        _LABEL - 8, _ROW * number + 16, shown, label,
        _LABEL, _ROW * number + 4, length, _LABEL + length + 6, _ROW * number + 16, value,
    )  # fmt: skip


def share(rows: Sequence[tuple[str, int]], width: int = 900) -> Markup:
    """Return one bar cut into shares, each with the class of its name."""
    from markupsafe import Markup

    total = sum(value for _, value in rows) or 1
    parts, left = [], 0.0
    for name, value in rows:
        length = width * value / total
        parts.append(
            Markup(
                '<rect class="{}" x="{:.1f}" y="0" width="{:.1f}" height="18"><title>{}: {:,}</title></rect>'
            ).format(name, left, length, name, value)
        )
        left += length
    return Markup(
        '<svg viewBox="0 0 {} 18" width="100%" height="18" preserveAspectRatio="none" role="img">{}</svg>'
    ).format(width, Markup("").join(parts))

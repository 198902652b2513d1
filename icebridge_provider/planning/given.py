"""Values that a person or a run gives for parameters: taken as the file's type of value, and only ever bound."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.query import Country, Parameter

MOST_ITEMS = 1000
LONGEST_TEXT = 10_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_UNFIT = re.compile("[\0\ud800-\udfff]")


def as_given(country: Country, given: Mapping[str, Any]) -> dict[str, Parameter]:
    """Return a country's values with those that are given in place of the files'.

    :param given: by path or, where only one path ends in it, by the last name; a new name adds a value.
    :raises ConfigurationError: IB-807 for a value of another type than the file's, or none that can be bound.
    """
    values = dict(country.values)
    for name, value in given.items():
        if not _NAME.fullmatch(name):
            raise _unfit(name, "it is no name")
        paths = [name] if name in values else [path for path in values if path.endswith(f".{name}")]
        if len(paths) > 1:
            raise _unfit(name, f"it can be {' or '.join(paths)}")
        path = paths[0] if paths else name
        before = values.get(path)
        taken = _taken(name, value, None if before is None else before.value)
        kind = None if before is None else before.kind
        values[path] = Parameter(value=taken, place=f"the given {name}", kind=kind, given=True)
    return values


def _taken(name: str, value: Any, like: Any) -> Any:
    if isinstance(value, list | tuple):
        if not 1 <= len(value) <= MOST_ITEMS:
            raise _unfit(name, f"a list has 1 to {MOST_ITEMS} items")
        first = like[0] if isinstance(like, list) else like
        items = [_scalar(name, item, first) for item in value]
        if len({type(item) for item in items}) > 1:
            raise _unfit(name, "its items are of different types")
        return items
    return _scalar(name, value, like[0] if isinstance(like, list) else like)


def _scalar(name: str, value: Any, like: Any) -> Any:
    """Return a given value in the type of the file's; JSON and forms know texts and numbers only."""
    plain = Decimal(str(value)) if isinstance(value, float) else value
    if not isinstance(plain, str | int | bool | Decimal | date):
        raise _unfit(name, "it is no text, number, boolean or date")
    if isinstance(plain, str) and (_UNFIT.search(plain) or len(plain) > LONGEST_TEXT):
        raise _unfit(name, f"a text holds a NUL, half of a surrogate pair, or more than {LONGEST_TEXT:,} characters")
    if isinstance(plain, Decimal) and not plain.is_finite():
        raise _unfit(name, "it is no finite number")
    if like is None or type(plain) is type(like):
        return plain
    return _converted(name, plain, like)


def _converted(name: str, value: Any, like: Any) -> Any:
    wanted = type(like)
    try:
        if wanted in {int, float, Decimal} and isinstance(value, str | int | Decimal) and not isinstance(value, bool):
            return _number(Decimal(value), wanted)
        if wanted in {date, datetime} and isinstance(value, str):
            return wanted.fromisoformat(value)
        if wanted is str and isinstance(value, int | Decimal) and not isinstance(value, bool):
            return str(value)
    except (ValueError, InvalidOperation, OverflowError):
        pass
    raise _unfit(name, f"the file's value is of another type ({wanted.__name__})")


def _number(value: Decimal, wanted: type) -> Any:
    if not value.is_finite() or value.adjusted() > 308:
        raise ValueError("too large")
    if wanted is int and value != value.to_integral_value():
        raise ValueError("not whole")
    return wanted(value)


def _unfit(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-807", f"The given parameter {name[:80]!r} cannot be used: {why}.", remedy="Correct it.", parameter=name[:80]
    )

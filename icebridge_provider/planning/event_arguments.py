"""Turns what forms and command lines say of an event into an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model import codec
from icebridge_provider.model.bridge import BridgeEvent, Operation


def new_event(
    *,
    event_id: str,
    operation: str,
    source_table: str,
    target_table: str,
    primary_keys: Sequence[str] = (),
    priority: int | str = 0,
    rows_expected: int | str | None = None,
    filter_conditions: Mapping[str, str] | str | None = None,
    metadata: Mapping[str, str] | str | None = None,
) -> BridgeEvent:
    """Return an event of arguments as forms and command lines give them.

    :raises ConfigurationError: IB-885 for one that cannot be read.
    """
    known = [item.value for item in Operation]
    if operation.strip().upper() not in known:
        raise _unreadable("operation", operation, f"one of {', '.join(known)}")
    return BridgeEvent(
        event_id=event_id,
        operation=operation.strip().upper(),
        source_table=_named("source_table", source_table),
        target_table=_named("target_table", target_table),
        primary_keys=tuple(primary_keys),
        priority=_number("priority", priority) or 0,
        rows_expected=_number("rows_expected", rows_expected),
        filter_conditions=texts("filter_conditions", filter_conditions),
        metadata=texts("metadata", metadata),
    )


def texts(name: str, given: Mapping[str, Any] | str | None) -> dict[str, str]:
    """Return an object of texts given as such or as its JSON text.

    :raises ConfigurationError: IB-885 when it is none.
    """
    value = codec.object_of(given)
    if value is None or not all(isinstance(item, str) for pair in value.items() for item in pair):
        raise _unreadable(name, given, 'an object of texts, for example {"country": "CO"}')
    return dict(value)


def _named(name: str, given: str) -> str:
    if not given.strip():
        raise _unreadable(name, given, "the name of a table")
    return given.strip()


def _number(name: str, given: int | str | None) -> int | None:
    text = str("" if given is None else given).strip()
    if text in {"", "None"}:
        return None
    try:
        return int(text)
    except ValueError:
        raise _unreadable(name, given, "a whole number") from None


def _unreadable(name: str, given: object, wanted: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-885",
        f"{name} of the event is {str(given)[:80]!r}; it must be {wanted}.",
        remedy=f"Correct {name}.",
        argument=name,
    )

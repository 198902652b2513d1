"""What may enter the ledger: no credential, and only text that every database can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.event import Actor, LedgerEvent
from icebridge_provider.model.redaction import credential_in, hidden, scrubbed

_PROSE = frozenset({"changed", "detail", "error", "message", "note", "problem", "problems", "reason", "remedy", "why"})
_REPORTS = frozenset({"report", "verdict", "data_docs"})
_EXACT = frozenset({"certificate", "proposal"})


def clean(kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document as it may be stored.

    Prose is scrubbed, but not in certificates, whose digest covers every letter. Reports may show rows of people's
    tables, so their suspicious values are hidden. Any other suspicious value is refused: hiding it would change what
    the document means.

    :raises ConfigurationError: IB-119 naming the place.
    """
    if kind in _REPORTS:
        return dict(hidden(_storable(content)))
    found = _storable(content) if kind in _EXACT else _prose_scrubbed(_storable(content))
    refuse_credentials(found, f"document {kind}")
    return dict(found)


def clean_event(item: LedgerEvent) -> LedgerEvent:
    """Return an event as it may be stored: prose scrubbed.

    :raises ConfigurationError: IB-119 when anything else in it looks like a credential.
    """
    actor = Actor(who=scrubbed(_storable(item.actor.who)), origin=scrubbed(_storable(item.actor.origin)))
    found = replace(item, actor=actor, data=_prose_scrubbed(_storable(item.data)))
    refuse_credentials(found.data, f"event {item.step} of {item.table or item.plan_id}")
    return found


def refuse_credentials(content: Any, what: str) -> None:
    """Make sure that nothing in a JSON value looks like a credential.

    :raises ConfigurationError: IB-119 naming the place, never the value.
    """
    place = credential_in(content)
    if place is not None:
        raise ConfigurationError(
            "IB-119",
            f"The {what} looks like it holds a credential at {scrubbed(place)}; the ledger never stores one.",
            remedy="Take it out: credentials belong in an Airflow connection or a secrets backend.",
            where=scrubbed(place),
        )


def _prose_scrubbed(value: Any, *, prose: bool = False) -> Any:
    if isinstance(value, Mapping):
        return {key: _prose_scrubbed(item, prose=str(key) in _PROSE) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_prose_scrubbed(item, prose=prose) for item in value]
    return scrubbed(value) if prose and isinstance(value, str) else value


def _storable(value: Any) -> Any:
    """Replace what UTF-8 or PostgreSQL cannot hold: lone surrogates (odd file names) and NUL characters."""
    if isinstance(value, str):
        fits = value.isascii() or not any("\ud800" <= char <= "\udfff" for char in value)
        text = value if fits else value.encode("utf-8", "backslashreplace").decode()
        return text.replace("\x00", "\\x00")
    if isinstance(value, Mapping):
        return {_storable(str(key)): _storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(item) for item in value]
    return value

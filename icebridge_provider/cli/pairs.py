"""``NAME=TEXT`` on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from icebridge_provider.exceptions import ConfigurationError


def pairs(flag: str, given: Sequence[str] | None) -> dict[str, str]:
    """Return names and texts; everything after the first ``=`` is the text.

    :raises ConfigurationError: IB-892 for one without ``=``, without a name, or with a name twice.
    """
    found: dict[str, str] = {}
    for item in given or ():
        name, equals, text = item.partition("=")
        if not equals or not name or name in found:
            why = f"names {name!r} twice" if name in found else "is not NAME=TEXT"
            raise ConfigurationError("IB-892", f"{flag} {item[:80]!r} {why}.", remedy=f"Write {flag} country=CO.")
        found[name] = text
    return found

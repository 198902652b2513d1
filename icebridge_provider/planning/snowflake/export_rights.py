"""Who may write an export's files: the external location that covers the folder, and what to type where it may not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from icebridge_provider.planning.unity_facts import Told
from icebridge_provider.sql import databricks_locations as sql
from icebridge_provider.sql.preflight import grant

WRITE, READ = "WRITE_FILES", "READ_FILES"
_NEW, _CREDENTIAL, _WHO = "icebridge_exports", "your_credential", "your principal"


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveringLocation:
    """The external location a folder is in, as the principal is shown it."""

    name: str
    url: str
    write: Told = Told.UNKNOWN
    read: Told = Told.UNKNOWN
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRights:
    """Whether the principal may write files to a folder and read them there.

    :param covering: name of the external location; empty where none is shown that covers the folder.
    :param remedy: what to type where a right is missing or not told; empty where nothing is.
    :param probed: a row was written there and read back, so both answers are certain.
    """

    location: str
    covering: str = ""
    write: Told = Told.UNKNOWN
    read: Told = Told.UNKNOWN
    remedy: str = ""
    probed: bool = False


def rights_shown(location: str, covering: CoveringLocation | None, principal: str) -> ExportRights:
    """Return what grants alone say; a warehouse's instance profile shows in none."""
    write = read = Told.UNKNOWN
    if covering is not None:
        write = Told.NO if covering.read_only else covering.write
        read = covering.read
    settled = write is Told.YES and read is Told.YES
    return ExportRights(
        location=location,
        covering=covering.name if covering else "",
        write=write,
        read=read,
        remedy="" if settled else remedy(location, covering, principal),
    )


def covers(url: str, location: str) -> bool:
    """Say whether a folder is the one of an external location, or below it."""
    return f"{location.rstrip('/')}/".startswith(f"{url.rstrip('/')}/")


def remedy(location: str, covering: CoveringLocation | None, principal: str) -> str:
    """Return the statements that give what is missing."""
    who = principal or _WHO
    if covering is None:
        parts = urlsplit(location)
        made = sql.create_location(_NEW, f"{parts.scheme}://{parts.netloc}/", _CREDENTIAL)
        granted = _grant((WRITE, READ), _NEW, who)
        return (
            f"Run in Databricks: {made}; {granted}. Where the warehouse has an instance profile that reaches the"
            f" bucket: {sql.grant_any_file(who)}."
        )
    asked = ((WRITE, covering.write), (READ, covering.read))
    missing = [name for name, told in asked if told is not Told.YES] or [WRITE, READ]
    if covering.read_only:
        return f"Turn off read-only in the settings of the external location {covering.name}, or export elsewhere."
    return f"Run in Databricks: {_grant(missing, covering.name, who)}."


def _grant(privileges: Sequence[str], location: str, principal: str) -> str:
    return grant(privileges, "EXTERNAL LOCATION", (location,), principal)

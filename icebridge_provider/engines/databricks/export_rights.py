"""Makes sure, before anything is exported, that the warehouse may write files to a folder and read them there.

What counts is a probe: one row, written and read back. It also holds where no external location covers the folder and
the warehouse's instance profile is used. The grants explain a refusal: they say what to type.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from icebridge_provider.exceptions import ConfigurationError, IceBridgeError, ValidationFailed
from icebridge_provider.model.snowflake import Statement
from icebridge_provider.planning.snowflake.export_rights import (
    CoveringLocation,
    ExportRights,
    remedy,
    rights_shown,
)
from icebridge_provider.planning.unity_facts import Told
from icebridge_provider.ports import SqlRunner
from icebridge_provider.sql import snowflake_export as sql

NO_LOCATION = "NO_PARENT_EXTERNAL_LOCATION_FOR_PATH"
_DENIED = "IB-241"


class Locations(Protocol):
    """The external locations: ``catalogs/unity/external_locations.ExternalLocations`` fits."""

    @property
    def principal(self) -> str:
        """Name of the signed-in principal."""

    def covering(self, location: str) -> CoveringLocation | None:
        """The external location a folder is in."""


def shown_rights(location: str, locations: Locations) -> ExportRights:
    """Return what grants say of a folder; nothing is written."""
    return rights_shown(location, locations.covering(location), locations.principal)


def check_export(location: str, runner: SqlRunner, locations: Locations) -> ExportRights:
    """Write one row to a folder and read it back.

    :param location: a folder for this alone, below the one that is exported to: what it holds is replaced.
    :raises ConfigurationError: IB-915 when the principal may not write or read there, IB-918 when the storage itself
        refuses.
    :raises ValidationFailed: IB-917 when another row is read than was written.
    :raises TransientError: when the workspace does not answer.
    """
    _tried(runner, f"write files to {location}", sql.write_probe(location), location, locations)
    rows = _tried(runner, f"read files in {location}", sql.read_probe(location), location, locations)
    if [tuple(map(str, row)) for row in rows] != [("1",)]:
        raise ValidationFailed(
            "IB-917",
            f"One row was written to {location} and {len(rows)} others are read there.",
            remedy="Nobody else may write below this folder: export to another one.",
            changed="One file of one row was written there.",
            location=location,
        )
    shown = shown_rights(location, locations)
    return replace(shown, write=Told.YES, read=Told.YES, remedy="", probed=True)


def _tried(
    runner: SqlRunner, what: str, statement: str, location: str, locations: Locations
) -> tuple[tuple[object, ...], ...]:
    try:
        return runner.run(what, Statement(text=statement)).rows
    except IceBridgeError as error:
        if error.retryable or not _is_about_files(error):
            raise
        raise _refused(error, location, locations.covering(location), locations.principal) from None


def _is_about_files(error: IceBridgeError) -> bool:
    """Whether the statement failed; a missing warehouse or a refused login say by themselves what to do."""
    return error.code in {_DENIED, "IB-243", "IB-247"}


def _refused(
    error: IceBridgeError, location: str, covering: CoveringLocation | None, principal: str
) -> ConfigurationError:
    facts = {"location": location, "external_location": covering.name if covering else ""}
    if error.code == _DENIED or error.facts.get("error_class") == NO_LOCATION:
        return ConfigurationError("IB-915", error.message, remedy=remedy(location, covering, principal), **facts)
    return ConfigurationError(
        "IB-918",
        error.message,
        remedy="Let the role of the storage credential (or of the instance profile) list, read, write and delete in"
        " the bucket, and test it: Catalog Explorer > the external location > Test connection.",
        **facts,
    )

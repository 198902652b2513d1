"""Which copy method a table gets: the cheapest that is correct."""

from __future__ import annotations

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.plan import CopyMethod, MigrationRequest
from icebridge_provider.model.table import TableFacts

AUTO = "auto"
NEWEST_COPIED = 2
_INSERT_FORMATS = {"PARQUET", "ORC"}


def requested(request: MigrationRequest) -> CopyMethod | None:
    """Return the method a person asked for, None for ``auto``.

    :raises ConfigurationError: IB-330 for an unknown method, IB-331 for ``register`` without ``allow_zero_copy``.
    """
    if request.method == AUTO:
        return CopyMethod.REGISTER if request.allow_zero_copy else None
    if request.method not in set(CopyMethod):
        known = ", ".join([AUTO, *CopyMethod])
        raise ConfigurationError("IB-330", f"There is no copy method {request.method!r}.", remedy=f"Take one of {known}.")
    method = CopyMethod(request.method)
    if method is CopyMethod.REGISTER and not request.allow_zero_copy:
        raise ConfigurationError(
            "IB-331",
            "Method register shares files with the source, whose owner's maintenance can delete them.",
            remedy='If that is what you want, add "allow_zero_copy": true; else take copy_files.',
        )
    return method


def refusal(facts: TableFacts, method: CopyMethod) -> str:
    """Return why ``method`` cannot carry the table right, empty when it can."""
    totals = facts.totals
    if method is CopyMethod.REGISTER:
        return "" if facts.format_version <= 3 else f"format version {facts.format_version} is too new for register"
    if facts.format_version > NEWEST_COPIED:
        return f"format version {facts.format_version} is too new for {method.value}"
    if totals.equality_delete_files:
        return f"{totals.equality_delete_files} equality delete files cannot be carried by {method.value}"
    if totals.deletion_vectors:
        return f"{totals.deletion_vectors} deletion vectors cannot be carried by {method.value}"
    if "encryption.key-id" in facts.properties:
        return f"table encryption cannot be carried by {method.value}"
    odd = sorted(set(totals.formats) - _INSERT_FORMATS)
    if method is CopyMethod.INSERT_SELECT and odd:
        return f"{', '.join(odd)} files cannot be re-encoded by insert_select"
    return ""


def choose(facts: TableFacts, request: MigrationRequest) -> CopyMethod:
    """Return the method for one table; whether it is refused is :func:`refusal`'s to say."""
    asked = requested(request)
    if asked is not None:
        return asked
    return CopyMethod.COPY_FILES

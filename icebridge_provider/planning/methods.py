"""Which copy method a table gets: the cheapest that is correct. What a method cannot do right is refused by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.plan import CopyMethod, MigrationRequest, TablePlan
from icebridge_provider.model.table import TableFacts
from icebridge_provider.planning.mapping import AUTO

COPY, INSERT, REGISTER = CopyMethod.COPY_FILES, CopyMethod.INSERT_SELECT, CopyMethod.REGISTER
CLONE = CopyMethod.DEEP_CLONE
EMBEDDED = (COPY, INSERT, REGISTER)  # the cheapest copy first; register only when asked for
DATABRICKS = (CLONE, INSERT)
# Where Databricks runs them the target chooses the new table's folder.
PLACED_BY_TARGET = frozenset(DATABRICKS)
NEWEST_COPIED = 2
NEWEST_KNOWN = 3
_TRANSFORM = re.compile(r"identity|void|year|month|day|hour|(bucket|truncate)\[\d+\]")
_REWRITE = (
    "Rewrite its data files first (Spark: CALL system.rewrite_data_files with delete-file-threshold 1), then expire "
    "the older snapshots."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One thing that ``methods`` cannot carry, as metadata shows it.

    ``seen`` returns it in words, or nothing. ``code`` is the error by which the embedded engine refuses the same.
    """

    code: str
    methods: frozenset[CopyMethod]
    seen: Callable[[TableFacts], str]
    remedy: str


def _newer_than(version: int) -> Callable[[TableFacts], str]:
    def seen(facts: TableFacts) -> str:
        return f"format version {facts.format_version} (up to {version})" if facts.format_version > version else ""

    return seen


def _equality_deletes(facts: TableFacts) -> str:
    count = facts.totals.equality_delete_files
    return f"{count:,} equality delete file{'s'[: count != 1]}" if count else ""


def _deletion_vectors(facts: TableFacts) -> str:
    count = facts.totals.deletion_vectors
    return f"{count:,} deletion vector{'s'[: count != 1]}" if count else ""


def _formats(known: frozenset[str]) -> Callable[[TableFacts], str]:
    def seen(facts: TableFacts) -> str:
        odd = sorted(set(facts.totals.formats) - known - {"PUFFIN"})
        return f"{', '.join(odd)} files" if odd else ""

    return seen


def _encrypted(facts: TableFacts) -> str:
    return "table encryption" if "encryption.key-id" in facts.properties else ""


def _unknown_transform(facts: TableFacts) -> str:
    spec = next((item for item in facts.specs if item.get("spec-id", 0) == facts.default_spec_id), {})
    odd = sorted({item["transform"] for item in spec.get("fields", ()) if not _TRANSFORM.fullmatch(item["transform"])})
    return f"the partition transform {', '.join(odd)}" if odd else ""


REFUSALS: tuple[Refusal, ...] = (
    Refusal(
        code="IB-400",
        methods=frozenset({COPY, INSERT, CLONE}),
        seen=_newer_than(NEWEST_COPIED),
        remedy="Leave it out for now (tables: !name).",
    ),
    Refusal(
        code="IB-400",
        methods=frozenset({REGISTER}),
        seen=_newer_than(NEWEST_KNOWN),
        remedy="Leave it out for now (tables: !name).",
    ),
    Refusal(code="IB-401", methods=frozenset({COPY, INSERT, CLONE}), seen=_equality_deletes, remedy=_REWRITE),
    Refusal(code="IB-402", methods=frozenset({COPY, INSERT, CLONE}), seen=_deletion_vectors, remedy=_REWRITE),
    Refusal(
        code="IB-403",
        methods=frozenset({COPY}),
        seen=_formats(frozenset({"PARQUET", "ORC", "AVRO"})),
        remedy="Rewrite its data files as Parquet first (Spark: CALL system.rewrite_data_files).",
    ),
    Refusal(
        code="IB-403",
        methods=frozenset({CLONE}),
        seen=_formats(frozenset({"PARQUET"})),
        remedy="Rewrite its data files as Parquet first (Spark: CALL system.rewrite_data_files).",
    ),
    Refusal(
        code="IB-403",
        methods=frozenset({INSERT}),
        seen=_formats(frozenset({"PARQUET", "ORC"})),
        remedy="Rewrite its data files as Parquet first (Spark: CALL system.rewrite_data_files).",
    ),
    Refusal(
        code="IB-404",
        methods=frozenset({COPY, INSERT, CLONE}),
        seen=_encrypted,
        remedy="Rewrite it without table encryption first: its keys cannot be carried over.",
    ),
    Refusal(
        code="IB-406",
        methods=frozenset({INSERT}),
        seen=_unknown_transform,
        remedy="Give the table another partition spec first.",
    ),
)


def is_copied_by_cluster(table: TablePlan) -> bool:
    """Whether a run on Databricks copies the table: there, and only there, the target chooses the folder."""
    return not table.location and table.method in PLACED_BY_TARGET


def requested(request: MigrationRequest) -> CopyMethod | None:
    """Return the method a person asked for, None for ``auto``.

    :raises ConfigurationError: IB-330 for an unknown method, IB-331 for ``register`` without ``allow_zero_copy``.
    """
    if request.method in {AUTO, ""}:
        return None
    if request.method not in set(CopyMethod):
        known = [AUTO, *CopyMethod]
        near = difflib.get_close_matches(request.method, known, 1)
        raise ConfigurationError(
            "IB-330",
            f"There is no copy method {request.method!r}.",
            remedy=f"Did you mean {near[0]}?" if near else f"Take one of {', '.join(known)}.",
            method=request.method,
        )
    method = CopyMethod(request.method)
    refuse_sharing(method, request)
    return method


def refuse_sharing(method: CopyMethod, request: MigrationRequest) -> None:
    """Make sure that nobody shares files by accident.

    :raises ConfigurationError: IB-331 with the param to paste.
    """
    if method is REGISTER and not request.allow_zero_copy:
        raise ConfigurationError(
            "IB-331",
            "Method register shares files with the source, whose owner's maintenance can delete them.",
            remedy='If that is what you want, add "allow_zero_copy": true; else take copy_files.',
        )


def refusals(facts: TableFacts, method: CopyMethod) -> tuple[tuple[Refusal, str], ...]:
    """Return what ``method`` cannot carry right of the table, each with what was seen."""
    rules = [rule for rule in REFUSALS if method in rule.methods]
    return tuple((rule, said) for rule in rules if (said := rule.seen(facts)))


def choose(
    facts: TableFacts, request: MigrationRequest, rule: str = "", offered: Sequence[CopyMethod] = EMBEDDED
) -> CopyMethod:
    """Return the method for one table; whether it is refused is :func:`refusals`' to say.

    :param offered: what the engine that will copy can run, the cheapest first.
    :param rule: what a ``method:`` mapping rule says of this table; it goes before ``request.method``.
    :raises ConfigurationError: IB-330, IB-331.
    """
    if rule and rule != AUTO:
        refuse_sharing(CopyMethod(rule), request)
        return CopyMethod(rule)
    asked = None if rule else requested(request)
    if asked is not None:
        return asked
    copies = [method for method in offered if method is not REGISTER]
    cheapest_first = [REGISTER] * (request.allow_zero_copy and REGISTER in offered) + copies
    return next((method for method in cheapest_first if not refusals(facts, method)), cheapest_first[0])


def able(facts: TableFacts, offered: Sequence[CopyMethod] = EMBEDDED) -> list[CopyMethod]:
    """Return the methods among ``offered`` that can carry the table, in the same order."""
    return [method for method in offered if not refusals(facts, method)]

"""Which jobs an extraction has, and what each asks the database: queries times countries, parameters filled in.

What a placeholder becomes is decided by, in this order: a kind beside its name, quotes around it, the YAML file's
``kinds``, its value's type (a number, boolean, date or list is bound) and, for a text, where it stands.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model import codec
from icebridge_provider.model.extraction import Extraction
from icebridge_provider.model.query import Country, Kind, Parameter, Placeholder, Query, Spot
from icebridge_provider.model.redaction import redacted
from icebridge_provider.planning.given import as_given
from icebridge_provider.planning.patterns import matches
from icebridge_provider.sql import select
from icebridge_provider.sql.identifiers import quoted
from icebridge_provider.sql.tsql import NotUnderstood

DATABASE, CODE = "database", "country_code"
MOST_BOUND = 2000  # SQL Server takes 2,100 parameters, the drivers need some themselves
SHOWN = 5
_BY_SPOT = {Spot.NAME: Kind.IDENTIFIER, Spot.ITEM: Kind.EXPRESSION, Spot.COMPARED: Kind.EXPRESSION}
_BY_QUOTES = {Spot.TEXT_QUOTES: Kind.LITERAL, Spot.NAME_QUOTES: Kind.IDENTIFIER}


def plan_jobs(
    queries: Sequence[Query],
    countries: Sequence[Country],
    *,
    query_globs: Sequence[str] = (),
    country_globs: Sequence[str] = (),
    given: Mapping[str, Any] | None = None,
    job_id: str = "",
) -> list[Extraction]:
    """Return one job for each chosen query and country, by country and query.

    :param query_globs: names or globs; none takes all.
    :param given: values that replace or add to the files' values; they are only ever bound. None gives nothing.
    :raises ConfigurationError: IB-806 when a name or glob chooses nothing, IB-807 with file, line and column for a
        placeholder without value, one that can be read in two ways, a value that does not fit, a value nothing uses.
    """
    chosen = _chosen([query.name for query in queries], query_globs, "query")
    places = _chosen([item.name for item in countries], country_globs, "country")
    wanted = [query for query in queries if query.name in chosen]
    ours = {name: value for name, value in (given or {}).items() if value is not None}
    _refuse_unused_given(ours, wanted)
    jobs = []
    for item in countries:
        if item.name in places:
            values = as_given(item, ours)
            jobs += [_job(query, item.name, values, job_id) for query in wanted]
            _refuse_unused(item, queries)
    return jobs


def _chosen(names: Sequence[str], globs: Sequence[str], what: str) -> set[str]:
    for glob in globs:
        if not any(matches(glob, name) for name in names):
            near = difflib.get_close_matches(glob, names, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(names[:20])}."
            raise ConfigurationError(
                "IB-806", f"No {what} is called {glob[:80]!r}.", remedy=hint[0].upper() + hint[1:], glob=glob[:80]
            )
    return {name for name in names if not globs or any(matches(glob, name) for glob in globs)}


def _job(query: Query, country: str, values: Mapping[str, Parameter], job_id: str) -> Extraction:
    draft = _Draft(country=country, values=values)
    for piece in query.pieces:
        draft.take(piece)
    _check(draft.checked, query, country)
    database = _database(values)
    typed = {name: [type(value).__name__, str(value)] for name, value in draft.bound.items()}
    return Extraction(
        job_id=job_id,
        country=country,
        query=query.name,
        statement=draft.statement,
        values=draft.bound,
        parameters=redacted(draft.shown),
        digest=codec.digest([draft.statement, typed, database, query.partition]),
        partition=query.partition,
        database=database,
    )


def _database(values: Mapping[str, Parameter]) -> str:
    """Return the database to connect to, empty where the files name none; a run cannot choose another."""
    said = values.get(DATABASE)
    if said is None:
        return ""
    if said.given:
        _refuse(said.place, "the connection goes there", "Only files say the database; change the country's file.")
    if not isinstance(said.value, str):
        _refuse(said.place, "the database's name is no text", "Put it in quotes.")
    return said.value


def _check(text: str, query: Query, country: str) -> None:
    """Make sure that what came of the placeholders is one SELECT still."""
    try:
        select.parsed(text)
    except NotUnderstood as error:
        remedy = error.remedy or "Look at what its parameters become, and at docs/sqlserver.md."
        _refuse(query.file, f"filled in for {country}, {error.why}", remedy)


@dataclass(slots=True)
class _Draft:
    """A statement being filled in: as the driver takes it, and as the parser checks it."""

    country: str
    values: Mapping[str, Parameter]
    statement: str = ""
    checked: str = ""
    bound: dict[str, Any] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    _names: dict[str, list[str]] = field(default_factory=dict)

    def take(self, piece: str | Placeholder) -> None:
        if isinstance(piece, str):
            self._add(piece)
            return
        path = resolve(piece, self.country, self.values)
        parameter = self.values[path]
        self.shown[path] = _spoken(parameter.value)
        kind = kind_of(piece, parameter)
        if kind is Kind.LITERAL:
            self._bind(path, piece, parameter)
        else:
            self._add(_sql(kind, piece, parameter))

    def _add(self, sql: str) -> None:
        self.statement += sql.replace("%", "%%")
        self.checked += sql

    def _bind(self, path: str, piece: Placeholder, parameter: Parameter) -> None:
        names = self._names.get(path)
        if names is None:
            items = parameter.value if isinstance(parameter.value, list) else [parameter.value]
            first = len(self.bound)
            names = self._names[path] = [f"p{first + index}" for index in range(len(items))]
            self.bound.update(zip(names, (_bindable(item, parameter) for item in items), strict=True))
        if len(self.bound) > MOST_BOUND:
            _refuse(piece.place, f"a query takes {MOST_BOUND:,} values at most", "Put long lists into a table.")
        self.statement += ", ".join(f"%({name})s" for name in names)
        self.checked += ", ".join(f"@{name}" for name in names)


def resolve(piece: Placeholder, country: str, values: Mapping[str, Parameter]) -> str:
    """Return the path of the value a placeholder means: the path itself, or the only one that ends in it.

    :raises ConfigurationError: IB-807 when there is none, more than one, or one without a value.
    """
    paths = _paths(piece.name, values)
    if len(paths) > 1:
        _refuse(piece.place, f"{{{piece.name}}} can be {' or '.join(paths)}", "Write the whole path.")
    if not paths:
        near = difflib.get_close_matches(piece.name, [*values, *(path.rpartition(".")[2] for path in values)], 1)
        hint = f"Did you mean {{{near[0]}}}?" if near else f"Add it to common_params.yaml or {country}.yaml."
        _refuse(piece.place, f"{country} has no parameter {piece.name!r}", hint)
    if values[paths[0]].value is None:
        where = values[paths[0]].place
        _refuse(piece.place, f"the parameter {paths[0]!r} has no value", f"Give it one at {where}.")
    return paths[0]


def _paths(name: str, values: Mapping[str, Parameter]) -> list[str]:
    if name in values:
        return [name]
    return [path for path in values if path.endswith(f".{name}")]


def kind_of(piece: Placeholder, parameter: Parameter) -> Kind:
    """Return what a placeholder becomes.

    :raises ConfigurationError: IB-807 when that could be read in two ways, or the value does not fit.
    """
    said = piece.kind or _BY_QUOTES.get(piece.spot) or parameter.kind
    text = isinstance(parameter.value, str)
    kind = said or (_BY_SPOT.get(piece.spot) if text or parameter.given or piece.spot is Spot.NAME else Kind.LITERAL)
    if kind is None and parameter.given:
        kind = Kind.LITERAL
    if kind is Kind.LITERAL and piece.spot is Spot.NAME:
        _refuse(piece.place, f"{piece.name!r} is to be a value, and stands {piece.spot.value}", "Take the kind out.")
    if kind is None:
        hint = f"Write '{{{piece.name}}}' for the text, [{{{piece.name}}}] for a name, or {{{piece.name}:expression}}."
        _refuse(piece.place, f"{piece.name!r} is a text {piece.spot.value}: it could be a value or a column", hint)
    if kind is not Kind.LITERAL and parameter.given:
        _refuse(piece.place, f"{piece.name!r} is {_article(kind)}", "Only files say names and SQL; change the file.")
    if kind is not Kind.LITERAL and not text:
        _refuse(parameter.place, f"it becomes {_article(kind)} in {piece.place}, but is no text", "Put it in quotes.")
    if isinstance(parameter.value, list) and (piece.spot is not Spot.LIST or kind is not Kind.LITERAL):
        _refuse(piece.place, f"{piece.name!r} is a list", f"Lists stand in IN ({{{piece.name}}}), without quotes.")
    return kind


def _article(kind: Kind) -> str:
    return "a name" if kind is Kind.IDENTIFIER else f"an {kind.value}" if kind is Kind.EXPRESSION else "a value"


def _sql(kind: Kind, piece: Placeholder, parameter: Parameter) -> str:
    """Return a file's name or expression as SQL."""
    text = parameter.value
    try:
        if kind is Kind.EXPRESSION:
            return select.check_expression(text, item=piece.spot is Spot.ITEM)
        parts = [text] if piece.spot is Spot.NAME_QUOTES else select.name_parts(text)
        return quoted(*parts, dialect="tsql")
    except NotUnderstood as error:
        _refuse(parameter.place, f"it becomes {_article(kind)} in {piece.place}, but {error.why}", error.remedy)
    except ConfigurationError as error:
        _refuse(parameter.place, f"it becomes a name in {piece.place}: {error.message.rstrip('.')}", error.remedy)


def _bindable(value: Any, parameter: Parameter) -> Any:
    """Return a value as drivers bind it exactly: whole numbers beyond bigint are decimals."""
    if isinstance(value, int) and not isinstance(value, bool) and not -(2**63) <= value < 2**63:
        value = Decimal(value)
    if isinstance(value, Decimal) and not _fits(value):
        _refuse(parameter.place, "the number has more than 38 digits", "SQL Server keeps no such number.")
    return value


def _fits(value: Decimal) -> bool:
    _, digits, exponent = value.as_tuple()
    scale = max(-int(exponent), 0)
    return len(digits) + max(int(exponent), 0) <= 38 and scale <= 38


def _spoken(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _refuse_unused(country: Country, queries: Sequence[Query]) -> None:
    """A value that no query of the whole folder uses is a name written wrong."""
    names = {piece.name for query in queries for piece in query.placeholders}
    used = {path for name in names for path in _paths(name, country.values)} | {DATABASE, CODE}
    unused = [(path, item.place) for path, item in country.values.items() if path not in used]
    if unused:
        said = "; ".join(f"{place}: {path}" for path, place in sorted(unused)[:SHOWN])
        raise ConfigurationError(
            "IB-807",
            f"No query uses these parameters of {country.name}: {said}.",
            remedy="Correct the name, or take the line out.",
            country=country.name,
        )


def _refuse_unused_given(given: Mapping[str, Any], queries: Sequence[Query]) -> None:
    names = {piece.name for query in queries for piece in query.placeholders}
    for name in given:
        if not any(used == name or name.endswith(f".{used}") for used in names):
            hint = ", ".join(sorted(names)[:20]) or "none"
            _refuse("The parameters given", f"no chosen query uses {name[:80]!r}", f"The queries use {hint}.")


def _refuse(where: str, why: str, remedy: str = "") -> NoReturn:
    raise ConfigurationError("IB-807", f"{where}: {why}.", remedy=remedy or "Correct it.", place=where) from None

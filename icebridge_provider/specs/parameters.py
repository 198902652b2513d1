"""Parameters of an extraction: ``common_params.yaml`` for all, ``{country}.yaml`` for one; the country's value wins.

Groups may hold groups: ``tables: {purchases_table: J_AtosCompra_CO}`` is ``{tables.purchases_table}``. The key
``kinds`` says what a parameter becomes (literal, identifier or expression) wherever nothing else says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from icebridge_provider.model.query import Country, Kind, Parameter
from icebridge_provider.specs.shape import misfit
from icebridge_provider.specs.yaml import Document, Steps

KINDS = "kinds"
MOST_ITEMS = 1000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KINDS = {kind.value: kind for kind in Kind}


def country(name: str, common: Document, own: Document) -> Country:
    """Return a country's parameters.

    :raises ConfigurationError: IB-802 with file, line and column: a name that no query can write, a value that is no
        scalar or list of scalars, a value in one file where the other has a group, an unknown kind.
    """
    shared, ours = dict(_values(common)), dict(_values(own))
    _refuse_mixed(shared, ours, own)
    merged = {**shared, **ours}
    kinds = {**_kinds(common), **_kinds(own)}
    _refuse_strange_kinds(kinds, merged, common, own)
    values = {
        path: Parameter(value=item.value, place=item.place, kind=kinds[path][0] if path in kinds else None)
        for path, item in merged.items()
    }
    return Country(name=name, values=values)


def _values(document: Document) -> Iterator[tuple[str, Parameter]]:
    """Yield every value with its path; the places of those without value are yielded too, to be refused by use."""
    top = document.value if document.value is not None else {}
    if not isinstance(top, dict):
        raise misfit(f"{document.place()}: the file is no mapping of names to values", document)
    yield from _within((), {key: value for key, value in top.items() if key != KINDS}, document)


def _within(steps: Steps, group: Mapping[str, Any], document: Document) -> Iterator[tuple[str, Parameter]]:
    for key, value in group.items():
        here = (*steps, key)
        if not _NAME.fullmatch(key):
            where = document.place(*here, key=True)
            raise misfit(f"{where}: {key[:80]!r} is no name: letters, digits and _ are, a letter first", document)
        if isinstance(value, dict):
            yield from _within(here, value, document)
            continue
        if isinstance(value, list):
            _check_list(here, value, document)
        yield ".".join(map(str, here)), Parameter(value=value, place=document.place(*here))


def _check_list(steps: Steps, items: list[Any], document: Document) -> None:
    """A list goes into IN (…): scalars of one type, at least one, and fewer than a statement can bind."""
    if not 1 <= len(items) <= MOST_ITEMS:
        raise misfit(f"{document.place(*steps)}: a list has 1 to {MOST_ITEMS} items, this one {len(items)}", document)
    for index, item in enumerate(items):
        if item is None or isinstance(item, dict | list) or type(item) is not type(items[0]):
            where = document.place(*steps, index)
            raise misfit(f"{where}: items of a list are texts, or numbers, or dates; all of one type", document)


def _kinds(document: Document) -> dict[str, tuple[Kind, str]]:
    """Return the kinds that a file says, by the parameter's path, with their places."""
    said = (document.value or {}).get(KINDS) or {}
    if not isinstance(said, dict):
        raise misfit(f"{document.place(KINDS)}: kinds is a mapping of names to kinds", document)
    found = {}
    for name, kind in said.items():
        if not isinstance(kind, str) or kind not in _KINDS:
            raise misfit(f"{document.place(KINDS, name)}: kinds are {', '.join(_KINDS)}", document)
        found[name] = (_KINDS[kind], document.place(KINDS, name, key=True))
    return found


def _refuse_strange_kinds(
    kinds: Mapping[str, tuple[Kind, str]], merged: Mapping[str, Parameter], common: Document, own: Document
) -> None:
    for name, (_, where) in kinds.items():
        if name not in merged:
            document = own if name in ((own.value or {}).get(KINDS) or {}) else common
            raise misfit(f"{where}: there is no parameter {name[:80]!r}", document)


def _refuse_mixed(shared: Mapping[str, Parameter], ours: Mapping[str, Parameter], own: Document) -> None:
    """A value here and a group of the same name there cannot be merged."""
    for first, second in ((shared, ours), (ours, shared)):
        for path, item in second.items():
            for above in _above(path):
                if above in first:
                    wrong = f"{item.place}: {above} is a group here and a value in {first[above].place}"
                    raise misfit(wrong, own)


def _above(path: str) -> Iterator[str]:
    while "." in path:
        path = path.rpartition(".")[0]
        yield path

"""Which name a table gets in the target catalog.

Rules are texts, tried in order; the first that fits decides, and a table that none fits keeps its name:

* ``explicit:old.name=new.name`` one table;
* ``prefix:old.=new.`` the start of ``namespace.table``;
* ``suffix:_raw=_bronze`` its end;
* ``regex:/^(.+)\\.(.+)$/ => lake.\\1_\\2`` a Python pattern over the whole, with groups.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.identifier import TableIdentifier, split_parts

_REGEX = re.compile(r"/(.*)/\s*=>\s*(.+)", re.DOTALL)
MAX_PATTERN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingRule:
    """One rule: its text as given, and the function from a path to the new path (None: does not fit)."""

    text: str
    rename: Callable[[str], str | None]


def parse_rules(texts: Iterable[str]) -> tuple[MappingRule, ...]:
    """Read mapping rules.

    :raises ConfigurationError: IB-311 naming the rule that cannot be read.
    """
    return tuple(MappingRule(text=text, rename=_parse(text)) for text in texts if text.strip())


def map_table(rules: Sequence[MappingRule], source: TableIdentifier, target_catalog: str) -> TableIdentifier:
    """Return the name ``source`` gets in the target catalog.

    :raises ConfigurationError: IB-311 when a rule makes something that is not ``namespace.table``.
    """
    for rule in rules:
        path = rule.rename(source.path)
        if path is not None:
            return _identifier(target_catalog, path, rule.text)
    return TableIdentifier(catalog=target_catalog, namespace=source.namespace, name=source.name)


def map_tables(
    rules: Sequence[MappingRule], sources: Iterable[TableIdentifier], target_catalog: str
) -> dict[TableIdentifier, TableIdentifier]:
    """Return the new name of every table.

    Names that differ only in case count as one: many catalogs do not tell them apart.

    :raises ConfigurationError: IB-310 when two tables would get one name, naming all of them.
    """
    mapped = {source: map_table(rules, source, target_catalog) for source in sources}
    wanted: dict[str, list[TableIdentifier]] = {}
    for source, target in mapped.items():
        wanted.setdefault(target.path.casefold(), []).append(source)
    collisions = {path: found for path, found in wanted.items() if len(found) > 1}
    if collisions:
        raise _collision(collisions)
    return mapped


def _collision(collisions: dict[str, list[TableIdentifier]]) -> ConfigurationError:
    path, found = min(collisions.items())
    names = " and ".join(str(source) for source in sorted(found))
    more = f" ({len(collisions) - 1} more names are taken twice.)" if len(collisions) > 1 else ""
    last = max(found)
    proposal = f'"explicit:{last.path}={".".join((*last.namespace, f"{last.name}_2"))}"'
    return ConfigurationError(
        "IB-310",
        f"{names} would both become {path}.{more}",
        remedy=f"Give one of them another name: add {proposal} to the param mapping, before the other rules.",
        target=path,
        sources=", ".join(str(source) for source in sorted(found)),
    )


def _parse(text: str) -> Callable[[str], str | None]:
    kind, _, rest = text.strip().partition(":")
    if kind == "regex":
        return _regex(text, rest)
    old, equals, new = rest.partition("=")
    old, new = old.strip(), new.strip()
    if kind not in {"explicit", "prefix", "suffix"} or not equals or not old:
        raise _unreadable(text, "it is not explicit:a.b=c.d, prefix:a.=b., suffix:_a=_b or regex:/…/ => …")
    if kind == "explicit":
        wanted = _parts(old, text)
        return lambda path: new if split_parts(path) == wanted else None
    if kind == "prefix":
        return lambda path: new + path[len(old) :] if path.startswith(old) else None
    return lambda path: path[: -len(old)] + new if path.endswith(old) else None


def _regex(text: str, rest: str) -> Callable[[str], str | None]:
    match = _REGEX.fullmatch(rest.strip())
    if match is None or len(match[1]) > MAX_PATTERN:
        raise _unreadable(text, f"write regex:/pattern/ => replacement, at most {MAX_PATTERN} characters")
    try:
        pattern = re.compile(match[1])
        pattern.sub(match[2], "")
    except re.error as error:
        raise _unreadable(text, f"the pattern is wrong: {error}") from None
    except IndexError as error:
        raise _unreadable(text, str(error)) from None
    replacement = match[2]

    def rename(path: str) -> str | None:
        found = pattern.fullmatch(path)
        return found.expand(replacement) if found else None

    return rename


def _parts(path: str, text: str) -> list[str]:
    try:
        parts = split_parts(path)
    except ValueError as error:
        raise _unreadable(text, str(error)) from None
    if len(parts) < 2:
        raise _unreadable(text, f"{path!r} is not namespace.table")
    return parts


def _identifier(catalog: str, path: str, text: str) -> TableIdentifier:
    parts = _parts(path, text)
    return TableIdentifier(catalog=catalog, namespace=tuple(parts[:-1]), name=parts[-1])


def _unreadable(text: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-311",
        f"The mapping rule {text!r} cannot be used: {why}.",
        remedy="Correct it in the param mapping; docs/planning.md shows each kind.",
        rule=text,
    )

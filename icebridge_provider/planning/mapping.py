r"""Which name a table gets in the target catalog.

Rules are texts. ``explicit`` rules come first, whatever their place; of the others the first that fits decides, and a
table that none fits keeps its name:

* ``explicit:old.name=new.name`` one table;
* ``prefix:old.=new.`` the start of ``namespace.table``;
* ``suffix:_raw=_bronze`` the end of the table's name;
* ``regex:/(.+)\.(.+)/ => lake.\1_\2`` a Python pattern over the whole of ``namespace.table``, with groups;
* ``method:sales.*=insert_select`` no name but the copy method of the tables that a glob matches.

Parts of a name that hold dots, blanks or ``=`` stand in backticks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.identifier import TableIdentifier, split_parts
from icebridge_provider.model.plan import CopyMethod
from icebridge_provider.planning.patterns import glob_pattern, refuse_slow

_REGEX = re.compile(r"/(.*)/\s*=>\s*(.+)", re.DOTALL)
_KINDS = ("explicit", "prefix", "suffix", "regex", "method")
MAX_PATTERN = 300
AUTO = "auto"
Parts = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternRule:
    """One rule for many tables: its text as given, and the function to the new parts (None: does not fit)."""

    text: str
    rename: Callable[[TableIdentifier], Parts | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRule:
    """The copy method of the tables whose path ``glob`` matches, or spells in full."""

    glob: str
    method: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Mapping rules, read: ``explicit`` maps parts to parts."""

    explicit: Mapping[Parts, Parts] = field(default_factory=dict)
    patterns: tuple[PatternRule, ...] = ()
    methods: tuple[MethodRule, ...] = ()
    by_path: Mapping[str, str] = field(default_factory=dict)

    def method_of(self, table: TableIdentifier) -> str:
        """Return the method a rule gives the table (one that spells it in full goes first), empty without one."""
        exact = self.by_path.get(table.path)
        if exact is not None:
            return exact
        return next((rule.method for rule in self.methods if rule.pattern.fullmatch(table.path)), "")


def parse_rules(texts: Iterable[str]) -> Rules:
    """Read mapping rules.

    :raises ConfigurationError: IB-311 naming the rule that cannot be read.
    """
    return _rules(tuple(text.strip() for text in texts if text.strip()))


@lru_cache(maxsize=4)  # a plan asks several times, and a spreadsheet has a rule a table
def _rules(texts: tuple[str, ...]) -> Rules:
    explicit: dict[Parts, Parts] = {}
    patterns: list[PatternRule] = []
    methods: list[MethodRule] = []
    for text in texts:
        kind, _, rest = text.partition(":")
        if kind == "regex":
            patterns.append(PatternRule(text=text, rename=_regex(text, rest)))
            continue
        old, new = _sides(text, kind, rest)
        if kind == "explicit":
            _add_explicit(explicit, _parts(old, text), _parts(new, text), text)
        elif kind == "method":
            methods.append(_method(text, old, new))
        else:
            patterns.append(PatternRule(text=text, rename=(_prefix if kind == "prefix" else _suffix)(text, old, new)))
    by_path = {rule.glob: rule.method for rule in reversed(methods)}
    return Rules(explicit=explicit, patterns=tuple(patterns), methods=tuple(methods), by_path=by_path)


def map_table(rules: Rules, source: TableIdentifier, target_catalog: str) -> TableIdentifier:
    """Return the name ``source`` gets in the target catalog.

    :raises ConfigurationError: IB-311 when a rule makes something that is not ``namespace.table``.
    """
    own = (*source.namespace, source.name)
    parts = rules.explicit.get(own)
    if parts is None:
        parts = next((new for rule in rules.patterns if (new := rule.rename(source)) is not None), own)
    return TableIdentifier(catalog=target_catalog, namespace=parts[:-1], name=parts[-1])


def map_tables(
    rules: Rules, sources: Iterable[TableIdentifier], target_catalog: str
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
        raise _collision(collisions, mapped)
    return mapped


def unused(rules: Rules, sources: Iterable[TableIdentifier], catalog: str) -> tuple[TableIdentifier, ...]:
    """Return the tables that explicit rules name and that are not among ``sources``: likely misspelt."""
    known = {(*source.namespace, source.name) for source in sources}
    left = [parts for parts in rules.explicit if parts not in known]
    return tuple(TableIdentifier(catalog=catalog, namespace=parts[:-1], name=parts[-1]) for parts in left)


def rule_text(kind: str, source: TableIdentifier, value: str) -> str:
    """Return the text of a rule about one table; :func:`parse_rules` reads it back, whatever the name."""
    return f"{kind}:{rule_path(source)}={value}"


def rule_path(table: TableIdentifier) -> str:
    """Return the path as rules spell it: also parts with ``=`` or outer blanks stand in backticks."""
    return ".".join(_quoted(part) for part in (*table.namespace, table.name))


def _quoted(part: str) -> str:
    return "`" + part.replace("`", "``") + "`" if re.search(r"[\s.`=]", part) else part


def _collision(
    collisions: Mapping[str, Sequence[TableIdentifier]], mapped: Mapping[TableIdentifier, TableIdentifier]
) -> ConfigurationError:
    path, found = min(collisions.items())
    ordered = sorted(found)
    names = " and ".join(str(source) for source in ordered)
    more = f" ({len(collisions) - 1} more names are taken twice.)" if len(collisions) > 1 else ""
    last = ordered[-1]
    free = mapped[last].named(f"{mapped[last].name}_{last.namespace[-1]}")
    proposal = rule_text("explicit", last, rule_path(free))
    case = "" if len({mapped[source].path for source in found}) == 1 else ", which many catalogs do not tell apart"
    return ConfigurationError(
        "IB-310",
        f"{names} would both become {mapped[ordered[0]].path}{case}.{more}",
        remedy=f'Give one of them another name: add "{proposal}" to the param mapping.',
        target=path,
        sources=", ".join(str(source) for source in ordered),
    )


def _sides(text: str, kind: str, rest: str) -> tuple[str, str]:
    """Split ``old=new`` at the first ``=`` outside backticks."""
    if kind in _KINDS:
        inside = False
        for position, char in enumerate(rest):
            inside ^= char == "`"
            if char == "=" and not inside:
                return rest[:position].strip(), rest[position + 1 :].strip()
    raise _unreadable(
        text, "it is not explicit:a.b=c.d, prefix:a.=b., suffix:_a=_b, regex:/…/ => … or method:a.*=copy_files"
    )


def _add_explicit(rules: dict[Parts, Parts], old: Parts, new: Parts, text: str) -> None:
    if rules.setdefault(old, new) != new:
        raise _unreadable(text, f"another rule maps {'.'.join(old)} to {'.'.join(rules[old])}")


def _method(text: str, glob: str, method: str) -> MethodRule:
    if method not in {AUTO, *CopyMethod}:
        raise _unreadable(text, f"{method!r} is not one of {', '.join([AUTO, *CopyMethod])}")
    if not glob:
        raise _unreadable(text, "it names no table")
    return MethodRule(glob=glob, method=method, pattern=glob_pattern(glob))


def _prefix(text: str, old: str, new: str) -> Callable[[TableIdentifier], Parts | None]:
    def rename(table: TableIdentifier) -> Parts | None:
        path = table.path
        return _parts(new + path[len(old) :], text) if path.startswith(old) else None

    return rename


def _suffix(text: str, old: str, new: str) -> Callable[[TableIdentifier], Parts | None]:
    def rename(table: TableIdentifier) -> Parts | None:
        if not table.name.endswith(old):
            return None
        name = table.name.removesuffix(old) + new
        if not name:
            raise _unreadable(text, f"it leaves no name of {table.path}")
        return (*table.namespace, name)

    return rename


def _regex(text: str, rest: str) -> Callable[[TableIdentifier], Parts | None]:
    match = _REGEX.fullmatch(rest.strip())
    if match is None or len(match[1]) > MAX_PATTERN:
        raise _unreadable(text, f"write regex:/pattern/ => replacement, at most {MAX_PATTERN} characters")
    pattern, replacement = _compiled(text, match[1], match[2])

    def rename(table: TableIdentifier) -> Parts | None:
        found = pattern.fullmatch(table.path)
        return _parts(found.expand(replacement), text) if found else None

    return rename


def _compiled(text: str, given: str, replacement: str) -> tuple[re.Pattern[str], str]:
    if re.search(r"\$\d", replacement):
        raise _unreadable(text, r"groups are written \1, not $1")
    try:
        refuse_slow(given)
        pattern = re.compile(given)
        re.compile(f"(?:{given})|").sub(replacement, "")  # an unknown group shows here, not at the first table
    except (re.error, IndexError, ValueError) as error:
        raise _unreadable(text, f"the pattern is wrong: {error}") from None
    return pattern, replacement


def _parts(path: str, text: str) -> Parts:
    try:
        parts = split_parts(path)
    except ValueError as error:
        raise _unreadable(text, str(error)) from None
    if len(parts) < 2 or not all(parts):
        raise _unreadable(text, f"{path!r} is not namespace.table")
    return tuple(parts)


def _unreadable(text: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-311",
        f"The mapping rule {text!r} cannot be used: {why}.",
        remedy="Correct it in the param mapping; docs/planning.md shows each kind.",
        rule=text,
    )

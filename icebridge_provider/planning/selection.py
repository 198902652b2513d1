"""Which tables a person meant: globs over ``namespace.table``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from functools import cache

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.identifier import TableIdentifier

NEAREST = 3


def select(tables: Iterable[TableIdentifier], globs: Sequence[str]) -> tuple[TableIdentifier, ...]:
    """Return the tables that some glob matches and no glob with a leading ``!`` does, sorted.

    A glob is matched against :attr:`TableIdentifier.path` and, with the catalog in front, against ``str()``;
    ``*`` stands for any characters (dots too), ``?`` for one. Case counts. Spelled in full, a name with backticks,
    brackets or other odd characters matches itself.

    :raises ConfigurationError: IB-230 when a glob matches nothing, with the nearest names; IB-231 when there are only
        exclusions.
    """
    wanted = [glob.strip() for glob in globs if glob.strip()]
    positive = [glob for glob in wanted if not glob.startswith("!")]
    negative = [glob[1:].strip() for glob in wanted if glob.startswith("!")]
    if not positive:
        raise ConfigurationError(
            "IB-231",
            "No table is asked for." if not negative else f"Only exclusions are given: {', '.join(wanted)}.",
            remedy='Name the tables to take, for example "*" before the exclusions.',
        )
    known = sorted(tables)
    chosen = {table for glob in positive for table in _matching(glob, known)}
    dropped = {table for glob in negative for table in known if _matches(glob, table)}
    return tuple(sorted(chosen - dropped))


def _matching(glob: str, known: Sequence[TableIdentifier]) -> list[TableIdentifier]:
    found = [table for table in known if _matches(glob, table)]
    if not found and not (glob == "*" and not known):
        raise _nothing(glob, known)
    return found


def _matches(glob: str, table: TableIdentifier) -> bool:
    if glob in {table.path, str(table), ".".join((*table.namespace, table.name))}:
        return True
    pattern = _pattern(glob)
    return bool(pattern.fullmatch(table.path) or pattern.fullmatch(str(table)))


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in glob), re.DOTALL)


def _nothing(glob: str, known: Sequence[TableIdentifier]) -> ConfigurationError:
    near = nearest(glob, [table.path for table in known])
    hint = f"The nearest names are {', '.join(near)}." if near else f"The catalog has {len(known)} tables."
    return ConfigurationError(
        "IB-230",
        f"No table matches {glob!r}.",
        remedy=f"{hint} Correct the param tables.",
        glob=glob,
        nearest=", ".join(near),
    )


def nearest(text: str, names: Sequence[str]) -> list[str]:
    """Return up to three names that look like ``text``, upper and lower case alike."""
    plain = text.replace("*", "").replace("?", "").lower()
    spelled = {name.lower(): name for name in names}
    tails = {name.rpartition(".")[2]: name for name in spelled}
    close = difflib.get_close_matches(plain, list(spelled), NEAREST, 0.5)
    close += [tails[tail] for tail in difflib.get_close_matches(plain.rpartition(".")[2], list(tails), NEAREST, 0.6)]
    return [spelled[name] for name in dict.fromkeys(close)][:NEAREST]

"""Names in Unity Catalog: three parts, lower case, and no dots, so that ``c.s.t`` can be told apart again."""

from __future__ import annotations

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.identifier import TableIdentifier

_REFUSED = frozenset(". /")


def parts_of(catalog: str, table: TableIdentifier) -> tuple[str, str, str]:
    """Return catalog, schema and table name in lower case, as Unity Catalog keeps them.

    :param catalog: the Unity catalog; the identifier's own catalog is the connection's id.
    :raises ConfigurationError: IB-250 for a namespace of several levels, or a part that Unity Catalog cannot hold
        (dots, blanks, slashes and control characters: its page on securable names).
    """
    return catalog, schema_of(table.namespace), _fit(table.name).lower()


def schema_of(namespace: tuple[str, ...]) -> str:
    """Return the schema of a namespace.

    :raises ConfigurationError: IB-250 as :func:`parts_of`.
    """
    if len(namespace) != 1:
        raise _unfit(".".join(namespace), f"its schemas have one level, not {len(namespace)}")
    return _fit(namespace[0]).lower()


def fits(namespace: tuple[str, ...], name: str = "x") -> bool:
    """Whether Unity Catalog could hold something of this name."""
    return len(namespace) == 1 and not any(_problem(part) for part in (*namespace, name))


def _fit(part: str) -> str:
    problem = _problem(part)
    if problem:
        raise _unfit(part, problem)
    return part


def _problem(part: str) -> str:
    if not part or len(part) > 255:
        return f"it has {len(part)} characters"
    if any(char in _REFUSED or ord(char) < 32 or ord(char) == 127 for char in part):
        return "it holds a dot, a blank, a slash or a control character"
    return ""


def _unfit(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-250",
        f"Unity Catalog cannot hold the name {name[:80]!r}: {why}.",
        remedy='Map it to another name by the param mapping, for example "prefix:`a.b`.=a_b.".',
        name=name[:255],
    )

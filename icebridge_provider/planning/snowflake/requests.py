"""What a person asks to be shared with Snowflake: the form's fields and its list of tables, read strictly.

A line of the list is ``catalog.schema.table``, ``… -> DB.SCHEMA.TABLE`` or, with settings of its own,
``… -> DB.SCHEMA.TABLE; mode=upsert; keys=id,day; where=day >= '2024-01-01'; limit=1000``. The same may be written as
JSON objects. What a line does not say is as the form says it.
"""

from __future__ import annotations

import difflib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model import codec
from icebridge_provider.model.snowflake import Mode, Publish
from icebridge_provider.planning.snowflake import lines
from icebridge_provider.planning.snowflake.presets import limit_of, preset_of
from icebridge_provider.sql.condition import places

MOST_TABLES = 1000  # Airflow expands a task at most this often by default ([core] max_map_length is 1024)
MOST_CHARACTERS = 1_000_000
SHOWN = 10
TARGET, STAGE, CONTROL = "DB.SCHEMA.TABLE", "DB.SCHEMA.STAGE", "DB.SCHEMA"
_SETTINGS = ("mode", "publish", "keys", "where", "values", "limit")
_KEYS = ("source", "target", *_SETTINGS)
_EXAMPLE = "main.sales.orders -> ANALYTICS.PUBLIC.ORDERS; mode=upsert; keys=id"

Entry = Mapping[str, Any]
T = TypeVar("T")
E = TypeVar("E", Mode, Publish)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareForm:
    """The form's fields, as they come: what a table's line does not say is said here.

    :param tables: lines, JSON, or a list of lines and objects.
    :param keys: columns of an upsert, a list or ``id, day``.
    :param values: of the ``:name`` places in ``where``, an object or its JSON text.
    :param publish: how ``replace`` is done.
    :param stage: ``DB.SCHEMA.STAGE`` over the bucket that is exported to.
    :param location: where files go, ``s3://bucket/folder``; empty takes the stage's own.
    :param control: ``DB.SCHEMA`` of our own tables; empty takes the stage's schema.
    :param upper: write names of new columns in capitals.
    :param database: of the Snowflake connection; tables go there when their line names no target.
    """

    tables: str | Sequence[Any] | Mapping[str, Any]
    mode: str = Mode.APPEND.value
    keys: str | Sequence[str] = ()
    where: str = ""
    values: str | Mapping[str, Any] = field(default_factory=dict)
    limit: Any = None
    preset: str = "production"
    publish: str = Publish.REWRITE.value
    stage: str = ""
    location: str = ""
    control: str = ""
    upper: bool = False
    add_columns: bool = True
    widen_columns: bool = True
    database: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRequest:
    """One table that is asked for, with nothing of it looked up yet.

    :param location: empty takes the stage's own.
    """

    source: tuple[str, str, str]
    target: tuple[str, str, str]
    stage: tuple[str, str, str]
    control: tuple[str, str]
    location: str = ""
    mode: Mode = Mode.APPEND
    publish: Publish = Publish.REWRITE
    keys: tuple[str, ...] = ()
    where: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    preset: str = "production"
    upper: bool = False
    add_columns: bool = True
    widen_columns: bool = True


def read_requests(form: ShareForm) -> tuple[ShareRequest, ...]:
    """Return what is asked for, table by table, in the order of the list.

    :raises ConfigurationError: IB-923 naming every line that cannot be read, IB-924 a field of the form, IB-925 tables
        with one target, IB-908 a preset or a limit that is none.
    """
    defaults = _defaults(form)
    made, wrong = [], []
    for place, entry in _entries(form.tables):
        try:
            made.append(_request(_read(entry), form, defaults))
        except ValueError as error:
            wrong.append(f"{place}: {error}")
        except ConfigurationError as error:
            wrong.append(f"{place}: {error.message}")
    if wrong:
        raise _unreadable(_listed(wrong))
    if not made or len(made) > MOST_TABLES:
        raise _unreadable(f"{len(made)} tables are named, 1 to {MOST_TABLES} go into one run")
    _refuse_meeting(made)
    _refuse_unused(defaults.values, made)
    return tuple(made)


# The form


@dataclass(frozen=True, slots=True, kw_only=True)
class _Defaults:
    """The form, understood."""

    mode: Mode
    publish: Publish
    keys: tuple[str, ...]
    values: Mapping[str, Any]
    limit: int | None
    stage: tuple[str, ...]
    control: tuple[str, ...]
    database: str


def _defaults(form: ShareForm) -> _Defaults:
    preset = preset_of(form.preset)
    if not form.stage.strip():
        raise _unfit("stage", "it is empty", f"Name the stage over the bucket, {STAGE}.")
    stage = _field("stage", lambda: lines.snowflake_name(form.stage.strip().removeprefix("@"), STAGE))
    control = _field("control", lambda: lines.snowflake_name(form.control, CONTROL)) if form.control.strip() else ()
    return _Defaults(
        mode=_field("mode", lambda: _word(Mode, form.mode)),
        publish=_field("publish", lambda: _word(Publish, form.publish)),
        keys=_field("keys", lambda: _columns(form.keys)),
        values=_field("values", lambda: _values(form.values)),
        limit=limit_of(preset, form.limit),
        stage=stage,
        control=control or stage[:2],
        database=form.database.strip(),
    )


def _field(name: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except ValueError as error:
        raise _unfit(name, str(error), "Correct it.") from None


def _unfit(name: str, why: str, remedy: str) -> ConfigurationError:
    return ConfigurationError("IB-924", f"The field {name} cannot be taken: {why}.", remedy=remedy, field=name)


# The list of tables


def _entries(tables: Any) -> Iterator[tuple[str, Any]]:
    """Return lines and objects, each with where it stands."""
    if isinstance(tables, str):
        yield from _entries_of_text(tables)
    elif isinstance(tables, Mapping):
        yield "entry 1", tables
    elif isinstance(tables, Iterable):
        for number, item in enumerate(tables, 1):
            yield f"entry {number}", item
    else:
        raise _unreadable(f"it is a {type(tables).__name__}, no text and no list")


def _entries_of_text(text: str) -> Iterator[tuple[str, Any]]:
    if len(text) > MOST_CHARACTERS:
        raise _unreadable(f"it has {len(text):,} characters, {MOST_CHARACTERS:,} are allowed")
    if text.lstrip()[:1] in ("[", "{"):
        try:
            found = json.loads(text, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            raise _unreadable(f"it is no JSON: {str(error)[:200]}") from None
        yield from _entries([found] if isinstance(found, Mapping) else found)
        return
    for number, line in lines.numbered(text):
        yield f"line {number}", line


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    often = Counter(name for name, _ in pairs)
    twice = next((name for name, count in often.items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"the key {twice[:80]!r} is there twice")
    return dict(pairs)


def _read(entry: Any) -> Entry:
    """Return an entry's keys and values, the keys known.

    :raises ValueError: saying what is wrong with it.
    """
    found = _read_line(entry) if isinstance(entry, str) else entry
    if not isinstance(found, Mapping):
        raise ValueError(f"it is a {type(found).__name__}, no line and no object")
    for key in found:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(_KEYS)}"
            raise ValueError(f"there is no setting {str(key)[:80]!r}; {hint}")
    return found


def _read_line(line: str) -> Entry:
    if "\n" in line or "\r" in line:
        raise ValueError("an entry of a list is one line")
    names, *settings = lines.cut(line, ";")
    ends = lines.cut(names, "->")
    if len(ends) > 2:
        raise ValueError("-> stands there twice")
    found: dict[str, Any] = {"source": ends[0].strip()}
    if len(ends) == 2:
        found["target"] = ends[1].strip()
        if not found["target"]:
            raise ValueError(f"after -> stands no {TARGET}")
    for item in settings:
        if not item.strip():
            continue
        name, equals, value = item.partition("=")
        key = name.strip().lower()
        if not equals or key in found or key in ("source", "target"):
            why = "is there twice" if key in found else "is not name=value"
            raise ValueError(f"{item.strip()[:80]!r} {why}")
        found[key] = value.strip()
    return found


# One table


def _request(entry: Entry, form: ShareForm, defaults: _Defaults) -> ShareRequest:
    source = _name(entry.get("source"), "source", lines.databricks_name)
    mode = _word(Mode, entry["mode"]) if entry.get("mode") else defaults.mode
    stage, control = defaults.stage, defaults.control
    return ShareRequest(
        source=_three(source),
        target=_three(_target(entry, source, defaults.database)),
        stage=_three(stage),
        control=(control[0], control[1]),
        location=form.location.strip().rstrip("/"),
        mode=mode,
        publish=_publish(entry, mode, defaults),
        keys=_keys(entry, mode, defaults),
        **_rows(entry, form, defaults),
        preset=form.preset,
        upper=form.upper,
        add_columns=form.add_columns,
        widen_columns=form.widen_columns,
    )


def _name(given: Any, what: str, read: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
    """Read a name: a text, or the list of its parts exactly as they are."""
    if isinstance(given, str) and given.strip():
        return read(given)
    if isinstance(given, list | tuple) and len(given) == 3 and all(isinstance(part, str) for part in given):
        return lines.checked(given)
    raise ValueError(f"the {what} is no name" if given else f"no {what} is named")


def _three(parts: Sequence[str]) -> tuple[str, str, str]:
    first, second, third = parts
    return first, second, third


def _target(entry: Entry, source: Sequence[str], database: str) -> tuple[str, ...]:
    """Return the target: the one that is named, else schema and table of the source in capitals."""
    if entry.get("target"):
        return _name(entry["target"], "target", lambda text: lines.snowflake_name(text, TARGET))
    if not database:
        raise ValueError(f"no target is named, and the Snowflake connection names no database; write -> {TARGET}")
    return lines.checked((database, source[1].upper(), source[2].upper()))


def _publish(entry: Entry, mode: Mode, defaults: _Defaults) -> Publish:
    if not entry.get("publish"):
        return defaults.publish if mode is Mode.REPLACE else Publish.REWRITE
    chosen = _word(Publish, entry["publish"])
    if chosen is Publish.SWAP and mode is not Mode.REPLACE:
        raise ValueError(f"publish=swap goes with mode=replace, the mode is {mode.value}")
    return chosen


def _keys(entry: Entry, mode: Mode, defaults: _Defaults) -> tuple[str, ...]:
    if not entry.get("keys"):
        keys = defaults.keys if mode is Mode.UPSERT else ()
    else:
        keys = _columns(entry["keys"], exact=True)
        if mode is not Mode.UPSERT:
            raise ValueError(f"keys go with mode=upsert, the mode is {mode.value}")
    if mode is Mode.UPSERT and not keys:
        raise ValueError("an upsert needs keys, the columns that identify a row: keys=id")
    return keys


def _rows(entry: Entry, form: ShareForm, defaults: _Defaults) -> dict[str, Any]:
    """Return condition, values and limit. Of the form's values a table takes those that its condition names."""
    where = entry.get("where", form.where)
    if not isinstance(where, str):
        raise ValueError("where is no text")
    named, own = places(where), _values(entry.get("values", {}))
    unused = sorted(set(own) - named)
    if unused:
        raise ValueError(f"the value {unused[0]!r} is not used in where")
    limit = entry.get("limit")
    return {
        "where": where.strip(),
        "values": {**{name: value for name, value in defaults.values.items() if name in named}, **own},
        "limit": defaults.limit if limit in (None, "") else limit_of(preset_of(form.preset), limit),
    }


# Words


def _word(kind: type[E], text: Any) -> E:
    known = [item.value for item in kind]
    said = str(text).strip().lower()
    if said not in known:
        near = difflib.get_close_matches(said, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise ValueError(f"there is no {kind.__name__.lower()} {str(text)[:80]!r}; {hint}")
    return kind(said)


def _columns(given: Any, *, exact: bool = False) -> tuple[str, ...]:
    """Read names of columns: a text, or a list; ``exact``: blanks around them are theirs."""
    if isinstance(given, str):
        return lines.column_names(given) if given.strip() else ()
    if isinstance(given, Sequence) and all(isinstance(item, str) for item in given):
        return lines.checked([item if exact else item.strip() for item in given])
    raise ValueError("keys are no list of columns")


def _values(given: Any) -> dict[str, Any]:
    found = codec.object_of(given) if isinstance(given, str | Mapping) or not given else None
    if found is None:
        raise ValueError('the values are no object such as {"since": "2024-01-01"}')
    for name, value in found.items():
        fits = isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
        if not str(name).isidentifier() or not fits:
            raise ValueError(f"the value {str(name)[:80]!r} must be a text, a number, true or false")
    return dict(found)


# Together


def _refuse_meeting(requests: Sequence[ShareRequest]) -> None:
    """Make sure that no two tables of a run go to one target: a load is known by its run and its target."""
    targets = Counter(item.target for item in requests)
    wrong = [f"{count} go to {'.'.join(name)}" for name, count in targets.items() if count > 1]
    if wrong:
        raise ConfigurationError(
            "IB-925",
            f"Tables of one run have the same target: {_listed(wrong)}.",
            remedy="Name each target once; add the other table's rows in another run.",
        )


def _refuse_unused(values: Mapping[str, Any], requests: Sequence[ShareRequest]) -> None:
    unused = sorted(set(values) - {name for item in requests for name in item.values})
    if unused:
        raise _unfit("values", f"no condition names :{unused[0]}", "Leave it out, or correct the condition.")


def _listed(wrong: Sequence[str]) -> str:
    more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    return "; ".join(wrong[:SHOWN]) + more


def _unreadable(why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-923",
        f"The list of tables cannot be read: {why}.",
        remedy=f"Write one table a line, for example {_EXAMPLE}.",
    )

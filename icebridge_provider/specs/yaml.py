"""YAML 1.2 as people write it, read strictly and within bounds; every value knows the place where it stands.

Taken from ruamel's events, one by one, so that a hostile file is left before it is built. Beyond the core schema
(https://yaml.org/spec/1.2.2/#103-core-schema) plain dates are dates, and numbers with a point are exact decimals. What
other readers take for something else is refused: anchors, aliases, tags, merge keys, numbers with leading zeros.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.specs.files import read_bounded

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_NODES = 50_000
LONGEST_NUMBER = 100
LARGEST_EXPONENT = 308
LONGEST_TAG = 1000  # ruamel's time for a tag grows with the square of its length

Scalar = None | bool | int | float | Decimal | date | datetime | str
Steps = tuple[str | int, ...]

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE]([-+]?[0-9]+))?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?")
_TAG = re.compile(r"(?:^|[\[\]{},:?-])!")
_UNFIT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a file says: dicts with text keys, lists and scalars.

    :param file: its name as messages show it.
    :param places: where each value begins, by the steps to it; the root is ``()``.
    :param keys: where the key of a mapping's value begins.
    """

    file: str
    value: Any
    places: dict[Steps, Place] = field(repr=False)
    keys: dict[Steps, Place] = field(repr=False)

    def place(self, *steps: str | int, key: bool = False) -> str:
        """Return ``file:line:column`` of a value (or of its key), or of the nearest around it."""
        first = self.keys if key else self.places
        while steps and steps not in first:
            steps, first = steps[:-1], self.places
        found = first.get(steps, Place(1, 1))
        return f"{self.file}:{found.line}:{found.column}"


def read_yaml(path: Path, name: str = "") -> Document:
    """Read a file; ``name`` is what messages call it.

    :raises ConfigurationError: IB-800 when it cannot be read, as :func:`parse_yaml`.
    """
    return parse_yaml(read_bounded(path, MAX_BYTES), name or str(path))


def parse_yaml(content: bytes, file: str) -> Document:
    """Read the content of a file; an empty one has the value None.

    :raises ConfigurationError: IB-800 with file, line and column: not UTF-8, not YAML, over a bound (1 MiB, 50 levels,
        50,000 values), a key twice, or something that readers of YAML do not agree on.
    """
    if len(content) > MAX_BYTES:
        _refuse(file, Place(1, 1), f"the file has {len(content):,} bytes, {MAX_BYTES:,} are allowed")
    text = _decoded(content, file)
    _refuse_long_tags(text, file)
    builder = _Builder(file)
    for event in _events(text, file):
        builder.take(event)
    return Document(file=file, value=builder.root, places=builder.places, keys=builder.keys)


def _decoded(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        _refuse(file, Place(line, error.start - content.rfind(b"\n", 0, error.start)), "the file is not UTF-8")


def _refuse_long_tags(text: str, file: str) -> None:
    for word in text.split():
        if len(word) > LONGEST_TAG and _TAG.search(word):
            at = text.find(word)
            _refuse(file, Place(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)), "tags are not taken")


def _events(text: str, file: str) -> Iterator[Any]:
    """Yield ruamel's events; its errors become ours, without the text they quote: it may hold a token."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except ReaderError as error:
        before = text[: error.position]
        place = Place(before.count("\n") + 1, error.position - before.rfind("\n"))
        _refuse(file, place, "a control character stands there")
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        _refuse(file, place, f"{error.context or 'it is no YAML'}: {error.problem or 'cannot be read'}")
    except (YAMLError, RecursionError, ValueError, OverflowError, IndexError, AssertionError, NotImplementedError):
        _refuse(file, Place(1, 1), "it is no YAML")


class _Builder:
    """Builds values from events without recursion and stops at the first bound that is crossed."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Any = None
        self.places: dict[Steps, Place] = {}
        self.keys: dict[Steps, Place] = {}
        self._open: list[_Open] = []
        self._nodes = 0
        self._documents = 0

    def take(self, event: Any) -> None:
        place = Place(event.start_mark.line + 1, event.start_mark.column + 1)
        kind = type(event).__name__
        if kind in {"ScalarEvent", "SequenceStartEvent", "MappingStartEvent"}:
            self._refuse_marked(event, place)
        match kind:
            case "DocumentStartEvent":
                self._document(event, place)
            case "AliasEvent":
                _refuse(self.file, place, "aliases (*name) are not taken")
            case "ScalarEvent":
                self._scalar(event, place)
            case "SequenceStartEvent":
                self._begin([], place)
            case "MappingStartEvent":
                self._begin({}, place)
            case "SequenceEndEvent" | "MappingEndEvent":
                self._open.pop()

    def _document(self, event: Any, place: Place) -> None:
        self._documents += 1
        if self._documents > 1:
            _refuse(self.file, place, "a second document (---) begins")
        if event.version not in {None, (1, 2)} or event.tags:
            _refuse(self.file, place, "directives but %YAML 1.2 are not taken")

    def _refuse_marked(self, event: Any, place: Place) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            _refuse(self.file, place, f"there are more than {MAX_NODES:,} values")
        if event.anchor is not None:
            _refuse(self.file, place, "anchors (&name) are not taken")
        if event.tag is not None:
            _refuse(self.file, place, "tags (!name) are not taken; put a text in quotes instead")

    def _scalar(self, event: Any, place: Place) -> None:
        top = self._open[-1] if self._open else None
        if top is not None and top.wants_key:
            self._key(top, event, place)
        else:
            plain = event.style is None
            self._put(_plain(event.value, self.file, place) if plain else _text(event.value, self.file, place), place)

    def _key(self, top: _Open, event: Any, place: Place) -> None:
        key = _text(event.value, self.file, place)
        if event.style is None and key == "<<":
            _refuse(self.file, place, "merge keys (<<) are not taken")
        if key in top.container:
            first = self.keys[(*top.steps, key)]
            _refuse(self.file, place, f"the key {key[:80]!r} stands in line {first.line} already")
        self.keys[(*top.steps, key)] = place
        top.key = key

    def _begin(self, container: dict[str, Any] | list[Any], place: Place) -> None:
        if self._open and self._open[-1].wants_key:
            _refuse(self.file, place, "a key must be a text")
        if len(self._open) >= MAX_DEPTH:
            _refuse(self.file, place, f"there are more than {MAX_DEPTH} levels")
        self._open.append(_Open(self._put(container, place), container))

    def _put(self, value: Any, place: Place) -> Steps:
        """Add a value where the file has come to; return the steps to it."""
        steps: Steps = ()
        if not self._open:
            self.root = value
        else:
            steps = self._open[-1].add(value)
        self.places[steps] = place
        return steps


@dataclass(slots=True)
class _Open:
    """A list or mapping that has not ended yet."""

    steps: Steps
    container: dict[str, Any] | list[Any]
    key: str | None = None

    @property
    def wants_key(self) -> bool:
        return isinstance(self.container, dict) and self.key is None

    def add(self, value: Any) -> Steps:
        if isinstance(self.container, list):
            self.container.append(value)
            return (*self.steps, len(self.container) - 1)
        key, self.key = self.key or "", None
        self.container[key] = value
        return (*self.steps, key)


def _text(value: str, file: str, place: Place) -> str:
    if not _UNFIT.search(value):
        return value
    whole = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # JSON writes such characters in halves
    if "\0" in value or whole.count("\ufffd") != value.count("\ufffd"):
        _refuse(file, place, "a text holds a NUL or half of a surrogate pair")
    return whole


def _plain(text: str, file: str, place: Place) -> Scalar:
    """Return the value of a scalar without quotes."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _NO_NUMBER.fullmatch(text):
        _refuse(file, place, "no database keeps infinity and NaN as a number; put a text in quotes")
    if _INTEGER.fullmatch(text) or _BASED.fullmatch(text) or _FLOAT.fullmatch(text):
        return _number(text, file, place)
    if _DATE.fullmatch(text) or _TIME.fullmatch(text):
        return _moment(text, file, place)
    return _text(text, file, place)


def _number(text: str, file: str, place: Place) -> Scalar:
    if len(text) > LONGEST_NUMBER:
        _refuse(file, place, f"a number has {len(text)} characters; put a text in quotes")
    if _LEADING_ZERO.fullmatch(text):
        _refuse(file, place, "a leading zero makes a number a text to some readers: put it in quotes, or drop it")
    if _INTEGER.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    exponent = (_FLOAT.fullmatch(text) or [None, None])[1]
    if exponent is None:
        return Decimal(text)
    if abs(int(exponent)) > LARGEST_EXPONENT or abs(float(text)) == float("inf"):
        _refuse(file, place, "a number is too large or too small")
    return float(text)


def _moment(text: str, file: str, place: Place) -> date | datetime:
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else datetime.fromisoformat(text.upper())
    except ValueError:
        _refuse(file, place, "the calendar has no such date; put a text in quotes")


def _refuse(file: str, place: Place, why: str) -> NoReturn:
    raise ConfigurationError(
        "IB-800",
        f"{file}:{place.line}:{place.column}: {why}.",
        remedy="Correct the file there.",
        file=file,
        line=place.line,
        column=place.column,
    ) from None

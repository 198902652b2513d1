"""One ``.sql`` file of an extraction: a SELECT with placeholders.

``{name}`` stands for a parameter, ``{name:literal}``, ``{name:identifier}`` and ``{name:expression}`` say what it
becomes; ``'{name}'`` is a text and ``[{name}]`` a name. Elsewhere in quotes ``{{`` and ``}}`` stand for braces.
``-- partition: column, 8`` has the rows read in eight ranges of a column.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.extraction import Partition
from icebridge_provider.model.query import Kind, Placeholder, Query, Spot
from icebridge_provider.sql import select, tsql
from icebridge_provider.sql.tsql import NotUnderstood, Part, Token

MOST_RANGES = 256
MOST_PLACES = 500
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_PARTITION = re.compile(r"--\s*partition\s*:(.*)", re.IGNORECASE)
_RANGES = re.compile(r"(.+),\s*([0-9]{1,6})")
_BRACES = re.compile(r"\{\{|\}\}|[{}]")
_KINDS = {kind.value: kind for kind in Kind}


def parse_query(content: bytes, name: str, file: str) -> Query:
    """Read one file.

    :param name: what the query is called.
    :param file: the file's name as messages show it.
    :raises ConfigurationError: IB-804 with file, line and column: no text, not one SELECT, something that does more
        than read, or a placeholder or partition that cannot be understood.
    """
    text = _decoded(content, file)
    try:
        return _query(text, name, file)
    except NotUnderstood as error:
        raise refused(place(text, error.position, file), error) from None


def refused(where: str, error: NotUnderstood) -> ConfigurationError:
    """Return the error for a statement; ``where`` is ``file:line:column``."""
    remedy = error.remedy or "Correct the query there."
    return ConfigurationError("IB-804", f"{where}: {error.why}.", remedy=remedy, place=where)


def place(text: str, position: int, file: str) -> str:
    """Return ``file:line:column``, from 1, of a position."""
    return f"{file}:{text.count(chr(10), 0, position) + 1}:{position - text.rfind(chr(10), 0, position)}"


def _query(text: str, name: str, file: str) -> Query:
    found = tsql.tokens(text)
    statement = _without_end(found)
    select.refuse_words(statement)
    draft = _Draft(text=text, file=file)
    for token in statement:
        draft.take(token)
    partition = _partition(found)
    spots = draft.spots()
    if partition is not None:
        _refuse_order(draft, partition)
    numbers = iter(range(len(spots)))
    pieces = tuple(piece if isinstance(piece, str) else _spotted(piece, spots[next(numbers)]) for piece in draft.pieces)
    return Query(name=name, file=file, pieces=pieces, partition=partition)


def _spotted(piece: Placeholder, spot: Spot) -> Placeholder:
    quoted = piece.spot in {Spot.TEXT_QUOTES, Spot.NAME_QUOTES}
    return piece if quoted else replace(piece, spot=spot)


def _decoded(content: bytes, file: str) -> str:
    """Return the text with LF as line end; UTF-8, or UTF-16 with a byte order mark as SQL Server's tools write it."""
    mark, encoding = next(((bom, name) for bom, name in _BOMS if content.startswith(bom)), (b"", "utf-8"))
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        raise refused(f"{file}:1:1", NotUnderstood("the file is not UTF-8", remedy="Save it as UTF-8.")) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for position, char in enumerate(text):
        if char not in "\t\n" and unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            why = NotUnderstood(f"an invisible character (U+{ord(char):04X}) stands there", remedy="Take it out.")
            raise refused(place(text, position, file), why)
    return text


def _without_end(found: Sequence[Token]) -> list[Token]:
    """Leave out blanks, comments, semicolons and a line GO at the end.

    :raises NotUnderstood: for a line GO elsewhere, or with a count.
    """
    kept = list(found)
    lines = _go_lines(found)
    while kept and (kept[-1].part in {Part.BLANK, Part.COMMENT} or kept[-1].text == ";" or kept[-1].start in lines):
        kept.pop()
    for token in kept:
        if token.start in lines:
            raise NotUnderstood("GO may only stand at the end", token.start, "Put one SELECT into each file.")
    return kept


def _go_lines(found: Sequence[Token]) -> set[int]:
    """Return where GO stands first in a line, as the tools that split batches look for it."""
    text = "".join(token.text for token in found)
    return {
        token.start
        for token in found
        if token.is_word("GO") and not text[text.rfind("\n", 0, token.start) + 1 : token.start].strip()
    }


def _partition(found: Sequence[Token]) -> Partition | None:
    lines = [token for token in found if token.part is Part.COMMENT and _PARTITION.fullmatch(token.text.rstrip())]
    if len(lines) > 1:
        raise NotUnderstood("a second partition", lines[1].start)
    for token in lines:
        said = _PARTITION.fullmatch(token.text.rstrip())
        ranges = _RANGES.fullmatch(said[1].strip()) if said else None
        if ranges is None or not 1 <= int(ranges[2]) <= MOST_RANGES:
            why = f"it is not '-- partition: column, number' with a number up to {MOST_RANGES}"
            raise NotUnderstood(why, token.start)
        try:
            parts = select.name_parts(ranges[1].strip())
        except NotUnderstood as error:
            raise NotUnderstood(f"the partition's column: {error.why}", token.start, error.remedy) from None
        if len(parts) != 1:
            raise NotUnderstood("the partition's column is one name, without a table", token.start)
        return Partition(column=parts[0], count=int(ranges[2]))
    return None


def _refuse_order(draft: _Draft, partition: Partition) -> None:
    """Ranges are read apart: an order over all rows, or the first rows of all, cannot be kept."""
    _, body, tail = tsql.sections(draft.probe)
    if tail or select.parsed(draft.probe).args.get("limit"):
        position = draft.source_of(len(draft.probe) - len(tail) if tail else draft.probe.find(body))
        why = f"ORDER BY, OPTION, FOR and TOP cannot be kept where rows are read in {partition.count} ranges"
        raise NotUnderstood(why, position, "Take it out, or take out the line partition.")


@dataclass(slots=True)
class _Draft:
    """A statement being put together: its pieces, and the probe that is parsed, with markers for placeholders."""

    text: str
    file: str
    pieces: list[str | Placeholder] = field(default_factory=list)
    probe: str = ""
    _from: list[tuple[int, int]] = field(default_factory=list)
    _places: int = 0

    def take(self, token: Token) -> None:
        self._from.append((len(self.probe), token.start))
        if token.part is Part.COMMENT:
            self._add(" " + "\n" * token.text.count("\n"))
        elif token.part is Part.PLACE:
            self._add_place(token, Spot.OTHER, token.text)
        elif token.part in {Part.TEXT, Part.NAME}:
            self._add_quoted(token)
        else:
            self._add(token.text)

    def spots(self) -> list[Spot]:
        """Return where each placeholder stands.

        :raises NotUnderstood: with the position in the file.
        """
        if select.MARKER in self.text.lower():
            raise NotUnderstood(f"names with {select.MARKER} are taken", self.text.lower().find(select.MARKER))
        try:
            return select.spots(self.probe, self._places)
        except NotUnderstood as error:
            raise NotUnderstood(error.why, self.source_of(error.position), error.remedy) from None

    def source_of(self, position: int) -> int:
        """Return the position in the file that a position in the probe comes from."""
        index = bisect_right(self._from, position, key=lambda pair: pair[0]) - 1
        if index < 0:
            return 0
        probe, source = self._from[index]
        return min(source + position - probe, max(len(self.text) - 1, 0))

    def _add(self, text: str) -> None:
        self.probe += text
        if self.pieces and isinstance(self.pieces[-1], str):
            self.pieces[-1] += text
        else:
            self.pieces.append(text)

    def _add_quoted(self, token: Token) -> None:
        body = tsql.inner(token)
        if tsql.placeholder(body):
            self._add_place(token, Spot.TEXT_QUOTES if token.part is Part.TEXT else Spot.NAME_QUOTES, body)
            return
        for match in _braces(token.text):
            what = "the whole text" if token.part is Part.TEXT else "the whole name"
            remedy = f"Make the placeholder {what}, or write {{{{ and }}}} for braces."
            raise NotUnderstood("a single brace stands in quotes", token.start + match, remedy)
        self._add(token.text.replace("{{", "{").replace("}}", "}"))

    def _add_place(self, token: Token, spot: Spot, text: str) -> None:
        name, said = tsql.placeholder(text) or ("", "")
        if said and said not in _KINDS:
            raise NotUnderstood(f"{said!r} is no kind", token.start, f"Kinds are {', '.join(_KINDS)}.")
        if said and spot is not Spot.OTHER:
            raise NotUnderstood("quotes and a kind exclude each other", token.start, "Take one of them out.")
        if self._places >= MOST_PLACES:
            raise NotUnderstood(f"there are more than {MOST_PLACES} placeholders", token.start)
        _refuse_glued(self.text, token)
        where = place(self.text, token.start, self.file)
        self.pieces.append(Placeholder(name=name, kind=_KINDS.get(said), spot=spot, place=where))
        mark = f"{select.MARKER}{self._places}"
        self.probe += {Spot.TEXT_QUOTES: f"@{mark}", Spot.NAME_QUOTES: f"[{mark}]"}.get(spot, mark)
        self._places += 1


def _braces(text: str) -> Iterator[int]:
    """Yield where braces stand that are not doubled."""
    position = 0
    while match := _BRACES.search(text, position):
        if len(match[0]) == 1:
            yield match.start()
        position = match.end()


def _refuse_glued(text: str, token: Token) -> None:
    """A placeholder beside a letter or another placeholder would be part of a word."""
    end = token.start + len(token.text)
    around = text[token.start - 1 : token.start] + text[end : end + 1]
    if any(char.isalnum() or char in "_@#${}'\"" for char in around):
        raise NotUnderstood(
            "a placeholder is glued to other text", token.start, "Put the whole name or text into the YAML file."
        )

"""What a command says: values first, then how they look on a screen, in a pipe or as JSON."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from icebridge_provider.exceptions import IceBridgeError
from icebridge_provider.model import codec

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

OK, REFUSED, USAGE, INTERRUPTED = 0, 1, 2, 130
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_WIDE = 10_000  # a pipe has no width: never wrap a row

_STYLES = {
    "ok": "green",
    "advice": "yellow",
    "wrong": "red",
    "cut over": "green",
    "success": "green",
    "refused": "yellow",
    "awaiting approval": "cyan",
    "failed": "red",
    "passed": "green",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Rows under headings; ``columns`` name the keys of each row that are shown."""

    columns: tuple[str, ...]
    rows: Sequence[Mapping[str, Any]]
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command found or did: ``document`` for programs, ``shown`` for people, and whether all is well."""

    document: Any
    shown: tuple[str | Grid, ...] = ()
    ok: bool = True


@dataclass(slots=True, kw_only=True)
class Output:
    """Standard output for the answer, standard error for everything on the way to it."""

    as_json: bool = False
    stdout: IO[str] = field(default_factory=lambda: sys.stdout)
    stderr: IO[str] = field(default_factory=lambda: sys.stderr)

    def note(self, text: str) -> None:
        """Say what is going on; standard output stays clean."""
        self._console(self.stderr).print(printable(text), style="dim", markup=False, highlight=False)

    def show(self, answer: Answer) -> int:
        """Print the answer and return the exit code."""
        if self.as_json:
            print(json.dumps(codec.to_json(answer.document), indent=2, ensure_ascii=False), file=self.stdout)
        else:
            console = self._console(self.stdout)
            for part in answer.shown:
                self._print(console, part)
        return OK if answer.ok else REFUSED

    def refuse(self, error: IceBridgeError) -> int:
        """Print an error with its code, remedy and what changed, and return the exit code."""
        if self.as_json:
            print(json.dumps({"error": error.to_json()}, indent=2, ensure_ascii=False), file=self.stdout)
            return REFUSED
        console = self._console(self.stderr)
        for text, style in (
            (f"{error.code}  {error.message}", "red"),
            (f"        {error.remedy}", None),
            (f"        {error.changed}", "dim"),
        ):
            console.print(printable(text), style=style, markup=False, highlight=False)
        return REFUSED

    def _print(self, console: Console, part: str | Grid) -> None:
        if isinstance(part, str):
            console.print(printable(part), markup=False, highlight=False, soft_wrap=True)
        elif part.rows:
            console.print(_table(part, console.is_terminal))

    def _console(self, stream: IO[str]) -> Console:
        from rich.console import Console

        terminal = stream.isatty()
        return Console(file=stream, width=None if terminal else _WIDE, no_color=bool(os.environ.get("NO_COLOR")))


def _table(grid: Grid, terminal: bool) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(title=grid.title or None, title_justify="left", box=box.SIMPLE_HEAD if terminal else None)
    for name in grid.columns:
        numeric = all(isinstance(row.get(name), int | float) for row in grid.rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in grid.rows:
        cells = [cell(row.get(name)) for name in grid.columns]
        table.add_row(*(Text(text, style=_STYLES.get(text, "")) for text in cells))
    return table


def cell(value: Any) -> str:
    """Return a value as a table shows it: nothing for None, thousands separated, lists joined."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}"
    if isinstance(value, Iterable) and not isinstance(value, str | Mapping):
        return ", ".join(cell(item) for item in value)
    return printable(str(value))


def printable(text: str) -> str:
    """Return ``text`` with control characters spelled out: a table's name cannot steer the reader's terminal."""
    return _CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)

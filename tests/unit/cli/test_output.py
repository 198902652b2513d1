from __future__ import annotations

import io
import json

import pytest

from icebridge_provider.cli.output import Answer, Grid, Output, cell, printable
from icebridge_provider.exceptions import ConfigurationError

ERROR = ConfigurationError("IB-742", "The pool is missing.", remedy="Run `airflow icebridge init`.", pool="p")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def outputs(*, as_json: bool = False, terminal: bool = False) -> Output:
    kind = Terminal if terminal else io.StringIO
    return Output(as_json=as_json, stdout=kind(), stderr=kind())


def test_json_is_one_document_and_nothing_else() -> None:
    output = outputs(as_json=True)
    assert output.show(Answer(document={"names": ("ä", 1)}, shown=("for people",))) == 0
    assert json.loads(output.stdout.getvalue()) == {"names": ["ä", 1]}


def test_an_answer_that_is_not_well_exits_with_1() -> None:
    assert outputs().show(Answer(document={}, ok=False)) == 1


def test_a_refusal_names_code_remedy_and_what_changed_on_standard_error() -> None:
    output = outputs()
    assert output.refuse(ERROR) == 1
    assert output.stdout.getvalue() == ""
    for part in ("IB-742", "The pool is missing.", "airflow icebridge init", "Nothing changed."):
        assert part in output.stderr.getvalue()


def test_a_refusal_as_json_is_on_standard_output() -> None:
    output = outputs(as_json=True)
    assert output.refuse(ERROR) == 1
    assert json.loads(output.stdout.getvalue())["error"]["code"] == "IB-742"
    assert output.stderr.getvalue() == ""


def test_a_pipe_gets_one_line_a_row_without_colour() -> None:
    output = outputs()
    row = {"name": "n" * 300, "state": "cut over", "rows": 1234567}
    output.show(Answer(document=None, shown=(Grid(columns=("name", "state", "rows"), rows=[row]),)))
    lines = output.stdout.getvalue().strip().splitlines()
    assert len(lines) == 2
    assert "n" * 300 in lines[1]
    assert "1,234,567" in lines[1]
    assert "\x1b" not in output.stdout.getvalue()


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_is_for_terminals_that_want_it(no_color: str, coloured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm")
    output = outputs(terminal=True)
    output.show(Answer(document=None, shown=(Grid(columns=("state",), rows=[{"state": "failed"}]),)))
    assert ("\x1b[31m" in output.stdout.getvalue()) is coloured


@pytest.mark.parametrize("hostile", ["\x1b]0;owned\x07", "a\rb", "\x9b31m", "\u202etxt.exe", "\x00"])
@pytest.mark.parametrize("place", ["grid", "line", "note", "error"])
def test_no_name_can_steer_the_terminal(hostile: str, place: str) -> None:
    output = outputs(terminal=True)
    match place:
        case "grid":
            output.show(Answer(document=None, shown=(Grid(columns=("n",), rows=[{"n": f"x{hostile}y"}]),)))
        case "line":
            output.show(Answer(document=None, shown=(f"x{hostile}y",)))
        case "note":
            output.note(f"x{hostile}y")
        case "error":
            output.refuse(ConfigurationError("IB-740", f"x{hostile}y", remedy="r"))
    said = output.stdout.getvalue() + output.stderr.getvalue()
    assert hostile not in said
    assert "\\u" in said


def test_markup_in_names_is_text() -> None:
    output = outputs()
    output.show(Answer(document=None, shown=(Grid(columns=("n",), rows=[{"n": "[red]x[/red]"}]), "[bold]y[/bold]")))
    assert "[red]x[/red]" in output.stdout.getvalue()
    assert "[bold]y[/bold]" in output.stdout.getvalue()


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "yes"), (False, "no"), (1234, "1,234"), (1.5, "1.50"), (["a", 2], "a, 2"), ("x", "x")],
)
def test_cells(value: object, text: str) -> None:
    assert cell(value) == text


def test_printable_keeps_letters_of_all_scripts_and_line_ends() -> None:
    assert printable("Überweisung 表\n\tx") == "Überweisung 表\n\tx"

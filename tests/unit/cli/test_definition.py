from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module

import pytest

from icebridge_provider.cli.definition import COMMANDS, Command
from icebridge_provider.cli.main import main, parser


def leaves(commands: tuple[Command, ...] = COMMANDS) -> Iterator[Command]:
    for command in commands:
        yield from leaves(command.children) if command.children else [command]


def test_every_command_of_the_issue_is_there() -> None:
    names = {command.name for command in COMMANDS}
    assert names == {
        "init", "doctor", "check-connection", "inventory", "assess", "plan", "apply", "status", "retry", "rollback",
        "purge", "report", "audit", "db", "limits", "consumers", "sweep", "costs",
        "extract", "events", "share",
    }  # fmt: skip
    children = {command.name: [child.name for child in command.children] for command in COMMANDS if command.children}
    assert children == {
        "audit": ["verify", "bundle"],
        "db": ["migrate", "backup", "restore", "rebuild"],
        "events": ["init", "emit", "preview", "apply", "release", "reject", "status"],
        "share": ["plan", "run", "status", "routes"],
    }


@pytest.mark.parametrize("command", list(leaves()), ids=lambda command: command.run)
def test_every_command_has_json_and_a_function_that_exists(command: Command) -> None:
    assert ("--json",) in [option.flags for option in command.options]
    module, _, name = command.run.partition(":")
    found = getattr(import_module(f"icebridge_provider.cli.commands.{module}"), name)
    assert found.__doc__


@pytest.mark.parametrize("command", list(leaves()), ids=lambda command: command.run)
def test_every_option_says_what_it_is(command: Command) -> None:
    assert command.help
    assert [option.flags for option in command.options if not option.settings.get("help")] == []


def test_the_definition_and_the_commands_load_without_airflow_or_drivers() -> None:
    script = """
import json, sys
import icebridge_provider.cli, icebridge_provider.cli.main as main
main.parser()
heavy = {"airflow", "pyarrow", "pyiceberg", "sqlalchemy", "rich", "pydantic", "fastapi"}
print(json.dumps(sorted(heavy & set(sys.modules))))
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == []


@pytest.mark.parametrize(
    "arguments",
    [[], ["nonsense"], ["apply"], ["plan", "--method", "teleport"], ["audit"], ["db", "drop"]],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: icebridge" in capsys.readouterr().err


def test_help_lists_all_commands_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert [command.name for command in COMMANDS if command.name not in said] == []
    assert "0 done, 1 refused or failed, 2 wrong usage" in said


def test_lists_gather_over_repeated_flags() -> None:
    options = parser().parse_args(["plan", "--tables", "a.*", "b.c", "--tables", "d.*"])
    assert options.tables == ["a.*", "b.c", "d.*"]
    assert options.run == "plan:plan"

"""The command line: ``airflow icebridge …`` and ``icebridge …``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from icebridge_provider.cli.definition import COMMANDS, Command

if TYPE_CHECKING:
    from airflow.cli.cli_config import ActionCommand, GroupCommand


def get_cli_commands() -> list[GroupCommand]:
    """Return the group ``icebridge`` for Airflow's parser; nothing of a command is imported until it runs."""
    from airflow.cli.cli_config import GroupCommand

    return [
        GroupCommand(
            name="icebridge",
            help="Move Iceberg tables between catalogs, and prove it",
            subcommands=[_airflow(command) for command in COMMANDS],
        )
    ]


def _airflow(command: Command) -> ActionCommand | GroupCommand:
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    if command.children:
        return GroupCommand(
            name=command.name, help=command.help, subcommands=[_airflow(child) for child in command.children]
        )
    arguments = tuple(Arg(option.flags, **option.settings) for option in command.options)  # type: ignore[no-untyped-call]
    return ActionCommand(name=command.name, help=command.help, func=action(command), args=arguments)


def action(command: Command) -> Callable[[Any], None]:
    """Return what runs ``command`` and ends the process with its exit code when that is not 0."""

    def call(arguments: Any) -> None:
        from icebridge_provider.cli.dispatch import execute

        code = execute(command.run, arguments)
        if code:
            raise SystemExit(code)

    call.__name__ = command.name
    return call

# PYTHON_ARGCOMPLETE_OK
"""Console script ``icebridge``: the same commands as ``airflow icebridge``, and ``icebridge demo``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from icebridge_provider.cli.definition import COMMANDS, Command

_EPILOG = "Exit codes: 0 done, 1 refused or failed, 2 wrong usage."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 refused or failed, 2 wrong usage."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["demo"]:
        from icebridge_provider.demo.main import main as demo

        return demo(given[1:])
    options = _parse(given)
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")  # a command's user wants the answer
    from icebridge_provider.cli.dispatch import execute

    return execute(options.run, options)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    made = argparse.ArgumentParser(
        prog="icebridge", description="Move Iceberg tables between catalogs, and prove it.", epilog=_EPILOG
    )
    made.add_argument("--version", action="version", version=_version())
    commands = made.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        _add(commands, command)
    commands.add_parser("demo", help="Build a foreign lake, migrate it under real Airflow, show what happened")
    return made


def _add(commands: Any, command: Command) -> None:
    made = commands.add_parser(command.name, help=command.help, description=command.help, epilog=_EPILOG)
    if command.children:
        children = made.add_subparsers(metavar="COMMAND", required=True)
        for child in command.children:
            _add(children, child)
        return
    for option in command.options:
        made.add_argument(*option.flags, **option.settings)
    made.set_defaults(run=command.run)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    made = parser()
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(made)
    return made.parse_args(arguments)


def _version() -> str:
    from importlib.metadata import version

    return f"icebridge {version('airflow-provider-icebridge')}"


if __name__ == "__main__":
    sys.exit(main())

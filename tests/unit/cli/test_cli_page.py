"""docs/cli.md lists every command and option as defined; `python -m tests.unit.cli.test_cli_page` prints the lists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from icebridge_provider.cli.definition import COMMANDS, Command, Option

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"


def leaves(commands: tuple[Command, ...] = COMMANDS, prefix: str = "") -> Iterator[tuple[str, Command]]:
    for command in commands:
        if command.children:
            yield from leaves(command.children, f"{prefix}{command.name} ")
        else:
            yield f"{prefix}{command.name}", command


def table() -> str:
    lines = ["| command | what it does |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| [`{name}`](#{anchor(name)}) | {command.help} |" for name, command in leaves())])


def anchor(name: str) -> str:
    return name.replace(" ", "-")


def section(name: str, command: Command) -> str:
    lines = [f"### {name}", "", f"{command.help}.", "", f"`{usage(name, command)}`", ""]
    lines += [f"- {shown(option)}: {text(option)}" for option in command.options if option.flags != ("--json",)]
    return "\n".join(lines).rstrip()


def usage(name: str, command: Command) -> str:
    places = [option for option in command.options if not option.flags[0].startswith("-")]
    rest = " [OPTIONS]" if len(command.options) > len(places) else ""
    forms = {"?": "[{}]", "*": "[{} …]"}
    words = [forms.get(str(option.settings.get("nargs")), "{}").format(meta(option)) for option in places]
    return " ".join(["icebridge", name, *words]) + rest


def meta(option: Option) -> str:
    return str(option.settings.get("metavar") or option.flags[0].lstrip("-").upper())


def shown(option: Option) -> str:
    if not option.flags[0].startswith("-"):
        return f"`{meta(option)}`"
    if option.settings.get("action") == "store_true":
        return f"`{option.flags[0]}`"
    if "choices" in option.settings:
        return f"`{option.flags[0]} {'|'.join(option.settings['choices'])}`"
    more = " …" if option.settings.get("nargs") == "+" else ""
    return f"`{option.flags[0]} {meta(option)}{more}`"


def text(option: Option) -> str:
    return str(option.settings["help"]).replace("%(default)s", str(option.settings.get("default")))


def test_the_page_has_the_table_and_a_section_for_every_command() -> None:
    page = PAGE.read_text()
    assert table() in page
    assert [name for name, command in leaves() if section(name, command) not in page] == []


if __name__ == "__main__":
    print(table(), *(section(name, command) for name, command in leaves()), sep="\n\n")

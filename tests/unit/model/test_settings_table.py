from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from icebridge_provider.model.settings import Settings

PAGE = Path(__file__).parents[3] / "docs" / "configuration.md"


def table() -> str:
    lines = ["| option | default | meaning |", "| --- | --- | --- |"]
    for field in fields(Settings):
        shown = f"`{field.default}`" if field.default != "" else "empty"
        lines.append(f"| `{field.name}` | {shown} | {field.metadata['text']} |")
    return "\n".join(lines)


def test_the_page_lists_every_option_with_its_default_and_meaning() -> None:
    assert table() in PAGE.read_text()


if __name__ == "__main__":
    print(table())

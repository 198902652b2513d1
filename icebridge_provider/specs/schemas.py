"""JSON Schemas of the files people write, for editors: ``python -m icebridge_provider.specs.schemas`` writes them."""

from __future__ import annotations

import json
from pathlib import Path

from icebridge_provider.specs.permissions import PermissionsFile
from icebridge_provider.specs.shape import Shape
from icebridge_provider.specs.syncs import SyncsFile

FOLDER = Path(__file__).parent
SHAPES: dict[str, type[Shape]] = {"permissions": PermissionsFile, "syncs": SyncsFile}


def schemas() -> dict[str, str]:
    """Return each schema's file name and text (JSON Schema 2020-12)."""
    return {f"{name}.schema.json": _schema(name, kind) for name, kind in SHAPES.items()}


def _schema(name: str, kind: type[Shape]) -> str:
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"{name}.yaml"}
    return json.dumps({**kind.model_json_schema(), **about}, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write the files."""
    for name, text in schemas().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

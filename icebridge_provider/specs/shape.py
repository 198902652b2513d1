"""A file's values against the shape they should have, with the place of everything that does not fit."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.specs.yaml import Document, Steps

M = TypeVar("M", bound="Shape")
SHOWN = 5


class Shape(BaseModel):
    """Base of the shapes: no key that is not known, no text taken for a number; errors never repeat a value."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


def shaped(document: Document, kind: type[M]) -> M:
    """Return a document as ``kind``.

    :raises ConfigurationError: IB-802 naming file, line and column of what does not fit, at most five of them.
    """
    try:
        return kind.model_validate({} if document.value is None else document.value)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [_line(document, kind, item) for item in wrong[:SHOWN]]
    more = f" ({len(wrong) - SHOWN} more)" if len(wrong) > SHOWN else ""
    raise misfit("; ".join(lines) + more, document)


def misfit(message: str, document: Document) -> ConfigurationError:
    """Return the error for a value that does not fit; ``message`` begins with its place."""
    return ConfigurationError("IB-802", f"{message}.", remedy="Correct the file there.", file=document.file)


def _line(document: Document, kind: type[Shape], error: Any) -> str:
    steps = _known_steps(document, error["loc"])
    if error["type"] == "extra_forbidden":
        names = _names(kind, steps[:-1])
        return f"{document.place(*steps, key=True)}: there is no key {_shown(steps)}; {_hint(str(steps[-1]), names)}"
    if error["type"] == "missing":
        around = f" of {_shown(steps)}" if steps else ""
        return f"{document.place(*steps)}: the key {error['loc'][-1]!r}{around} is missing"
    said = error["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
    return f"{document.place(*steps)}: {_shown(steps) or 'the file'}: {said}"


def _known_steps(document: Document, location: Sequence[str | int]) -> Steps:
    """Return the steps of a pydantic location that exist in the file."""
    steps: Steps = ()
    for step in location:
        if (*steps, step) in document.places:
            steps = (*steps, step)
    return steps


def _hint(given: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(given, names, 1)
    return f"did you mean {near[0]}?" if near else f"keys are {', '.join(names)}"


def _names(kind: type[Shape], steps: Steps) -> list[str]:
    """Return the keys that are known where ``steps`` lead."""
    current: Any = kind
    for step in steps:
        if isinstance(step, str) and isinstance(current, type) and issubclass(current, BaseModel):
            current = current.model_fields[step].annotation
        current = _inner(current)
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _inner(annotation: Any) -> Any:
    """Return the shape inside ``list[X]``, ``X | None`` and the like, else the annotation as it is."""
    origin = typing.get_origin(annotation)
    if origin in {list, tuple, dict, types.UnionType, typing.Union}:
        return next((found for item in typing.get_args(annotation) if _is_shape(found := _inner(item))), annotation)
    return annotation


def _is_shape(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Shape)


def _shown(steps: Steps) -> str:
    """Return steps as people read them: ``users[0].permissions[1].table``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step[:80]}" for step in steps)
    return text.removeprefix(".")

"""Plan files: the JSON a person reads, edits and hands back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.plan import MigrationPlan
from icebridge_provider.planning.json_place import place_of
from icebridge_provider.state.whole_file import write_whole


def plan_text(plan: MigrationPlan) -> str:
    """Return the text of a plan file."""
    return json.dumps(plan.to_json(), indent=2, ensure_ascii=False) + "\n"


def save_plan_file(plan: MigrationPlan, path: str | Path) -> None:
    """Write a plan file, whole or not at all.

    :raises ConfigurationError: IB-118 when it cannot be written.
    """
    with side_effect("plan.write_file"):
        write_whole("The plan file", Path(path), lambda partial: partial.write_text(plan_text(plan), encoding="utf-8"))


def load_plan_file(path: str | Path) -> MigrationPlan:
    """Read a plan file and check its digest.

    :raises ConfigurationError: IB-321 when the file is not on this host, IB-322 when it is no plan, IB-320 when it
        was edited and not sealed again.
    """
    plan = read_plan_file(path)
    if plan.computed_digest() != plan.digest:
        raise ConfigurationError(
            "IB-320",
            f"{path} was edited after it was made: its digest no longer fits.",
            remedy=f"Read what changed; if it is meant, run: icebridge plan --reseal {path}",
            digest=plan.digest,
        )
    return plan


def reseal_plan_file(path: str | Path) -> MigrationPlan:
    """Write the digest that fits into an edited plan file, and return the plan.

    :raises ConfigurationError: IB-118, IB-321, IB-322.
    """
    sealed = read_plan_file(path).sealed()
    save_plan_file(sealed, path)
    return sealed


def read_plan_file(path: str | Path) -> MigrationPlan:
    """Read a plan file; its digest is not checked.

    :raises ConfigurationError: IB-321 when the file is not on this host, IB-322 naming line, column and key.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise _no_plan(path, f"byte {error.start} is not UTF-8") from None
    except OSError as error:
        raise ConfigurationError(
            "IB-321",
            f"The plan file {path} cannot be read on this host: {error.strerror or error}.",
            remedy="Run `icebridge apply` where the file is: it hands the plan to the ledger, which all workers read.",
            file=str(path),
        ) from None
    return _parsed(path, text)


def _parsed(path: str | Path, text: str) -> MigrationPlan:
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        raise _no_plan(path, f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise _no_plan(path, str(error)) from None
    try:
        return MigrationPlan.from_json(value)
    except ValueError as error:
        key, _, why = str(error).partition(": ")
        line, column = place_of(text, key)
        raise _no_plan(path, f"line {line}, column {column}, {key}: {why}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice: the last would win without a word."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


def _no_plan(path: str | Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        "IB-322",
        f"{path} is not a plan: {why}.",
        remedy=f"Correct it, then run: icebridge plan --reseal {path}",
        file=str(path),
    )

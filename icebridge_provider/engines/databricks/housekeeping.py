"""What active runs work with, and which files of runs nobody needs any more."""

from __future__ import annotations

import json
from collections.abc import Iterable

from icebridge_provider.engines.databricks.files import CATCH_UP, COMPARE, JOBS, PROGRAM, PROGRESS, Listed, RunFiles
from icebridge_provider.engines.databricks.peer import DatabricksWorkspace
from icebridge_provider.engines.databricks.run_documents import active_runs, document_path, files_in_use

_PROGRAMS = (PROGRAM, CATCH_UP, COMPARE)


class Housekeeping:
    """The runs and run files of one principal in one workspace."""

    def __init__(self, workspace: DatabricksWorkspace, files: RunFiles) -> None:
        self._workspace = workspace
        self._files = files

    def written_now(self) -> frozenset[tuple[str, ...]]:
        """Return schema and table, in lower case, of all tables that active runs write."""
        paths = {document_path(answer) for answer in active_runs(self._workspace)}
        contents = (self._files.read(path) for path in sorted(paths) if path.rpartition("/")[2].startswith(JOBS))
        return frozenset(name for content in contents for name in _staged(content or b""))

    def unused(self, before: float) -> list[Listed]:
        """Return run files that were written before an instant (seconds since 1970) and that no active run names.

        The programs that this version would start are never among them.
        """
        old = [file for file in self._files.listed() if file.written < before and _is_of_runs(file.path)]
        if not old:
            return []
        current = {self._files.program_name(name) for name in _PROGRAMS}
        used = {_token(path) for path in files_in_use(self._workspace)}  # a job file and its progress are one
        now = {file.path: file.written for file in self._files.listed()}  # once more: a run may have begun meanwhile
        return [
            file
            for file in old
            if now.get(file.path) == file.written
            and _token(file.path) not in used
            and file.path.rpartition("/")[2] not in current
        ]

    def delete(self, path: str) -> None:
        """Delete a run file; a missing one is success."""
        self._files.delete(path)


def _is_of_runs(path: str) -> bool:
    name = path.rpartition("/")[2]
    if name.endswith(".json"):
        return name.startswith((JOBS, PROGRESS))
    return name.endswith(".py") and name.startswith(tuple(f"{program.removesuffix('.py')}-" for program in _PROGRAMS))


def _token(path: str) -> str:
    """Return what a job file and its progress file have in common."""
    return path.rpartition("/")[2].removeprefix(JOBS).removeprefix(PROGRESS)


def _staged(document: bytes) -> Iterable[tuple[str, ...]]:
    try:
        return [tuple(str(part).casefold() for part in item["staged"][1:]) for item in json.loads(document)]
    except (ValueError, TypeError, KeyError):
        return []

"""The folder of an extraction: ``queries/**/*.sql``, ``config/common_params.yaml`` and ``config/{country}.yaml``."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.query import Country, Query
from icebridge_provider.specs.files import read_bounded
from icebridge_provider.specs.parameters import country
from icebridge_provider.specs.query import parse_query
from icebridge_provider.specs.yaml import MAX_BYTES, Document, parse_yaml

QUERIES, CONFIG = "queries", "config"
COMMON = "common_params"
NOT_COUNTRIES = frozenset({COMMON, "permissions", "syncs"})
MOST_FILES = 1000
MOST_ENTRIES = 10_000
MOST_LEVELS = 8
MOST_QUERY_BYTES = 256 << 10
MOST_ALL_BYTES = 16 << 20
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_RESERVED = re.compile(r"(?i)con|prn|aux|nul|com[0-9]|lpt[0-9]")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionFolder:
    """What a folder holds, by name."""

    queries: tuple[Query, ...]
    countries: tuple[Country, ...]


@dataclass(frozen=True, slots=True)
class _File:
    """A file below the folder: its path parts without the suffix, and its content."""

    parts: tuple[str, ...]
    shown: str
    content: bytes


def read_folder(folder: Path) -> ExtractionFolder:
    """Read all queries and countries of a folder.

    :raises ConfigurationError: IB-801 for a file that cannot be read, IB-805 for a symbolic link, a name that cannot
        become a folder's, or too many files; IB-800 and IB-802 for a YAML file, IB-804 for a query; with their places.
    """
    return ExtractionFolder(queries=tuple(_queries(folder)), countries=tuple(_countries(folder)))


def _queries(folder: Path) -> Iterator[Query]:
    files = _files(folder / QUERIES, ".sql", MOST_QUERY_BYTES)
    if not files:
        _refuse(str(folder / QUERIES), "there is no .sql file")
    _refuse_alike(files)
    for file in files:
        yield parse_query(file.content, "/".join(file.parts), file.shown)


def _countries(folder: Path) -> Iterator[Country]:
    files = _files(folder / CONFIG, ".yaml", MAX_BYTES, wrong=".yml")
    _refuse_alike(files)
    found = {file.parts: file for file in files if len(file.parts) == 1}
    shared = found.get((COMMON,))
    nothing = Document(file=f"{CONFIG}/{COMMON}.yaml", value={}, places={}, keys={})
    common = parse_yaml(shared.content, shared.shown) if shared else nothing
    names = [parts for parts in found if parts[0] not in NOT_COUNTRIES]
    if not names:
        _refuse(str(folder / CONFIG), "there is no {country}.yaml")
    for parts in names:
        yield country(parts[0], common, parse_yaml(found[parts].content, found[parts].shown))


def _files(top: Path, suffix: str, most: int, wrong: str = "") -> list[_File]:
    """Return the files of a suffix below ``top`` in the order of their paths; what begins with a dot is passed over.

    Folders are walked by open handles, so that nobody can put a link in the way (CWE-367).
    """
    if not top.is_dir():
        _refuse(str(top), "there is no such folder")
    found: list[_File] = []
    entries = total = 0
    for root, folders, names, handle in os.fwalk(top, follow_symlinks=False):
        below = Path(root).relative_to(top).parts
        folders[:] = [name for name in folders if not name.startswith(".")]
        entries += len(folders) + len(names)
        if len(below) >= MOST_LEVELS or entries > MOST_ENTRIES:
            _refuse(str(top), f"there are more than {MOST_LEVELS} levels or {MOST_ENTRIES:,} entries")
        for name in (*folders, *names):
            _refuse_link(name, handle, "/".join((top.name, *below, name)))
        for name in names:
            if _wanted(name, suffix, wrong, "/".join((top.name, *below, name))):
                found.append(_read((top.name, *below), name, handle, most))
                total += len(found[-1].content)
        if len(found) > MOST_FILES or total > MOST_ALL_BYTES:
            _refuse(str(top), f"there are more than {MOST_FILES:,} files, or {MOST_ALL_BYTES:,} bytes in all")
    return sorted(found, key=lambda file: file.parts)


def _read(above: tuple[str, ...], name: str, handle: int, most: int) -> _File:
    shown = "/".join((*above, name))
    parts = (*above[1:], name.rpartition(".")[0])
    for part in parts:
        if not _SEGMENT.fullmatch(part) or _RESERVED.fullmatch(part):
            _refuse(shown, f"{part[:80]!r} cannot be a folder's name: letters, digits, _ and - can")
    return _File(parts, shown, read_bounded(Path(name), most, follow=False, folder=handle))


def _wanted(name: str, suffix: str, wrong: str, shown: str) -> bool:
    if name.startswith("."):
        return False
    if wrong and name.lower().endswith(wrong):
        _refuse(shown, f"files end in {suffix} here, not in {wrong}")
    return name.lower().endswith(suffix)


def _refuse_link(name: str, handle: int, shown: str) -> None:
    try:
        mode = os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode
    except OSError as error:
        _refuse(shown, f"it cannot be looked at ({error.strerror})")
    if stat.S_ISLNK(mode):
        _refuse(shown, "it is a symbolic link, which may lead out of the folder; put the file itself there")


def _refuse_alike(files: list[_File]) -> None:
    """Names become folders: two that differ in case only, or one within the other, would share files."""
    seen: dict[str, _File] = {}
    for file in files:
        other = seen.setdefault("/".join(file.parts).casefold(), file)
        if other is not file:
            _refuse(file.shown, f"{other.shown} differs from it in upper and lower case only")
    for file in files:
        for level in range(1, len(file.parts)):
            above = seen.get("/".join(file.parts[:level]).casefold())
            if above is not None:
                _refuse(file.shown, f"its folder has the name of {above.shown}: their files would lie in each other")


def _refuse(shown: str, why: str) -> NoReturn:
    raise ConfigurationError(
        "IB-805", f"{shown} cannot be used: {why}.", remedy="Rename, move or remove it.", path=shown
    ) from None

"""Names that are made of other names: folders of runs, files' columns, staging tables, query tags."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model import codec

LONGEST = 255
LONGEST_TAG = 2000  # characters of QUERY_TAG, Snowflake's parameter reference
_UNSAFE = re.compile(r"[^A-Za-z0-9-]+")
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,127}")
_ROOT = re.compile(r"(?:s3|gs|abfss|azure)://[A-Za-z0-9][A-Za-z0-9.@_-]{1,250}(?:/[A-Za-z0-9._=-]+)*")


def safe_segment(text: str) -> str:
    """Return a folder name for any text: letters, digits and ``-``, and never the same for two texts.

    It does not begin with ``_`` or ``.``: Spark does not see such folders.

    :raises ConfigurationError: IB-901 for an empty text, and one with half of a surrogate pair.
    """
    if not text or any("\ud800" <= char <= "\udfff" for char in text):
        raise _unfit("A run id is empty or no text", "Give the run an id.")
    readable = _UNSAFE.sub("-", text).strip("-")[:60].strip("-") or "run"
    return f"{readable}-{_hash(text, 16)}"


def export_location(root: str, run_id: str, source: Sequence[str]) -> str:
    """Return the folder of one table of one run: ``root/runs/<run>/<table>``.

    :param root: ``s3://bucket/folder``.
    :raises ConfigurationError: IB-901 for a root that is no plain location, or an empty run id.
    """
    text = root.rstrip("/")
    if not _ROOT.fullmatch(text) or any(set(part) <= {"."} for part in text.split("/")[3:]):
        raise _unfit(
            f"{root[:200]!r} is no location to export to",
            "Give a location such as s3://bucket/folder, of letters, digits and . _ = - only.",
        )
    return f"{text}/runs/{safe_segment(run_id)}/{safe_segment(chr(0).join(source))}"


def stage_path(stage_root: str, location: str) -> str:
    """Return a location as the stage names it: the part below the stage's URL, with a slash at its end.

    :raises ConfigurationError: IB-902 for a location outside of the stage.
    """
    root = stage_root.rstrip("/") + "/"
    if not location.startswith(root) or any(part in {"", ".", ".."} for part in location[len(root) :].split("/")):
        raise ConfigurationError(
            "IB-902",
            f"{location} is not below {root}, the location of the Snowflake stage.",
            remedy="Export to a folder below the stage's URL, or name another stage.",
            location=location,
            stage=stage_root,
        )
    return location[len(root) :] + "/"


def file_columns(names: Iterable[str]) -> list[str]:
    """Return the names that columns have in the files: their own where it is plain, else ``c`` and their number.

    Snowflake finds columns of files by name, so these are plain and differ by more than case.
    """
    listed = list(names)
    taken = {name.lower() for name in listed if _PLAIN.fullmatch(name)}
    seen: set[str] = set()
    result = []
    for number, name in enumerate(listed, 1):
        chosen = name if _PLAIN.fullmatch(name) and name.lower() not in seen else f"c{number}"
        while chosen != name and chosen in taken:
            chosen += "_"
        seen.add(chosen.lower())
        taken.add(chosen.lower())
        result.append(chosen)
    return result


def run_key(run_id: str, target: Sequence[str]) -> str:
    """Return the key of one load: the same for every try of a run's table, another for every other."""
    return codec.digest([run_id, list(target)])[:32]


def staging_name(key: str, generation: int) -> str:
    """Return the name of a load's staging table; every try has its own, so an abandoned one disturbs no later one."""
    return f"ICEBRIDGE_STAGE_{key.upper()}_{int(generation)}"


def next_name(key: str, generation: int) -> str:
    """Return the name of the table that is swapped in, and after it of the one that was swapped out."""
    return f"ICEBRIDGE_NEXT_{key.upper()}_{int(generation)}"


def query_tag(key: str, generation: int, step: str, number: int = 0) -> str:
    """Return the tag of one statement, by which it is found again when its answer was lost."""
    tag = f"icebridge:{key}:{int(generation)}:{step}:{int(number)}"
    return tag[:LONGEST_TAG]


def _hash(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def _unfit(message: str, remedy: str) -> ConfigurationError:
    return ConfigurationError("IB-901", f"{message}.", remedy=remedy)

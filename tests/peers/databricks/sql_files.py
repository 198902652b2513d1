"""``read_files('/Volumes/…', format => 'parquet')`` in a statement: files of a volume as rows, with its privileges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tests.peers.databricks.errors import ApiError
from tests.peers.databricks.files import Volumes
from tests.peers.databricks.sql_errors import from_api, unsupported
from tests.peers.databricks.sql_lexer import Word, quoted, words

if TYPE_CHECKING:
    from tests.peers.databricks.world import World

FUNCTION = "READ_FILES"
_REST = [",", "format", "=", ">", "parquet", ")"]


def files_read(text: str, world: World, reader: str) -> Iterator[tuple[int, int, str]]:
    """What stands for each call: Spark's own name of the files, once the reader may READ VOLUME there.

    The engine reads the folders that the path names (globs are served), not what is nested deeper.
    """
    found = words(text)
    for at, word in enumerate(found):
        if word.is_word(FUNCTION) and found[at + 1 : at + 2] and found[at + 1].text == "(":
            arguments = found[at + 2 : at + 9]
            yield word.start, found[min(at + 8, len(found) - 1)].end, quoted_files(arguments, world, reader)


def quoted_files(arguments: list[Word], world: World, reader: str) -> str:
    """The engine's name of the files of a call."""
    path, rest = arguments[:1], [one.text.lower() for one in arguments[1:]]
    if not path or path[0].kind != "string" or not path[0].text.startswith("/Volumes/") or rest != _REST:
        raise unsupported("This workspace serves read_files('/Volumes/…', format => 'parquet') and nothing else of it.")
    try:
        return quoted("parquet") + "." + quoted(str(Volumes(world).spot(path[0].text, reader).local))
    except ApiError as error:
        raise from_api(error) from None

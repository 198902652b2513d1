"""The places that exported files go to: a prefix of an S3 bucket, a folder of a volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tests.peers.databricks.s3_client import S3, StoreError


class Broken(Exception):
    """An ending that is no fault of the statement, by its ``error_code``."""

    def __init__(self, error_code: str, message: str) -> None:
        super().__init__(message)
        self.error_code = error_code or "INTERNAL_ERROR"


class Target(Protocol):
    """A folder; names are relative to it."""

    def names(self) -> list[str]:
        """Its files."""

    def get(self, name: str) -> bytes:
        """A file's bytes."""

    def put(self, name: str, data: bytes) -> None:
        """Write a file."""

    def delete(self, name: str) -> None:
        """Delete a file; one that is not there is success."""


@dataclass
class S3Target:
    """A folder of a bucket; the prefix ends with a slash."""

    s3: S3
    bucket: str
    prefix: str

    def names(self) -> list[str]:
        return [one.key.removeprefix(self.prefix) for one in _stored(self.s3.list, self.bucket, self.prefix)]

    def get(self, name: str) -> bytes:
        return bytes(_stored(self.s3.get, self.bucket, self.prefix + name))

    def put(self, name: str, data: bytes) -> None:
        _stored(self.s3.put, self.bucket, self.prefix + name, data)

    def delete(self, name: str) -> None:
        _stored(self.s3.delete, self.bucket, self.prefix + name)


@dataclass
class FolderTarget:
    """A folder of a volume."""

    folder: Path

    def names(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return [str(one.relative_to(self.folder)) for one in self.folder.rglob("*") if one.is_file()]

    def get(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def put(self, name: str, data: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(data)

    def delete(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)


def _stored(call: Callable[..., Any], *given: Any) -> Any:
    try:
        return call(*given)
    except StoreError as error:
        raise Broken("IO_ERROR", str(error)) from None

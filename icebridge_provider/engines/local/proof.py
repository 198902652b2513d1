"""Gathers what a byte proof compared and what it found different."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from icebridge_provider.engines.local import faults
from icebridge_provider.model.report import Check
from icebridge_provider.ports import FileStore
from icebridge_provider.retry import transient
from icebridge_provider.stores.object_store import checksum

MOST_NAMED = 100


@dataclass(slots=True, kw_only=True)
class Proof:
    """Comparisons by name: how many things each side had, and every difference. Safe for several threads."""

    table: str
    relocate: Callable[[str], str]
    counts: dict[str, list[int]] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    differences: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, check: str, source: int, target: int) -> None:
        """Add to how many things were compared under the name ``check``."""
        with self._lock:
            counts = self.counts.setdefault(check, [0, 0])
            counts[0] += source
            counts[1] += target

    def differ(self, check: str, file: str, what: str, source: object = "", target: object = "") -> None:
        """Note one difference: in which file, what it is, and both sides."""
        with self._lock:
            self.counts.setdefault(check, [0, 0])
            self.failed[check] = self.failed.get(check, 0) + 1
            self.details.setdefault(check, f"{what}: {file}")
            if len(self.differences) < MOST_NAMED:
                found = {"check": check, "file": file, "what": what, "source": str(source), "target": str(target)}
                self.differences.append(found)

    def same(self, check: str, file: str, what: str, source: object, target: object) -> bool:
        """Compare two values and note it when they differ."""
        if source == target:
            return True
        self.differ(check, file, what, source, target)
        return False

    def observed(self, source: str, target: str) -> None:
        """Note that a source path has become a target path, and check that it is the right one."""
        expected = self.relocate(source)
        with self._lock:
            self.moved[source] = target
        if target != expected:
            self.differ("paths", target, "a file has another path than it should", expected, target)

    def read(self, check: str, store: FileStore, path: str) -> bytes | None:
        """Return a file's bytes, None (and a difference) when it is missing.

        :raises IceBridgeError: IB-421 or IB-422 when storage refuses or fails: that says nothing about the table.
        """
        try:
            return transient(lambda: store.read(path))
        except FileNotFoundError:
            self.differ(check, path, "is missing")
            return None
        except OSError as error:
            raise faults.from_os(self.table, path, error) from None

    def checksum(self, check: str, store: FileStore, path: str) -> tuple[int, int] | None:
        """Return a file's bytes and CRC-32, None (and a difference) when it is missing.

        :raises IceBridgeError: IB-421 or IB-422 when storage refuses or fails.
        """
        try:
            return transient(lambda: checksum(store, path))
        except FileNotFoundError:
            self.differ(check, path, "is missing")
            return None
        except OSError as error:
            raise faults.from_os(self.table, path, error) from None

    def target_of(self, path: str) -> str:
        """Return the target path of a data file: as the manifests say, else where it would have gone."""
        return self.moved.get(path) or self.relocate(path)

    def checks(self) -> tuple[Check, ...]:
        """Return one verdict for each name."""
        return tuple(self._check(name) for name in self.counts)

    def _check(self, name: str) -> Check:
        source, target = self.counts[name]
        found = self.failed.get(name, 0)
        detail = f"{found} differences; {self.details[name]}" if found else self.details.get(name, "")
        return Check(
            name=name, source=str(source), target=str(target), passed=not found and source == target, detail=detail
        )

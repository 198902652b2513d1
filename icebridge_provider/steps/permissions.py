"""The permissions file of a sync: read anew when it changes, the last good content kept, every decision on record."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from icebridge_provider.crash import side_effect
from icebridge_provider.exceptions import ConfigurationError, IceBridgeError
from icebridge_provider.model.bridge import Rights
from icebridge_provider.model.permissions import Permissions
from icebridge_provider.specs.files import read_bounded
from icebridge_provider.specs.permissions import parse_permissions
from icebridge_provider.specs.yaml import MAX_BYTES

STILL_SECONDS = 0.1  # a file that was the same at two looks so far apart is not being written
LOOKS = 5
_LOG = logging.getLogger(__name__)
_AUDIT = logging.getLogger("icebridge_provider.audit")
Signature = tuple[int, int, int, int]


class PermissionsFile:
    """What one user of ``permissions.yaml`` may do now; safe for several threads.

    A new content is taken whole or not at all: it must parse, be valid, and have been the same at two looks. Until then
    the last good one counts, and the log says why (IB-876).

    :param path: the file; who may write to it may give rights, so everybody must not (IB-801).
    :param user: the user of the file whose rights the sync has.
    :param audit_file: where audit records go besides the logger ``icebridge_provider.audit``; None is nowhere.
    :param source_ip: address of who asked, for audit records.
    :param still_seconds: how far two looks lie apart between which nobody must have written.
    """

    def __init__(
        self,
        path: Path | str,
        user: str,
        *,
        audit_file: Path | str | None = None,
        source_ip: str = "",
        still_seconds: float = STILL_SECONDS,
    ) -> None:
        self.path, self.user = Path(path), user
        self._audit_file = Path(audit_file) if audit_file else None
        self._source_ip = source_ip
        self._still_seconds = still_seconds
        self._lock = threading.Lock()
        self._good: Permissions | None = None
        self._seen: Signature | None = None
        self.problem = ""

    # Rights

    def rights(self) -> Rights:
        """Return the user's rights.

        :raises ConfigurationError: IB-875 when the file does not know the user, and what is wrong with the file (IB-800
            to IB-802, IB-876) when there was no good one yet.
        """
        found = self.permissions().rights(self.user)
        if found is None:
            raise ConfigurationError(
                "IB-875",
                f"{self.path} knows no user {self.user!r}.",
                remedy="Add the user to the file, or name another one as the sync's user.",
                path=str(self.path),
                user=self.user,
            )
        return found

    def permissions(self) -> Permissions:
        """Return the whole content that counts now."""
        good = self._good
        if not self._lock.acquire(blocking=good is None):
            return good or self.permissions()  # another thread looks already; what counted a moment ago counts
        try:
            self._look()
        finally:
            self._lock.release()
        if self._good is None:
            raise AssertionError("a look gives a content or an error")
        return self._good

    def _look(self) -> None:
        signature = self._signature()
        if self._good is not None and signature == self._seen:
            return
        try:
            signature, content = self._still()
            self._take(parse_permissions(content, str(self.path)))
        except IceBridgeError as error:
            if self._good is None:
                raise
            self._keep(error)
        self._seen = signature if signature is not None else self._seen

    def _still(self) -> tuple[Signature | None, bytes]:
        """Return the content once it is the same at two looks."""
        before = self._signature()
        for _ in range(LOOKS):
            content = read_bounded(self.path, MAX_BYTES, private=True)
            if not self._old(before):
                time.sleep(self._still_seconds)
            after = self._signature()
            if before is not None and before == after:
                return after, content
            before = after
        raise ConfigurationError(
            "IB-876",
            f"{self.path} is being written all the time.",
            remedy="Write the new content beside it and rename it over the file.",
            path=str(self.path),
        )

    def _old(self, signature: Signature | None) -> bool:
        """Whether a file was last written so long ago that nobody writes it now."""
        return signature is not None and time.time_ns() - signature[2] > 10 * self._still_seconds * 1e9

    def _signature(self) -> Signature | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode

    def _take(self, found: Permissions) -> None:
        self._good, self.problem = found, ""
        for warning in found.warnings:
            _LOG.warning("%s", warning)

    def _keep(self, error: IceBridgeError) -> None:
        text = f"IB-876 The new content of {self.path} is not taken, the last good one counts: {error}"
        if text != self.problem:
            _LOG.warning("%s", text)
        self.problem = text

    # The record

    def audit(self, *, event_type: str, resource: str, action: str, detail: str = "") -> None:
        """Write one record, a line of JSON with the fields that audit tools expect.

        :raises ConfigurationError: IB-877 when the audit file cannot be written: what is not on record is not done.
        """
        record = {
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "event_type": event_type,
            "user_name": self.user,
            "source_ip": self._source_ip,
            "resource": resource,
            "action": action,
        }
        line = json.dumps({**record, "detail": detail} if detail else record)
        _AUDIT.info("%s", line)
        if self._audit_file is not None:
            self._append(self._audit_file, f"{line}\n".encode())

    def _append(self, file: Path, line: bytes) -> None:
        try:
            with side_effect("audit.append"):
                descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    os.write(descriptor, line)  # one write: lines of several processes do not mix
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise ConfigurationError(
                "IB-877",
                f"The audit file {file} cannot be written: {error.strerror}.",
                remedy="Give the worker's user the right to write it, or name another file.",
                path=str(file),
            ) from None

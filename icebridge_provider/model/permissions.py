"""The file ``permissions.yaml`` as a value: users, what each may do, and the digests of their tokens."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from icebridge_provider.model.bridge import Rights


@dataclass(frozen=True, slots=True, kw_only=True)
class PermittedUser:
    """A user of the file; ``token_sha256`` (64 hex digits, lower case) is empty where none is given."""

    rights: Rights
    token_sha256: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """All users of a file; ``warnings`` say what should be written another way."""

    users: tuple[PermittedUser, ...] = ()
    warnings: tuple[str, ...] = ()

    def rights(self, user: str) -> Rights | None:
        """Return what a user may do, None when there is no user of just this name."""
        return next((item.rights for item in self.users if item.rights.user == user), None)

    def bearer(self, token: str) -> Rights | None:
        """Return the rights of a token's user, None without one; takes the same time whoever it is (CWE-208)."""
        given = hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest().encode()
        found = None
        for item in self.users:
            same = hmac.compare_digest(item.token_sha256.encode(), given)
            found = item.rights if same else found
        return found

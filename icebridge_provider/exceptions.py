"""Errors, cut by what the caller does next.

Every error has a stable code (``IB-nnn``, one section each in docs/errors.md), says what is wrong, how to mend it
and what had changed when it was raised. The facts behind the message are attributes in ``facts``.
"""

from __future__ import annotations

from typing import ClassVar

NOTHING_CHANGED = "Nothing changed."


class IceBridgeError(Exception):
    """Base of all errors that IceBridge raises on purpose.

    :param code: stable code, ``IB-`` and three digits.
    :param message: what is wrong, naming the object, file, line or column.
    :param remedy: what the reader does next.
    :param changed: what had been changed when the error was raised, and how to undo it.
    :param facts: the values in the message, for programs. Never a credential.
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self, code: str, message: str, *, remedy: str, changed: str = NOTHING_CHANGED, **facts: object
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.remedy = remedy
        self.changed = changed
        self.facts = facts

    def __str__(self) -> str:
        return f"[{self.code}] {self.message} {self.remedy} {self.changed}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.code, self.message, self.remedy, self.changed, self.facts))

    def to_json(self) -> dict[str, object]:
        """Return ``code, message, remedy, changed, facts`` as plain values."""
        facts = {key: str(value) for key, value in self.facts.items()}
        return {
            "code": self.code,
            "message": self.message,
            "remedy": self.remedy,
            "changed": self.changed,
            "facts": facts,
        }


def _rebuild(
    cls: type[IceBridgeError], code: str, message: str, remedy: str, changed: str, facts: dict[str, object]
) -> IceBridgeError:
    return cls(code, message, remedy=remedy, changed=changed, **facts)


class TransientError(IceBridgeError):
    """The same call may succeed later: retry it."""

    retryable = True


class ConfigurationError(IceBridgeError):
    """A person must change a setting, a connection, a file or a parameter."""


class PreflightFailed(IceBridgeError):
    """A rule refuses the table or the plan before anything was spent."""


class ValidationFailed(IceBridgeError):
    """Source and target differ, or a proof no longer holds."""


class LimitExceeded(IceBridgeError):
    """A limit that a person set (cost, deadline, failures, space) would be or was crossed."""


class FencedOut(IceBridgeError):
    """A newer owner holds the lease on this table; this process must stop touching it."""

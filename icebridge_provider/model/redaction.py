"""Keeps credentials out of everything that is stored or shown: finds them, and takes them out of texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
_OURS = re.compile(r"icebridge\.[a-z-]+|token")
_TOKEN = re.compile(r"[0-9a-f]{48}")
_SECRET_KEY = re.compile(
    r"(?i)(secret|password|passwd|credential|private[._-]?key|access[._-]?key|account[._-]?key|api[._-]?key"
    r"|sas[._-]?token|session[._-]?token|auth[._-]?token|oauth2?[._-]?token|bearer|connection[._-]?string"
    r"|(^|[._-])(token|pwd)$)"
)
_USER_INFO = re.compile(r"(?i)([a-z][a-z0-9+.-]*://)[^/\s@]+@")
_PASSWORD_IN_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]*://[^/\s@:]*:[^/\s@]+@")
_PAIR = re.compile(
    r"(?i)\b([\w.-]*(?:password|passwd|pwd|secret(?:_?key)?|token|credential|signature|access_?key)|sig)(\s*[=:]\s*)"
    r"(?!\*\*\*)[^\s&;,'\"]+"
)
_QUOTED_PAIR = re.compile(r"(?i)(password|secret(?:_?key)?|token|access_?key)(\s*[=:]\s*)(['\"])(?!\*\*\*)[^'\"]+\3")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+(?=\S*\d)[a-z0-9._~+/=-]{16,}")
_AWS_KEY = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_STRONG = (_PASSWORD_IN_ADDRESS, _PRIVATE_KEY, _AWS_KEY, _BEARER, re.compile(r"(?i)x-amz-(signature|security-token)="))


def redacted(properties: Mapping[str, object]) -> dict[str, str]:
    """Return the properties as texts, with ``***`` for every value that looks like a credential."""
    return {
        str(key): HIDDEN if _is_secret(str(key), value) else scrubbed(str(value)) for key, value in properties.items()
    }


def scrubbed(text: str) -> str:
    """Return ``text`` without user information in addresses, passwords in pairs, bearer values and AWS key ids."""
    text = _USER_INFO.sub(rf"\1{HIDDEN}@", text)
    text = _QUOTED_PAIR.sub(rf"\1\2\3{HIDDEN}\3", text)
    text = _PAIR.sub(rf"\1\2{HIDDEN}", text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    return _AWS_KEY.sub(HIDDEN, text)


def credential_in(value: Any, path: str = "$") -> str | None:
    """Return where in a JSON value something looks like a credential, None when nothing does."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(item, str) and _is_secret(str(key), item):
                return f"{path}.{key}"
            found = credential_in(item, f"{path}.{key}")
            if found:
                return found
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            found = credential_in(item, f"{path}[{number}]")
            if found:
                return found
    elif isinstance(value, str) and any(pattern.search(value) for pattern in _STRONG):
        return path
    return None


def _is_secret(key: str, value: object) -> bool:
    """Whether the key names a secret; our own 48-digit names of side effects are none."""
    if not _SECRET_KEY.search(key) or value in {"", HIDDEN, None}:
        return False
    return not (_OURS.fullmatch(key) and _TOKEN.fullmatch(str(value)))

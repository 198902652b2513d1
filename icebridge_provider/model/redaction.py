"""Keeps credentials out of everything that is stored or shown: finds them, and takes them out of texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

HIDDEN = "***"
_OURS = re.compile(r"icebridge\.[a-z-]+|(idempotency_)?token")
_TOKEN = re.compile(r"[0-9a-f]{48}")
_SECRET_KEY = re.compile(  # as the last word of a part of the name, so that a table password_resets is none
    r"(?i)(password|passwd|passphrase|(^|[._-])pwd|secret|credentials?|private[._-]?key|access[._-]?key([._-]?id)?"
    r"|account[._-]?key|api[._-]?key|secret[._-]?key|connection[._-]?string|(^|[._-])(bearer|sas|authorization)"
    r"|(^|[._-]|oauth2?|access|auth|session|refresh|sas|id)token|x-amz-signature)"
    r"([._-]?(base64|pem|value|text|json))?(?=$|\.)"
)
_HARMLESS = re.compile(  # types and transforms: a column may be called password
    r"(?i)true|false|boolean|int|long|float|double|date|time|timestamp(tz)?(_ns)?|string|uuid|binary"
    r"|(decimal|fixed|list|map|struct)[(\[<].*|identity|void|bucket\[\d+\]|truncate\[\d+\]"
)
_USER_INFO = re.compile(r"(?i)([a-z][a-z0-9+.-]*://)[^/\s@]+@")
_PASSWORD_IN_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]*://[^/\s@:]*:(?!\*\*\*@)[^/\s@]+@")
_PAIR = re.compile(  # in running text, JSON and connection strings: name, separator, value with or without quotes
    r"(?i)((?:password|passwd|passphrase|\bpwd|secret|credentials?|private[._-]?key|access[._-]?key(?:[._-]?id)?"
    r"|account[._-]?key|api[._-]?key|secret[._-]?key|connection[._-]?string|token|authorization|\bsas|\bsig|signature)"
    r"(?:[._-]?(?:base64|pem|value|text|json))?\\?[\"']?\s*[=:]\s*)"
    r"(?:(\\?[\"'])(?!\*\*\*)[^\"']+\2|(?!(?:(?:bearer|basic)\s+)?\*\*\*)(?:(?:bearer|basic)\s+)?[^\s&;,\"'\\]+)"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+(?=\S*\d)[a-z0-9._~+/=-]{16,}")
_AWS_KEY = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PRIVATE_KEY_BLOCK = re.compile(r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)")
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")
_SIGNED_ADDRESS = re.compile(r"(?i)(x-amz-(signature|security-token)|x-goog-signature|[?&]sig)=(?!\*\*\*)")
_STRONG = re.compile(
    "|".join(
        f"(?:{'(?i:' if pattern.flags & re.IGNORECASE else '(?:'}{pattern.pattern.removeprefix('(?i)')}))"
        for pattern in (_PASSWORD_IN_ADDRESS, _PRIVATE_KEY, _AWS_KEY, _BEARER, _SIGNED_ADDRESS)
    )
)


def redacted(properties: Mapping[str, object]) -> dict[str, str]:
    """Return the properties as texts, with ``***`` for every value that looks like a credential."""
    return {
        str(key): HIDDEN if _is_secret(str(key), value) else scrubbed(str(value)) for key, value in properties.items()
    }


def scrubbed(text: str) -> str:
    """Return ``text`` without user information in addresses, passwords in pairs, bearer values and keys.

    Text that hides a credential behind percent signs is decoded first.
    """
    if "%" in text and _ESCAPED.search(text):
        plain = unquote(text)
        if plain != text and _scrubbed(plain) != plain:
            return scrubbed(plain)
    return _scrubbed(text)


def _scrubbed(text: str) -> str:
    text = _USER_INFO.sub(rf"\1{HIDDEN}@", text)
    text = _PRIVATE_KEY_BLOCK.sub(HIDDEN, text)
    text = _PAIR.sub(_hide_value, text)
    text = _BEARER.sub(rf"\1 {HIDDEN}", text)
    return _AWS_KEY.sub(HIDDEN, text)


def _hide_value(pair: re.Match[str]) -> str:
    quote = pair.group(2) or ""
    return f"{pair.group(1)}{quote}{HIDDEN}{quote}"


def hidden(value: Any) -> Any:
    """Return a JSON value in which everything that looks like a credential is ``***``."""
    if isinstance(value, Mapping):
        return {
            scrubbed(str(key)): HIDDEN if isinstance(item, str) and _is_secret(str(key), item) else hidden(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [hidden(item) for item in value]
    return HIDDEN if isinstance(value, str) and _is_strong(value) else value


def credential_in(value: Any, path: str = "$") -> str | None:
    """Return where in a JSON value something looks like a credential, None when nothing does."""
    if isinstance(value, str):
        return path if _is_strong(value) else None
    if isinstance(value, Mapping):
        for key, item in value.items():
            if _is_strong(str(key)):
                return f"{path} (a key)"
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
    return None


def _is_strong(text: str) -> bool:
    """Whether the text has the unmistakable shape of a credential, also behind percent signs."""
    if _STRONG.search(text):
        return True
    return "%" in text and _ESCAPED.search(text) is not None and _STRONG.search(unquote(text)) is not None


def _is_secret(key: str, value: object) -> bool:
    """Whether the key names a secret; our own 48-digit names of side effects are none, nor are names of types."""
    if value in {"", HIDDEN, None} or not _SECRET_KEY.search(key) or _HARMLESS.fullmatch(str(value)):
        return False
    return not (_OURS.fullmatch(key) and _TOKEN.fullmatch(str(value)))

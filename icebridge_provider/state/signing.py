"""Signs certificates with Ed25519 (RFC 8032) and verifies them with nothing but the public key."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model import codec
from icebridge_provider.ports import Signer
from icebridge_provider.validation.certificate import digest_of


class Ed25519Signer:
    """Implements ``ports.Signer``.

    :param pem: private key, PKCS #8 PEM without a passphrase, from a connection or secrets backend.
    :raises ConfigurationError: IB-130 when it is no Ed25519 key; the key is not shown.
    """

    def __init__(self, pem: str) -> None:
        try:
            key = serialization.load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError(
                "IB-130",
                "The signing key is not an Ed25519 private key in PEM form without a passphrase.",
                remedy="Make one: openssl genpkey -algorithm ed25519; put it into the signing connection's password.",
            ) from None
        self._key = key

    def __repr__(self) -> str:
        return f"Ed25519Signer(key_id={self.key_id!r})"

    @property
    def key_id(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the public key."""
        return key_id_of(self.public_pem)

    @property
    def public_pem(self) -> str:
        """The public key, to be given to whoever verifies."""
        encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        return self._key.public_key().public_bytes(encoding, form).decode()

    def sign(self, message: bytes) -> bytes:
        """Return the signature, 64 bytes."""
        return self._key.sign(message)


def key_id_of(public_pem: str) -> str:
    """Return the id of a public key."""
    return hashlib.sha256(_public(public_pem).public_bytes_raw()).hexdigest()[:16]


def sealed(certificate: Mapping[str, Any], signer: Signer | None) -> dict[str, Any]:
    """Return the stored form: the certificate, its digest, and the signature over its canonical JSON, if any."""
    made: dict[str, Any] = {"certificate": dict(certificate), "digest": digest_of(certificate), "signed": False}
    if signer is None:
        return {**made, "signature": None, "key_id": None}
    signature = base64.b64encode(signer.sign(codec.canonical(certificate).encode())).decode()
    return {**made, "signed": True, "signature": signature, "key_id": signer.key_id}


def problems_of(document: Mapping[str, Any], public_keys: Mapping[str, str]) -> list[str]:
    """Return what is wrong with a stored certificate, in words; nothing when it holds.

    :param public_keys: PEM texts by key id. An unsigned certificate is reported as such by ``signed``, not here.
    """
    name = document.get("certificate", {}).get("names", {}).get("source", "?")
    found = []
    if digest_of(document.get("certificate", {})) != document.get("digest"):
        found.append(f"the certificate of {name} was changed: its digest does not fit")
    if not document.get("signed"):
        return found
    pem = public_keys.get(str(document.get("key_id")))
    if pem is None:
        return [*found, f"the certificate of {name} is signed by key {document.get('key_id')}, which is not at hand"]
    try:
        signature = base64.b64decode(str(document.get("signature")), validate=True)
        _public(pem).verify(signature, codec.canonical(document["certificate"]).encode())
    except (InvalidSignature, ValueError):
        found.append(f"the signature on the certificate of {name} is wrong")
    return found


def _public(pem: str) -> Ed25519PublicKey:
    try:
        key = serialization.load_pem_public_key(pem.encode())
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigurationError(
            "IB-131",
            "A public key is not an Ed25519 key in PEM form.",
            remedy="Give the file that `openssl pkey -pubout` writes.",
        ) from None
    return key

"""Signs certificates with Ed25519 (RFC 8032) and verifies them with nothing but the public key."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
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
    """Return the id of a public key: the start of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(_public(public_pem).public_bytes_raw()).hexdigest()[:16]


def verify(public_pem: str, message: bytes, signature: bytes) -> bool:
    """Say whether the signature is this key's over this message."""
    try:
        _public(public_pem).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def keys_by_id(pems: Iterable[str]) -> dict[str, str]:
    """Return public keys by their ids, as verification wants them.

    :raises ConfigurationError: IB-131 when one is no Ed25519 public key.
    """
    return {key_id_of(pem): pem for pem in pems}


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
    certificate = document.get("certificate")
    if not isinstance(certificate, Mapping):
        return ["a certificate has lost its content"]
    name = name_of(document)
    found = []
    if digest_of(certificate) != document.get("digest"):
        found.append(f"the certificate of {name} was changed: its digest does not fit")
    if document.get("signed") is not True:
        torn = document.get("signature") or document.get("key_id") or document.get("signed") is not False
        return [*found, f"the certificate of {name} says unsigned but carries a signature"] if torn else found
    return [*found, *_signature_problems(document, certificate, name, public_keys)]


def name_of(document: Mapping[str, Any]) -> str:
    """Return the source table of a stored certificate, as far as it can still be read."""
    certificate = document.get("certificate")
    names = certificate.get("names") if isinstance(certificate, Mapping) else None
    return str(names.get("source", "?")) if isinstance(names, Mapping) else "?"


def _signature_problems(
    document: Mapping[str, Any], certificate: Mapping[str, Any], name: str, public_keys: Mapping[str, str]
) -> list[str]:
    key_id = str(document.get("key_id"))
    pem = public_keys.get(key_id)
    if pem is None:
        return [f"the certificate of {name} is signed by key {key_id}, which is not at hand"]
    if key_id_of(pem) != key_id:
        return [f"the key given as {key_id} is another key"]
    try:
        signature = base64.b64decode(str(document.get("signature")), validate=True)
    except ValueError:
        signature = b""
    if not verify(pem, codec.canonical(certificate).encode(), signature):
        return [f"the signature on the certificate of {name} is wrong"]
    return []


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

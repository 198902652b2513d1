from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model import codec
from icebridge_provider.state.signing import Ed25519Signer, key_id_of, keys_by_id, problems_of, sealed, verify
from tests.support.migrations import private_pem

CERTIFICATE: dict[str, Any] = {
    "format": "icebridge-certificate-1",
    "names": {"source": "a.b.c", "target": "d.e.f"},
    "source": {"snapshots": [1, 2**62], "schema": {"fields": [{"name": "ünï", "required": False}]}},
    "proof": {"rows": 3, "sum128": "123456789"},
    "approval": None,
}
RFC8032_KEY = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
RFC8032_PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
RFC8032_SIGNATURE = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
    "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)


def pem_of(public: bytes) -> str:
    encoding, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    return Ed25519PublicKey.from_public_bytes(public).public_bytes(encoding, form).decode()


def test_the_standard_s_own_vector() -> None:
    """RFC 8032, section 7.1, test 1: the signature over the empty message."""
    pem = pem_of(RFC8032_PUBLIC)
    assert verify(pem, b"", RFC8032_SIGNATURE)
    assert not verify(pem, b"x", RFC8032_SIGNATURE)
    assert key_id_of(pem) == "21fe31dfa154a261"  # sha256 of the 32 bytes above, begun


def test_what_was_signed_can_be_checked_without_us() -> None:
    signer = Ed25519Signer(private_pem())
    document = sealed(CERTIFICATE, signer)
    public = serialization.load_pem_public_key(signer.public_pem.encode())
    assert isinstance(public, Ed25519PublicKey)
    public.verify(base64.b64decode(document["signature"]), codec.canonical(CERTIFICATE).encode())
    assert (document["signed"], document["key_id"], len(document["key_id"])) == (True, signer.key_id, 16)
    assert problems_of(document, keys_by_id([signer.public_pem])) == []


def test_keys_rotate_by_id() -> None:
    old, new = Ed25519Signer(private_pem()), Ed25519Signer(private_pem())
    both = keys_by_id([old.public_pem, new.public_pem])
    documents = [sealed(CERTIFICATE, old), sealed(CERTIFICATE, new)]
    assert [problems_of(document, both) for document in documents] == [[], []]
    only_new = keys_by_id([new.public_pem])
    assert problems_of(documents[0], only_new) == [
        f"the certificate of a.b.c is signed by key {old.key_id}, which is not at hand"
    ]


def test_another_key_under_the_same_id_is_found() -> None:
    signer, other = Ed25519Signer(private_pem()), Ed25519Signer(private_pem())
    forged = {**sealed(CERTIFICATE, other), "key_id": signer.key_id}
    given = {signer.key_id: other.public_pem}
    assert problems_of(forged, given) == [f"the key given as {signer.key_id} is another key"]
    right = {signer.key_id: signer.public_pem}
    assert problems_of(forged, right) == ["the signature on the certificate of a.b.c is wrong"]


def test_an_unsigned_certificate_says_so_and_is_no_problem() -> None:
    document = sealed(CERTIFICATE, None)
    assert (document["signed"], document["signature"], document["key_id"]) == (False, None, None)
    assert problems_of(document, {}) == []


def _changes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in _changes(item, (*path, key))]
    if isinstance(value, list):
        return [found for number, item in enumerate(value) for found in _changes(item, (*path, number))]
    return [path]


def _changed(document: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    copy = json.loads(codec.canonical(document))
    place = copy
    for step in path[:-1]:
        place = place[step]
    old = place[path[-1]]
    place[path[-1]] = {bool: not old, int: 7, str: f"{old}x", type(None): "x"}[type(old)]
    return dict(copy)


@pytest.mark.parametrize("with_key", [True, False], ids=["signed", "unsigned"])
def test_any_change_of_any_field_is_found(with_key: bool) -> None:
    signer = Ed25519Signer(private_pem())
    document = sealed(CERTIFICATE, signer if with_key else None)
    keys = keys_by_id([signer.public_pem])
    paths = _changes(document)
    assert len(paths) > 12
    missed = [path for path in paths if not problems_of(_changed(document, path), keys)]
    assert missed == []


def test_a_flipped_bit_anywhere_in_the_signature_is_found() -> None:
    signer = Ed25519Signer(private_pem())
    document, keys = sealed(CERTIFICATE, signer), keys_by_id([signer.public_pem])
    raw = base64.b64decode(document["signature"])
    for bit in random.Random(1).sample(range(512), 64):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        changed = {**document, "signature": base64.b64encode(bytes(flipped)).decode()}
        assert problems_of(changed, keys) == ["the signature on the certificate of a.b.c is wrong"]


@pytest.mark.parametrize(
    "strange", [{}, {"certificate": None}, {"certificate": []}, {"certificate": {}}, {"signed": 1}]
)
def test_strange_documents_are_named_not_raised(strange: dict[str, Any]) -> None:
    assert problems_of(strange, {})


@pytest.mark.parametrize("what", ["", "no key", "public", "curve", "passphrase"])
def test_what_is_no_signing_key_is_refused_without_showing_it(what: str) -> None:
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    curve = generate_private_key(SECP256R1())
    given = {
        "public": pem_of(RFC8032_PUBLIC),
        "curve": curve.private_bytes(pem, form, serialization.NoEncryption()).decode(),
        "passphrase": curve.private_bytes(pem, form, serialization.BestAvailableEncryption(b"x")).decode(),
    }.get(what, what)
    with pytest.raises(ConfigurationError, match=r"IB-130.*openssl genpkey") as caught:
        Ed25519Signer(given)
    assert not given or given not in str(caught.value)


def test_a_signer_does_not_show_its_key() -> None:
    pem = private_pem()
    signer = Ed25519Signer(pem)
    assert signer.key_id in repr(signer)
    assert pem.splitlines()[1] not in f"{signer!r}{vars(signer)}"
    with pytest.raises(ConfigurationError, match="IB-131"):
        keys_by_id([pem])

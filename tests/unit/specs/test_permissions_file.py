"""permissions.yaml gives just the rights it says, and names the place of what it cannot mean."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.bridge import Access, Grant
from icebridge_provider.specs.permissions import parse_permissions, read_permissions

SEED = b"""users:
  - token: "project-token"
    name: "project-name"
    permissions:
      - table: "dbo.Table"
        access: "read_write"
        max_delete_rows: 10000
"""


def test_the_seeds_file_is_read_and_its_plain_token_warned_about() -> None:
    found = parse_permissions(SEED, "p.yaml")
    rights = found.rights("project-name")
    assert rights is not None
    assert rights.grants == (Grant(table="dbo.Table", access=Access.READ_WRITE, max_delete_rows=10000),)
    assert found.rights("Project-Name") is None
    assert found.warnings == (
        "p.yaml:2:5: the token of 'project-name' stands in the clear; write token_sha256 with its SHA-256 instead",
    )
    assert "project-token" not in repr(found)
    assert hashlib.sha256(b"project-token").hexdigest() not in repr(found)


def test_tokens_are_known_by_their_digest_in_any_case_of_its_digits() -> None:
    digest = hashlib.sha256("tokén".encode()).hexdigest()
    found = parse_permissions(f"users:\n- {{name: a, token_sha256: '{digest.upper()}'}}\n- name: b\n".encode(), "p")
    known = found.bearer("tokén")
    assert known is not None
    assert known.user == "a"
    assert not found.warnings
    assert found.bearer("token") is found.bearer("") is found.bearer("\ud800") is None


def test_missing_means_nothing_may_be_deleted_and_tables_have_one_spelling() -> None:
    found = parse_permissions(b"users:\n- name: a\n  permissions:\n  - {table: '`my db`.`a.b`', access: write}\n", "p")
    rights = found.rights("a")
    assert rights is not None
    grant = rights.on("`my db`.`a.b`")
    assert grant == Grant(table="`my db`.`a.b`", access=Access.WRITE, max_delete_rows=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "p:1:1: the key 'users' is missing"),
        ("- a", "p:1:1: the file: it should be a valid dictionary"),
        ("users:\n- nam: x", "there is no key users[0].nam; did you mean name?"),
        (
            "users:\n- name: x\n  permissions:\n  - {table: a.b, acess: read}",
            "p:4:18: there is no key users[0].permissions[0].acess; did you mean access?",
        ),
        (
            "users:\n- name: x\n  permissions:\n  - {table: a.b, access: all}",
            "p:4:26: users[0].permissions[0].access: it should be 'read', 'write' or 'read_write'",
        ),
        ("users:\n- name: x\n  permissions:\n  - {table: a.b.c, access: read}", "p:4:13: 'a.b.c' is not schema.table"),
        ("users:\n- name: x\n  permissions:\n  - {table: t, access: read}", "p:4:13: 't' is not schema.table"),
        (
            "users:\n- name: x\n  permissions:\n  - {table: 'a..b', access: read}",
            "p:4:13: 'a..b': a name part is missing",
        ),
        (
            "users:\n- name: x\n  permissions:\n  - {table: a.b, access: read, max_delete_rows: true}",
            "p:4:49: users[0].permissions[0].max_delete_rows: it should be a valid integer",
        ),
        (
            "users:\n- name: x\n  permissions:\n  - {table: a.b, access: read, max_delete_rows: -1}",
            "greater than or equal to 0",
        ),
        (
            "users:\n- name: x\n  permissions:\n  - {table: a.b, access: read, max_delete_rows: '5'}",
            "should be a valid integer",
        ),
        ("users:\n- name: 5", "p:2:9: users[0].name: it should be a valid string"),
        ("users:\n- name: ''", "at least 1 character"),
        ("users:\n- name: a\n- name: a", "p:3:3: another user has the same name"),
        ("users:\n- {name: a, token: x}\n- {name: b, token: x}", "p:3:3: another user has the same token"),
        (
            "users:\n- name: a\n  permissions:\n  - {table: a.b, access: read}\n  - {table: '`a`.b', access: write}",
            "p:5:13: a.b stands twice",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(content: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_permissions(content.encode(), "p")
    assert caught.value.code == "IB-802"
    assert message in caught.value.message


def test_a_complaint_never_repeats_a_token() -> None:
    digest = hashlib.sha256(b"s3cr3t").hexdigest()
    for entry in (
        "token: [s3cr3t]",
        "token_sha256: s3cr3t",
        f"token: s3cr3t, token_sha256: '{digest}'",
        "tokn: s3cr3t",
    ):
        with pytest.raises(ConfigurationError) as caught:
            parse_permissions(f"users:\n- {{name: a, {entry}}}".encode(), "p")
        assert "s3cr3t" not in str(caught.value)
        assert digest not in str(caught.value)
        assert "p:2:" in caught.value.message


def test_a_file_that_everybody_may_write_grants_nothing(tmp_path: Path) -> None:
    path = tmp_path / "permissions.yaml"
    path.write_bytes(SEED)
    path.chmod(0o644)
    assert read_permissions(path).users
    path.chmod(0o646)
    with pytest.raises(ConfigurationError, match="everybody may write it"):
        read_permissions(path)

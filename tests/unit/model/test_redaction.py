from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest

from icebridge_provider.model.redaction import HIDDEN, credential_in, hidden, redacted, scrubbed

CANARY = "Can4ry-Zx81qQwErTy7"
PEM = f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"
NAMED = (
    "password", "s3.secret-access-key", "s3.session-token", "s3.access-key-id", "token", "credential", "client-secret",
    "adls.account-key", "adls.connection-string", "gcs.oauth2.token", "adls.sas-token.acc.dfs.core.windows.net",
    "fs.azure.account.key.acc.dfs.core.windows.net", "private_key", "header.Authorization", "db_password", "PWD",
    "aws_secret_access_key", "sasl.jaas.passwd", "api_key", "refresh_token", "X-Amz-Signature", "secret_key_base64",
)  # fmt: skip
IN_TEXT = (
    f"postgresql://me:{CANARY}@db/x",
    f"https://{CANARY}@host/path",
    f"s3://bucket/key?X-Amz-Signature={CANARY}&x=1",
    f"Authorization: Bearer {CANARY}",
    f"Driver=x;Uid=me;Pwd={CANARY};Server=y",
    f"CREDENTIALS=(AWS_KEY_ID='k' AWS_SECRET_KEY='{CANARY}')",
    f"login failed, password: {CANARY}",
    f"token={CANARY} is expired",
    f"https://acc.blob/x?sv=1&sig={CANARY}",
    PEM,
)
ENCODINGS = {
    "plain": lambda text: text,
    "address": lambda text: quote(text, safe=""),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "json": lambda text: json.dumps({"inner": text}),
}
LEGITIMATE: tuple[Any, ...] = (
    {"lake.auth.password_resets": "copied"},
    {"tables": ["lake.auth.passwords_old", "token_usage", "secret_santa"]},
    {"columns": [{"name": "password", "type": "string"}, {"name": "token", "type": "long"}]},
    {"password": "string", "token": "decimal(10, 2)", "secret": "list<string>"},
    {"token": "0123456789abcdef" * 3, "icebridge.token": "0123456789abcdef" * 3},
    {"nulls": {"password": 3, "token": 0}},
    {"metadata_location": "s3://lake/token=7/password_resets/metadata/v1.json", "write.metadata.compression": "gzip"},
    {"partition": "token=7", "path": "file:///x/sig=1/part%20one.parquet"},
    {"bloom": {"write.parquet.bloom-filter-enabled.column.password": "true"}},
    {"signature": "bm90IGEgc2VjcmV0", "key_id": "332e0027051c3458", "digest": "ab" * 32},
    {"address": "thrift://host:9083", "mail": "maria@example.com", "uri": "https://host/path@version"},
    {"s3.endpoint": "http://127.0.0.1:9000", "token-refresh-enabled": "true", "s3.remote-signing-enabled": "false"},
)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", NAMED)
def test_a_named_secret_is_hidden_in_every_encoding(name: str, encoding: str) -> None:
    value = ENCODINGS[encoding](CANARY)
    assert redacted({name: value, "owner": "maria"}) == {name: HIDDEN, "owner": "maria"}
    assert credential_in({"a": [{name: value}]}) == f"$.a[0].{name}"
    assert hidden({"a": [{name: value}]}) == {"a": [{name: HIDDEN}]}
    assert credential_in(hidden({name: value})) is None


@pytest.mark.parametrize("encoding", ["plain", "address"])
@pytest.mark.parametrize("text", IN_TEXT)
def test_a_secret_in_a_text_is_taken_out(text: str, encoding: str) -> None:
    shown = scrubbed(ENCODINGS[encoding](text))
    assert CANARY not in shown
    assert HIDDEN in shown
    assert scrubbed(shown) == shown


@pytest.mark.parametrize("legitimate", LEGITIMATE, ids=str)
def test_what_only_sounds_like_a_secret_is_left_alone(legitimate: Any) -> None:
    assert credential_in(legitimate) is None
    assert hidden(legitimate) == legitimate


def test_a_secret_in_a_key_is_found_too() -> None:
    assert credential_in({"jdbc": {f"postgresql://me:{CANARY}@db": 1}}) == "$.jdbc (a key)"
    assert CANARY not in str(hidden({f"postgresql://me:{CANARY}@db": 1}))


def test_what_is_hidden_already_is_no_secret() -> None:
    assert credential_in({"password": HIDDEN, "token": "", "url": f"postgresql://me:{HIDDEN}@db"}) is None
    assert credential_in({"url": f"postgresql://me:{CANARY}@db"}) == "$.url"


def test_ordinary_text_is_left_alone() -> None:
    for text in ("The table token_usage has 3 rows.", "100% done", "a%20b", "Basic types only", "bearer of bad news"):
        assert scrubbed(text) == text

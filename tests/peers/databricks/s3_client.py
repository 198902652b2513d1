"""The few calls of S3 that an export needs, signed (version 4): the stand-ins' environment has no S3 client."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

SECONDS = 30


class StoreError(Exception):
    """The store refused, or was not there."""


class Object(NamedTuple):
    """An object of a listing, by its key."""

    key: str
    size: int


@dataclass(frozen=True, kw_only=True)
class S3:
    """An S3 server, addressed by path: ``http://host:port/bucket/key``."""

    endpoint: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object, whole."""
        self._asked("PUT", bucket, key, data=data)

    def get(self, bucket: str, key: str) -> bytes:
        """Read an object."""
        return self._asked("GET", bucket, key)

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object; one that is not there is success."""
        self._asked("DELETE", bucket, key)

    def list(self, bucket: str, prefix: str) -> list[Object]:
        """Every object whose key begins so."""
        found: list[Object] = []
        query = {"list-type": "2", "prefix": prefix}
        while True:
            tree = ET.fromstring(self._asked("GET", bucket, "", query))
            found += [Object(_text(one, "Key"), int(_text(one, "Size"))) for one in tree.iter() if _is(one, "Contents")]
            more = next((one.text for one in tree.iter() if _is(one, "NextContinuationToken")), None)
            if not more:
                return found
            query["continuation-token"] = more

    def _asked(
        self, method: str, bucket: str, key: str, query: dict[str, str] | None = None, data: bytes = b""
    ) -> bytes:
        where = urlsplit(self.endpoint)
        path = "/" + quote(f"{bucket}/{key}" if key else bucket, safe="/-_.~")
        text = "&".join(f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted((query or {}).items()))
        headers = self._signed(method, where.netloc, path, text, data)
        kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
        connection = kind(where.netloc, timeout=SECONDS)
        try:
            connection.request(method, f"{path}?{text}" if text else path, body=data, headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        except OSError as error:
            raise StoreError(f"{method} s3://{bucket}/{key}: {error}") from None
        finally:
            connection.close()
        if answer.status >= 300:
            raise StoreError(f"{method} s3://{bucket}/{key}: {answer.status} {body[:300].decode(errors='replace')}")
        return body

    def _signed(self, method: str, host: str, path: str, query: str, data: bytes) -> dict[str, str]:
        """https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html."""
        now = datetime.datetime.now(datetime.UTC)
        stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        digest = hashlib.sha256(data).hexdigest()
        headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": stamp}
        names = ";".join(headers)
        listed = "".join(f"{key}:{value}\n" for key, value in headers.items())
        asked = hashlib.sha256(f"{method}\n{path}\n{query}\n{listed}\n{names}\n{digest}".encode()).hexdigest()
        scope = f"{day}/{self.region}/s3/aws4_request"
        signing = f"AWS4{self.secret_key}".encode()
        for part in (day, self.region, "s3", "aws4_request"):
            signing = hmac.digest(signing, part.encode(), "sha256")
        sign = hmac.digest(signing, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{asked}".encode(), "sha256").hex()
        given = f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={names}, Signature={sign}"
        return {**headers, "Authorization": given}


def _is(one: ET.Element, name: str) -> bool:
    return one.tag.rpartition("}")[2] == name


def _text(one: ET.Element, name: str) -> str:
    return next((child.text or "" for child in one if _is(child, name)), "")

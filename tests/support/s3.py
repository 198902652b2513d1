"""An S3 server on the loopback, for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
from moto.server import ThreadedMotoServer

BUCKET = "bucket"


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """Start a server with one bucket and give the properties that reach it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        properties = {
            "s3.endpoint": f"http://{host}:{port}",
            "s3.access-key-id": "key",
            "s3.secret-access-key": "secret",
            "s3.region": "us-east-1",
        }
        client = boto3.client(
            "s3",
            endpoint_url=properties["s3.endpoint"],
            aws_access_key_id=properties["s3.access-key-id"],
            aws_secret_access_key=properties["s3.secret-access-key"],
            region_name=properties["s3.region"],
        )
        client.create_bucket(Bucket=BUCKET)
        yield properties
    finally:
        server.stop()

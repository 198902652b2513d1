"""An S3 server in a process of its own, moto's: ``python -m tests.peers.s3 --bucket NAME``.

It prints one JSON line (endpoint, key, secret, region, bucket), keeps everything in memory and ends when its standard
input closes. Runs in the product's own environment, whose test group has moto.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

import boto3
from moto.server import ThreadedMotoServer

REGION = "us-east-1"


def main(arguments: list[str]) -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.s3", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--bucket", required=True, help="made at the start")
    given = parser.parse_args(arguments)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=given.port, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    told = {"endpoint": f"http://{host}:{port}", "key": "key", "secret": "secret", "region": REGION}
    keys = {"aws_access_key_id": told["key"], "aws_secret_access_key": told["secret"]}
    boto3.client("s3", endpoint_url=told["endpoint"], region_name=REGION, **keys).create_bucket(Bucket=given.bucket)
    print(json.dumps({**told, "bucket": given.bucket}), flush=True)
    while os.read(0, 4096):
        pass
    sys.stdout.flush()
    os._exit(0)  # threads that still serve a request may not hold the process


if __name__ == "__main__":
    main(sys.argv[1:])

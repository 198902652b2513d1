"""Run a local Databricks workspace: ``python -m tests.peers.databricks --folder F``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import uvicorn

from tests.peers.databricks.app import build
from tests.peers.databricks.exports import connect
from tests.peers.databricks.world import World

# The SQL parser calls itself about 25 times for each level of a nested expression.
DEEPEST, STACK_BYTES = 20_000, 64 * 1024**2


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM or until standard input closes."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.databricks", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where data and state live")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--no-spark", action="store_true", help="no SQL and no jobs: starts in a second")
    parser.add_argument("--s3-endpoint", default="", help="S3 server of exports; keys from AWS_ACCESS_KEY_ID and so on")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    sys.setrecursionlimit(DEEPEST)
    threading.stack_size(STACK_BYTES)
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    signal.signal(signal.SIGINT, lambda *_: end.set())
    threading.Thread(target=_wait_for_end_of_input, args=(end,), daemon=True).start()
    listener = socket.create_server(("127.0.0.1", given.port))
    # Sockets of connections inherit it; else answers wait 40 ms each, for headers and body are two packets.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    world = World(given.folder, f"http://127.0.0.1:{listener.getsockname()[1]}")
    if given.s3_endpoint:
        connect(world, given.s3_endpoint)
    server = _serve(world, listener)
    try:
        if not given.no_spark:
            _start_spark(world)
        print(json.dumps({"url": world.url, "admin_token": world.admin_token}), flush=True)
        end.wait()
    finally:
        server.should_exit = True
        if world.spark is not None:
            world.spark.stop()
    sys.stdout.flush()
    os._exit(0)  # threads that still serve a request may not hold the process


def _serve(world: World, listener: socket.socket) -> uvicorn.Server:
    options = {"log_level": "critical", "access_log": False, "proxy_headers": False}
    server = uvicorn.Server(uvicorn.Config(build(world), timeout_keep_alive=60, **options))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    return server


def _start_spark(world: World) -> None:
    from tests.peers.databricks.spark_server import SparkServer

    world.spark = SparkServer(world.folder)
    world.spark.start()


def _wait_for_end_of_input(end: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    end.set()


if __name__ == "__main__":
    main(sys.argv[1:])

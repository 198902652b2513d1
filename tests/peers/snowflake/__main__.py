"""Run a local Snowflake account: ``python -m tests.peers.snowflake --folder F``."""

from __future__ import annotations

import argparse
import json
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import uvicorn

from tests.peers.snowflake import tls
from tests.peers.snowflake.admin_api import Orders
from tests.peers.snowflake.app import Routes, build
from tests.peers.snowflake.engine import Engine
from tests.peers.snowflake.faults import Faults
from tests.peers.snowflake.world import User, World

# The SQL parser calls itself about 25 times for each level of a nested expression.
DEEPEST, STACK_BYTES = 20_000, 64 * 1024**2
ADMIN = "ICEBRIDGE"


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM or until standard input closes."""
    parser = argparse.ArgumentParser(prog="python -m tests.peers.snowflake", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the certificates are written")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--s3-endpoint", help="the S3 server that stages read; its keys stand in AWS_ACCESS_KEY_ID, …")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=given.folder / "server.log", level=logging.WARNING)
    logging.getLogger("fakesnow.server").disabled = True
    sys.setrecursionlimit(DEEPEST)
    threading.stack_size(STACK_BYTES)
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    threading.Thread(target=_wait_for_end_of_input, args=(end,), daemon=True).start()
    files = _s3(given.s3_endpoint) if given.s3_endpoint else None
    world = World(engine=Engine(files), files=files)
    password = secrets.token_urlsafe(18)
    world.users[ADMIN] = User(
        name=ADMIN, password=password, roles={"ACCOUNTADMIN", "SYSADMIN"}, default_role="ACCOUNTADMIN"
    )
    ca, certificate, key = tls.write(given.folder)
    listener = socket.create_server(("127.0.0.1", given.port))
    # Sockets of connections inherit it; else answers wait 40 ms each, for headers and body are two packets.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = _serve(world, listener, certificate, key)
    started = {
        "host": "127.0.0.1", "port": listener.getsockname()[1], "account": world.account, "user": ADMIN,
        "password": password, "admin_token": world.admin_token, "ca_file": str(ca),
    }  # fmt: skip
    print(json.dumps(started), flush=True)
    end.wait()
    server.should_exit = True
    sys.stdout.flush()
    os._exit(0)  # threads that still serve a statement may not hold the process


def _serve(world: World, listener: socket.socket, certificate: Path, key: Path) -> uvicorn.Server:
    faults = Faults()
    faults.app = build(Routes(world), Orders(world, faults).routes())
    options: dict[str, Any] = {"log_level": "critical", "access_log": False, "proxy_headers": False, "lifespan": "off"}
    config = uvicorn.Config(
        faults, ssl_certfile=str(certificate), ssl_keyfile=str(key), timeout_keep_alive=60, **options
    )
    server = uvicorn.Server(config)
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    return server


def _s3(endpoint: str) -> Any:
    import s3fs

    return s3fs.S3FileSystem(endpoint_url=endpoint, use_listings_cache=False, default_fill_cache=False)


def _wait_for_end_of_input(end: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    end.set()


if __name__ == "__main__":
    main(sys.argv[1:])

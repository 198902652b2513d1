"""Runs every ``bench_*.py`` beside this file; each prints one JSON object a line: name, value, unit, goal, holds.

``--fast`` measures on small data, to show that the benches run; its figures prove nothing about speed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

FIELDS = {"name", "value", "unit", "goal", "holds"}


def main(arguments: list[str]) -> int:
    fast = "--fast" in arguments
    wanted = [argument for argument in arguments if not argument.startswith("-")]
    failed = 0
    for path in sorted(Path(__file__).parent.glob("bench_*.py")):
        if wanted and path.stem.removeprefix("bench_") not in wanted:
            continue
        failed += not _run(path.stem, fast=fast)
    return 1 if failed else 0


def _run(module: str, *, fast: bool) -> bool:
    """Run one bench; True when it ended well and printed at least one well-formed line."""
    command = [sys.executable, "-m", f"tests.bench.{module}", *(["--fast"] if fast else [])]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        lines = 0
        for line in process.stdout or ():
            if not line.startswith("{"):
                continue
            result = json.loads(line)
            if not result.keys() >= FIELDS:
                print(f"{module}: a line lacks {sorted(FIELDS - result.keys())}", file=sys.stderr)
                return False
            lines += 1
            print(json.dumps(result), flush=True)
    if process.returncode or not lines:
        print(f"{module}: exit code {process.returncode}, {lines} results", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

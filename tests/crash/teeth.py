"""Does the suite bite? Every planted bug must be caught, by the invariant that it breaks."""

from __future__ import annotations

import time
from typing import Any

from tests.crash.driver import Bench, History
from tests.crash.plants import TEETH
from tests.crash.zombie import haunt

MOST_PASSAGES = 12


def bite(bench: Bench, name: str) -> dict[str, Any]:
    """Run histories with a planted bug until one is caught; return what was said, and after how many seconds."""
    teeth, started = TEETH[name], time.monotonic()
    bench.plant = name
    said: list[str] = []
    for passage in range(1, MOST_PASSAGES + 1):
        history = History(point=teeth.point, passage=passage, seed=teeth.seed, variant=teeth.variant)
        if teeth.zombies:
            haunt(bench, history)
        else:
            bench.history(history)
        said = history.violations
        if any(teeth.says in text for text in said) or not history.reached:
            break
    caught = any(teeth.says in text for text in said)
    return {"plant": name, "caught": caught, "said": said[:3], "seconds": round(time.monotonic() - started, 1)}

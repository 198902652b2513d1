"""``python -m tests.crash --seeds 20``: the crash matrix, as JSON."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from tests.crash.driver import Bench, History, plan_histories, summary
from tests.crash.plants import TEETH
from tests.crash.scenario import VARIANTS
from tests.crash.share_worlds import quick_folder
from tests.crash.teeth import bite


def main(arguments: Sequence[str]) -> int:
    """Run the matrix; 0 when nothing was violated and every point was passed."""
    options = _options(arguments)
    folder = Path(options.folder or tempfile.mkdtemp(prefix="icebridge-crash-", dir=quick_folder()))
    warm_up()
    try:
        found = teeth(options, folder) if options.teeth else matrix(options, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(found, indent=None if options.brief else 1))
    return 0 if found["holds"] else 1


def teeth(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Plant every bug in turn and see whether it is caught."""
    names = [name for name in TEETH if name.startswith(options.plant)]
    shares = _share(folder, max(1, options.workers), options, names, bite)
    bites = sorted(chain.from_iterable(shares), key=lambda item: item["plant"])
    return {"planted": bites, "caught": sum(item["caught"] for item in bites), "holds": all(b["caught"] for b in bites)}


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="histories for every crash point")
    parser.add_argument("--point", default="", help="only points that start so")
    parser.add_argument("--variants", default="", help="only these, separated by commas")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--fresh", action="store_true", help="a new interpreter for every run (seconds each)")
    parser.add_argument("--zombies", action="store_true", help="stop processes, overtake and wake them")
    parser.add_argument("--teeth", action="store_true", help="plant bugs, to see them caught")
    parser.add_argument("--plant", default="", help="with --teeth: only bugs that start so")
    parser.add_argument("--folder", default="", help="where histories run; removed afterwards")
    parser.add_argument("--brief", action="store_true", help="one line")
    return parser.parse_args(arguments)


def warm_up() -> None:
    """Import and compile everything once, before processes are forked from this one."""

    import icebridge_provider.engines.fingerprint.kernels
    import icebridge_provider.engines.local.reencode  # noqa: F401
    from icebridge_provider.engines import gx

    gx._open_session()


def matrix(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Count passages, then run all histories, shared among worker processes."""
    workers = max(1, options.workers)
    kinds = [name for name in VARIANTS if not options.variants or name in options.variants.split(",")]
    wanted = [(seed, variant) for seed in range(options.seeds) for variant in kinds]
    counts: dict[tuple[int, str], Counter[str]] = {}
    for part in _share(folder, workers, options, wanted, _count):
        counts |= {(seed, variant): Counter(found) for seed, variant, found in part}
    planned = plan_histories(counts, options.seeds, options.point)
    done: list[History] = []
    for part in _share(folder, workers, options, planned, _haunt if options.zombies else _run):
        done += [History(**item) for item in part]
    return summary(done)


def _haunt(bench: Bench, item: History) -> dict[str, Any]:
    from tests.crash.zombie import haunt

    haunt(bench, item)
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


def _count(bench: Bench, item: tuple[int, str]) -> list[Any]:
    return [*item, bench.passages(*item)]


def _run(bench: Bench, item: History) -> dict[str, Any]:
    bench.history(item)
    return {name: getattr(item, name) for name in item.__dataclass_fields__}


def _share(folder: Path, workers: int, options: argparse.Namespace, items: list[Any], call: Any) -> list[list[Any]]:
    """Give every worker process its share of the items; return what each wrote down."""
    children = []
    for number in range(workers):
        mine = items[number::workers]
        bench = Bench(folder=folder / f"worker-{number}", fresh=options.fresh)
        bench.folder.mkdir(parents=True, exist_ok=True)
        bench.beginnings = {path.name for path in bench.folder.glob("beginning-*")}
        child = os.fork()
        if child == 0:
            status = 1
            try:
                (bench.folder / "out.json").write_text(json.dumps([call(bench, item) for item in mine]))
                status = 0
            except Exception:  # noqa: BLE001 - whatever it is, the parent only sees that this process failed
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        children.append((child, bench))
    ended = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child, _ in children]
    if any(ended):
        raise SystemExit("a worker failed")
    return [json.loads((bench.folder / "out.json").read_text()) for _, bench in children]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

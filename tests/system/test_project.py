"""What a stranger relies on before anything runs: the two commands, the lock, the documents."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_readme_starts_with_the_two_commands() -> None:
    blocks = FENCE.findall((ROOT / "README.md").read_text())
    assert "tox" in blocks[0]
    assert blocks[0].strip().endswith("-e demo")
    assert blocks[1].strip().endswith("-e test")


def test_the_ci_script_runs_the_second_block_literally() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    awk = re.search(r"awk '(.*?)' README.md", script)
    assert awk is not None
    found = subprocess.run(["awk", awk[1], "README.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert found == FENCE.findall((ROOT / "README.md").read_text())[1]


def test_the_lock_has_a_hash_for_everything_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^[a-z0-9][a-z0-9._-]*(?:\[.*?\])?==\S+", lock, re.MULTILINE)
    assert len(pinned) > 150
    assert "://" not in lock
    entries = re.split(r"\n(?=[a-z0-9])", lock)
    assert [entry.split()[0] for entry in entries if "==" in entry and "--hash=sha256:" not in entry] == []


def test_the_top_level_is_as_documented() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in tracked.splitlines()}
    assert top == {
        ".ci", ".github", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "dags", "docs",
        "helm", "icebridge_provider", "pyproject.toml", "requirements.lock", "spark_apps", "tests", "tox.ini",
    }  # fmt: skip


def test_every_error_code_has_a_section_and_every_section_a_code() -> None:
    used: set[str] = set()
    for path in (ROOT / "icebridge_provider").rglob("*.py"):
        used |= set(re.findall(r'"\[?(IB-\d{3})\b', path.read_text()))
    described = set(re.findall(r"^## (IB-\d{3}) ", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE))
    assert used == described


def test_relative_links_in_the_documents_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    dead = [
        f"{path.relative_to(ROOT)}: {target}"
        for path in pages
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", path.read_text())
        if not (path.parent / target).exists()
    ]
    assert dead == []


def test_every_place_that_the_walk_names_is_in_the_code() -> None:
    named = re.findall(r"`([\w/]+\.py)(?:: (\w+))?`", (ROOT / "docs" / "walk.md").read_text())
    assert len(named) > 30
    lost = [f"{file}: {name}" for file, name in named if not any(_has(path, name) for path in _files(file))]
    assert lost == []


def _files(name: str) -> list[Path]:
    return [path for path in (ROOT / name, *(ROOT / "icebridge_provider").rglob(name)) if path.exists()]


def _has(path: Path, name: str) -> bool:
    return not name or re.search(rf"^\s*(def|class) {name}\b", path.read_text(), re.MULTILINE) is not None

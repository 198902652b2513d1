"""The copy program says how far it is, and never fails over it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from icebridge_provider.engines.databricks.files import progress_in, progress_path
from tests.unit.spark_apps.test_bulk_copy import bulk_copy, job, spark


def run(path: Path, *jobs: dict[str, Any]) -> int:
    path.write_text(json.dumps(jobs))
    return int(bulk_copy.main([str(path)], spark()))


def test_the_end_of_every_table_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "jobs-1.json"
    assert run(place, job()) == 0
    [told] = progress_in(Path(progress_path(str(place))).read_bytes())
    assert (told.staged, told.state) == (tuple(job()["staged"]), "done")
    assert told.seconds is not None
    assert capsys.readouterr().out.splitlines()[-1].startswith("ICEBRIDGE_RESULT")


def test_a_table_that_is_under_way_is_told(tmp_path: Path) -> None:
    progress = bulk_copy.Progress(str(tmp_path / "jobs-1.json"))
    progress.note(job(), "copying")
    [told] = progress_in((tmp_path / "progress-1.json").read_bytes())
    assert (told.state, told.rows) == ("copying", None)


def test_many_words_are_few_writes(tmp_path: Path) -> None:
    progress = bulk_copy.Progress(str(tmp_path / "jobs-1.json"))
    for number in range(100):
        progress.note({**job(), "token": str(number)}, "copying")
    assert len(progress_in((tmp_path / "progress-1.json").read_bytes())) == 1
    progress.close()
    assert len(progress_in((tmp_path / "progress-1.json").read_bytes())) == 100


def test_a_place_that_cannot_be_written_to_is_no_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "progress-1.json").mkdir()
    assert run(tmp_path / "jobs-1.json", job(), {**job(), "token": "u"}) == 0
    assert capsys.readouterr().out.count("progress is not written") == 1


def test_jobs_without_a_file_of_their_own_are_not_told_of(tmp_path: Path) -> None:
    assert run(tmp_path / "other.json", job()) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["other.json"]

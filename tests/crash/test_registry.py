"""No side effect without a crash point: neither in the code as it is, nor in the code of tomorrow."""

from __future__ import annotations

import pytest

from tests.crash import registry

# Each with its reason.
ALLOWED = {
    "state/database.py:__init__:Path(self.url.database).parent.mkdir": "an empty folder for the ledger's file",
    "engines/databricks/export_rights.py:_tried:runner.run": "steps/share_plan.py has it done in share.probe",
    "engines/snowflake/describing.py:describe:runner.run": "it reads",
    "steps/share_routes.py:_row:source.run": "it reads",
    "steps/share_staging.py:run:self.site.target.run": "whoever calls it is looked at",
}
FREE = "def free(store):\n    store.delete(1)\n"


def test_every_side_effect_has_a_crash_point() -> None:
    found = [effect for effect in registry.unguarded() if effect.place not in ALLOWED]
    assert found == [], "put it into `with side_effect(...)`, or say here why not"


def test_what_is_allowed_is_still_there() -> None:
    assert set(ALLOWED) <= {effect.place for effect in registry.unguarded()}


@pytest.mark.parametrize(
    "text",
    [
        "def copy(work):\n    work.catalog.register(1, 2)",
        "def copy(work):\n    with side_effect('x'):\n        pass\n    work.target.write(1, 2)",
        "def copy(store):\n    with side_effect('x'):\n        def later():\n            store.delete(1)",
        "def copy(site):\n    site.target.drop_entry(1)",
        "def grant(site):\n    site.target.access.change(1, 2)",
        "def protect(access):\n    access.protect(1, 2)",
        FREE + "def one(s):\n    with side_effect('x'):\n        free(s)\ndef two(s):\n    free(s)",
        "def poll(site):\n    site.queue.finish(1)",
        "def run(site):\n    site.again(lambda: site.target.apply(1, 2))",
        "def load(site):\n    site.target.publish(1, 2)",
        "def load(self):\n    self._runner.start('x', 1, 'tag')",
        "def load(work):\n    work.run('drop', Statement(text=sql.drop_table(1)))",
        "import os\ndef f():\n    os.replace(1, 2)",
        "import sqlalchemy as sa\ndef f(c):\n    c.execute(sa.insert(T))",
    ],
)
def test_a_side_effect_without_a_crash_point_is_found(text: str) -> None:
    assert len(registry.unguarded_in({"steps/text.py": text})) == 1


@pytest.mark.parametrize(
    "text",
    [
        "def copy(work):\n    with side_effect('x'):\n        work.catalog.register(1, 2)",
        FREE + "def one(s):\n    with side_effect('x'):\n        free(s)",
        "def one(work):\n    def write():\n        work.target.write(1)\n"
        "    with side_effect('x'):\n        call(write)",
        "def f(text):\n    return text.replace('a', 'b')",
        "def load(work):\n    work.run('look', sql.look_load(1, 2))",
    ],
)
def test_a_side_effect_with_a_crash_point_is_not_reported(text: str) -> None:
    assert registry.unguarded_in({"steps/text.py": text}) == []


def test_points_are_named_by_step_and_effect() -> None:
    found = registry.points()
    assert len(found) > 40
    assert all(1 <= name.count(".") <= 2 for name in found), sorted(found)

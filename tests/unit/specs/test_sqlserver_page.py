"""The files that docs/sqlserver.md shows can be read as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

from icebridge_provider.specs.permissions import parse_permissions
from icebridge_provider.specs.syncs import parse_syncs

PAGE = Path(__file__).parents[3] / "docs" / "sqlserver.md"


def test_the_files_of_the_page_can_be_read() -> None:
    shown = {
        text.split(":")[0]: text
        for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    }
    assert set(shown) == {"users", "syncs"}
    (sync,) = parse_syncs(shown["syncs"].encode(), Path("/srv/bridge/syncs.yaml"), {})
    rights = parse_permissions(shown["users"].encode(), "permissions.yaml").rights(sync.user)
    assert rights is not None
    assert [(grant.table, grant.max_delete_rows) for grant in rights.grants] == [("dbo.Orders", 10000)]
    assert sync.permissions_file == "/srv/bridge/permissions.yaml"


def test_the_defaults_that_the_page_shows_are_the_defaults() -> None:
    text = PAGE.read_text()
    shown = re.search(r"^```yaml\n(syncs:.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert shown is not None
    without = "\n".join(line for line in shown[1].splitlines() if not re.match(r"    [a-z_]+: ([0-9]+|false)\b", line))
    path = Path("/srv/bridge/syncs.yaml")
    assert parse_syncs(shown[1].encode(), path, {}) == parse_syncs(without.encode(), path, {})
    assert without != shown[1]

"""syncs.yaml says which events go where; variables of the environment fill in what it leaves open."""

from __future__ import annotations

from pathlib import Path

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.syncs import SyncConfig
from icebridge_provider.specs.syncs import parse_syncs, read_syncs, sync_named

ONE = """syncs:
- name: sales
  events: {conn_id: lake, table: bridge.events.bridge_events}
  source: {conn_id: lake}
  target: {conn_id: mssql_sales}
  permissions_file: config/permissions.yaml
  user: project-name
"""


def parsed(text: str, **environment: str) -> tuple[SyncConfig, ...]:
    return parse_syncs(text.encode(), Path("/etc/icebridge/syncs.yaml"), environment)


def test_a_short_entry_has_the_seeds_defaults() -> None:
    assert parsed(ONE) == (
        SyncConfig(
            name="sales",
            events_conn_id="lake",
            events_table="bridge.events.bridge_events",
            source_conn_id="lake",
            target_conn_id="mssql_sales",
            permissions_file="/etc/icebridge/config/permissions.yaml",
            user="project-name",
            poll_seconds=10,
            max_events_per_poll=100,
            strict=False,
            lease_seconds=300,
            max_attempts=5,
        ),
    )


def test_the_file_goes_before_the_environment_and_that_before_the_defaults() -> None:
    both = {"POLLING_INTERVAL_SECONDS": "2.5", "MAX_EVENTS_PER_POLL": "7"}
    (found,) = parsed(ONE, **both)
    assert (found.poll_seconds, found.max_events_per_poll) == (2.5, 7)
    (found,) = parsed(ONE + "  poll_seconds: 0.5\n  max_events_per_poll: 3\n  strict: true\n", **both)
    assert (found.poll_seconds, found.max_events_per_poll, found.strict) == (0.5, 3, True)
    assert parsed(ONE, POLLING_INTERVAL_SECONDS=" ")[0].poll_seconds == 10


@pytest.mark.parametrize("value", ["0", "-1", "ten", "nan", "inf", "1e9", "7.5"])
def test_a_variable_that_is_no_number_is_refused(value: str) -> None:
    with pytest.raises(ConfigurationError, match="MAX_EVENTS_PER_POLL") as caught:
        parsed(ONE, MAX_EVENTS_PER_POLL=value)
    assert caught.value.code == "IB-803"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("  poll_secnds: 5\n", "8:3: there is no key syncs[0].poll_secnds; did you mean poll_seconds?"),
        ("  poll_seconds: 0\n", "8:17: syncs[0].poll_seconds: it should be greater than 0"),
        ("  poll_seconds: '5'\n", "8:17: syncs[0].poll_seconds"),
        ("  lease_seconds: 1\n", "greater than or equal to 10"),
        ("  max_events_per_poll: 2.5\n", "should be a valid integer"),
        ("  strict: yes\n", "should be a valid boolean"),
        (ONE[7:], "8:3: another sync has the same name"),
        (ONE[7:].replace("sales", "other"), "8:3: another sync has the same events table"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(more: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parsed(ONE + more)
    assert caught.value.code == "IB-802"
    assert message in caught.value.message


def test_a_sync_is_found_by_name(tmp_path: Path) -> None:
    path = tmp_path / "syncs.yaml"
    path.write_text(ONE)
    found = read_syncs(path, {})
    assert found[0].permissions_file == str(tmp_path / "config/permissions.yaml")
    assert sync_named(found, "sales", "syncs.yaml") is found[0]
    with pytest.raises(ConfigurationError, match="has no sync 'sale'; it has sales"):
        sync_named(found, "sale", "syncs.yaml")


def test_connections_may_be_left_to_the_environment() -> None:
    text = "syncs:\n- name: a\n  events: {table: m.b.e}\n  permissions_file: p.yaml\n  user: u\n"
    (found,) = parse_syncs(text.encode(), Path("/etc/icebridge/syncs.yaml"), {})
    assert (found.events_conn_id, found.source_conn_id, found.target_conn_id) == ("", "", "")
    assert found.events_table == "m.b.e"

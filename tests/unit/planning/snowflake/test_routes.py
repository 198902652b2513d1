"""Presets, and which way is advised at which price."""

from __future__ import annotations

from dataclasses import replace

import pytest

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.snowflake import SourceColumn
from icebridge_provider.planning.snowflake import presets
from icebridge_provider.planning.snowflake.routes import (
    GB,
    Names,
    Route,
    RouteAdvice,
    RouteFacts,
    RouteRates,
    advise,
    choose,
)
from icebridge_provider.planning.snowflake.schema import fit_columns

PLAIN = fit_columns([SourceColumn(name="id", type="int")], None)
CARRIED = fit_columns([SourceColumn(name="id", type="int"), SourceColumn(name="at", type="timestamp")], None)
OPEN = RouteFacts(
    bytes=100 * GB, changed_bytes=10 * GB, scanned_bytes=60 * GB, iceberg=True, has_endpoint=True, has_volume=True
)
NAMES = Names(source=("main", "s", "t"), target=("DB", "S", "T"))


def found(facts: RouteFacts, schema: object = PLAIN) -> dict[Route, RouteAdvice]:
    return {item.route: item for item in advise(facts, RouteRates(), NAMES, schema)}  # type: ignore[arg-type]


def test_a_copy_is_taken_unless_reading_in_place_is_asked_for() -> None:
    advice = advise(OPEN, RouteRates(), NAMES, PLAIN, ["COPY INTO …"])
    assert all(item.fits for item in advice)
    assert choose(advice).route is Route.COPY
    assert choose(advice).statements == ("COPY INTO …",)
    assert choose(advice, zero_copy=True).route in {Route.LINKED, Route.EXTERNAL}


@pytest.mark.parametrize(
    ("change", "word"),
    [({"iceberg": False}, "Iceberg"), ({"has_endpoint": False}, "endpoint"), ({"protected": True}, "row filters"),
     ({"limited": True}, "limit")],
)  # fmt: skip
def test_reading_in_place_says_why_it_is_not_possible(change: dict[str, bool], word: str) -> None:
    routes = found(replace(OPEN, **change))
    for route in (Route.LINKED, Route.EXTERNAL):
        assert not routes[route].fits
        assert any(word in why for why in routes[route].why_not)
    assert routes[Route.COPY].fits
    asked = choose(tuple(routes.values()), zero_copy=True)
    assert not asked.fits


def test_files_are_taken_over_whole_only_when_no_value_is_converted() -> None:
    assert found(OPEN)[Route.ADD_FILES].fits
    refused = found(OPEN, CARRIED)[Route.ADD_FILES]
    assert not refused.fits
    assert "columns at must be converted" in refused.why_not[0]


def test_prices_follow_the_bytes() -> None:
    """10 GB a day exported at 300 GB/h and 4 an hour, loaded at 150 GB/h and 3 an hour; 60 GB read at 600 GB/h."""
    routes = found(OPEN)
    copy = routes[Route.COPY].cost
    assert copy.storage == pytest.approx(110 * 0.023)
    assert copy.transfer == pytest.approx(300 * 0.0004)
    assert copy.compute == pytest.approx(300 / 300 * 4 + (300 / 150 + 60 / 600) * 3)
    linked = routes[Route.LINKED].cost
    assert linked.storage == 0
    assert linked.compute == pytest.approx(60 / 600 * 1.3 * 3)
    far = found(replace(OPEN, same_region=False))
    assert far[Route.COPY].cost.transfer == pytest.approx(300 * 0.0204)
    assert far[Route.LINKED].cost.transfer == pytest.approx(60 * 0.0204)


def test_a_much_read_table_is_cheaper_copied_and_a_little_read_one_in_place() -> None:
    little = advise(replace(OPEN, scanned_bytes=GB), RouteRates(), NAMES, PLAIN)
    assert little[0].route in {Route.LINKED, Route.EXTERNAL}
    much = advise(
        replace(OPEN, scanned_bytes=100_000 * GB, same_region=False, changed_bytes=GB), RouteRates(), NAMES, CARRIED
    )
    assert much[0].route is Route.COPY


def test_every_way_but_the_copy_brings_its_statements_and_losses() -> None:
    for route, item in found(OPEN).items():
        assert item.losses
        assert item.gains
        assert item.statements or route is Route.COPY
        assert not any("SECRET = '" in text and "<client secret>" not in text for text in item.statements)


def test_presets_are_those_of_the_seed() -> None:
    poc, production = presets.preset_of("poc"), presets.preset_of("production")
    assert (poc.limit, poc.retries, poc.fail_fast) == (1000, 0, True)
    assert (production.limit, production.fail_fast, production.timeout_seconds) == (None, False, 1800)
    assert production.retries > 0
    for preset in (poc, production):
        assert presets.SHORTEST_POLL <= preset.poll_seconds <= presets.LONGEST_POLL
    with pytest.raises(ConfigurationError) as caught:
        presets.preset_of("demo")
    assert caught.value.code == "IB-908"


@pytest.mark.parametrize(("asked", "limit"), [(None, 1000), ("", 1000), (5, 5), ("5", 5), ("1000000000000", 10**12)])
def test_a_limit_is_what_was_asked_for_else_the_presets(asked: object, limit: int) -> None:
    assert presets.limit_of(presets.POC, asked) == limit


@pytest.mark.parametrize("asked", [0, -1, "0", "1.5", 1.5, True, "10; DROP", "ten", "1e3", "٣", "²", 10**13, " 5"])
def test_what_is_no_limit_is_refused(asked: object) -> None:
    with pytest.raises(ConfigurationError) as caught:
        presets.limit_of(presets.PRODUCTION, asked)
    assert caught.value.code == "IB-908"


def test_rows_that_are_not_all_are_labelled() -> None:
    assert presets.limited(None, "") == ""
    assert presets.limited(1000, "") == "at most 1000 rows"
    assert presets.limited(1000, "a\n=  1") == "at most 1000 rows, only where a = 1"

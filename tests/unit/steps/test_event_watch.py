"""When the bell rings, and what is kept of the looks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from icebridge_provider.steps.event_watch import AGAIN_SECONDS, KEPT_SECONDS, Bell, Journal, Look


def seen(mark: str, waiting: int = 1, problem: str = "") -> Look:
    return Look(sync="orders", waiting=waiting, mark=mark, problem=problem)


def test_it_rings_once_for_each_mark() -> None:
    bell = Bell()
    assert [bell.rings(seen(mark), now) for now, mark in enumerate(["a", "a", "b", "b", "a"])] == [
        True, False, True, False, True,
    ]  # fmt: skip


def test_events_that_nobody_took_are_told_again_after_a_while() -> None:
    bell = Bell()
    assert bell.rings(seen("a"), 0)
    assert not bell.rings(seen("a"), AGAIN_SECONDS - 1)
    assert bell.rings(seen("a"), AGAIN_SECONDS)
    assert not bell.rings(seen("a"), AGAIN_SECONDS + 1)


def test_nothing_waiting_is_silent_and_forgets_the_mark() -> None:
    bell = Bell()
    assert bell.rings(seen("a"), 0)
    assert not bell.rings(seen("a", waiting=0), 1)
    assert bell.rings(seen("a"), 2)


def test_what_did_not_arrive_is_told_at_the_next_look() -> None:
    bell = Bell()
    assert bell.rings(seen("a"), 0)
    bell.unheard("stock")
    assert not bell.rings(seen("a"), 1)
    bell.unheard("orders")
    assert bell.rings(seen("a"), 2)


def test_syncs_do_not_share_a_bell() -> None:
    bell = Bell()
    assert bell.rings(seen("a"), 0)
    assert bell.rings(Look(sync="stock", waiting=1, mark="a"), 0)


def test_a_passing_problem_is_silent_and_a_lasting_one_rings() -> None:
    bell = Bell()
    assert not bell.rings(seen("", 0, "down"), 0)
    assert not bell.rings(seen("", 0), 100)
    assert not bell.rings(seen("", 0, "down"), 200)
    assert not bell.rings(seen("", 0, "down"), 200 + AGAIN_SECONDS - 1)
    assert bell.rings(seen("", 0, "down"), 200 + AGAIN_SECONDS)
    assert not bell.rings(seen("", 0, "down"), 201 + AGAIN_SECONDS)
    assert bell.rings(seen("", 0, "down"), 200 + 2 * AGAIN_SECONDS)


class Documents:
    """As much of a ledger as the journal asks for."""

    def __init__(self) -> None:
        self.saved: list[tuple[str, str, Any]] = []

    def save_document(self, kind: str, key: str, content: Any) -> None:
        self.saved.append((kind, key, content))


def test_a_look_is_kept_when_it_changed_and_now_and_then() -> None:
    ledger = Documents()
    journal = Journal(ledger)  # type: ignore[arg-type]
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    for now, look in [(0, seen("a")), (1, seen("a")), (2, seen("b")), (3, seen("b")), (2 + KEPT_SECONDS, seen("b"))]:
        journal.keep(look, now, at)
    assert [content["mark"] for _, _, content in ledger.saved] == ["a", "b", "b"]
    assert ledger.saved[0] == (
        "sync_health", "orders",
        {"sync": "orders", "waiting": 1, "mark": "a", "problem": "", "looked_at": "2026-11-21T12:00:00+00:00"},
    )  # fmt: skip

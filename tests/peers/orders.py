"""When an ordered fault is due: shared by the stand-ins."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Protocol, TypeVar

Kind = TypeVar("Kind")


class Order(Protocol):
    """After ``skip`` requests that fit, ``times`` times (-1: always), each with probability ``rate``."""

    times: int
    skip: int
    rate: float


def is_due(order: Order, dice: random.Random) -> bool:
    """Whether a request that fits the order is hit; counts it."""
    if not order.times:
        return False
    if order.skip:
        order.skip -= 1
        return False
    if dice.random() >= order.rate:
        return False
    order.times -= order.times > 0
    return True


def made(kind: type[Kind], given: Iterable[dict[str, Any]]) -> list[Kind]:
    """Orders as their dataclass.

    :raises ValueError: for an unknown key or fault, or a bad expression.
    """
    known = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    given = list(given)
    for one in given:
        if unknown := set(one) - known:
            raise ValueError(f"unknown keys of a fault: {sorted(unknown)}")
    return [kind(**one) for one in given]

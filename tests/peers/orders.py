"""When an ordered fault is due: shared by the stand-ins."""

from __future__ import annotations

import random
from typing import Protocol


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

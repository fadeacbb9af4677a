"""Time that also passes while a sandbox is frozen, as far as any clock tells."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Clock: TypeAlias = "Callable[[], Instant]"


class Instant(NamedTuple):
    """A point in time on both clocks, in s."""

    monotonic: float
    wall: float


def now() -> Instant:
    """Read both clocks."""
    return Instant(time.monotonic(), time.time())


def elapsed(since: Instant, until: Instant) -> float:
    """How many s have passed, by the clock that says more.

    The monotonic clock stands still while some systems are suspended, and the wall
    clock may be set back; neither alone tells how old a connection is.
    """
    return max(until.monotonic - since.monotonic, until.wall - since.wall, 0.0)

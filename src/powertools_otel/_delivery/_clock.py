"""Time that also passes while a sandbox is frozen, as far as any clock tells."""

# No postponed annotations here: a NamedTuple compiles each of them when it is defined,
# which every cold start would pay for.
import time
from collections.abc import Callable
from typing import NamedTuple


class Instant(NamedTuple):
    """A point in time on both clocks, in s."""

    monotonic: float
    wall: float


Clock = Callable[[], Instant]


def now() -> Instant:
    """Read both clocks."""
    return Instant(time.monotonic(), time.time())


def elapsed(since: Instant, until: Instant) -> float:
    """How many s have passed, by the clock that says more.

    The monotonic clock stands still while some systems are suspended, and the wall
    clock may be set back; neither alone tells how old a connection is.
    """
    return max(until.monotonic - since.monotonic, until.wall - since.wall, 0.0)

"""When an endpoint is left alone, and for how long."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powertools_otel._delivery._breaker import Breaker
from powertools_otel._delivery._clock import Instant, elapsed
from powertools_otel._delivery._outcome import Outcome

TIMEOUT = Outcome("unknown", timed_out=True)
BUSY = Outcome("retry")
REFUSED = Outcome("retry", connected=False)


class Clocks:
    def __init__(self) -> None:
        self.monotonic = 100.0
        self.wall = 1_000_000.0

    def __call__(self) -> Instant:
        return Instant(self.monotonic, self.wall)

    def advance(self, seconds: float) -> None:
        self.monotonic += seconds
        self.wall += seconds


def delay_of(breaker: Breaker, clock: Clocks) -> float:
    """How long the breaker stays open, in s, to 10 ms."""
    waited = 0.0
    while breaker.bound(math.inf) is None:
        clock.advance(0.01)
        waited += 0.01
    return waited


def test_closed_it_allows_the_whole_time() -> None:
    assert Breaker(Clocks()).bound(12.0) == 12.0


@pytest.mark.parametrize("outcome", [TIMEOUT, BUSY])
def test_the_first_failure_opens_it(outcome: Outcome) -> None:
    """A timeout and a retryable answer, however fast, allow no attempt for a while."""
    breaker = Breaker(Clocks())
    breaker.failed(outcome, 0.001)
    assert breaker.bound(math.inf) is None


def test_a_quick_refusal_does_not_open_it() -> None:
    """Nothing listens: asking again costs next to nothing, until it takes longer."""
    breaker = Breaker(Clocks())
    breaker.failed(REFUSED, 0.001)
    assert breaker.bound(12.0) == 12.0
    breaker.failed(REFUSED, 0.006)
    assert breaker.bound(12.0) is None


def test_it_waits_a_second_then_twice_as_long_up_to_half_a_minute() -> None:
    """Delays double from 1 s to 30 s, each up to a fifth shorter at random."""
    clock = Clocks()
    breaker = Breaker(clock)
    for expected in (1, 2, 4, 8, 16, 30, 30, 30):
        breaker.failed(TIMEOUT, 0.5)
        assert expected * 0.79 <= delay_of(breaker, clock) <= expected + 0.02


def test_half_open_it_allows_a_tenth_of_a_second() -> None:
    """A probe has 100 ms, or what the flush has left."""
    clock = Clocks()
    breaker = Breaker(clock)
    breaker.failed(TIMEOUT, 0.5)
    clock.advance(1.01)
    bound = breaker.bound(math.inf)
    assert bound is not None
    assert 0.09 < bound - time.monotonic() <= 0.1
    assert breaker.bound(5.0) == 5.0


def test_a_success_closes_it_and_begins_again_with_a_second() -> None:
    clock = Clocks()
    breaker = Breaker(clock)
    for _ in range(4):
        breaker.failed(TIMEOUT, 0.5)
    breaker.succeeded()
    assert breaker.bound(12.0) == 12.0
    breaker.failed(TIMEOUT, 0.5)
    assert delay_of(breaker, clock) <= 1.02


def test_a_quick_refusal_while_half_open_allows_the_next_probe_at_once() -> None:
    """The endpoint is being restarted: probes cost nothing, and must not be rare."""
    clock = Clocks()
    breaker = Breaker(clock)
    breaker.failed(TIMEOUT, 0.5)
    clock.advance(2)
    breaker.failed(REFUSED, 0.001)
    bound = breaker.bound(math.inf)
    assert bound is not None
    assert bound < math.inf


@pytest.mark.parametrize(
    ("asked", "waited"), [(0, 1), (0.5, 1), (7, 7), (299, 299), (86_400, 300)]
)
def test_retry_after_is_waited_for(asked: float, waited: float) -> None:
    """What the endpoint asks for, within 1 s and 5 min."""
    clock = Clocks()
    breaker = Breaker(clock)
    breaker.failed(BUSY._replace(retry_after=asked), 0.01)
    clock.advance(waited - 0.01)
    assert breaker.bound(math.inf) is None
    clock.advance(0.02)
    assert breaker.bound(math.inf) is not None


@pytest.mark.parametrize("moving", ["monotonic", "wall"])
def test_either_clock_ends_the_wait(moving: str) -> None:
    """A frozen sandbox's monotonic clock may stand still, a wall clock may not run."""
    clock = Clocks()
    breaker = Breaker(clock)
    breaker.failed(TIMEOUT, 0.5)
    setattr(clock, moving, getattr(clock, moving) + 2)
    assert breaker.bound(math.inf) is not None


@given(st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_elapsed_time_is_never_negative(monotonic: float, wall: float) -> None:
    """A wall clock set back does not make time run backwards."""
    assert elapsed(Instant(0, 0), Instant(monotonic, wall)) == max(monotonic, wall, 0)

"""A circuit breaker: an endpoint that failed is left alone for a while."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from powertools_otel._delivery._clock import elapsed, now

if TYPE_CHECKING:
    from powertools_otel._delivery._clock import Clock
    from powertools_otel._delivery._outcome import Outcome

QUICK_S = 0.005
"""A connection refused faster than this is asked again by every flush."""
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 30.0
LONGEST_ASKED_S = 300.0
"""``Retry-After`` is honoured up to this."""
PROBE_S = 0.1
"""How long one attempt may take while it is not known that the endpoint is back."""


class Breaker:
    """Closed while all is well; open after a failure; half-open when a delay is over.

    Opens at the first timeout, retryable answer or lost connection. A quick refusal
    (nothing listens there: 0.1 ms on loopback) does not open it: asking again costs
    less than the bound of an open breaker allows, and finds the endpoint at once
    when it is back.

    Args:
        clock: Reads both clocks.
    """

    __slots__ = ("_clock", "_delay", "_doubled", "_since", "closed")

    def __init__(self, clock: Clock = now) -> None:
        self._clock = clock
        self.closed = True
        self._since = clock()
        self._delay = 0.0
        self._doubled = FIRST_DELAY_S

    def bound(self, deadline: float) -> float | None:
        """The deadline of an attempt made now; None if none is to be made.

        Args:
            deadline: The ``time.monotonic()`` at which the flush has to end.
        """
        if self.closed:
            return deadline
        if elapsed(self._since, self._clock()) < self._delay:
            return None
        return min(deadline, time.monotonic() + PROBE_S)

    def succeeded(self) -> None:
        """The endpoint answered in time: close."""
        self.closed = True
        self._doubled = FIRST_DELAY_S

    def answered_late(self) -> None:
        """The endpoint is alive but slow: allow the next attempt, as a probe."""
        self._delay = 0.0
        self._doubled = FIRST_DELAY_S

    def failed(self, outcome: Outcome, took_s: float) -> None:
        """An attempt failed: open, or wait longer.

        Args:
            outcome: What became of the attempt.
            took_s: How long it took, in s.
        """
        if not (outcome.connected or outcome.timed_out) and took_s < QUICK_S:
            self._delay = 0.0  # if half-open: it stays so, and probes again
            return
        self.closed = False
        self._since = self._clock()
        if outcome.retry_after is not None:
            self._delay = min(max(outcome.retry_after, FIRST_DELAY_S), LONGEST_ASKED_S)
            return
        # Sandboxes that failed together shall not come back together. The random
        # module's state would be the same in all copies of one snapshot.
        self._delay = self._doubled * (1 - os.urandom(1)[0] / 255 / 5)
        self._doubled = min(self._doubled * 2, LONGEST_DELAY_S)

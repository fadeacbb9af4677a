"""Where telemetry goes that cannot be sent: it is counted as dropped."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from powertools_otel._delivery._outcome import Outcome

if TYPE_CHECKING:
    from powertools_otel._delivery._steps import Steps


class NowhereTransport:
    """Rejects every request.

    Args:
        reason: Why, for the log.
    """

    limit = 1 << 30
    timeout_s = math.inf

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def is_open(self) -> bool:
        """Always."""
        return True

    def open(self, deadline: float) -> Steps[Outcome | None]:
        """Always open."""
        yield from ()
        return None

    def exchange(
        self, body: bytes, deadline: float, *, resendable: bool
    ) -> Steps[Outcome]:
        """Reject."""
        yield from ()
        return Outcome("rejected", self._reason)

    def late(self) -> Outcome | None:
        """There is no answer to wait for."""
        return Outcome("rejected", self._reason)

    def interrupted(self) -> bool:
        """Nothing was sent."""
        return False

    def close(self, *, forked: bool = False) -> None:
        """Nothing is open."""

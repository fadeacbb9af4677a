"""Shortly before the function times out: mark and send what is still open.

Otherwise the invocation that timed out would be the one nobody can see. Python can
do that while the handler sleeps, waits or runs bytecode; not while C code hangs
without releasing the interpreter's lock.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from powertools_otel._guard import logger
from powertools_otel._invocation import Interruption

if TYPE_CHECKING:
    from powertools_otel._lambda._sentinel import Sentinel
    from powertools_otel._pipeline import Pipeline

_FLUSH_S = 0.1
_LAST_S = 0.02


class Watchdog:
    """Watches the invocation that runs.

    Args:
        pipeline: What is flushed. The margin is its setting
            ``POWERTOOLS_OTEL_TIMEOUT_MARGIN``, plus 100 ms (less if a flush may take
            less) for the sending.
        sentinel: Wakes at the time.
    """

    def __init__(self, pipeline: Pipeline, sentinel: Sentinel) -> None:
        settings = pipeline.settings
        flush = min(settings.flush_timeout_ms / 1000, _FLUSH_S)
        self._ahead = settings.timeout_margin_ms / 1000 + flush
        self._pipeline = pipeline
        self._sentinel = sentinel
        self._watched: float | None = None

    def arm(self, deadline: float, began: int) -> None:
        """Watch an invocation.

        Args:
            deadline: When it times out, in s on ``time.monotonic()``'s clock.
            began: When it began, in ns since the epoch.
        """
        due = deadline - self._ahead
        if due > time.monotonic():  # else it is over before anything could be sent
            self._watched = deadline
            self._sentinel.set(due, lambda: self._save(deadline, began))

    def disarm(self) -> None:
        """The invocation is over."""
        self._watched = None
        self._sentinel.cancel()

    def _save(self, deadline: float, began: int) -> None:
        if self._watched != deadline:
            return  # it has ended while this thread was about to act
        left = deadline - time.monotonic()
        self._pipeline.interrupt(
            Interruption(
                "timeout",
                "the function is about to time out",
                "powertools_otel.timed_out",
                began,
            ),
            deadline - _LAST_S,
        )
        logger.warning(
            "The function times out in %.0f ms: what it has recorded was sent",
            left * 1000,
        )

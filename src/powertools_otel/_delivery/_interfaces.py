"""What the parts of delivery know of each other; imported by type checkers only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from powertools_otel._delivery._batch import Batch
    from powertools_otel._delivery._outcome import Outcome
    from powertools_otel._delivery._steps import Steps


class Source(Protocol):
    """Where a signal's telemetry comes from.

    At any quiet moment: recorded = collected so far + pending + dropped.
    """

    @property
    def recorded(self) -> int:
        """Spans or points recorded since the start."""
        ...

    @property
    def dropped(self) -> int:
        """Those of them that did not fit in the source's own buffer."""
        ...

    def pending(self) -> int:
        """How many are recorded and not collected yet."""
        ...

    def collect(self) -> list[Batch]:
        """Drain what is recorded, and encode it."""
        ...


class Transport(Protocol):
    """How requests of one signal travel. Deadlines are ``time.monotonic()`` in s."""

    limit: int
    """Bytes that one request should not exceed."""
    timeout_s: float
    """What one request may take at most, whatever the deadline of the flush."""

    def is_open(self) -> bool:
        """Whether there is nothing to :meth:`open`, as far as can be known."""
        ...

    def open(self, deadline: float) -> Steps[Outcome | None]:
        """Have a connection; None, or why there is none."""
        ...

    def exchange(
        self, body: bytes, deadline: float, *, resendable: bool
    ) -> Steps[Outcome]:
        """Send a request and read its answer."""
        ...

    def late(self) -> Outcome | None:
        """The answer to a request whose outcome was pending, once there is one."""
        ...

    def interrupted(self) -> bool:
        """Close in the middle of an exchange; whether the request was fully sent."""
        ...

    def close(self, *, forked: bool = False) -> None:
        """Close the connection; ``forked`` if it is a parent process's, too."""
        ...

"""One signal's way to its endpoint: what waits, what is sent, and how it is counted.

Every item is in exactly one place: not collected, in the queue, sent and awaiting a
late answer, or counted as sent, dropped or unknown.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from powertools_otel._delivery._batch import Statistics
from powertools_otel._delivery._breaker import Breaker
from powertools_otel._delivery._clock import now
from powertools_otel._delivery._outcome import DELIVERED, Outcome
from powertools_otel._delivery._queue import Queue
from powertools_otel._guard import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Literal

    from powertools_otel._delivery._batch import Batch
    from powertools_otel._delivery._clock import Clock
    from powertools_otel._delivery._interfaces import Source, Transport
    from powertools_otel._delivery._steps import Steps
    from powertools_otel._otlp import Encoding
    from powertools_otel._settings import Settings

    Signal = Literal["traces", "metrics"]

PROBE_LIMIT = 524_288
"""Bytes of the request that finds out whether an endpoint is back."""
SMALLEST_LIMIT = 65_536
"""Bytes below which a request is not made smaller for a slow connection."""
WARNINGS = 20
"""How many different things are said: endpoints may word every answer anew."""


class Channel:
    """Queue, breaker and counters of one signal.

    Args:
        signal: ``traces`` or ``metrics``.
        encoding: Makes requests of the batches' bodies.
        make_transport: Called once, before the first request.
        settings: What may be kept, and whether deltas are sent again.
        clock: Reads both clocks.
    """

    def __init__(
        self,
        signal: Signal,
        encoding: Encoding,
        make_transport: Callable[[], Transport],
        settings: Settings,
        clock: Clock = now,
    ) -> None:
        self.signal: Signal = signal
        self._encoding = encoding
        self._make_transport = make_transport
        self._settings = settings
        self._clock = clock
        self._transport: Transport | None = None
        self._sources: list[Source] = []
        self._collected: list[int] = []
        self._breaker = Breaker(clock)
        self._queue = Queue()
        self._awaiting: list[Batch] = []
        self._sent = 0
        self._dropped = 0
        self._unknown = 0
        self._limit = self._ceiling = 0
        self._said: set[str] = set()

    def attach(self, source: Source) -> None:
        """Send what ``source`` collects, too."""
        self._sources.append(source)
        self._collected.append(0)

    def statistics(self) -> Statistics:
        """Where everything recorded is."""
        kept = _items(self._may_be_resent(self._awaiting))
        tentative = _items(self._awaiting) - kept
        kept += self._queue.items
        return Statistics(
            recorded=sum(source.recorded for source in self._sources),
            sent=self._sent,
            retained=kept + sum(source.pending() for source in self._sources),
            dropped=self._dropped + sum(source.dropped for source in self._sources),
            unknown=self._unknown + tentative,
        )

    def warm_up(self, deadline: float) -> Steps[None]:
        """Make the transport, and connect if that works in time."""
        yield from self._get_transport().open(deadline)

    def deliver(self, deadline: float) -> Steps[None]:
        """Send what there is, as far as the endpoint and the time allow.

        Args:
            deadline: The ``time.monotonic()`` at which to stop.
        """
        try:
            self._collect()
            if self._awaiting:
                self._look_for_late_answer()
            took = 0.0
            while self._queue or self._awaiting:
                began = time.monotonic()
                bound = self._breaker.bound(deadline)
                # Another request shall not be cut off for having begun too late.
                if bound is None or began + 2 * took >= bound:
                    return
                self._stop_waiting()
                if not self._queue:
                    return
                outcome = yield from self._request(bound)
                if outcome.kind in ("retry", "unknown") and not outcome.too_large:
                    return
                took = time.monotonic() - began
        finally:
            self._limit_retention()

    def reset(self, *, forked: bool) -> None:
        """Drop the connection, which belongs to another process or another time.

        Args:
            forked: Whether this is a child process: what waits is the parent's to
                send, and counting begins anew, as the sources' must.
        """
        if self._transport is not None:
            self._transport.close(forked=forked)
            self._transport = None
        self._stop_waiting()
        self._breaker = Breaker(self._clock)
        if forked:
            self._queue = Queue()
            self._collected = [0] * len(self._sources)
            self._sent = self._dropped = self._unknown = 0

    def close(self) -> None:
        """Close the connection; what waits stays counted as retained."""
        self._stop_waiting()
        if self._transport is not None:
            self._transport.close()

    def _get_transport(self) -> Transport:
        if self._transport is None:
            self._transport = self._make_transport()
            self._limit = self._ceiling = self._transport.limit
        return self._transport

    def _collect(self) -> None:
        for index, source in enumerate(self._sources):
            self._collect_from(index, source)

    def _collect_from(self, index: int, source: Source) -> None:
        try:
            for batch in source.collect():
                self._collected[index] += batch.items
                if batch.items:
                    self._queue.append(batch)
        except Exception as error:  # noqa: BLE001 - what is queued is still to be sent
            # What the source had drained by then is lost, and has to be counted.
            known = self._collected[index] + source.dropped + source.pending()
            lost = max(source.recorded - known, 0)
            self._collected[index] += lost
            self._dropped += lost
            self._warn(
                "encode", "%d dropped, they could not be encoded: %r", lost, error
            )

    def _look_for_late_answer(self) -> None:
        outcome = self._get_transport().late()
        if outcome is None:
            return
        batches, self._awaiting = self._awaiting, []
        self._queue.put_back(batches)
        if outcome.kind in ("delivered", "rejected"):
            self._breaker.answered_late()
        elif outcome.kind == "retry":
            self._breaker.failed(outcome, 0.0)
        self._settle(batches, outcome)

    def _stop_waiting(self) -> None:
        """Give up a late answer: what may be sent again is, the rest is unknown."""
        if not self._awaiting:
            return
        batches, self._awaiting = self._awaiting, []
        kept = self._may_be_resent(batches)
        self._unknown += _items(batches) - _items(kept)
        self._queue.put_back(kept)

    def _request(self, bound: float) -> Steps[Outcome]:
        started = time.monotonic()
        transport = self._get_transport()
        bound = min(bound, started + transport.timeout_s)
        if not transport.is_open():
            failed = yield from transport.open(bound)
            if failed is not None:
                self._note(failed, time.monotonic() - started)
                return failed
        batches = self._next_batches()
        resendable = len(self._may_be_resent(batches)) == len(batches)
        body = self._encoding.frame(self.signal, [batch.body for batch in batches])
        try:
            outcome = yield from transport.exchange(body, bound, resendable=resendable)
        except BaseException:  # above all what signal handlers raise
            broken = Outcome("unknown" if transport.interrupted() else "retry")
            self._breaker.failed(broken, time.monotonic() - started)
            self._settle(batches, broken)
            raise
        outcome = self._adapt(outcome, batches)
        self._note(outcome, time.monotonic() - started)
        self._settle(batches, outcome)
        return outcome

    def _next_batches(self) -> list[Batch]:
        limit = self._limit if self._breaker.closed else min(self._limit, PROBE_LIMIT)
        batches: list[Batch] = []
        size = 0
        for batch in self._queue:
            size += len(batch.body)
            if batches and size > limit:
                break
            batches.append(batch)
        return batches

    def _adapt(self, outcome: Outcome, batches: Sequence[Batch]) -> Outcome:
        """Make requests smaller that are too large, for the endpoint or for the time."""
        if outcome is DELIVERED and self._limit == self._ceiling:
            return outcome  # as nearly all are
        size = sum(len(batch.body) for batch in batches)
        if outcome.too_large and len(batches) > 1:
            self._limit = self._ceiling = size // 2
            return outcome._replace(kind="retry")
        if outcome.too_large:
            return outcome._replace(too_large=False)
        if outcome.timed_out and size > SMALLEST_LIMIT:
            self._limit = max(size // 4, SMALLEST_LIMIT)
        elif outcome.kind == "delivered":
            self._limit = min(self._limit * 2, self._ceiling)
        return outcome

    def _note(self, outcome: Outcome, took_s: float) -> None:
        """Tell the breaker, and the log."""
        if outcome.too_large:
            return
        if not outcome.timed_out and outcome.kind in ("delivered", "rejected"):
            self._breaker.succeeded()
            return
        self._breaker.failed(outcome, took_s)
        message = outcome.message or "an answer was not complete in time"
        self._warn(message, "%s. What can be sent again is kept for later.", message)

    def _settle(self, batches: Sequence[Batch], outcome: Outcome) -> None:
        """Count batches that are at the head of the queue, as their outcome says."""
        if outcome.kind == "retry":
            return
        for _ in batches:
            self._queue.take()
        items = _items(batches)
        if outcome.kind == "delivered":
            rejected = min(outcome.rejected, items)
            self._sent += items - rejected
            self._dropped += rejected
            if outcome.message or rejected:
                message = outcome.message
                self._warn(message, "%d not accepted: %s", rejected, message)
        elif outcome.kind == "rejected":
            self._dropped += items
            self._warn(outcome.message, "dropped: %s", outcome.message)
        elif outcome.pending:
            self._awaiting = list(batches)
        else:
            kept = self._may_be_resent(batches)
            self._unknown += items - _items(kept)
            self._queue.put_back(kept)

    def _limit_retention(self) -> None:
        """Drop the oldest until what is kept is within the settings."""
        if not self._queue and not self._awaiting:
            return
        items, size = self._settings.retention_items, self._settings.retention_bytes
        waiting = _items(self._awaiting)
        waiting_size = sum(len(batch.body) for batch in self._awaiting)
        if (
            self._queue.items + waiting <= items
            and self._queue.size + waiting_size <= size
        ):
            return
        self._stop_waiting()
        while self._queue.items > items or self._queue.size > size:
            self._dropped += self._queue.take().items
        self._warn(
            "retention",
            "the oldest are dropped: POWERTOOLS_OTEL_RETENTION_ITEMS (%d) and "
            "..._BYTES (%d) are what is kept while the endpoint takes none.",
            items,
            size,
        )

    def _may_be_resent(self, batches: Sequence[Batch]) -> Sequence[Batch]:
        """Those of the batches of which a second copy does no harm."""
        if self._settings.resend_unknown:
            return batches
        return [batch for batch in batches if batch.resendable]

    def _warn(self, about: str, message: str, *args: object) -> None:
        """Say something once, and not too much: an outage shall not fill the log."""
        if about in self._said or len(self._said) >= WARNINGS:
            return
        self._said.add(about)
        logger.warning("%s: " + message, self.signal, *args)


def _items(batches: Sequence[Batch]) -> int:
    return sum(batch.items for batch in batches)

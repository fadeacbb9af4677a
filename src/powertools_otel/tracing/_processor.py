"""Keeps ended spans until the invocation is over; no thread, no timer."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import Status, StatusCode
from typing_extensions import override

from powertools_otel._delivery import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

    from powertools_otel._invocation import Interruption

    Encode = Callable[[Sequence[ReadableSpan]], bytes]

SPANS_PER_BATCH = 1_000
"""Spans encoded together, about 500 KB: what is retried or dropped as one."""


class BufferingProcessor(SpanProcessor):
    """A bounded buffer of sampled, ended spans, and the set of those still open.

    A thread that sleeps through a freeze would wake in the middle of the next
    invocation; so there is none: whoever ends the invocation collects. The one lock is
    re-entrant and held for an append only, so a signal handler may call all of it.

    Args:
        encode: Makes an OTLP request (fragment) of spans.
        limit: How many spans to keep; the newest are dropped and counted beyond it.
        flush: What ``force_flush(timeout_millis)`` of the TracerProvider calls.

    Attributes:
        recorded: How many sampled spans have ended, ever.
        dropped: How many of them did not fit in the buffer.
        open: The spans that have begun and not ended, by span id.
    """

    def __init__(
        self, encode: Encode, limit: int, flush: Callable[[float], bool]
    ) -> None:
        self._encode = encode
        self._limit = limit
        self._flush = flush
        self._ended: deque[ReadableSpan] = deque()
        self._counting = threading.RLock()
        self.recorded = 0
        self.dropped = 0
        self.open: dict[int, Span] = {}

    @override
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.open[span.get_span_context().span_id] = span

    @override
    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is None:
            return
        if self.open.pop(context.span_id, None) is None:
            return  # sent already as it was, or the parent process' to send
        if context.trace_flags & 1:
            self._keep(span)

    def interrupt(self, interruption: Interruption) -> None:
        """Keep copies of the spans that are still open, children first, as they are.

        Whoever takes a span out of ``open`` sends it: one that ends after all is not
        sent again, and one that ends at this moment is not marked.
        """
        now = time.time_ns()
        for span_id, span in reversed(list(self.open.items())):
            if not span.get_span_context().trace_flags & 1:
                continue
            if (span.start_time or now) < interruption.since:
                continue  # left open by an earlier invocation, or a background thread
            if self.open.pop(span_id, None) is not None:
                self._keep(_interrupted(span, interruption, now))

    def restart(self, _: object) -> None:
        """Forget what there is: the parent process, or the snapshot's maker, sends it."""
        self._counting = threading.RLock()
        self._ended = deque()
        self.open = {}
        self.recorded = self.dropped = 0

    def _keep(self, span: ReadableSpan) -> None:
        with self._counting:
            self.recorded += 1
            if len(self._ended) >= self._limit:
                self.dropped += 1
            else:
                self._ended.append(span)

    @override
    def shutdown(self) -> None:
        self._flush(30_000)

    @override
    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._flush(timeout_millis)

    def pending(self) -> int:
        """How many wait to be collected."""
        return len(self._ended)

    def collect(self) -> list[Batch]:
        """Take out what has ended, encoded in batches of a size that receivers take."""
        spans: list[ReadableSpan] = []
        try:
            while True:
                spans.append(self._ended.popleft())
        except IndexError:
            pass
        portions = [
            spans[at : at + SPANS_PER_BATCH]
            for at in range(0, len(spans), SPANS_PER_BATCH)
        ]
        return [
            Batch(self._encode(portion), len(portion), resendable=True)
            for portion in portions
        ]


def _interrupted(span: Span, interruption: Interruption, now: int) -> ReadableSpan:
    """The span as it is, ended now and marked.

    A copy: the span itself still belongs to the code that runs in it, which may go on
    to annotate and end it.
    """
    attributes = span.attributes
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={
            **(dict(attributes.copy()) if attributes else {}),  # type: ignore[attr-defined]
            "error.type": interruption.error_type,
            interruption.mark: True,
        },
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=Status(StatusCode.ERROR, interruption.description),
        start_time=span.start_time,
        end_time=now,
        instrumentation_scope=span.instrumentation_scope,
    )

"""The spans that a handler makes, kept in memory by the real SDK."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from powertools_otel.tracing import _sdk
from powertools_otel.tracing._ids import SystemIdGenerator

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence


class CapturedSpans:
    """What was traced, in the order in which the spans ended."""

    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def __iter__(self) -> Iterator[ReadableSpan]:
        return iter(self.all)

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, name: str) -> ReadableSpan:
        """The one span of that name.

        Raises:
            LookupError: If there is none, or more than one; it lists what there is.
        """
        found = self.named(name)
        if len(found) != 1:
            names = ", ".join(sorted(span.name for span in self.all)) or "none"
            msg = f"{len(found)} spans are named {name!r}; there are: {names}"
            raise LookupError(msg)
        return found[0]

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        """Every ended span."""
        return tuple(self._exporter.get_finished_spans())

    def named(self, name: str) -> Sequence[ReadableSpan]:
        """The spans of that name."""
        return [span for span in self.all if span.name == name]

    def children(self, parent: ReadableSpan) -> Sequence[ReadableSpan]:
        """The spans whose parent is ``parent``, by the time they began."""
        context = parent.context
        return sorted(
            (
                span
                for span in self.all
                if span.parent is not None
                and context is not None
                and span.parent.span_id == context.span_id
            ),
            key=lambda span: span.start_time or 0,
        )

    def roots(self) -> Sequence[ReadableSpan]:
        """The spans without a parent among the captured ones."""
        known = {span.context.span_id for span in self.all if span.context}
        return [
            span
            for span in self.all
            if span.parent is None or span.parent.span_id not in known
        ]

    def clear(self) -> None:
        """Forget what was captured so far."""
        self._exporter.clear()


@contextmanager
def capture_spans() -> Generator[CapturedSpans]:
    """Keep all spans in memory for the time of a ``with`` block; send none.

    Works for tracers made before, at import, and disabled ones: a test needs neither
    an endpoint nor Lambda's environment.
    """
    exporter = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource({}),
        shutdown_on_exit=False,
        id_generator=SystemIdGenerator(),
    )
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    before = _sdk.override
    _sdk.override = _sdk.resolved(provider, ours=True)
    try:
        yield CapturedSpans(exporter)
    finally:
        _sdk.override = before
        provider.shutdown()

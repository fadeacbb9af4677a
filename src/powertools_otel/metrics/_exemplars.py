"""The trace that was current when a value was added, as the value's exemplar.

Read only where something of the process has loaded OpenTelemetry's tracing: without
it there is no span to find. ``OTEL_METRICS_EXEMPLAR_FILTER`` is honoured.
"""

from __future__ import annotations

import sys
from time import time_ns
from typing import TYPE_CHECKING

from powertools_otel._otlp._model import Exemplar

if TYPE_CHECKING:
    from typing import TypeAlias

    from opentelemetry.trace import Span

    Seen: TypeAlias = "tuple[float, Span, int]"
    """A value, the span it was added in, and when, in ns since the epoch."""


def notice(seen: dict[str, Seen], name: str, value: float) -> None:
    """Remember the span of the largest value added under ``name``.

    One exemplar a metric and flush: the outlier is the one people look for. Of equal
    values the last is kept.
    """
    trace = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return
    span: Span = trace.get_current_span()
    if span is trace.INVALID_SPAN:
        return
    known = seen.get(name)
    if known is None or value >= known[0]:
        seen[name] = (value, span, time_ns())


def exemplar(seen: Seen | None, *, unsampled: bool = False) -> Exemplar | None:
    """What was noticed, as an exemplar; nothing for a span that is not sampled.

    Args:
        seen: What :func:`notice` kept.
        unsampled: Whether spans that are not sampled count too (filter
            ``always_on``).
    """
    if seen is None:
        return None
    value, span, time = seen
    context = span.get_span_context()
    if not context.is_valid or not (unsampled or context.trace_flags.sampled):
        return None
    return Exemplar(value, time, context.trace_id, context.span_id)

"""The trace that was current when a value was added, as the value's exemplar.

Read only where something of the process has loaded OpenTelemetry's tracing: without
it there is no span to find. ``OTEL_METRICS_EXEMPLAR_FILTER`` is honoured.
"""

from __future__ import annotations

import sys
from time import time_ns
from typing import TYPE_CHECKING
from weakref import ref

from powertools_otel._otlp._model import Exemplar

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    Place: TypeAlias = tuple[int, int, bool]
    """A span's ``trace_id``, its ``span_id``, and whether it is sampled."""

# The context that was looked at last, which is immutable, and the valid span in it. A
# handler adds many values in one context, and to look takes longer than all the rest.
# Held weakly: it knows the invocation, and so its event.
_latest: tuple[Callable[[], Context | None], Place | None] = (lambda: None, None)


def notice(
    seen: dict[str, Exemplar], name: str, value: float, *, unsampled: bool = False
) -> None:
    """Remember the span of the largest value added under ``name``.

    One exemplar a metric and flush: the outlier is the one people look for. Of equal
    values the last is kept.

    Args:
        seen: Where to remember it.
        name: The metric's name.
        value: The value that has just been added.
        unsampled: Whether spans that are not sampled count too (filter
            ``always_on``).
    """
    contexts = sys.modules.get("opentelemetry.context")
    if contexts is None:
        return
    context: Context = contexts.get_current()
    looked_at, place = _latest
    if looked_at() is not context:
        place = _look_at(context)
    if place is None:
        return
    trace_id, span_id, sampled = place
    if sampled or unsampled:
        known = seen.get(name)
        if known is None or value >= known.value:
            seen[name] = Exemplar(value, time_ns(), trace_id, span_id)


def _look_at(context: Context) -> Place | None:
    global _latest
    trace = sys.modules.get("opentelemetry.trace")
    place = None
    if trace is not None:
        span: Span = trace.get_current_span(context)
        found = span.get_span_context()
        if found.is_valid:
            place = found.trace_id, found.span_id, found.trace_flags.sampled
    _latest = ref(context), place
    return place

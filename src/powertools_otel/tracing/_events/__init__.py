"""From a Lambda event to its description: pure, total, and fast.

One module a kind of source. They read the few fields that matter and never walk or
copy a body, so a 6 MB event costs what a small one does.
"""

from powertools_otel.tracing._events._describe import describe
from powertools_otel.tracing._events._description import (
    EXAMINED,
    KNOWN_METHODS,
    Attributes,
    Carrier,
    Consumer,
    EventDescription,
    Messages,
)
from powertools_otel.tracing._events._direct import (
    invoker_carrier,
    unwrap_context,
)
from powertools_otel.tracing._events._fields import Budget, Wanted, pick_nested

__all__ = [
    "EXAMINED",
    "KNOWN_METHODS",
    "Attributes",
    "Budget",
    "Carrier",
    "Consumer",
    "EventDescription",
    "Messages",
    "Wanted",
    "describe",
    "invoker_carrier",
    "pick_nested",
    "unwrap_context",
]

"""A span for INIT in the first trace: from the process' start to its first wait.

The process' start is the kernel's, to 10 ms. The handler's module may have been on its
way for a while when it imports this package; nothing tells of that, so the import's
span begins with this package's own import.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from opentelemetry.trace import set_span_in_context

from powertools_otel._invocation import IMPORTED

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

_START_FIELD = 22 - 3
_AHEAD = frozenset(
    {"provisioned-concurrency", "lambda-managed-instances", "snap-start"}
)
_recorded = False


def record(tracer: Tracer, root: Span, ended: int | None) -> None:
    """Begin and end the spans ``init`` and, in it, ``import <handler's module>``.

    Once, and only where INIT was part of the first request: an environment
    initialised ahead or restored from a snapshot may be hours old.

    Args:
        tracer: Begins the spans.
        root: The first invocation's span, their parent.
        ended: When INIT ended, in ns since the epoch, if known.
    """
    global _recorded
    ahead = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") in _AHEAD
    began = process_began()
    if _recorded or ahead or ended is None or began is None:
        return
    _recorded = True
    init = tracer.start_span("init", set_span_in_context(root), start_time=began)
    module = os.environ.get("_HANDLER", "").rpartition(".")[0].replace("/", ".")
    if module and began <= IMPORTED <= ended:
        tracer.start_span(
            f"import {module}", set_span_in_context(init), start_time=IMPORTED
        ).end(ended)
    init.end(max(ended, began))


def process_began() -> int | None:
    """When this process began, in ns since the epoch, to 10 ms; None if not Linux."""
    try:
        with open("/proc/self/stat", "rb") as stat:  # noqa: PTH123 - pathlib is slower
            # The second field, the command's name in brackets, may hold spaces.
            fields = stat.read().rpartition(b")")[2].split()
        since_boot = int(fields[_START_FIELD]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - since_boot
    except (OSError, ValueError, IndexError, AttributeError):
        return None
    return time.time_ns() - int(age * 1e9)

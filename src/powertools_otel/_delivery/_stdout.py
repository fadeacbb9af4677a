"""OTLP/JSON lines on standard output, one export request a line.

CloudWatch Logs cuts a log event at 256 KiB, which would leave no valid JSON: a
request above that is divided into several.
"""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any, cast

from powertools_otel._delivery._outcome import DELIVERED, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from powertools_otel._delivery._steps import Steps

LINE_LIMIT = 262_144
"""Bytes of a line, its end included."""
_ENVELOPE = 64

_Json = dict[str, Any]


class StdoutTransport:
    """Writes every request as lines of JSON."""

    limit = LINE_LIMIT - _ENVELOPE
    timeout_s = math.inf

    def is_open(self) -> bool:
        """Standard output is."""
        return True

    def open(self, deadline: float) -> Steps[Outcome | None]:
        """Nothing to connect to."""
        yield from ()
        return None

    def exchange(
        self, body: bytes, deadline: float, *, resendable: bool
    ) -> Steps[Outcome]:
        """Write the request."""
        yield from ()
        try:
            write(b"".join(line + b"\n" for line in lines(body)))
        except (OSError, ValueError) as error:  # ValueError: it has been closed
            return Outcome("retry", f"cannot write to standard output: {error}")
        return DELIVERED

    def late(self) -> Outcome | None:
        """Standard output gives no answer to wait for."""
        return Outcome("unknown")

    def interrupted(self) -> bool:
        """Whether all of it was written is not known."""
        return True

    def close(self, *, forked: bool = False) -> None:
        """Standard output stays open."""


def write(data: bytes) -> None:
    """Write in one piece, so that lines of other threads do not come in between.

    Raises:
        OSError: If standard output is broken.
        ValueError: If it is closed.
    """
    out = sys.stdout
    binary = getattr(out, "buffer", None)
    if binary is None:
        out.write(data.decode())
        out.flush()
        return
    out.flush()  # what was printed before comes before
    binary.write(data)
    binary.flush()


def lines(body: bytes, limit: int = LINE_LIMIT) -> Iterator[bytes]:
    """The request as lines below the limit, their ends not included.

    A single record above the limit becomes a line above it.

    Args:
        body: The request as JSON on one line.
        limit: Bytes of a line, its end included.
    """
    if len(body) < limit:
        yield body
    else:
        yield from _divided(json.loads(body), limit)


def _divided(request: _Json, limit: int) -> Iterator[bytes]:
    line = json.dumps(request, separators=(",", ":")).encode("ascii")
    halves = _halves(request) if len(line) >= limit else None
    if halves is None:
        yield line
        return
    for half in halves:
        yield from _divided(half, limit)


def _halves(node: _Json) -> tuple[_Json, _Json] | None:
    """Two requests with half of the records each; None if there is only one.

    Follows the one list of records at every level: resources, scopes, spans or
    metrics, data points. What is beside a list (resource, scope, a metric's name) is
    repeated in both halves.
    """
    for name in (
        "resourceSpans",
        "resourceMetrics",
        "scopeSpans",
        "scopeMetrics",
        "spans",
        "metrics",
        "dataPoints",
    ):
        if name not in node:
            continue
        records = cast("list[_Json]", node[name])
        middle = len(records) // 2
        if middle:
            return (
                {**node, name: records[:middle]},
                {**node, name: records[middle:]},
            )
        inner = _halves(records[0]) if records else None
        if inner is None:
            return None
        return {**node, name: [inner[0]]}, {**node, name: [inner[1]]}
    for name in ("sum", "gauge", "histogram", "exponentialHistogram", "summary"):
        if name in node:
            inner = _halves(cast("_Json", node[name]))
            if inner is not None:
                return {**node, name: inner[0]}, {**node, name: inner[1]}
    return None

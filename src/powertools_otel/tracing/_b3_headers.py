"""B3, as Zipkin's instrumentations send it, in one header or in several.

Format: the ``b3-propagation`` specification. Both forms are read whichever of the
propagators ``b3`` and ``b3multi`` is named, the single header first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SINGLE = "b3"
_TRACE_ID, _SPAN_ID = "x-b3-traceid", "x-b3-spanid"
_SAMPLED, _FLAGS = "x-b3-sampled", "x-b3-flags"

SPELLINGS: dict[str, tuple[str, ...]] = {
    _SINGLE: ("b3",),
    _TRACE_ID: ("X-B3-TraceId", "x-b3-traceid"),
    _SPAN_ID: ("X-B3-SpanId", "x-b3-spanid"),
    _SAMPLED: ("X-B3-Sampled", "x-b3-sampled"),
    _FLAGS: ("X-B3-Flags", "x-b3-flags"),
}
"""The fields, and how they are written."""
MARKS = frozenset({_SINGLE, _TRACE_ID})
"""The fields without which there is no context."""

_HEX = "0123456789abcdef"
_TRACE_LENGTHS = (32, 16)
_SPAN_LENGTH = 16
_SINGLE_LIMIT = 128
_DECISIONS = {"1": True, "true": True, "d": True, "0": False, "false": False}


class B3Context:
    """What B3 says.

    Attributes:
        trace_id: The trace.
        span_id: The span.
        sampled: None where the decision is left to us.
    """

    __slots__ = ("sampled", "span_id", "trace_id")

    def __init__(
        self,
        trace_id: int,
        span_id: int,
        sampled: bool | None,  # noqa: FBT001 - a field
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.sampled = sampled


def parse(fields: Mapping[str, str]) -> B3Context | None:
    """Read B3 from lower-case fields; a decision without ids is no context."""
    single = fields.get(_SINGLE)
    if single is not None:
        found = _parse_single(single)
        if found is not None:
            return found
    decision = "d" if fields.get(_FLAGS) == "1" else fields.get(_SAMPLED)
    return _context(fields.get(_TRACE_ID), fields.get(_SPAN_ID), decision)


def _parse_single(value: str) -> B3Context | None:
    if len(value) > _SINGLE_LIMIT:
        return None
    # Trace id, span id, and perhaps a decision and the parent's id.
    parts = [*value.strip().split("-"), None, None, None]
    return _context(parts[0], parts[1], parts[2])


def _context(
    trace: str | None, span: str | None, decision: str | None
) -> B3Context | None:
    if trace is None or span is None:
        return None
    trace, span = trace.strip().lower(), span.strip().lower()
    if len(trace) not in _TRACE_LENGTHS or len(span) != _SPAN_LENGTH:
        return None
    if (trace + span).strip(_HEX):
        return None
    trace_id, span_id = int(trace, 16), int(span, 16)
    if not trace_id or not span_id:
        return None
    return B3Context(trace_id, span_id, _DECISIONS.get((decision or "").lower()))

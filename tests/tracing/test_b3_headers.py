"""B3 in one header and in several."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.b3 import B3MultiFormat, B3SingleFormat
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from powertools_otel.tracing import _b3_headers

TRACE = "7c3e0a55d1f94b0c8f2a6b1d9e4c7a10"
SPAN = "2f8b6d14c09ea573"
FOUND = (int(TRACE, 16), int(SPAN, 16))
IDS = {"x-b3-traceid": TRACE, "x-b3-spanid": SPAN}


def read(fields: dict[str, str]) -> tuple[Any, ...] | None:
    found = _b3_headers.parse(fields)
    return found and (found.trace_id, found.span_id, found.sampled)


@pytest.mark.parametrize(
    ("fields", "sampled"),
    [
        ({"b3": f"{TRACE}-{SPAN}-1"}, True),
        ({"b3": f"{TRACE}-{SPAN}-d"}, True),
        ({"b3": f"{TRACE}-{SPAN}-0-05e3ac9a4f6e3b90"}, False),
        ({"b3": f"{TRACE}-{SPAN}"}, None),
        ({"b3": f"{TRACE.upper()}-{SPAN}-1"}, True),
        ({**IDS, "x-b3-sampled": "1"}, True),
        ({**IDS, "x-b3-sampled": "true"}, True),
        ({**IDS, "x-b3-sampled": "0", "x-b3-flags": "1"}, True),
        ({**IDS, "x-b3-sampled": "0"}, False),
        (IDS, None),
        ({"b3": "0", **IDS}, None),
    ],
)
def test_valid_contexts(fields: dict[str, str], sampled: bool | None):
    """The single header goes first; a missing decision is left to us."""
    assert read(fields) == (*FOUND, sampled)


def test_trace_ids_of_64_bits():
    """Older Zipkin instrumentations send the lower half alone."""
    assert read({"b3": f"{SPAN}-{SPAN}-1"}) == (FOUND[1], FOUND[1], True)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"b3": ""},
        {"b3": "1"},
        {"b3": "d"},
        {"b3": "-"},
        {"b3": f"{'0' * 32}-{SPAN}-1"},
        {"b3": f"{TRACE}-{'0' * 16}-1"},
        {"b3": f"{TRACE[:-1]}-{SPAN}-1"},
        {"b3": f"{TRACE[:-1]}_-{SPAN}-1"},
        {"b3": f"{TRACE}-{SPAN}-1-" + "0" * 200},
        {"x-b3-traceid": TRACE},
        {"x-b3-spanid": SPAN},
        {"x-b3-sampled": "1"},
    ],
)
def test_invalid_contexts(fields: dict[str, str]):
    """A decision without ids is no context."""
    assert read(fields) is None


@pytest.mark.parametrize("propagator", [B3SingleFormat(), B3MultiFormat()])
@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_what_the_official_propagators_write_is_read(
    propagator: Any, trace_id: int, span_id: int, sampled: bool
):
    """In both formats."""
    carrier: dict[str, str] = {}
    context = SpanContext(trace_id, span_id, True, TraceFlags(int(sampled)))
    span = trace.set_span_in_context(NonRecordingSpan(context), Context())
    propagator.inject(carrier, span)

    assert read({name.lower(): value for name, value in carrier.items()}) == (
        trace_id,
        span_id,
        sampled,
    )

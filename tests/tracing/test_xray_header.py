"""The X-Ray tracing header, in all the forms in which AWS sends it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.aws import AwsXRayPropagator
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from powertools_otel.tracing import _xray_header

ROOT = "1-67ab12c4-3f9d2e7a10b45c8892d6e1f0"
TRACE_ID = 0x67AB12C43F9D2E7A10B45C8892D6E1F0
PARENT = "5a1f0c3b7d92e684"
PARENT_ID = 0x5A1F0C3B7D92E684


def read(value: object) -> tuple[Any, ...] | None:
    found = _xray_header.parse(value)
    return found and (found.trace_id, found.parent_id, found.sampled)


@pytest.mark.parametrize(
    ("value", "parent", "sampled"),
    [
        (f"Root={ROOT};Parent={PARENT};Sampled=1", PARENT_ID, True),
        (f"Root={ROOT};Parent={PARENT};Sampled=0", PARENT_ID, False),
        (f"Root={ROOT};Parent={PARENT}", PARENT_ID, None),
        (f"Root={ROOT};Parent={PARENT};Sampled=?", PARENT_ID, None),
        (f"Root={ROOT};Parent={PARENT};Sampled=yes", PARENT_ID, None),
        (f"Root={ROOT}", None, None),
        (f"Root={ROOT};Sampled=1", None, True),
        (f"Self=1-67ab12c5-0c6b2d113e9f4a5b72c8d910;Root={ROOT}", None, None),
        (f"Self=x;Root={ROOT};CalledFrom=app", None, None),
        (
            f"Root={ROOT};Parent={PARENT};Sampled=0;Lineage=1:a87bd80c:0",
            PARENT_ID,
            False,
        ),
        (f"sampled=1 ; PARENT = {PARENT.upper()};root={ROOT};", PARENT_ID, True),
    ],
)
def test_valid_headers(value: str, parent: int | None, sampled: bool | None):
    """A decision that is missing is open: it is not a no."""
    assert read(value) == (TRACE_ID, parent, sampled)


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        "",
        "Root",
        "Root=",
        f"Parent={PARENT};Sampled=1",
        "Root=2" + ROOT[1:],
        "Root=" + ROOT[:-1],
        "Root=" + ROOT + "0",
        "Root=" + ROOT[:-1] + "g",
        "Root=1-00000000-" + "0" * 24,
        "Root=" + ROOT.replace("-", ""),
        f"Root={ROOT};Parent=",
        f"Root={ROOT};Parent={PARENT}0",
        f"Root={ROOT};Parent={PARENT[:-1]}_",
        f"Root={ROOT};Parent={'0' * 16}",
        f"Root={ROOT};" + "x" * 2000,
        f"Sampled=1,Root={ROOT}",
    ],
)
def test_invalid_headers(value: object):
    """What is malformed is ignored, whatever else stands beside it."""
    assert read(value) is None


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_what_the_official_propagator_writes_is_read(
    trace_id: int, span_id: int, sampled: bool
):
    """botocore's instrumentation writes it into every AWS call."""
    carrier: dict[str, str] = {}
    context = SpanContext(trace_id, span_id, True, TraceFlags(int(sampled)))
    span = trace.set_span_in_context(NonRecordingSpan(context), Context())
    AwsXRayPropagator().inject(carrier, span)

    assert read(carrier["X-Amzn-Trace-Id"]) == (trace_id, span_id, sampled)


@given(st.text(max_size=200))
def test_any_text_is_read(value: str):
    """Or rather, is not: no exception."""
    read(value)
    read(f"Root={value}")
    read(f"Root={ROOT};Parent={value};Sampled={value}")

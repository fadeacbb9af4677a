"""``traceparent``, ``tracestate`` and ``baggage`` as W3C specifies them."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
from opentelemetry.trace.propagation.tracecontext import (
    TraceContextTextMapPropagator,
)

from powertools_otel.tracing import _w3c_headers

TRACE = "7c3e0a55d1f94b0c8f2a6b1d9e4c7a10"
SPAN = "2f8b6d14c09ea573"
FOUND = (int(TRACE, 16), int(SPAN, 16))
OFFICIAL = TraceContextTextMapPropagator()

trace_ids = st.integers(1, 2**128 - 1)
span_ids = st.integers(1, 2**64 - 1)


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-01", 1),
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f"00-{TRACE}-{SPAN}-03", 3),
        (f"00-{TRACE}-{SPAN}-ff", 3),
        (f"01-{TRACE}-{SPAN}-01", 1),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", 1),
    ],
)
def test_valid_traceparents(value: str, flags: int):
    """Later versions are read as far as version 00 goes; unknown flags are dropped."""
    assert _w3c_headers.traceparent(value) == (*FOUND, flags)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        TRACE,
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE}-{SPAN}-01-more",
        f"cc-{TRACE}-{SPAN}-01more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}_-{SPAN}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-001",
        f"00-{TRACE}{SPAN[0]}-{SPAN[1:]}-01",
        f" 0-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01",
        "-" * 55,
        "0" * 55,
        "x" * 1_000_000,
    ],
)
def test_invalid_traceparents(value: str | None):
    """Anything that the grammar does not have is no context at all."""
    assert _w3c_headers.traceparent(value) is None


@given(trace_ids, span_ids, st.integers(0, 3))
def test_what_the_official_propagator_writes_is_read(
    trace_id: int, span_id: int, flags: int
):
    """Every valid context comes back as it was."""
    carrier: dict[str, str] = {}
    context = SpanContext(trace_id, span_id, True, TraceFlags(flags))
    span = trace.set_span_in_context(NonRecordingSpan(context), Context())
    OFFICIAL.inject(carrier, span)

    found = _w3c_headers.traceparent(carrier["traceparent"])

    assert found == (trace_id, span_id, flags)


@given(
    st.text(st.sampled_from("0123456789abcdefABCDEFg-_ \t,"), max_size=60)
    | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
)
def test_what_is_read_is_what_the_official_propagator_reads(value: str):
    """Never more than it, and never something else."""
    ours = _w3c_headers.traceparent(value)
    if ours is not None:
        official = trace.get_current_span(
            OFFICIAL.extract({"traceparent": value}, Context())
        ).get_span_context()
        assert ours[:2] == (official.trace_id, official.span_id)
        assert bool(ours[2] & 1) == official.trace_flags.sampled


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("a=1", "a=1"),
        ("a=1,b=2", "a=1,b=2"),
        (" a=1 ,\t,b=2,", "a=1,b=2"),
        ("tenant@vendor=t61rcWkgMzE", "tenant@vendor=t61rcWkgMzE"),
        ("0tenant@vendor=1", "0tenant@vendor=1"),
        ("a=with space", "a=with space"),
    ],
)
def test_valid_tracestates(value: str, kept: str):
    """White space around members and empty members are allowed."""
    state = _w3c_headers.tracestate(value)

    assert state is not None
    assert state.to_header() == kept


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        ",",
        "a",
        "a=",
        "=1",
        "A=1",
        "0a=1",
        "a=1=2",
        "a=ä",
        "a=1,a=2",
        "a b=1",
        "@v=1",
        "t@=1",
        f"{'a' * 257}=1",
        f"a={'1' * 257}",
        f"t@{'v' * 15}=1",
        ",".join(f"k{n}=1" for n in range(33)),
        "a=1," * 100_000,
    ],
)
def test_invalid_tracestates_are_discarded_whole(value: str | None):
    """One wrong member makes all of it invalid."""
    assert _w3c_headers.tracestate(value) is None


def test_long_tracestates_are_shortened_as_specified():
    """Long members go first, then the last ones, until 512 characters are left."""
    members = [f"k{n}={'v' * 60}" for n in range(10)]
    value = ",".join([f"long={'v' * 200}", *members])

    state = _w3c_headers.tracestate(value)

    assert state is not None
    assert state.to_header() == ",".join(members[:8])
    exact = ",".join(["a=" + "v" * 253, "b=" + "v" * 254])
    assert len(exact) == 512
    kept = _w3c_headers.tracestate(exact)
    assert kept is not None
    assert kept.to_header() == exact


@given(st.text(max_size=80) | st.from_regex(r"[a-z0-9@_*/-]{1,20}=[ -~]{0,20}"))
def test_the_api_takes_every_tracestate_that_is_kept(value: str):
    """``TraceState`` would log a warning for a member that it does not like."""
    ours = _w3c_headers.tracestate(value)
    if ours is not None:
        assert len(ours.to_header()) <= 512
        assert TraceState.from_header([value]) == ours


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (None, {}),
        ("", {}),
        ("a=1,b=2", {"a": "1", "b": "2"}),
        (" a = 1 ;p=1;q , b=2", {"a": "1", "b": "2"}),
        ("a=gr%C3%B6%C3%9Fe", {"a": "größe"}),
        ("a=100%,b=%zz", {"a": "100%", "b": "%zz"}),
        ("a=%ff", {"a": "\ufffd"}),
        ("a=,b", {"a": ""}),
        ("a=1=2", {"a": "1=2"}),
        ('a="x",b=\\,c=ä,d e=1,=1', {}),
        ("a=1,a=2", {"a": "2"}),
    ],
)
def test_baggage_members(value: str | None, kept: dict[str, str]):
    """Properties are left out, malformed members too, and percent-encoding undone."""
    assert _w3c_headers.baggage(value) == kept


def test_baggage_is_bounded():
    """64 members and 8192 bytes; a member that is cut in two is none."""
    many = ",".join(f"k{n}=v" for n in range(1000))
    long = ",".join(f"k{n}={'v' * 1000}" for n in range(20))

    assert list(_w3c_headers.baggage(many)) == [f"k{n}" for n in range(64)]
    kept = _w3c_headers.baggage(long)
    assert len(kept) == 8
    assert {len(value) for value in kept.values()} == {1000}
    assert _w3c_headers.baggage("k=" + "v" * 9000) == {}
    assert _w3c_headers.baggage("," * 9000) == {}


@given(
    st.dictionaries(
        st.text(st.sampled_from("abcXYZ019-._~"), min_size=1, max_size=10),
        st.text(max_size=20),
        max_size=10,
    )
)
def test_baggage_that_the_official_propagator_writes_is_read(entries: dict[str, str]):
    """Every value comes back; it writes a space as a plus sign, which is not W3C's."""
    context = Context()
    for key, value in entries.items():
        context = baggage.set_baggage(key, value, context)
    carrier: dict[str, str] = {}
    try:
        W3CBaggagePropagator().inject(carrier, context)
    except UnicodeEncodeError:
        return
    found = _w3c_headers.baggage(carrier.get("baggage"))

    assert {key: quote(value) for key, value in found.items()} == {
        key: quote(value.replace(" ", "+")) for key, value in entries.items()
    }

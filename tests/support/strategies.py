"""Hypothesis strategies for attributes, spans of the real SDK, and metrics.

*Carriable* values are those that the official exporter can send. *Hostile* values are
what an application can nevertheless put on a span.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import math
import uuid
from collections import UserDict, UserList
from typing import Any

from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import (
    ReadableSpan,
    SpanLimits,
    SpanProcessor,
    TracerProvider,
    sampling,
)
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from powertools_otel._otlp import _model as model

INT64 = st.integers(-(2**63), 2**63 - 1)
UINT64 = st.integers(0, 2**64 - 1)
INT32 = st.integers(-(2**31), 2**31 - 1)
# JSON keeps that a double is no number, not which of the many such it is.
DOUBLES = st.floats(allow_nan=False) | st.just(math.nan)
TRACE_IDS = st.integers(1, 2**128 - 1)
SPAN_IDS = st.integers(1, 2**64 - 1)

NAMES = st.text(max_size=12) | st.sampled_from(["## handler", "x" * 126, "ü" * 8_200])
SCHEMA_URLS = st.sampled_from(["", "https://opentelemetry.io/schemas/1.38.0"])

# Lengths about which a varint or a shortcut for short text changes.
LONG_TEXTS = st.builds(
    lambda size, character: character * size,
    st.sampled_from([62, 100, 120, 124, 125, 126, 127, 128, 129, 16_384]),
    st.sampled_from("aé"),
)
SCALARS = (
    st.none()
    | st.booleans()
    | INT64
    | st.sampled_from([0, 1, -1, 127, 128, 2**63 - 1, -(2**63)])
    | DOUBLES
    | st.text(max_size=20)
    | LONG_TEXTS
    | st.binary(max_size=20)
)
CARRIABLE_VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)
KEYS = st.text(min_size=1, max_size=12) | st.sampled_from(
    ["http.request.method", "cold_start", "k" * 200]
)
ATTRIBUTES = st.dictionaries(KEYS, CARRIABLE_VALUES, max_size=5)

LONE_SURROGATES = st.text(
    st.characters(categories=["Cs", "Ll", "So"]), min_size=1, max_size=8
)
HUGE_INTS = st.integers(min_value=2**63) | st.integers(max_value=-(2**63) - 1)


class Unprintable:
    """Its text cannot be had."""

    def __str__(self):
        raise RuntimeError("no text for you")

    __repr__ = __str__


class Undescribed:
    """Has no text but the default one, a memory address."""


class Liar(type):
    """A metaclass that makes its classes hard to name."""

    @property
    def __module__(cls):
        raise RuntimeError("no module for you")


class Nameless(metaclass=Liar):
    """Neither its text nor the name of its class can be had."""

    def __str__(self):
        raise RuntimeError("no text for you")


class Impostor:
    """Raises when asked for its class."""

    @property
    def __class__(self):
        raise RuntimeError("no class for you")


class ShoutingText(str):
    """Text whose methods are not those of ``str``."""

    __slots__ = ()

    def __str__(self):
        raise RuntimeError("no text for you")

    def encode(self, *args):
        raise RuntimeError("no bytes for you")


class BrokenMapping(UserDict):
    """A mapping that cannot be read."""

    def __iter__(self):
        raise RuntimeError("no keys for you")


class BrokenSequence(UserList):
    """A sequence that cannot be read."""

    def __iter__(self):
        raise RuntimeError("no items for you")


class Colour(str, enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Order:
    number: int


def nested(depth: int, innermost: Any = "core") -> Any:
    """Maps and lists in turns, ``depth`` of them."""
    value = innermost
    for level in range(depth):
        value = {"inner": value} if level % 2 else [value]
    return value


def cyclic() -> list[Any]:
    """A list that contains itself."""
    value: list[Any] = []
    value.append({"self": value})
    return value


HOSTILE_VALUES = (
    LONE_SURROGATES
    | HUGE_INTS
    | st.builds(Unprintable)
    | st.builds(Undescribed)
    | st.builds(Nameless)
    | st.builds(Impostor)
    | st.builds(ShoutingText, st.text(max_size=5))
    | st.builds(BrokenMapping, st.just({"a": 1}))
    | st.builds(BrokenSequence, st.just([1]))
    | st.builds(Order, st.integers())
    | st.builds(cyclic)
    | st.builds(nested, st.integers(20, 120))
    | st.sampled_from(
        [Colour.RED, Level.HIGH, object, len, ..., 1 + 2j, {1}, range(3), b"a"[0:0]]
    )
    | st.builds(bytearray, st.binary(max_size=4))
    | st.builds(decimal.Decimal, st.integers())
    | st.builds(fractions.Fraction, st.integers(), st.integers(1, 9))
    | st.just(dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc))
    | st.builds(uuid.UUID, int=UINT64)
)


def wrapped(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """The values, bare or within a list, a tuple or a map."""
    return st.one_of(
        values,
        st.lists(values, min_size=1, max_size=3),
        st.tuples(values, SCALARS),
        st.dictionaries(
            LONE_SURROGATES | st.integers() | st.builds(Unprintable),
            values,
            min_size=1,
            max_size=2,
        ),
    )


TRACE_STATES = st.sampled_from(
    [
        TraceState(),
        TraceState([("vendor", "a:1;b:2")]),
        TraceState([("tenant@system", "1"), ("other", "x y")]),
    ]
)


@st.composite
def span_contexts(draw) -> SpanContext:
    """Valid span contexts."""
    return SpanContext(
        draw(TRACE_IDS),
        draw(SPAN_IDS),
        draw(st.booleans()),
        TraceFlags(TraceFlags.SAMPLED),
        draw(TRACE_STATES),
    )


class KeepingProcessor(SpanProcessor):
    """Keeps ended spans in a list."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


class DrawnIds(IdGenerator):
    """Ids that Hypothesis chooses, so that it can reproduce a failure."""

    def __init__(self, draw) -> None:
        self._draw = draw

    def generate_trace_id(self) -> int:
        return self._draw(TRACE_IDS)

    def generate_span_id(self) -> int:
        return self._draw(SPAN_IDS)


@st.composite
def sdk_spans(draw, *, max_providers: int = 2, max_spans: int = 3):
    """Spans that real tracers of one or more real providers recorded.

    Every resource has a service name of its own and every scope of a provider a name
    of its own: the SDK takes ``{"a": 1}`` and ``{"a": True}`` for the same.
    """
    kept = KeepingProcessor()
    for number in range(draw(st.integers(1, max_providers))):
        attributes = {**draw(ATTRIBUTES), "service.name": f"service {number}"}
        provider = TracerProvider(
            sampler=sampling.ALWAYS_ON,
            resource=Resource(attributes, draw(SCHEMA_URLS)),
            id_generator=DrawnIds(draw),
            span_limits=draw(span_limits()),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(kept)
        names = draw(st.lists(KEYS, min_size=1, max_size=2, unique=True))
        tracers = [
            provider.get_tracer(
                name,
                draw(st.sampled_from([None, "", "1.2.3"])),
                draw(SCHEMA_URLS | st.none()),
                draw(ATTRIBUTES | st.none()),
            )
            for name in names
        ]
        for _ in range(draw(st.integers(0, max_spans))):
            _record(draw, draw(st.sampled_from(tracers)))
    return draw(st.permutations(kept.spans))


@st.composite
def span_limits(draw) -> SpanLimits:
    """The default limits, or small ones that make the SDK drop things."""
    if draw(st.booleans()):
        return SpanLimits()
    few = st.integers(0, 2)
    return SpanLimits(
        max_span_attributes=draw(few),
        max_events=draw(few),
        max_links=draw(few),
        max_event_attributes=draw(few),
        max_link_attributes=draw(few),
    )


def _record(draw, tracer) -> None:
    parent = draw(st.none() | span_contexts())
    context = None if parent is None else set_span_in_context(NonRecordingSpan(parent))
    span = tracer.start_span(
        draw(NAMES),
        context=context,
        kind=draw(st.sampled_from(SpanKind)),
        attributes=draw(ATTRIBUTES | st.none()),
        links=draw(st.lists(links(), max_size=3)),
        start_time=draw(UINT64),
    )
    for _ in range(draw(st.integers(0, 3))):
        attributes = draw(ATTRIBUTES | st.none())
        span.add_event(draw(NAMES), attributes, draw(UINT64))
    if draw(st.booleans()):
        span.record_exception(ValueError(draw(st.text(max_size=20))))
    span.set_status(draw(statuses()))
    span.end(draw(UINT64))


@st.composite
def links(draw) -> Link:
    """Links with and without attributes."""
    return Link(draw(span_contexts()), draw(ATTRIBUTES | st.none()))


@st.composite
def statuses(draw) -> Status:
    """Every status code, and descriptions where the API allows them."""
    code = draw(st.sampled_from(StatusCode))
    description = draw(st.none() | NAMES) if code is StatusCode.ERROR else None
    return Status(code, description)


NUMBERS = INT64 | DOUBLES
OPTIONAL_DOUBLES = st.none() | DOUBLES
COUNTS = st.lists(UINT64, max_size=5)

EXEMPLARS = st.lists(
    st.builds(
        model.Exemplar,
        NUMBERS,
        UINT64,
        st.just(0) | TRACE_IDS,
        st.just(0) | SPAN_IDS,
        st.none() | ATTRIBUTES,
    ),
    max_size=2,
)
NUMBER_POINTS = st.builds(
    model.NumberPoint, ATTRIBUTES, UINT64, UINT64, NUMBERS, EXEMPLARS
)
ODD_HISTOGRAM_POINTS = st.builds(
    model.HistogramPoint,
    ATTRIBUTES,
    UINT64,
    UINT64,
    count=UINT64,
    sum=OPTIONAL_DOUBLES,
    min=OPTIONAL_DOUBLES,
    max=OPTIONAL_DOUBLES,
    bounds=st.lists(DOUBLES, max_size=4),
    bucket_counts=COUNTS,
    exemplars=EXEMPLARS,
)


def _usual_histogram_points(bounds: tuple[float, ...]):
    """Points as the store makes them: with all numbers, and a count per bucket."""
    buckets = len(bounds) + 1
    return st.builds(
        model.HistogramPoint,
        ATTRIBUTES,
        UINT64,
        UINT64,
        count=UINT64,
        sum=DOUBLES,
        min=DOUBLES,
        max=DOUBLES,
        bounds=st.just(bounds),
        bucket_counts=st.lists(UINT64, min_size=buckets, max_size=buckets),
        exemplars=EXEMPLARS,
    )


HISTOGRAM_POINTS = ODD_HISTOGRAM_POINTS | (
    st.lists(DOUBLES, max_size=4).map(tuple).flatmap(_usual_histogram_points)
)
EXPONENTIAL_POINTS = st.builds(
    model.ExponentialPoint,
    ATTRIBUTES,
    UINT64,
    UINT64,
    count=UINT64,
    sum=OPTIONAL_DOUBLES,
    min=OPTIONAL_DOUBLES,
    max=OPTIONAL_DOUBLES,
    scale=INT32,
    zero_count=UINT64,
    zero_threshold=DOUBLES,
    positive_offset=INT32,
    positive_counts=COUNTS,
    negative_offset=INT32,
    negative_counts=COUNTS,
    exemplars=EXEMPLARS,
)
TEMPORALITIES = st.sampled_from([model.DELTA, model.CUMULATIVE])


def _few(points: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(points, max_size=2)


METRIC_DATA = (
    st.builds(model.Sum, _few(NUMBER_POINTS), TEMPORALITIES, st.booleans())
    | st.builds(model.Gauge, _few(NUMBER_POINTS))
    | st.builds(model.Histogram, _few(HISTOGRAM_POINTS), TEMPORALITIES)
    | st.builds(model.ExponentialHistogram, _few(EXPONENTIAL_POINTS), TEMPORALITIES)
)
METRICS = st.builds(
    model.Metric, NAMES, NAMES, NAMES, METRIC_DATA, st.none() | ATTRIBUTES
)
METRIC_SCOPES = st.lists(
    st.builds(
        model.Scope,
        NAMES,
        NAMES,
        SCHEMA_URLS,
        st.none() | ATTRIBUTES,
        st.lists(METRICS, max_size=2),
    ),
    min_size=1,
    max_size=2,
)
METRIC_RESOURCES = st.builds(model.Resource, ATTRIBUTES, SCHEMA_URLS)

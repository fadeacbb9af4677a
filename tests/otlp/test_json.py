"""OTLP/JSON as text: its shortcuts and what it remembers change nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode
from tests.otlp.reference import JSON
from tests.support.strategies import (
    HOSTILE_VALUES,
    HUGE_INTS,
    INT64,
    METRIC_RESOURCES,
    METRIC_SCOPES,
    UINT64,
    sdk_spans,
    wrapped,
)

from powertools_otel._otlp import _json_metrics, _json_values
from powertools_otel._otlp import _model as model

CONTEXT = SpanContext(0xA1, 0xB2, is_remote=False)
RESOURCE = Resource({"service.name": "orders"})
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=12)


class Text(str):
    """Text that is not of the type ``str`` itself."""

    __slots__ = ()


class Integer(int):
    """An integer that is not of the type ``int`` itself."""


class Double(float):
    """A double that is not of the type ``float`` itself."""


class Items(list):
    """A list that is not of the type ``list`` itself."""


def span(name="work", **fields) -> ReadableSpan:
    fields.setdefault("resource", RESOURCE)
    return ReadableSpan(name, CONTEXT, **fields)


def only_span(**fields) -> dict:
    [resource_spans] = json.loads(f"[{JSON.encode_spans([span(**fields)]).decode()}]")
    return resource_spans["scopeSpans"][0]["spans"][0]


def metrics(point) -> bytes:
    data = model.Histogram([point], model.DELTA)
    metric = model.Metric("load", "1", "", data)
    scope = model.Scope("orders", "", "", None, [metric])
    return JSON.encode_metrics(model.Resource({}), [scope])


def as_a_json_encoder_writes(fragment: bytes) -> bytes:
    """The fragment's document, written by ``json``, with every name once."""
    document = json.loads(b"[%b]" % fragment, object_pairs_hook=_with_unique_names)
    return json.dumps(
        document, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    ).encode()[1:-1]


def _with_unique_names(pairs) -> dict:
    names = [name for name, _ in pairs]
    assert len(set(names)) == len(names), names
    return dict(pairs)


@settings(deadline=None, max_examples=50)
@given(spans=sdk_spans())
def test_spans_are_written_as_by_a_json_encoder(spans):
    """Escapes, numbers and separators are those of ``json``, and no name repeats."""
    fragment = JSON.encode_spans(spans)

    assert fragment == as_a_json_encoder_writes(fragment)


@settings(deadline=None, max_examples=50)
@given(resource=METRIC_RESOURCES, scopes=METRIC_SCOPES)
def test_metrics_are_written_as_by_a_json_encoder(resource, scopes):
    """Escapes, numbers and separators are those of ``json``, and no name repeats."""
    fragment = JSON.encode_metrics(resource, scopes)

    assert fragment == as_a_json_encoder_writes(fragment)


@settings(deadline=None, max_examples=50)
@given(values=st.dictionaries(ANY_TEXT, wrapped(HOSTILE_VALUES), max_size=3))
def test_hostile_values_are_written_as_by_a_json_encoder(values):
    """Values of odd types are escaped as well, so that no text can end a string."""
    fragment = JSON.encode_spans([span(attributes=values)])

    assert fragment == as_a_json_encoder_writes(fragment)


@settings(deadline=None, max_examples=50)
@given(
    texts=st.dictionaries(ANY_TEXT, ANY_TEXT, max_size=3),
    integer=INT64 | HUGE_INTS,
    double=st.floats(),
    items=st.lists(ANY_TEXT, max_size=3),
)
def test_values_of_subclasses_are_written_as_those_of_the_type(
    texts, integer, double, items
):
    """The shortcuts for the usual types write what any other type is turned into."""
    usual = {**texts, "integer": integer, "double": double, "items": tuple(items)}
    unusual = {
        **{Text(key): Text(value) for key, value in texts.items()},
        Text("integer"): Integer(integer),
        Text("double"): Double(double),
        Text("items"): Items(map(Text, items)),
    }

    expected = JSON.encode_spans([span(attributes=usual)])

    assert JSON.encode_spans([span(attributes=unusual)]) == expected
    assert JSON.encode_spans([span(attributes=MappingProxyType(usual))]) == expected


@settings(deadline=None, max_examples=50)
@given(
    counts=st.lists(UINT64 | st.integers(0, 3), max_size=6),
    bounds=st.lists(st.floats(allow_nan=False), max_size=6),
    number=st.floats(allow_nan=False) | st.integers(-(2**53), 2**53),
)
def test_points_of_other_types_are_written_as_those_of_the_usual(
    counts, bounds, number
):
    """Remembered rows of counts and bounds are what each time would be written."""
    usual = model.HistogramPoint(
        {}, 1, 2, 3, float(number), bounds=tuple(bounds), bucket_counts=counts
    )
    unusual = model.HistogramPoint(
        {}, Integer(1), Fraction(2), Decimal(3), Double(number),
        bounds=[Double(bound) for bound in bounds],
        bucket_counts=[Fraction(count) for count in counts],
    )  # fmt: skip

    expected = metrics(usual)

    assert metrics(unusual) == expected
    assert metrics(usual) == expected


def test_a_count_that_is_no_number_is_zero():
    """A bucket's count without a number costs no other bucket's."""
    point = model.HistogramPoint({}, 0, 0, 0, bucket_counts=[2, "many", [], None, 3])

    assert b'"bucketCounts":["2","0","0","0","3"]' in metrics(point)


def test_what_is_remembered_is_bounded():
    """A function that makes up keys and counts does not fill the memory."""
    for number in range(3_000):
        attributes = {f"key {number}": 1}
        [attribute] = only_span(attributes=attributes)["attributes"]
        assert attribute["key"] == f"key {number}"
        assert len(_json_values._keys) <= 1024

        point = model.HistogramPoint({}, 0, 0, 0, bucket_counts=[number, 1])
        assert b'"bucketCounts":["%d","1"]' % number in metrics(point)
        assert _json_metrics._remembered_row.cache_info().currsize <= 128


def test_a_span_without_readable_scope_leaves_its_neighbours_in_theirs():
    """What was noticed about the span before is not taken for that of the next."""

    class Unreadable(ReadableSpan):
        @property
        def instrumentation_scope(self):
            raise RuntimeError("no scope for you")

    scopes = [InstrumentationScope(name) for name in ("a", "b")]
    spans = [
        span("1", instrumentation_scope=scopes[0]),
        Unreadable("bad", CONTEXT, resource=Resource({"service.name": "other"})),
        span("2", instrumentation_scope=scopes[0]),
        span("3", instrumentation_scope=scopes[1]),
        Unreadable("bad", CONTEXT, resource=RESOURCE),
        span("4", instrumentation_scope=scopes[0]),
    ]

    [resource_spans] = json.loads(b"[%b]" % JSON.encode_spans(spans))

    names = {
        group["scope"]["name"]: [item["name"] for item in group["spans"]]
        for group in resource_spans["scopeSpans"]
    }
    assert names == {"a": ["1", "2", "4"], "b": ["3"]}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status(), {}),
        (Status(StatusCode.OK), {"code": 1}),
        (Status(StatusCode.ERROR), {"code": 2}),
        (Status(StatusCode.ERROR, 'no "b"'), {"code": 2, "message": 'no "b"'}),
    ],
    ids=["unset", "ok", "error", "described"],
)
def test_statuses_become(status, expected):
    """The status is there even if it is unset, and has what it says."""
    assert only_span(status=status)["status"] == expected

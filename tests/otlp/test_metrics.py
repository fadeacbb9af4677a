"""Encoded metrics, read back through the official protobuf messages."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from opentelemetry.sdk import resources
from tests.otlp.reference import ENCODINGS, official_metrics, parse, plain
from tests.support.strategies import (
    HOSTILE_VALUES,
    METRIC_RESOURCES,
    METRIC_SCOPES,
    wrapped,
)

from powertools_otel._otlp import _model as model

RESOURCE = model.Resource({"service.name": "orders"})

encodings = pytest.mark.parametrize("encoder", ENCODINGS.values(), ids=ENCODINGS)


def encoded(encoder, *metrics):
    scope = model.Scope("orders", "1.0", "", None, metrics)
    request = parse(encoder, "metrics", encoder.encode_metrics(RESOURCE, [scope]))
    return request.resource_metrics[0].scope_metrics[0].metrics


def gauge(*points) -> model.Metric:
    return model.Metric("load", "1", "", model.Gauge(points))


@encodings
@settings(deadline=None)
@given(resource=METRIC_RESOURCES, scopes=METRIC_SCOPES)
def test_metrics_equal_the_official_messages(encoder, resource, scopes):
    """Every field of every kind of metric arrives, including which are absent."""
    fragment = encoder.encode_metrics(resource, scopes)

    assert parse(encoder, "metrics", fragment) == official_metrics(resource, scopes)


@encodings
@settings(deadline=None, max_examples=30)
@given(first=METRIC_SCOPES, second=METRIC_SCOPES)
def test_fragments_join_into_one_request(encoder, first, second):
    """Two fragments framed together are one request with the metrics of both."""
    fragments = [encoder.encode_metrics(RESOURCE, item) for item in (first, second)]

    request = parse(encoder, "metrics", *fragments)

    expected = official_metrics(RESOURCE, first)
    expected.MergeFrom(official_metrics(RESOURCE, second))
    assert request == expected


@encodings
def test_no_scopes_make_an_empty_fragment(encoder):
    """Nothing recorded is an empty fragment, and its request is valid and empty."""
    assert encoder.encode_metrics(RESOURCE, []) == b""
    assert not parse(encoder, "metrics", b"").resource_metrics


@encodings
def test_the_resource_of_the_sdk_serves_as_well(encoder):
    """Metrics can share the tracer provider's resource."""
    resource = resources.Resource({"service.name": "orders"}, "https://schema")
    scope = model.Scope("orders", "1.0", "", None, [gauge()])

    request = parse(encoder, "metrics", encoder.encode_metrics(resource, [scope]))

    expected = model.Resource({"service.name": "orders"}, "https://schema")
    assert request == official_metrics(expected, [scope])


@encodings
@settings(deadline=None)
@given(hostile=wrapped(HOSTILE_VALUES))
def test_hostile_values_cost_nothing_else(encoder, hostile):
    """A hostile attribute anywhere leaves the numbers as they were."""
    odd = {"hostile": hostile}
    exemplar = model.Exemplar(2, 3, 4, 5, odd)
    point = model.NumberPoint(odd, 1, 2, 42, [exemplar])
    metric = model.Metric("load", "1", "", model.Gauge([point]), odd)

    [result] = encoded(encoder, metric)

    [received] = result.gauge.data_points
    assert received.as_int == 42
    assert received.exemplars[0].as_int == 2
    for attributes in (
        result.metadata,
        received.attributes,
        received.exemplars[0].filtered_attributes,
    ):
        assert [item.key for item in attributes] == ["hostile"]
        assert plain(attributes[0].value) is not None


@encodings
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**63 - 1, {"as_int": 2**63 - 1}),
        (-(2**63), {"as_int": -(2**63)}),
        (2**63, {"as_double": 2.0**63}),
        (10**400, {"as_double": float("inf")}),
        (-(10**400), {"as_double": float("-inf")}),
        (True, {"as_int": 1}),
        (Decimal("0.5"), {"as_double": 0.5}),
    ],
    ids=str,
)
def test_numbers_become(encoder, value, expected):
    """Numbers that no 64-bit integer holds are sent as doubles."""
    point = model.NumberPoint({}, 0, 0, value, [model.Exemplar(value, 0)])

    [metric] = encoded(encoder, gauge(point))

    [received] = metric.gauge.data_points
    for holder in (received, received.exemplars[0]):
        name = holder.WhichOneof("value")
        assert {name: getattr(holder, name)} == expected


@encodings
def test_a_point_without_a_number_is_left_out_alone(encoder, caplog):
    """What is no real number is logged, and the other points are kept."""
    caplog.set_level("DEBUG", "powertools_otel")
    points = [model.NumberPoint({}, 0, 0, value) for value in (1, "many", 2j, 3)]

    [metric] = encoded(encoder, gauge(*points))

    assert [point.as_int for point in metric.gauge.data_points] == [1, 3]
    assert "Could not encode a data point" in caplog.text


@encodings
def test_counts_and_times_out_of_range_are_bounded(encoder):
    """A field out of its range gets the nearest value it can hold."""
    odd = model.Exemplar(1, -1, "trace", 2**64 + 7)
    number = model.NumberPoint({}, -1, 2**64, 1.0, [odd])
    explicit = model.HistogramPoint(
        {}, 2**70, -1, -3, bucket_counts=[-1, 2**64], sum=10**400, bounds=[10**400]
    )
    exponential = model.ExponentialPoint(
        {}, -1, 2**70, 2**64, scale=-(2**40), positive_offset=2**40,
        positive_counts=[2**65, -1], negative_offset=-(2**31), negative_counts=[2.0],
    )  # fmt: skip
    delta = model.DELTA

    results = encoded(
        encoder,
        gauge(number),
        model.Metric("a", "", "", model.Histogram([explicit], delta)),
        model.Metric("b", "", "", model.ExponentialHistogram([exponential], delta)),
    )

    largest, infinity = 2**64 - 1, float("inf")
    [first] = results[0].gauge.data_points
    assert (first.start_time_unix_nano, first.time_unix_nano) == (0, largest)
    assert first.exemplars[0].time_unix_nano == 0
    assert first.exemplars[0].trace_id == bytes(16)
    assert first.exemplars[0].span_id == bytes(7) + b"\7"
    [second] = results[1].histogram.data_points
    assert (second.start_time_unix_nano, second.time_unix_nano) == (largest, 0)
    assert (second.count, second.sum) == (0, infinity)
    assert list(second.bucket_counts) == [0, largest]
    assert list(second.explicit_bounds) == [infinity]
    [third] = results[2].exponential_histogram.data_points
    assert (third.count, third.scale) == (largest, -(2**31))
    assert (third.positive.offset, third.negative.offset) == (2**31 - 1, -(2**31))
    assert list(third.positive.bucket_counts) == [largest, 0]
    assert list(third.negative.bucket_counts) == [2]


@encodings
@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([0, 127], [0, 127]),
        ([0, 128], [0, 128]),
        ([-5, 300], [0, 300]),
        ([-5, 3], [0, 3]),
        ([2**64, 1], [2**64 - 1, 1]),
    ],
    ids=str,
)
def test_bucket_counts_become(encoder, counts, expected):
    """Bucket counts of every size arrive, and those out of range are bounded."""
    point = model.ExponentialPoint({}, 0, 0, 0, positive_counts=counts)
    data = model.ExponentialHistogram([point], model.DELTA)

    [metric] = encoded(encoder, model.Metric("a", "", "", data))

    [received] = metric.exponential_histogram.data_points
    assert list(received.positive.bucket_counts) == expected


def test_records_are_equal_by_their_fields():
    """Records of one class with the same fields are equal, for the sake of tests."""
    assert gauge(model.NumberPoint({"a": 1}, 1, 2, 3)) == gauge(
        model.NumberPoint({"a": 1}, 1, 2, 3)
    )
    assert model.NumberPoint({}, 1, 2, 3) != model.NumberPoint({}, 1, 2, 4)
    assert model.Gauge([]) != model.Sum([], model.DELTA, monotonic=True)
    assert model.Gauge([]) != []


def test_records_show_their_fields():
    """A record's representation names every field."""
    assert repr(model.Sum([], model.DELTA, monotonic=False)) == (
        "Sum(monotonic=False, points=[], temporality=1)"
    )

"""Our base-2 exponential histogram against its definition and the SDK's."""

from __future__ import annotations

import math
import sys
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    ExponentialBucketHistogramAggregation,
    View,
)

from powertools_otel.metrics._exponential import (
    MAX_BUCKETS,
    Buckets,
    ExponentialState,
    dense,
    index_at,
)

normal = st.floats(
    min_value=sys.float_info.min, max_value=sys.float_info.max, allow_subnormal=False
)
everyday = st.floats(min_value=1e-6, max_value=1e6)
values = st.lists(
    st.one_of(everyday, everyday.map(lambda v: -v), st.just(0.0)), min_size=1
)


@given(normal, st.integers(-10, 0))
def test_indexes_at_low_scales_are_exact(value, scale):
    """base**i < value <= base**(i+1), in exact arithmetic."""
    index = index_at(value, scale)

    exact, step = Fraction(value), 1 << -scale
    assert Fraction(2) ** (index * step) < exact <= Fraction(2) ** ((index + 1) * step)


@given(normal, st.integers(1, 20))
def test_indexes_at_high_scales_are_right_to_rounding(value, scale):
    """The logarithm of the value lies within the bucket, to its last digits."""
    index = index_at(value, scale)

    position = math.ldexp(math.log2(value), scale)
    slack = 1e-15 * max(abs(position), 1) * 4
    assert index - slack <= position <= index + 1 + slack


@given(st.integers(-1000, 1000), st.integers(-10, 20))
def test_powers_of_two_are_upper_bounds_of_their_bucket(exponent, scale):
    """The one kind of value that lies on a bound at every scale is placed exactly."""
    index = index_at(math.ldexp(1.0, exponent), scale)

    if scale >= 0:
        assert index == (exponent << scale) - 1
    else:
        assert index == (exponent - 1) >> -scale


@given(st.lists(st.one_of(normal, normal.map(lambda v: -v), st.just(0.0)), min_size=1))
def test_every_value_is_counted_within_160_buckets(numbers):
    """No range of values overflows the buckets, and none is lost."""
    buckets = Buckets()
    for number in numbers:
        buckets.add(number)

    _, positive = dense(buckets.positive)
    _, negative = dense(buckets.negative)
    assert max(len(positive), len(negative)) <= MAX_BUCKETS
    assert sum(positive) == sum(number > 0 for number in numbers)
    assert sum(negative) == sum(number < 0 for number in numbers)
    assert buckets.zeros == numbers.count(0)


@given(st.lists(normal, min_size=1))
def test_values_stay_in_their_buckets_as_the_scale_falls(numbers):
    """Merged buckets are those that the final scale would have given at once."""
    buckets = Buckets()
    for number in numbers:
        buckets.add(number)
    assume(buckets.scale <= 0)

    expected: dict[int, int] = {}
    for number in numbers:
        index = index_at(number, buckets.scale)
        expected[index] = expected.get(index, 0) + 1
    assert buckets.positive == expected


@given(values)
def test_points_equal_those_of_the_sdk(numbers):
    """Scale, offsets, counts, zeros, sum, min and max are the SDK aggregation's."""
    reader = InMemoryMetricReader()
    view = View(
        instrument_name="h",
        aggregation=ExponentialBucketHistogramAggregation(max_size=160, max_scale=20),
    )
    provider = MeterProvider([reader], views=[view], shutdown_on_exit=False)
    # The SDK's instrument drops negative values before its aggregation sees them.
    histogram = provider.get_meter("m").create_histogram("h")
    numbers = [abs(number) for number in numbers]
    for number in numbers:
        histogram.record(number)
    data = reader.get_metrics_data()
    theirs = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0]

    state = ExponentialState()
    for number in numbers:
        state.add("h", [number])
    ours = state.point({}, 0, 0, ())

    assert ours.scale == theirs.scale
    assert (ours.count, ours.zero_count) == (theirs.count, theirs.zero_count)
    assert (ours.min, ours.max) == (theirs.min, theirs.max)
    assert ours.sum == pytest.approx(theirs.sum)
    counts = list(theirs.positive.bucket_counts)
    while counts and not counts[-1]:
        counts.pop()  # the SDK sends its spare buckets too
    assert ours.positive_counts == counts
    if counts:
        assert ours.positive_offset == theirs.positive.offset


@given(values)
def test_negative_values_mirror_positive_ones(numbers):
    """A negative value has the bucket of its magnitude, on the other side."""
    one, other = ExponentialState(), ExponentialState()
    one.add("h", numbers)
    other.add("h", [-number for number in numbers])

    here, there = one.point({}, 0, 0, ()), other.point({}, 0, 0, ())
    assert here.scale == there.scale
    assert (here.positive_offset, here.positive_counts) == (
        there.negative_offset,
        there.negative_counts,
    )
    assert here.zero_count == there.zero_count


def test_odd_values_are_left_out_and_said(caplog):
    """Infinity has no bucket at any useful scale; other values are not touched."""
    state = ExponentialState()
    state.add("h", [float("nan"), 2.0, float("inf")])
    state.add("h", [float("-inf")])
    point = state.point({}, 0, 0, ())

    assert (point.count, point.sum, point.min, point.max) == (1, 2.0, 2.0, 2.0)
    assert sum(point.positive_counts) == 1
    assert caplog.text.count("no finite number") == 1

"""Sums, gauges and histograms with explicit bounds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powertools_otel.metrics._aggregations import (
    GaugeState,
    HistogramState,
    SumState,
)

BOUNDS = (0.0, 1.0, 10.0)
numbers = st.one_of(
    st.floats(-100, 100), st.sampled_from([*BOUNDS, float("nan"), math.inf, -math.inf])
)
lots = st.lists(st.lists(numbers, min_size=1), min_size=1)


def place(number: float) -> int:
    """The definition: the first bucket whose upper bound is not below the value."""
    for position, bound in enumerate(BOUNDS):
        if number <= bound:
            return position
    return len(BOUNDS)


@given(lots)
def test_histograms_count_every_value_and_add_up_finite_ones(batches):
    """Values that are no finite number count, but touch no sum, minimum, maximum."""
    state = HistogramState(BOUNDS)
    for batch in batches:
        state.add("h", batch)
    point = state.point({}, 1, 2, ())

    everything = [number for batch in batches for number in batch]
    finite = [number for number in everything if math.isfinite(number)]
    expected = [0] * (len(BOUNDS) + 1)
    for number in everything:
        expected[place(number)] += 1
    assert point.bucket_counts == expected
    assert point.count == len(everything)
    assert point.sum == pytest.approx(math.fsum(finite), abs=1e-9)
    assert point.min == min(finite, default=None)
    assert point.max == max(finite, default=None)


@given(lots)
def test_sums_add_up_finite_values(batches):
    """A NaN among the values takes nothing from the others."""
    state = SumState()
    for batch in batches:
        state.add("s", batch)

    finite = [number for batch in batches for number in batch if math.isfinite(number)]
    assert state.point({}, 1, 2, ()).value == pytest.approx(math.fsum(finite), abs=1e-9)


@given(st.lists(st.floats(), min_size=1))
def test_gauges_carry_the_last_value_whatever_it_is(values):
    """OTLP's double has NaN and infinities."""
    state = GaugeState()
    state.add("g", values)

    found = state.point({}, 1, 2, ()).value
    assert found == values[-1] or (math.isnan(found) and math.isnan(values[-1]))


def test_a_negative_count_is_kept_and_said_once(caplog):
    """The sum is what EMF's would be; the kind does not change."""
    state = SumState()
    state.add("orders", [5.0])
    state.add("orders", [-2.0])
    state.add("orders", [1.0, -1.0])

    assert state.point({}, 1, 2, ()).value == 3.0
    assert caplog.text.count("negative value") == 1


def test_a_gauge_with_several_values_says_so_once(caplog):
    """What a gauge cannot carry is not lost silently."""
    state = GaugeState()
    state.add("depth", [1.0])
    assert not caplog.records
    state.add("depth", [1.0, 2.0])
    state.add("depth", [1.0, 2.0])

    assert caplog.text.count("carries the last one") == 1


def test_sums_of_finite_values_may_overflow_as_floats_do():
    """1e308 twice is infinite in EMF's statistics too, and no value is odd."""
    state = HistogramState(BOUNDS)
    state.add("h", [1e308, 1e308])
    point = state.point({}, 1, 2, ())

    assert (point.count, point.sum, point.max) == (2, math.inf, 1e308)

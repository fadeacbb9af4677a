"""What becomes of the values of one series: a sum, a gauge, or a histogram.

Values that are no finite number have no place in a sum or a bucket. A histogram with
explicit bounds counts them in its outermost buckets (NaN in the last one, where
Prometheus' clients count it), a sum and an exponential histogram leave them out, a
gauge carries them. They never touch the sum, minimum and maximum of other values,
and it is said once.
"""

from __future__ import annotations

from bisect import bisect_left
from math import isfinite, isnan
from typing import TYPE_CHECKING

from powertools_otel._guard import warn_once
from powertools_otel._otlp._model import (
    ExponentialHistogram,
    Gauge,
    Histogram,
    HistogramPoint,
    NumberPoint,
    Sum,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Protocol, TypeAlias

    from powertools_otel._otlp._model import Attributes, Exemplar, Temporality

    Data: TypeAlias = Sum | Gauge | Histogram | ExponentialHistogram

    # A Protocol class takes 0.1 ms to create: cold starts do without.
    class Aggregation(Protocol):
        """The running state of one series."""

        def add(self, name: str, values: Sequence[float]) -> None:
            """Take in values; ``name`` is for what there is to warn about."""
            ...

        def clear(self) -> None:
            """Begin anew, without a value."""
            ...

        def point(
            self,
            attributes: Attributes,
            start: int,
            time: int,
            exemplars: Sequence[Exemplar],
        ) -> Any:
            """The state as a data point over ``start..time``, in ns since the epoch."""
            ...


class SumState:
    """Added up, as a double: what EMF's statistic ``Sum`` would show."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0.0

    def clear(self) -> None:
        """Begin at zero."""
        self.total = 0.0

    def add(self, name: str, values: Sequence[float]) -> None:
        """Add up; a negative value is kept, for dropping it would be a wrong sum."""
        if len(values) == 1:
            added = values[0]
            negative = added < 0.0
        else:
            added = sum(values)
            negative = any(value < 0.0 for value in values)
        if added - added != 0.0:
            values = finite_values(name, values)
            added = sum(values)
            negative = any(value < 0.0 for value in values)
        self.total += added
        if negative:
            warn_once(
                "metrics:negative",
                "The metric %.100r is a sum and got a negative value. It is sent as it "
                "is, but many backends take a falling sum for a restart: make it a "
                "histogram or gauge with POWERTOOLS_OTEL_METRIC_KINDS.",
                name,
            )

    def point(
        self,
        attributes: Attributes,
        start: int,
        time: int,
        exemplars: Sequence[Exemplar],
    ) -> NumberPoint:
        """The sum over the interval."""
        return NumberPoint(attributes, start, time, self.total, exemplars)


class GaugeState:
    """The value that was added last."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0.0

    def clear(self) -> None:
        """Forget the value."""
        self.last = 0.0

    def add(self, name: str, values: Sequence[float]) -> None:
        """Keep the last value."""
        self.last = values[-1]
        if len(values) > 1:
            warn_once(
                "metrics:gauge",
                "The metric %.100r is a gauge and got several values in one "
                "invocation: a gauge carries the last one only.",
                name,
            )

    def point(
        self,
        attributes: Attributes,
        start: int,
        time: int,
        exemplars: Sequence[Exemplar],
    ) -> NumberPoint:
        """The last value; a gauge has no interval."""
        return NumberPoint(attributes, 0, time, self.last, exemplars)


class HistogramState:
    """A distribution over explicit bounds."""

    __slots__ = ("bounds", "count", "counts", "high", "low", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.clear()

    def clear(self) -> None:
        """Forget all values."""
        self.counts = [0] * (len(self.bounds) + 1)
        self.count = 0
        self.total = 0.0
        self.low: float | None = None
        self.high: float | None = None

    def add(self, name: str, values: Sequence[float]) -> None:
        """Count each value in its bucket; an upper bound belongs to its bucket."""
        if len(values) == 1:
            added = low = high = values[0]
        else:
            added, low, high = sum(values), min(values), max(values)
        if added - added != 0.0:
            values = self._set_odd_ones_aside(name, values)
            if not values:
                return
            added, low, high = sum(values), min(values), max(values)
        counts, bounds = self.counts, self.bounds
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self.count += len(values)
        self.total += added
        if self.low is None or low < self.low:
            self.low = low
        if self.high is None or high > self.high:
            self.high = high

    def _set_odd_ones_aside(self, name: str, values: Sequence[float]) -> list[float]:
        """Count the values that are not finite, and return the others."""
        finite = finite_values(name, values)
        for value in values:
            if not isfinite(value):
                self.counts[-1 if isnan(value) or value > 0 else 0] += 1
        self.count += len(values) - len(finite)
        return finite

    def point(
        self,
        attributes: Attributes,
        start: int,
        time: int,
        exemplars: Sequence[Exemplar],
    ) -> HistogramPoint:
        """The distribution over the interval."""
        return HistogramPoint(
            attributes,
            start,
            time,
            self.count,
            self.total,
            self.low,
            self.high,
            self.bounds,
            self.counts.copy(),
            exemplars,
        )


def finite_values(name: str, values: Sequence[float]) -> list[float]:
    """The values that are finite, and a word about the others."""
    finite = [value for value in values if isfinite(value)]
    if len(finite) < len(values):
        warn_once(
            "metrics:nonfinite",
            "The metric %.100r got a value that is no finite number. It has no part in "
            "the metric's sum, minimum and maximum.",
            name,
        )
    return finite


def state(kind: str, bounds: tuple[float, ...]) -> Aggregation:
    """An empty state of a kind: sum, gauge, histogram or exponential."""
    if kind == "histogram":
        return HistogramState(bounds)
    if kind == "sum":
        return SumState()
    if kind == "gauge":
        return GaugeState()
    from powertools_otel.metrics._exponential import ExponentialState

    return ExponentialState()


def data(kind: str, points: Sequence[Any], temporality: Temporality) -> Data:
    """Points of a kind as the data of a metric."""
    if kind == "histogram":
        return Histogram(points, temporality)
    if kind == "sum":
        return Sum(points, temporality, True)  # noqa: FBT003 - OTLP's is_monotonic
    if kind == "gauge":
        return Gauge(points)
    return ExponentialHistogram(points, temporality)

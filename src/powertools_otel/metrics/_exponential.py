"""Base-2 exponential histograms, as OTLP's ``metrics.proto`` defines them.

A bucket with index ``i`` at scale ``s`` holds ``base**i < value <= base**(i + 1)``
with ``base = 2 ** 2**-s``. Two buckets next to each other merge into one when the
scale falls by one, which is how any range fits into a fixed number of buckets.
"""

from __future__ import annotations

from math import floor, frexp, ldexp, log
from typing import TYPE_CHECKING

from powertools_otel._otlp._model import ExponentialPoint
from powertools_otel.metrics._aggregations import finite_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from powertools_otel._otlp._model import Attributes, Exemplar

MAX_SCALE = 20
"""The finest scale at which every index fits into OTLP's 32 bits."""

MAX_BUCKETS = 160
"""Buckets per sign, the OpenTelemetry SDK specification's default."""

_PER_NATURAL = 1 / log(2)


def index_at(value: float, scale: int) -> int:
    """The index of the bucket that holds a positive, finite ``value``.

    Powers of two, which are upper bounds at every scale, are placed exactly.
    """
    fraction, exponent = frexp(value)
    if fraction == 0.5:  # noqa: PLR2004 - frexp of a power of two
        # value = 2 ** (exponent - 1), the upper bound of the bucket below it.
        above = exponent - 1
        return (above << scale) - 1 if scale > 0 else (above - 1) >> -scale
    if scale <= 0:
        return (exponent - 1) >> -scale
    found = floor(log(value) * ldexp(_PER_NATURAL, scale))
    # Rounding of the logarithm must not carry a value past its power of two.
    return min(max(found, (exponent - 1) << scale), (exponent << scale) - 1)


def scale_for(low: int, high: int, size: int) -> int:
    """By how much the scale must fall until ``low..high`` fit ``size`` buckets."""
    fall = 0
    while high - low >= size:
        low >>= 1
        high >>= 1
        fall += 1
    return fall


class Buckets:
    """Counts of positive and of negative values at one scale.

    Args:
        size: Most buckets per sign.
        scale: The scale to begin with; it falls as the range grows.
    """

    __slots__ = ("negative", "positive", "scale", "size", "zeros")

    def __init__(self, size: int = MAX_BUCKETS, scale: int = MAX_SCALE) -> None:
        self.size = size
        self.scale = scale
        self.zeros = 0
        self.positive: dict[int, int] = {}
        self.negative: dict[int, int] = {}

    def add(self, value: float) -> None:
        """Count one finite value."""
        if value == 0:
            self.zeros += 1
            return
        counts = self.positive if value > 0 else self.negative
        magnitude = abs(value)
        index = index_at(magnitude, self.scale)
        if counts and index not in counts:
            low, high = min(counts), max(counts)
            fall = scale_for(min(low, index), max(high, index), self.size)
            if fall:
                self._downscale(fall)
                counts = self.positive if value > 0 else self.negative
                index >>= fall
        counts[index] = counts.get(index, 0) + 1

    def _downscale(self, fall: int) -> None:
        self.scale -= fall
        self.positive = _merged(self.positive, fall)
        self.negative = _merged(self.negative, fall)


def _merged(counts: dict[int, int], fall: int) -> dict[int, int]:
    merged: dict[int, int] = {}
    for index, count in counts.items():
        merged[index >> fall] = merged.get(index >> fall, 0) + count
    return merged


def dense(counts: dict[int, int]) -> tuple[int, list[int]]:
    """OTLP's form of buckets: the first index, and the counts without gaps."""
    if not counts:
        return 0, []
    low = min(counts)
    return low, [counts.get(index, 0) for index in range(low, max(counts) + 1)]


class ExponentialState:
    """A distribution over buckets that grow with the values."""

    __slots__ = ("buckets", "count", "high", "low", "total")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget all values."""
        self.buckets = Buckets()
        self.count = 0
        self.total = 0.0
        self.low: float | None = None
        self.high: float | None = None

    def add(self, name: str, values: Sequence[float]) -> None:
        """Count each finite value in its bucket."""
        added = sum(values)
        if added - added != 0.0:
            values = finite_values(name, values)
            added = sum(values)
        if not values:
            return
        put = self.buckets.add
        for value in values:
            put(value)
        self.count += len(values)
        self.total += added
        low, high = min(values), max(values)
        if self.low is None or low < self.low:
            self.low = low
        if self.high is None or high > self.high:
            self.high = high

    def point(
        self,
        attributes: Attributes,
        start: int,
        time: int,
        exemplars: Sequence[Exemplar],
    ) -> ExponentialPoint:
        """The distribution over the interval."""
        buckets = self.buckets
        used = buckets.positive or buckets.negative
        positive_offset, positive = dense(buckets.positive)
        negative_offset, negative = dense(buckets.negative)
        return ExponentialPoint(
            attributes,
            start,
            time,
            self.count,
            self.total,
            self.low,
            self.high,
            buckets.scale if used else 0,
            buckets.zeros,
            0.0,
            positive_offset,
            positive,
            negative_offset,
            negative,
            exemplars,
        )

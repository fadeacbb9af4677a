"""Count, sum, minimum and maximum, of what EMF printed and of what OTLP carries."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.metrics.sent import Point


class Series(NamedTuple):
    """What CloudWatch tells one series from another by, and its explicit time."""

    namespace: str
    name: str
    unit: str
    dimensions: frozenset[tuple[str, str]]
    timestamp_ms: int | None


class Statistics(NamedTuple):
    """A statistic set; `scale` says how large rounding errors of the sum may be."""

    count: int
    sum: float
    low: float | None
    high: float | None
    scale: float = 0.0

    def agrees(self, other: Statistics) -> bool:
        """The same values, sums to 1e-9."""
        return (
            self.count == other.count
            and (self.low, self.high) == (other.low, other.high)
            and close(self.sum, other.sum, max(self.scale, other.scale))
        )


def close(one: float, other: float, scale: float) -> bool:
    return one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9 * scale)


def of(values: list[float]) -> Statistics:
    """Every value counts; sum, minimum and maximum are those of finite values."""
    finite = [value for value in values if math.isfinite(value)]
    return Statistics(
        len(values),
        sum(finite),
        min(finite, default=None),
        max(finite, default=None),
        sum(map(abs, finite)),
    )


def of_emf(
    output: str, times: Iterable[int], *, merge: bool = False
) -> dict[Series, Statistics]:
    """What CloudWatch makes of EMF lines.

    A dimension's value is found at the top of the object; equal sets are one.
    With `merge`, as if all dimension sets of a line were one.
    """
    values: defaultdict[Series, list[float]] = defaultdict(list)
    explicit = set(times)
    for line in output.splitlines():
        blob = json.loads(line)
        if blob is None:  # what single_metric prints if its body raises
            continue
        time = blob["_aws"]["Timestamp"]
        for directive in blob["_aws"]["CloudWatchMetrics"]:
            sets = {
                frozenset((name, str(blob[name])) for name in names)
                for names in directive["Dimensions"]
            }
            if merge:
                sets = {frozenset().union(*sets)}
            for metric in directive["Metrics"]:
                for dimensions in sets:
                    series = Series(
                        directive["Namespace"],
                        metric["Name"],
                        metric["Unit"],
                        dimensions,
                        time if time in explicit else None,
                    )
                    values[series] += blob[metric["Name"]]
    return {series: of(found) for series, found in values.items()}


def of_emf_resolutions(output: str) -> set[str]:
    """The names that were high-resolution metrics."""
    names: set[str] = set()
    for line in output.splitlines():
        blob = json.loads(line) or {"_aws": {"CloudWatchMetrics": []}}
        for directive in blob["_aws"]["CloudWatchMetrics"]:
            for metric in directive["Metrics"]:
                if metric.get("StorageResolution") == 1:
                    names.add(metric["Name"])
    return names


def of_points(
    points: Iterable[Point], times: Iterable[int], units: dict[str, str]
) -> dict[Series, Statistics]:
    """What histogram and sum points carry; a sum knows no minimum and maximum."""
    explicit = set(times)
    found: dict[Series, Statistics] = {}
    for point in points:
        time = point.raw.time_unix_nano // 1_000_000
        series = Series(
            point.scope,
            point.name,
            units[point.unit],
            frozenset(point.attributes.items()),
            time if time in explicit else None,
        )
        assert series not in found, f"two points of one series: {series}"
        found[series] = _statistics(point)
    return found


def _statistics(point: Point) -> Statistics:
    raw: Any = point.raw
    if point.kind == "sum":
        return Statistics(0, point.value, None, None)
    assert sum(raw.bucket_counts) == raw.count
    assert len(raw.bucket_counts) == len(raw.explicit_bounds) + 1
    return Statistics(
        raw.count,
        raw.sum,
        raw.min if raw.HasField("min") else None,
        raw.max if raw.HasField("max") else None,
    )

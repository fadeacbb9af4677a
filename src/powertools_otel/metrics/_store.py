"""All values that have been flushed and not yet sent, as series of data points.

One store a process: equal series of several ``Metrics`` and ``single_metric`` become
one point, as OTLP's single-writer rule asks. With delta temporality every collection
empties all series; with cumulative temporality it keeps each series' running state.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from powertools_otel._guard import warn_once
from powertools_otel._otlp._model import CUMULATIVE, DELTA, Metric, Scope
from powertools_otel.metrics._aggregations import data, state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, TypeAlias

    from powertools_otel._otlp._model import Attributes, Exemplar, Temporality
    from powertools_otel.metrics._aggregations import Aggregation
    from powertools_otel.metrics._streams import Stream

    Recording: TypeAlias = (
        "tuple[Stream, Sequence[float], Exemplar | None, Mapping[str, Any] | None]"
    )
    """A metric, its values, one value's exemplar, and the metric's metadata."""

_MILLISECOND = 1_000_000
_LATEST = 2**63 - 1

SERIES_LIMIT = 50_000
"""Series kept at once. 10,000 metrics in one invocation are fine, a leak is not."""

STREAM_LIMIT = 2_000
"""Cumulative series of one metric: the OpenTelemetry SDK's cardinality limit."""

METRICS_PER_MOMENT = 100
"""Metrics collected with one time. The Collector's awsemf exporter makes one document
of all metrics of a millisecond and a dimension set; CloudWatch takes 100 from each."""

KEPT = 1_000
"""Series that are kept empty for the next interval: most functions have the same ones
in each invocation, and to make a series takes longer than to add a value to it."""

OVERFLOW = {"otel.metric.overflow": True}
"""Where further series of a metric are added up (metrics SDK specification)."""


class _Series:
    __slots__ = ("attributes", "empty", "exemplar", "state", "time")

    def __init__(self, attributes: Attributes, state: Aggregation) -> None:
        self.attributes = attributes
        self.state = state
        self.empty = False
        """Whether it is kept without a value, and so is no point."""
        self.exemplar: Exemplar | None = None
        self.time = 0
        """Explicit time of its point in ns, 0 for the time of the collection."""


class _Recorded:
    __slots__ = ("metadata", "series", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.series: dict[object, _Series] = {}
        self.metadata: dict[str, Any] | None = None


class MetricStore:
    """Series by metric, attributes and (with delta temporality) explicit time.

    Args:
        cumulative: Keep running totals, and collect all of them each time.
        clock: Ns since the epoch.
        start: When the first interval began; now, if not given.
        series_limit: Series kept at once; what exceeds it is dropped and counted.
        stream_limit: With cumulative temporality, series of one metric; what exceeds
            it is added up in one series with the attribute ``otel.metric.overflow``.
    """

    def __init__(
        self,
        *,
        cumulative: bool = False,
        clock: Callable[[], int] = time.time_ns,
        start: int | None = None,
        series_limit: int = SERIES_LIMIT,
        stream_limit: int = STREAM_LIMIT,
    ) -> None:
        self.cumulative = cumulative
        self._clock = clock
        self._series_limit = series_limit
        self._stream_limit = stream_limit if cumulative else series_limit
        # Re-entrant: a signal handler may collect while this thread records.
        self._lock = threading.RLock()
        self._streams: dict[object, _Recorded] = {}
        self._count = 0
        """Series that are not empty."""
        self._empty = 0
        """Series that are."""
        self._changed = False
        self._collected = 0
        self.dropped = 0
        """Data points lost to ``series_limit``."""
        self._start = self._previous = clock() if start is None else start

    @property
    def recorded(self) -> int:
        """Data points there have ever been: collected, pending or dropped."""
        return self._collected + self.pending() + self.dropped

    def pending(self) -> int:
        """Data points that the next collection gives."""
        return self._count if self._changed else 0

    def record(
        self,
        recordings: Iterable[Recording],
        attribute_sets: Iterable[Mapping[str, str]],
        timestamp: int | None = None,
    ) -> None:
        """Take in values, each under all the attribute sets.

        Args:
            recordings: Metrics with their values.
            attribute_sets: Sets of dimensions. The mappings are kept, not copied.
            timestamp: Explicit time of the values, in ns since the epoch.
        """
        sets = [(frozenset(each.items()), each) for each in attribute_sets]
        explicit = timestamp or 0
        delta_time = 0 if self.cumulative else explicit
        with self._lock:
            for stream, values, exemplar, metadata in recordings:
                recorded = self._streams.get(stream.key)
                if recorded is None:
                    recorded = self._streams[stream.key] = _Recorded(stream)
                for identity, attributes in sets:
                    key = (identity, delta_time) if delta_time else identity
                    series = recorded.series.get(key)
                    if series is None:
                        series = self._new(recorded, key, attributes)
                        if series is None:
                            continue
                    elif series.empty:
                        series.empty = False
                        self._empty -= 1
                        self._count += 1
                    series.state.add(stream.original, values)
                    if explicit:
                        series.time = explicit
                    if exemplar is not None and (
                        series.exemplar is None
                        or exemplar.value >= series.exemplar.value
                    ):
                        series.exemplar = exemplar
                if metadata:
                    recorded.metadata = {**(recorded.metadata or {}), **metadata}
            self._changed = self._count > 0

    def _new(
        self, recorded: _Recorded, key: object, attributes: Attributes
    ) -> _Series | None:
        stream = recorded.stream
        if len(recorded.series) >= self._stream_limit and self.cumulative:
            warn_once(
                "metrics:cardinality",
                "The metric %.100r has more than %d series. Further ones are added up "
                "in one that has the attribute otel.metric.overflow.",
                stream.original,
                self._stream_limit,
            )
            key, attributes = OVERFLOW_KEY, OVERFLOW
            if OVERFLOW_KEY in recorded.series:
                return recorded.series[OVERFLOW_KEY]
        if self._count >= self._series_limit:
            warn_once(
                "metrics:series",
                "There are more than %d series of metrics at once: values of further "
                "ones, such as %.100r, are dropped.",
                self._series_limit,
                stream.original,
            )
            self.dropped += 1
            return None
        self._count += 1
        series = _Series(attributes, state(stream.kind, stream.bounds))
        recorded.series[key] = series
        return series

    def collect(self) -> list[Scope]:
        """Everything that changed since the last collection, by scope.

        With cumulative temporality: if anything changed, every series there is.
        """
        with self._lock:
            if not self._changed:
                return []
            now = min(max(self._clock(), self._previous + 1), _LATEST)
            scopes = self._scopes(now)
            self._collected += self._count
            self._changed = False
            if not self.cumulative:
                self._begin_interval(now)
            return [
                Scope(name, "", "", None, metrics) for name, metrics in scopes.items()
            ]

    def _scopes(self, now: int) -> dict[str, list[Metric]]:
        """All points there are, by scope."""
        scopes: dict[str, list[Metric]] = {}
        temporality: Temporality = CUMULATIVE if self.cumulative else DELTA
        start, moment = self._start, now
        for number, recorded in enumerate(self._streams.values()):
            stream = recorded.stream
            if number and number % METRICS_PER_MOMENT == 0:
                moment += _MILLISECOND
                if not self.cumulative:  # intervals follow on each other
                    start += _MILLISECOND
            points: list[Any] = []
            for series in recorded.series.values():
                if series.empty:
                    continue
                exemplars: tuple[Exemplar, ...] = ()
                if series.exemplar is not None:
                    exemplars = (series.exemplar,)
                    series.exemplar = None
                begin, end = start, moment
                if series.time:
                    begin, end = self._interval(series, start, moment)
                point = series.state.point(series.attributes, begin, end, exemplars)
                points.append(point)
            if not points:
                continue
            scopes.setdefault(stream.scope, []).append(
                Metric(
                    stream.name,
                    stream.unit,
                    stream.description,
                    data(stream.kind, points, temporality),
                    recorded.metadata,
                )
            )
            recorded.metadata = None
        self._previous = moment
        return scopes

    def _begin_interval(self, start: int) -> None:
        """Empty all series, for the next interval with delta temporality.

        They are kept if all of them had values: what comes and goes is not piled up.
        """
        self._start = start
        if self._empty or self._count > KEPT:
            self._streams = {}
            self._empty = 0
        else:
            for recorded in self._streams.values():
                for series in recorded.series.values():
                    series.state.clear()
                    series.empty = True
            self._empty = self._count
        self._count = 0

    def _interval(self, series: _Series, start: int, now: int) -> tuple[int, int]:
        """Over what a point with an explicit time is, instead of ``start..now``."""
        if not self.cumulative:
            # Powertools' timestamps are milliseconds: the value fell in that one.
            return max(series.time - _MILLISECOND, 0), series.time
        moment, series.time = series.time, 0
        if self._previous < moment < now:
            return start, moment
        warn_once(
            "metrics:timestamp",
            "With cumulative temporality the points of a series must move "
            "forward in time: a timestamp before the last collection, or "
            "in the future, is replaced by the time of this one.",
        )
        return start, now

    def restart(self) -> None:
        """Begin anew, after a fork or a SnapStart restore: another instance sends now.

        What there is belongs to no invocation of this one, counts included; and the
        lock may be held by a thread that a forked process does not have.
        """
        self._lock = threading.RLock()
        with self._lock:
            self._collected = self.dropped = 0
            self._streams = {}
            self._count = self._empty = 0
            self._changed = False
            self._start = self._previous = self._clock()


OVERFLOW_KEY = frozenset(OVERFLOW.items())

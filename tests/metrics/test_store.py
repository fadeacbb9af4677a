"""The store: one point a series, deltas once, running totals for ever."""

from __future__ import annotations

import math
import threading
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powertools_otel._otlp._model import CUMULATIVE, DELTA, Exemplar
from powertools_otel._settings import Settings
from powertools_otel.metrics import _store
from powertools_otel.metrics._store import MetricStore
from powertools_otel.metrics._streams import Streams

STREAMS = Streams(Settings())
EXPONENTIAL = Streams(Settings(), exponential=True)
SECOND = 1_000_000_000


class Clock:
    """A clock that tests move; `now` is in ns."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND

    def __call__(self) -> int:
        return self.now


def put(store, name, values, unit="Count", timestamp=None, streams=STREAMS, **dims):
    stream = streams.get("Shop", name, unit)
    store.record([(stream, values, None, None)], [dims], timestamp)


def points(store):
    return [
        (metric.name, point)
        for scope in store.collect()
        for metric in scope.metrics
        for point in metric.data.points
    ]


flushes = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from(["Count", "Seconds"]),
            st.sampled_from(["x", "y"]),
            st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4),
        ),
        max_size=4,
    ),
    min_size=1,
    max_size=5,
)


def total(point) -> float:
    return getattr(point, "value", None) or getattr(point, "sum", 0.0)


@given(flushes)
def test_cumulative_points_are_the_truth_after_every_invocation(invocations):
    """Each collection tells everything since one constant start, in every series."""
    clock = Clock()
    store = MetricStore(cumulative=True, clock=clock)
    truth = defaultdict(list)
    started = clock.now
    for invocation in invocations:
        for name, unit, env, values in invocation:
            put(store, name, values, unit, env=env)
            truth[name, STREAMS.get("Shop", name, unit).unit, env] += values
        clock.now += SECOND
        scopes = store.collect()

        if not invocation:
            assert scopes == []
            continue
        found = {
            (metric.name, metric.unit, point.attributes["env"]): (metric, point)
            for scope in scopes
            for metric in scope.metrics
            for point in metric.data.points
        }
        assert found.keys() == truth.keys()
        for key, (metric, point) in found.items():
            assert metric.data.temporality == CUMULATIVE
            assert (point.start_unix_nano, point.time_unix_nano) == (started, clock.now)
            assert total(point) == pytest.approx(math.fsum(truth[key]), abs=1e-6)
            if key[1] == "s":
                assert point.count == len(truth[key]) == sum(point.bucket_counts)
                assert (point.min, point.max) == (min(truth[key]), max(truth[key]))


@given(flushes, st.booleans())
def test_delta_points_add_up_to_the_truth(invocations, exponential):
    """Whatever is collected when: the points of a series add up, in adjacent times."""
    clock = Clock()
    store = MetricStore(clock=clock)
    streams = EXPONENTIAL if exponential else STREAMS
    truth, found = defaultdict(list), defaultdict(list)
    last = clock.now
    for invocation in invocations:
        for name, unit, env, values in invocation:
            put(store, name, values, unit, streams=streams, env=env)
            truth[name, streams.get("Shop", name, unit).unit, env] += values
        clock.now += SECOND
        for scope in store.collect():
            for metric in scope.metrics:
                for point in metric.data.points:
                    assert metric.data.temporality == DELTA
                    assert point.start_unix_nano == last
                    assert point.time_unix_nano == clock.now
                    key = metric.name, metric.unit, point.attributes["env"]
                    found[key].append(total(point))
        if invocation:
            last = clock.now
    assert found.keys() == truth.keys()
    for key, values in truth.items():
        assert math.fsum(found[key]) == pytest.approx(math.fsum(values), abs=1e-6)


def test_series_are_told_apart_by_dimensions_whatever_their_order():
    """Attributes are a set: equal ones are one point."""
    store = MetricStore()
    put(store, "a", [1.0], x="1", y="2")
    put(store, "a", [2.0], y="2", x="1")
    put(store, "a", [4.0], x="2", y="1")

    assert sorted(point.value for _, point in points(store)) == [3.0, 4.0]


def test_explicit_timestamps_have_points_of_their_own():
    """A value of another time is not mixed into now, and lies in its millisecond."""
    clock = Clock()
    store = MetricStore(clock=clock)
    put(store, "a", [1.0])
    put(store, "a", [2.0], timestamp=5 * SECOND)
    put(store, "a", [4.0], timestamp=5 * SECOND)
    clock.now += SECOND

    found = {point.time_unix_nano: point for _, point in points(store)}
    assert {time: point.value for time, point in found.items()} == {
        clock.now: 1.0,
        5 * SECOND: 6.0,
    }
    assert found[5 * SECOND].start_unix_nano == 5 * SECOND - 1_000_000


def test_cumulative_points_never_go_back_in_time(caplog):
    """An older timestamp is replaced, since a series must move forward; said once."""
    clock = Clock()
    store = MetricStore(cumulative=True, clock=clock)
    clock.now += 10 * SECOND
    put(store, "a", [1.0], timestamp=clock.now - SECOND)
    assert [point.time_unix_nano for _, point in points(store)] == [clock.now - SECOND]
    assert not caplog.records
    clock.now += SECOND
    put(store, "a", [1.0], timestamp=5 * SECOND)

    assert [point.time_unix_nano for _, point in points(store)] == [clock.now]
    assert caplog.text.count("must move forward in time") == 1


def test_a_clock_that_goes_back_makes_no_interval_negative():
    """NTP may set the clock back while an environment lives."""
    clock = Clock()
    store = MetricStore(clock=clock)
    put(store, "a", [1.0])
    clock.now -= 100 * SECOND
    [(_, first)] = points(store)
    put(store, "a", [1.0])
    [(_, second)] = points(store)

    assert first.start_unix_nano < first.time_unix_nano <= second.start_unix_nano
    assert second.start_unix_nano < second.time_unix_nano


def test_further_cumulative_series_are_added_up_in_the_overflow_series(caplog):
    """A leak of dimension values neither fills the memory nor loses the total."""
    store = MetricStore(cumulative=True, stream_limit=10)
    for number in range(100):
        put(store, "a", [1.0], user=str(number))

    found = [point for _, point in points(store)]
    assert len(found) == 11
    assert sum(point.value for point in found) == 100
    overflow = [p for p in found if p.attributes == {"otel.metric.overflow": True}]
    assert [point.value for point in overflow] == [90.0]
    assert caplog.text.count("more than 10 series") == 1


@pytest.mark.parametrize("cumulative", [False, True])
def test_what_exceeds_the_limit_is_dropped_counted_and_said(cumulative, caplog):
    """recorded = collected + pending + dropped, whatever happens."""
    store = MetricStore(cumulative=cumulative, series_limit=10, stream_limit=100)
    for number in range(12):
        put(store, f"m{number}", [1.0])

    assert (store.recorded, store.pending(), store.dropped) == (12, 10, 2)
    assert len(points(store)) == 10
    assert (store.recorded, store.pending(), store.dropped) == (12, 0, 2)
    assert caplog.text.count("are dropped") == 1
    put(store, "m1", [1.0])
    collected = len(points(store))
    assert collected == (10 if cumulative else 1)
    assert store.recorded == 12 + collected


def test_nothing_new_means_nothing_to_collect():
    """Neither temporality sends empty requests or repeats itself without reason."""
    for cumulative in (False, True):
        store = MetricStore(cumulative=cumulative)
        put(store, "a", [1.0])
        assert len(points(store)) == 1
        assert points(store) == []
        assert store.pending() == 0


@pytest.mark.parametrize("kind", ["sum", "gauge", "histogram", "exponential"])
def test_a_delta_point_knows_nothing_of_the_interval_before(kind):
    """Not its values, not its exemplar, not its metadata; whatever the kind."""
    settings = Settings(metric_kinds={"a": kind.replace("exponential", "histogram")})
    stream = Streams(settings, exponential=kind == "exponential").get("Shop", "a", "")
    exemplar, metadata = Exemplar(9.0, 1, 7, 8), {"powertools.metadata.key": "x"}
    before = (stream, [-3.0, 0.0, 9.0], exemplar, metadata)
    clock = Clock()
    used, new = MetricStore(clock=clock, start=clock.now - 1), MetricStore(clock=clock)
    used.record([before], [{"env": "x"}])
    used.collect()
    clock.now += SECOND
    for store in (used, new):
        store.record([(stream, [2.0], None, None)], [{"env": "x"}])

    assert stream.kind == kind
    assert used.collect() == new.collect()


def test_a_series_without_a_value_is_no_point():
    """With delta temporality a metric that is not added is not sent, as zero neither."""
    store = MetricStore()
    for names, expected in (("ab", "ab"), ("b", "b"), ("ab", "ab"), ("a", "a")):
        for name in names:
            put(store, name, [1.0])
        assert store.pending() == len(expected)
        assert [name for name, _ in points(store)] == list(expected)
        assert store.pending() == 0
    assert store.recorded == 6


def kept(store):
    return [series for each in store._streams.values() for series in each.series]


@pytest.mark.parametrize("users", [4, 12])
def test_series_that_come_and_go_are_not_piled_up(users, monkeypatch):
    """What is kept of an interval for the next one is bounded, and gone if unused."""
    monkeypatch.setattr(_store, "KEPT", 10)
    store = MetricStore()
    for interval in range(20):
        for number in range(users):
            put(store, "a", [1.0], user=f"{interval}-{number}")
        found = {point.attributes["user"] for _, point in points(store)}
        assert found == {f"{interval}-{number}" for number in range(users)}
        assert len(kept(store)) <= 4


def test_series_that_stay_are_kept():
    """To make them anew would cost more than to add their values."""
    store = MetricStore()
    for _ in range(3):
        put(store, "a", [1.0], "Seconds")
        assert len(points(store)) == len(kept(store)) == 1


def test_the_exemplar_of_the_largest_value_is_kept_for_one_collection():
    """An exemplar says where an outlier of this interval was, not of an older one."""
    store = MetricStore(cumulative=True)
    stream = STREAMS.get("Shop", "lat", "Seconds")
    for value in (1.0, 3.0, 2.0):
        store.record([(stream, [value], Exemplar(value, 1, 7, 8), None)], [{}])

    [(_, point)] = points(store)
    assert [exemplar.value for exemplar in point.exemplars] == [3.0]
    store.record([(stream, [1.0], None, None)], [{}])
    [(_, point)] = points(store)
    assert point.exemplars == ()


def test_a_restart_forgets_what_belongs_to_another_instance():
    """After a SnapStart restore or a fork totals begin at zero, at a new time."""
    clock = Clock()
    store = MetricStore(cumulative=True, clock=clock)
    put(store, "a", [1.0])
    store.collect()
    put(store, "a", [1.0])
    clock.now += 1_000 * SECOND
    store.restart()
    put(store, "a", [5.0])
    clock.now += SECOND

    [(_, point)] = points(store)
    assert point.value == 5.0
    assert point.start_unix_nano == clock.now - SECOND
    assert (store.recorded, store.dropped) == (1, 0), "its accounts are its own"


def test_threads_lose_nothing():
    """Recording and collecting may happen in several threads at once."""
    store = MetricStore()
    found: list[float] = []

    def record() -> None:
        for _ in range(500):
            put(store, "a", [1.0, 2.0], "Seconds", env="x")

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        found += [point.sum for _, point in points(store)]
    found += [point.sum for _, point in points(store)]

    assert sum(found) == 4 * 500 * 3.0

"""What the delivery channel gets."""

from __future__ import annotations

import functools

import pytest
from tests.metrics.sent import decoded

from powertools_otel._otlp import _protobuf
from powertools_otel._otlp._model import Resource
from powertools_otel._settings import Settings
from powertools_otel.metrics import _source
from powertools_otel.metrics._source import MetricSource
from powertools_otel.metrics._store import MetricStore
from powertools_otel.metrics._streams import Streams

STREAMS = Streams(Settings())
encode = functools.partial(_protobuf.encode_metrics, Resource({"service.name": "x"}))


def fill(store, names, users=1, namespaces=("A", "B")):
    for namespace in namespaces:
        for name in range(names):
            stream = STREAMS.get(namespace, f"m{name}", "Count")
            sets = [{"user": str(user)} for user in range(users)]
            store.record([(stream, [1.0], None, None)], sets)


@pytest.mark.parametrize("cumulative", [False, True])
def test_batches_hold_every_point_once(cumulative, monkeypatch):
    """However they are cut; only cumulative points may be sent a second time."""
    monkeypatch.setattr(_source, "POINTS_PER_BATCH", 7)
    store = MetricStore(cumulative=cumulative)
    source = MetricSource(store, encode)
    fill(store, names=5, users=3)
    assert source.pending() == source.recorded == 30

    batches = source.collect()
    found = [list(decoded(batch.body)) for batch in batches]
    assert [batch.items for batch in batches] == [len(points) for points in found]
    assert all(7 <= len(points) <= 9 for points in found[:-1])
    everything = {
        (point.scope, point.name, point.attributes["user"])
        for points in found
        for point in points
    }
    assert len(everything) == sum(map(len, found)) == 30
    assert {batch.resendable for batch in batches} == {cumulative}
    assert source.pending() == 0
    assert (source.recorded, source.dropped) == (30, 0)


def test_batches_can_be_joined_to_one_request():
    """Delivery concatenates fragments."""
    store = MetricStore()
    source = MetricSource(store, encode)
    fill(store, names=3_000, namespaces=("A",))
    batches = source.collect()

    assert len(batches) == 2
    body = _protobuf.frame("metrics", [batch.body for batch in batches])
    assert len({point.name for point in decoded(body)}) == 3_000


def test_nothing_recorded_is_no_batch():
    """No empty requests."""
    assert MetricSource(MetricStore(), encode).collect() == []

"""Values through a MeterProvider of the application's."""

from __future__ import annotations

import threading
import time

import opentelemetry.metrics._internal as api
import pytest
from opentelemetry import metrics as otel_metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    InMemoryMetricReader,
    MetricExporter,
    MetricExportResult,
    PeriodicExportingMetricReader,
)
from tests.metrics.sent import Sent

from powertools_otel._settings import Settings
from powertools_otel.metrics import Metrics, OTelMetricsProvider, single_metric


@pytest.fixture
def reader():
    return InMemoryMetricReader()


@pytest.fixture
def meters(reader):
    provider = MeterProvider([reader], shutdown_on_exit=False)
    yield provider
    provider.shutdown()


@pytest.fixture
def set_global():
    def forget():
        api._METER_PROVIDER = None
        api._METER_PROVIDER_SET_ONCE = type(api._METER_PROVIDER_SET_ONCE)()

    forget()
    yield otel_metrics.set_meter_provider
    forget()


def collected(reader):
    data = reader.get_metrics_data()
    if data is None:
        return {}
    return {
        metric.name: (scope.scope.name, metric, list(metric.data.data_points))
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_values_go_through_the_providers_instruments(sent, meters, reader):
    """Kinds, units and boundaries are ours; names are what the SDK makes of them."""
    metrics = Metrics(provider=OTelMetricsProvider("Shop", meter_provider=meters))
    metrics.add_metric("Successful Bookings", "Count", 2)
    metrics.add_metric("latency", "Milliseconds", 30)
    metrics.add_metric("latency", "Milliseconds", 50)
    metrics.add_dimension("env", "x")
    metrics.flush_metrics()

    found = collected(reader)
    scope, metric, [bookings] = found["successful_bookings"]
    assert (scope, metric.unit, metric.description) == (
        "Shop",
        "1",
        "Successful Bookings",
    )
    assert (bookings.value, dict(bookings.attributes)) == (2, {"env": "x"})
    _, metric, [latency] = found["latency"]
    assert (metric.unit, latency.count, latency.sum) == ("ms", 2, 80)
    assert latency.explicit_bounds[-1] == 900_000
    assert sent.outlet.store.pending() == 0, "nothing is sent twice"


def test_the_cold_start_metric_goes_there_too(sent, meters, reader):
    """It has no provider argument of its own."""

    class Context:
        function_name = "checkout"

    provider = OTelMetricsProvider("Shop", meter_provider=meters)
    provider.add_cold_start_metric(Context())

    assert "coldstart" in collected(reader)


def test_gauges_and_separate_sets(sent, meters, reader):
    """Overrides and dimension sets hold here as well."""
    provider = OTelMetricsProvider(
        "Shop",
        meter_provider=meters,
        metric_kinds={"depth": "gauge"},
        dimension_sets="separate",
    )
    provider.add_metric("depth", "Count", 5)
    provider.add_dimension("a", "1")
    provider.add_dimensions(b="2")
    provider.flush_metrics()

    _, _, points = collected(reader)["depth"]
    assert [(p.value, dict(p.attributes)) for p in points] == [
        (5, {"a": "1"}),
        (5, {"b": "2"}),
    ]


def test_what_instruments_cannot_carry_is_said_once(sent, meters, reader, caplog):
    """Negative counts and timestamps; other values arrive."""
    provider = OTelMetricsProvider("Shop", meter_provider=meters)
    with pytest.warns(UserWarning, match="skipped"):
        provider.set_timestamp(1)
    for _ in range(2):
        provider.add_metric("orders", "Count", -1)
        provider.add_metric("orders", "Count", 3)
        provider.add_metric("odd", ["unit"], 3)
        provider.flush_metrics()

    _, _, [orders] = collected(reader)["orders"]
    assert orders.value == 6
    assert caplog.text.count("counters drop it") == 1
    assert caplog.text.count("set_timestamp has no effect") == 1


def test_a_global_provider_that_has_a_reader_is_used(sent, meters, reader, set_global):
    """It demonstrably exports; single_metric finds it too."""
    set_global(meters)
    Metrics(namespace="Shop").add_metric("a", "Count", 1)
    Metrics(namespace="Shop").flush_metrics()
    with single_metric("b", "Count", 1, namespace="Shop"):
        pass

    assert set(collected(reader)) == {"a", "b"}
    assert sent.points() == []


def test_a_reader_may_have_been_added_later(sent, reader, set_global):
    """The SDK allows it since 1.4x."""
    provider = MeterProvider(shutdown_on_exit=False)
    provider.add_metric_reader(reader)
    set_global(provider)
    Metrics(namespace="Shop").add_metric("a", "Count", 1)
    Metrics(namespace="Shop").flush_metrics()

    assert set(collected(reader)) == {"a"}


def test_a_global_provider_without_a_reader_is_not(sent, set_global):
    """It would swallow the values: we export ourselves, and leave it in place."""
    provider = MeterProvider(shutdown_on_exit=False)
    set_global(provider)
    Metrics(namespace="Shop").add_metric("a", "Count", 1)
    Metrics(namespace="Shop").flush_metrics()

    assert set(sent.by_name()) == {"a"}
    assert otel_metrics.get_meter_provider() is provider


class Hanging(MetricExporter):
    """An exporter whose endpoint does not answer."""

    def __init__(self):
        super().__init__()
        self.called = threading.Event()
        self.free = threading.Event()

    def export(self, metrics_data, timeout_millis=10_000, **kwargs):
        self.called.set()
        self.free.wait(20)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis=10_000):
        return True

    def shutdown(self, timeout_millis=30_000, **kwargs):
        self.free.set()


def test_its_flush_is_bounded_by_our_deadline():
    """The stock exporters block for seconds; the invocation waits 100 ms."""
    hooks = []
    Sent.install(Settings(), before_flush=hooks.append)
    exporter = Hanging()
    provider = MeterProvider(
        [PeriodicExportingMetricReader(exporter, 3_600_000)], shutdown_on_exit=False
    )
    metrics = OTelMetricsProvider("Shop", meter_provider=provider)
    metrics.add_metric("a", "Count", 1)
    metrics.flush_metrics()
    [hook] = hooks
    began = time.monotonic()
    hook(began + 0.1)
    took = time.monotonic() - began

    assert exporter.called.wait(5)
    assert 0.05 < took < 1.0
    began = time.monotonic()
    hook(began + 0.1)
    assert time.monotonic() - began < 0.05, "no second flush while the first hangs"
    exporter.free.set()
    provider.shutdown()

"""What no caller should send, through the real encoders and the real Collector."""

from __future__ import annotations

import logging
import math
from decimal import Decimal
from fractions import Fraction

import aws_lambda_powertools.metrics as emf_metrics
import pytest
from aws_lambda_powertools.metrics.provider.cloudwatch_emf.exceptions import (
    MetricNameError,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.collector import LISTENERS, Collector, default_config

import powertools_otel.testing
from powertools_otel import Metrics, _pipeline
from powertools_otel.metrics import MetricValueError
from powertools_otel.testing import Fault

PROTOCOLS = ("http/protobuf", "http/json", "grpc")
NAN, INFINITY = float("nan"), float("inf")


@pytest.fixture(scope="module")
def shared(command):
    """A Collector that several tests send to."""
    with Collector(command) as running:
        yield running


@pytest.fixture
def warned(caplog):
    """What the package has warned of so far."""

    def warned():
        return [
            record.getMessage()
            for record in caplog.records
            if record.name.startswith("powertools_otel")
            and record.levelno >= logging.WARNING
        ]

    return warned


def endpoint(collector, protocol):
    return collector.grpc_endpoint if protocol == "grpc" else collector.http_endpoint


def arrivals(collector, namespace, count):
    """The metrics of a namespace by name, once there are so many."""

    def find():
        found = [each for each in collector.metrics() if each.scope.name == namespace]
        return found if len(found) >= count else None

    found = collector.wait_for(find)
    assert len({each.name for each in found}) == len(found)
    return {each.name: each for each in found}


def invoke_with(invoke, metrics, work):
    """Run ``work`` as a handler."""

    @metrics.log_metrics
    def handler(event, context):
        work()
        return "done"

    assert invoke(handler) == "done"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_value_takes_others_with_it(protocol, shared, send_to, invoke, warned):
    """Numbers of every kind; for each kind of trouble one warning, however often."""
    send_to(endpoint(shared, protocol), OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    metrics = Metrics(namespace=f"values {protocol}", service="orders")

    def work():
        for value in (5, NAN, INFINITY, -INFINITY, NAN):
            metrics.add_metric("Latency", "Milliseconds", value)
        for value in (3, -1, -2):
            metrics.add_metric("Orders", "Count", value)
        for value in (3, NAN, INFINITY):
            metrics.add_metric("Visits", "Count", value)
        for value in (True, Decimal("0.125"), Fraction(1, 4), 2**70, -(2**70), 1e308):
            metrics.add_metric("Size", "Bytes", value)
        for bad in ("12", None, [1]):
            with pytest.raises(MetricValueError):
                metrics.add_metric("Size", "Bytes", bad)
        with pytest.raises(OverflowError):
            metrics.add_metric("Size", "Bytes", 2**5000)

    invoke_with(invoke, metrics, work)

    found = arrivals(shared, f"values {protocol}", 4)
    (latency,) = found["Latency"].points
    assert (latency.count, latency.sum, latency.min, latency.max) == (5, 5, 5, 5)
    (orders,) = found["Orders"].points
    assert found["Orders"].kind == "sum"
    assert orders.value == 0
    (visits,) = found["Visits"].points
    assert visits.value == 3
    (size,) = found["Size"].points
    assert (size.count, size.min, size.max) == (6, float(-(2**70)), 1e308)
    assert size.sum == pytest.approx(1e308)
    assert sorted(text.partition(" got a ")[2][:14] for text in warned()) == [
        "negative value",
        "value that is ",
    ]
    assert _all_sent()


def _all_sent():
    counted = _pipeline.get().statistics()["metrics"]
    return counted.sent == counted.recorded > 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_names_arrive_as_they_are(protocol, shared, send_to, invoke, warned):
    """What EMF refuses is refused; anything else arrives, whatever its characters."""
    send_to(endpoint(shared, protocol), OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    metrics = Metrics(namespace=f"names {protocol}", service="orders")
    names = [
        *("cpu%", "Order:Total", "naïve", "日本語", "🚀", "9 lives", "a/b\\c", 'q"'),
        *("x" * 255, "語" * 255, "nul\0nul", "line\nline", "rtl\u202e", "a.b-c_d"),
    ]

    def work():
        for name in names:
            metrics.add_metric(name, "Count", 1)
        for bad in ("", "   ", "x" * 256, "x" * 10_000):
            with pytest.raises(MetricNameError):
                metrics.add_metric(bad, "Count", 1)

    invoke_with(invoke, metrics, work)

    assert set(arrivals(shared, f"names {protocol}", len(names))) == set(names)
    assert warned() == []
    assert _all_sent()


def test_a_name_may_have_two_units(shared, send_to, invoke):
    """The unit given last counts, as in EMF."""
    send_to(shared.http_endpoint)
    metrics = Metrics(namespace="units", service="orders")

    def work():
        metrics.add_metric("Latency", "Seconds", 1)
        metrics.add_metric("Latency", "Milliseconds", 2)

    invoke_with(invoke, metrics, work)

    latency = arrivals(shared, "units", 1)["Latency"]
    assert latency.unit == "ms"
    assert latency.points[0].sum == 3


@pytest.mark.filterwarnings("ignore:Dimension")
def test_dimension_values_become_text(shared, send_to, invoke):
    """As in EMF, whatever they are."""
    send_to(shared.http_endpoint)
    metrics = Metrics(namespace="dimensions", service="orders")
    values = {
        "n": 1,
        "b": True,
        "f": 1.5,
        "o": None,
        "l": [1, 2],
        "u": "日本",
        "x": "\0",
    }

    def work():
        for name, value in values.items():
            metrics.add_dimension(name, value)
        metrics.add_metric("Orders", "Count", 1)

    invoke_with(invoke, metrics, work)

    (point,) = arrivals(shared, "dimensions", 1)["Orders"].points
    assert point.attributes == {
        "service": "orders",
        **{name: str(value) for name, value in values.items()},
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_10_000_metrics_in_one_invocation_arrive(
    protocol, shared, send_to, invoke, warned
):
    """All of them, at the end of the invocation, without a word."""
    send_to(endpoint(shared, protocol), OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    metrics = Metrics(namespace=f"many {protocol}", service="orders")

    def work():
        for number in range(10_000):
            metrics.add_metric(f"metric-{number}", "Count", number)

    invoke_with(invoke, metrics, work)

    found = arrivals(shared, f"many {protocol}", 10_000)
    assert {name: each.points[0].value for name, each in found.items()} == {
        f"metric-{number}": number for number in range(10_000)
    }
    assert warned() == []


def test_10_000_values_of_one_metric_are_one_point(shared, send_to, invoke):
    """EMF needs a line for every 100."""
    send_to(shared.http_endpoint)
    metrics = Metrics(namespace="values", service="orders")

    def work():
        for number in range(10_000):
            metrics.add_metric("Latency", "Milliseconds", number)

    invoke_with(invoke, metrics, work)

    (point,) = arrivals(shared, "values", 1)["Latency"].points
    assert (point.count, point.sum) == (10_000, sum(range(10_000)))


# Any text at all, lone surrogates included: JSON from elsewhere may contain them.
texts = st.text(st.characters(), max_size=40)
metric_names = texts.filter(lambda text: text.strip())
numbers_ = st.floats() | st.integers(-(2**80), 2**80) | st.decimals(allow_nan=False)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    added=st.lists(
        st.tuples(metric_names, st.sampled_from(emf_metrics.MetricUnit), numbers_),
        min_size=1,
        max_size=8,
    ),
    dimensions=st.dictionaries(texts, texts | st.integers() | st.none(), max_size=3),
    namespace=texts,
    metadata=st.dictionaries(texts, texts | st.floats(), max_size=2),
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_collector_takes_anything_that_emf_takes(
    protocol, shared, send_to, invoke, added, dimensions, namespace, metadata
):
    """Nothing that a caller passes makes the Collector refuse the batch."""
    powertools_otel.testing.reset()
    send_to(endpoint(shared, protocol), OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    metrics = Metrics(namespace=namespace or "Shop", service="orders")
    accepted = set()

    def work():
        for name, unit, value in added:
            try:
                metrics.add_metric(name, unit, value)
                accepted.add(name.strip())
            except (MetricNameError, OverflowError, MetricValueError):
                continue
        for name, value in dimensions.items():
            metrics.add_dimension(name, value)
        for name, value in metadata.items():
            metrics.add_metadata(name, value)

    invoke_with(invoke, metrics, work)

    if accepted:
        counted = _pipeline.get().statistics()["metrics"]
        assert counted.recorded == counted.sent == len(accepted)


def rejecting(backend):
    """A Collector that passes on its backend's answer instead of queueing."""
    exporter = {
        "endpoint": backend.endpoint,
        "compression": "none",
        "sending_queue": {"enabled": False},
        "retry_on_failure": {"enabled": False},
    }
    tree = default_config(exporters={"metrics": {"otlphttp": exporter}})
    tree["service"]["pipelines"]["metrics"]["exporters"] = ["otlphttp"]
    return [tree, LISTENERS]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_collector_that_rejects_a_batch_loses_that_one_only(
    protocol, command, receiver, send_to, invoke, warned
):
    """The handler answers, one warning says it, later metrics arrive."""
    with Collector(command, *rejecting(receiver)) as collector:
        send_to(endpoint(collector, protocol), OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
        metrics = Metrics(namespace="Shop", service="orders")
        receiver.fail(Fault(status=400))
        for _ in range(3):
            invoke_with(invoke, metrics, lambda: metrics.add_metric("Lost", "Count", 1))
        (warning,) = warned()
        assert "dropped" in warning
        receiver.fail()
        for _ in range(2):
            invoke_with(
                invoke, metrics, lambda: metrics.add_metric("Orders", "Count", 1)
            )

    assert [each.metric.name for each in receiver.metrics] == ["Orders"] * 2
    assert len(warned()) == 1
    counted = _pipeline.get().statistics()["metrics"]
    assert (counted.recorded, counted.sent, counted.dropped) == (5, 2, 3)


def test_a_partial_success_is_said_once_and_counted(receiver, send_to, invoke, warned):
    """What was not accepted is not sent again."""
    send_to(receiver.endpoint)
    metrics = Metrics(namespace="Shop", service="orders")
    receiver.fail(Fault(rejected=1, message="too old"))

    def work():
        metrics.add_metric("Orders", "Count", 1)
        metrics.add_metric("Size", "Bytes", 1)

    for _ in range(3):
        invoke_with(invoke, metrics, work)

    (warning,) = warned()
    assert "too old" in warning
    counted = _pipeline.get().statistics()["metrics"]
    assert (counted.recorded, counted.sent, counted.dropped) == (6, 3, 3)
    assert receiver.attempts == 3


def test_a_batch_that_is_rejected_does_not_replace_the_handlers_error(
    receiver, send_to, invoke
):
    """Whatever the endpoint says."""
    send_to(receiver.endpoint)
    metrics = Metrics(namespace="Shop", service="orders")
    receiver.fail(Fault(status=400))

    @metrics.log_metrics
    def handler(event, context):
        metrics.add_metric("Orders", "Count", 1)
        message = "of the handler"
        raise LookupError(message)

    with pytest.raises(LookupError, match="of the handler"):
        invoke(handler)


def test_negative_sums_stay_sums_in_cumulative_temporality_too(
    collector, send_to, invoke, warned
):
    """Never a changed kind: the total falls, which one warning says."""
    send_to(
        collector.http_endpoint,
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="cumulative",
    )
    metrics = Metrics(namespace="Shop", service="orders")
    for value in (5, -2, -1):
        invoke_with(
            invoke,
            metrics,
            lambda value=value: metrics.add_metric("Orders", "Count", value),
        )

    found = collector.wait_for_metrics(3)
    assert {(each.kind, each.monotonic) for each in found} == {("sum", True)}
    assert [each.points[0].value for each in found] == [5, 3, 2]
    assert len(warned()) == 1
    assert not any(math.isnan(each.points[0].value) for each in found)

"""What Prometheus scrapes from the Collector is what happened."""

from __future__ import annotations

import pytest
from tests.metrics_e2e.exposition import by_instance
from tests.support.collector import Collector, default_config

import powertools_otel.testing
from powertools_otel import Metrics
from powertools_otel.metrics._units import boundaries

PROMETHEUS = {"metrics": {"prometheus": {"endpoint": "${env:TEST_PROMETHEUS}"}}}
TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
EXPONENTIAL = {
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": (
        "base2_exponential_bucket_histogram"
    )
}
TO_CUMULATIVE = {"metrics": {"deltatocumulative": {}}}
WAYS = {
    "cumulative": ({TEMPORALITY: "cumulative"}, None),
    "delta": ({}, TO_CUMULATIVE),
    "lowmemory": ({TEMPORALITY: "lowmemory"}, TO_CUMULATIVE),
}
"""Variables of the function, processors of the Collector."""

ENVIRONMENTS = 2
INVOCATIONS = 8


def make_handler():
    metrics = Metrics(namespace="Shop", service="orders")

    @metrics.log_metrics(capture_cold_start_metric=True)
    def handler(event, context):
        metrics.add_dimension("tenant", "acme")
        if event["orders"] is not None:
            metrics.add_metric("Orders", "Count", event["orders"])
            metrics.add_metric("Order:Total", "Count", 0.5)
        for value in event["latencies"]:
            metrics.add_metric("Latency", "Milliseconds", value)
        metrics.add_metric("Level", "None", event["level"])

    return handler


def events():
    """Some invocations leave out a metric: its total stays."""
    for number in range(INVOCATIONS):
        yield {
            "orders": number if number % 3 else None,
            "latencies": [0.5 * number, 40.0 + number, 3000.25][: 1 + number % 3],
            "level": number - 3.5,
        }


class Truth:
    """What an environment's handler has been told so far."""

    def __init__(self):
        self.orders = self.order_total = 0
        self.latencies = []
        self.level = None

    def add(self, event):
        if event["orders"] is not None:
            self.orders += event["orders"]
            self.order_total += 0.5
        self.latencies += event["latencies"]
        self.level = event["level"]

    def samples(self, *, buckets):
        found = {
            "Latency_milliseconds_count": len(self.latencies),
            "Latency_milliseconds_sum": pytest.approx(sum(self.latencies)),
            "Level": self.level,
        }
        if self.order_total:
            found["Orders_total"] = self.orders
            found["Order:Total_total"] = self.order_total
        for bound in [*buckets, float("inf")]:
            name = f"Latency_milliseconds_bucket{{{bound:g}}}"
            found[name] = sum(value <= bound for value in self.latencies)
        return found


@pytest.mark.parametrize("aggregation", ["explicit", "exponential"])
@pytest.mark.parametrize("way", WAYS)
def test_totals_equal_the_truth_after_every_invocation(
    way, aggregation, command, send_to, invoke
):
    """Of each environment apart, buckets included, whatever the temporality sent."""
    variables, processors = WAYS[way]
    # Prometheus' text format has no place for exponential buckets.
    buckets = boundaries("Milliseconds") if aggregation == "explicit" else ()
    if aggregation == "exponential":
        variables = {**variables, **EXPONENTIAL}
    variables = {**variables, "POWERTOOLS_OTEL_METRIC_KINDS": "Level=gauge"}
    config = default_config(exporters=PROMETHEUS, processors=processors)
    truths = []

    with Collector(command, config) as collector:
        send_to(collector.http_endpoint, **variables)
        for _ in range(ENVIRONMENTS):
            powertools_otel.testing.reset()  # another process, as far as we can tell
            handler = make_handler()
            truths.append(Truth())
            for event in events():
                invoke(handler, event)
                truths[-1].add(event)
                wanted = [truth.samples(buckets=buckets) for truth in truths]
                # The exporter is behind the answer by a moment.
                collector.wait_for(
                    lambda wanted=wanted: _same(
                        by_instance(collector.scrape(), tenant="acme"), wanted
                    )
                )
        cold = by_instance(collector.scrape(), function_name="checkout")

    assert [each["ColdStart_total"] for each in cold.values()] == [1] * ENVIRONMENTS


def _same(found, wanted):
    ordered = list(found.values())
    return len(ordered) == len(wanted) and all(each in ordered for each in wanted)


@pytest.mark.parametrize("way", ["cumulative", "delta"])
def test_totals_of_many_metrics_in_quick_succession(way, command, send_to, invoke):
    """Hundreds have times a millisecond apart, and still none comes out of order."""
    variables, processors = WAYS[way]
    config = default_config(exporters=PROMETHEUS, processors=processors)
    names = [f"metric-{number}" for number in range(450)]

    with Collector(command, config) as collector:
        send_to(collector.http_endpoint, **variables)
        metrics = Metrics(namespace="Shop", service="orders")

        @metrics.log_metrics
        def handler(event, context):
            for name in event:
                metrics.add_metric(name, "Count", 1)

        for number in range(6):
            invoke(handler, names if number % 2 else reversed(names[100:]))
        found = collector.wait_for(lambda: _totals(collector, names))

    assert found == {name: 3 if name in names[:100] else 6 for name in names}


def _totals(collector, names):
    for sample in by_instance(collector.scrape(), service="orders").values():
        totals = {name: sample.get(_prometheus_name(name)) for name in names}
        if None not in totals.values() and sum(totals.values()) >= 2400:
            return totals
    return None


def _prometheus_name(name):
    return f"{name.replace('-', '_')}_total"


def test_why_deltas_need_the_processor(command, send_to, invoke):
    """Alone the exporter adds up deltas too, until a metric is left out once."""
    with Collector(command, default_config(exporters=PROMETHEUS)) as collector:
        send_to(collector.http_endpoint)
        handler = make_handler()
        for added, total in [(2, 2), (3, 5), (None, 5), (4, 4)]:
            invoke(handler, {"orders": added, "latencies": [], "level": 0})
            collector.wait_for(lambda total=total: _orders(collector) == total)


def _orders(collector):
    found = by_instance(collector.scrape(), tenant="acme").values()
    return next((each.get("Orders_total") for each in found), None)


def test_cumulative_points_go_on_from_one_start(collector, send_to, invoke):
    """Each says since when it counts, the same for the environment's whole life."""
    send_to(collector.http_endpoint, **{TEMPORALITY: "cumulative"})
    handler = make_handler()
    for event in events():
        invoke(handler, event)

    arrived = collector.wait_for(lambda: _points(collector, "Latency", INVOCATIONS))

    assert len({point.start_ns for point in arrived}) == 1
    assert arrived[0].start_ns > 0
    times = [point.time_ns for point in arrived]
    assert times == sorted(set(times))
    counts = [point.count for point in arrived]
    assert counts == sorted(counts)


def _points(collector, name, count):
    points = [
        point
        for metric in collector.metrics()
        if metric.name == name
        for point in metric.points
    ]
    return points if len(points) >= count else None

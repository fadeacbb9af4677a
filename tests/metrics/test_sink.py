"""Metrics in the real process: settings of the environment, pipeline, delivery."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from powertools_otel.metrics import _sink

RUN = """
import json, sys
from powertools_otel.metrics import Metrics, single_metric
metrics = Metrics(namespace="Shop", service="cart")
@metrics.log_metrics(capture_cold_start_metric=True)
def handler(event, context):
    metrics.add_metric("orders", "Count", 2)
    metrics.add_metric("latency", "Milliseconds", 12)
class Context:
    function_name = "checkout"
handler({}, Context())
handler({}, Context())
with single_metric("later", "Count", 1, namespace="Shop"):
    pass
"""


def sent_to_stdout(**environ):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN],
        env={"OTEL_METRICS_EXPORTER": "otlp/stdout", **environ},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def points(request):
    return {
        metric["name"]: (kind, metric[kind], metric[kind]["dataPoints"])
        for resource in request["resourceMetrics"]
        for scope in resource["scopeMetrics"]
        for metric in scope["metrics"]
        for kind in metric.keys() & {"sum", "histogram", "exponentialHistogram"}
    }


def test_each_invocation_is_one_request():
    """Its end sends; outside of it single_metric sends at once."""
    first, second, third = map(points, sent_to_stdout())

    assert set(first) == {"orders", "latency", "ColdStart"}
    assert set(second) == {"orders", "latency"}
    assert set(third) == {"later"}
    _, _, [one] = first["orders"]
    _, _, [two] = second["orders"]
    assert one["asDouble"] == two["asDouble"] == 2
    assert one["timeUnixNano"] == two["startTimeUnixNano"]


def test_the_resource_names_the_service_of_the_metrics():
    """Where nothing else does; and the instance that sends."""
    [request, *_] = sent_to_stdout()
    attributes = {
        pair["key"]: pair["value"]
        for pair in request["resourceMetrics"][0]["resource"]["attributes"]
    }

    assert attributes["service.name"] == {"stringValue": "cart"}
    assert "service.instance.id" in attributes


def test_cumulative_and_exponential_by_the_otel_variables():
    """OTEL_EXPORTER_OTLP_METRICS_*: totals over invocations from one start."""
    first, second, _ = map(
        points,
        sent_to_stdout(
            OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="cumulative",
            OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION=(
                "base2_exponential_bucket_histogram"
            ),
        ),
    )

    _, data, [one] = first["orders"]
    _, _, [two] = second["orders"]
    assert data["aggregationTemporality"] == 2
    assert (one["asDouble"], two["asDouble"]) == (2, 4)
    assert one["startTimeUnixNano"] == two["startTimeUnixNano"]
    kind, _, [latency] = second["latency"]
    assert kind == "exponentialHistogram"
    assert (latency["count"], latency["sum"]) == ("2", 24)


@pytest.mark.parametrize(
    "environ",
    [{"OTEL_METRICS_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}],
)
def test_nothing_is_sent_or_kept_where_exporting_is_off(environ):
    """The handler runs as ever."""
    assert sent_to_stdout(**environ) == []


@pytest.mark.parametrize(
    ("value", "cumulative"),
    [("", False), ("delta", False), ("LowMemory", False), ("Cumulative", True)],
)
def test_temporality_preference(value, cumulative):
    """Low memory is delta for sums and histograms alike."""
    environ = {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": value}

    assert _sink.store(environ).cumulative is cumulative


def test_wrong_words_are_said_and_replaced(caplog):
    """With the variable's name, the value, and what is allowed."""
    for name, read in (
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", _sink.store),
        (
            "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
            _sink.is_exponential,
        ),
        ("OTEL_METRICS_EXEMPLAR_FILTER", _sink.exemplar_filter),
    ):
        caplog.clear()
        read({name: "bananas"})
        assert name in caplog.text
        assert "'bananas'" in caplog.text


def test_a_fault_in_connecting_does_not_fail_the_functions_import(monkeypatch, caplog):
    """Metrics() is called while the function's module is imported."""

    def broken(service):
        raise RuntimeError("ours")

    monkeypatch.setattr(_sink, "_connected", broken)
    assert _sink.outlet().sends is False
    assert "Metrics cannot be sent" in caplog.text


def test_a_restart_reaches_the_store(sent):
    """SnapStart's hook and fork's have one thing to call."""
    store = sent.outlet.store
    before = store._start
    _sink.restart()

    assert store._start > before
    _sink.use(None)
    _sink.restart()
    assert _sink.store({})._start > store._start

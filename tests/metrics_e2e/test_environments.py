"""Many environments at once: nothing is lost, nothing is taken for something else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from tests.metrics_e2e.exposition import by_instance
from tests.support.collector import Collector, default_config

INVOCATIONS = 50
SCRIPT = Path(__file__).with_name("environments.py")
TEMPORALITY = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"


def config():
    """Two pipelines: what arrives is written as it is, and scraped as totals."""
    tree = default_config()
    tree["processors"]["deltatocumulative"] = {}
    tree["exporters"]["prometheus"] = {"endpoint": "${env:TEST_PROMETHEUS}"}
    tree["service"]["pipelines"]["metrics/totals"] = {
        "receivers": ["otlp"],
        "processors": ["deltatocumulative"],
        "exporters": ["prometheus"],
    }
    return tree


def run(endpoint, environments, **variables):
    """Run all environments; return what each says it sent."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(environments), str(INVOCATIONS)],
        env={
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_FUNCTION_NAME": "checkout",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "POWERTOOLS_OTEL_FLUSH_TIMEOUT": "60000",
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("temporality", "environments"), [("delta", 200), ("cumulative", 50)]
)
def test_totals_of_concurrent_environments_are_exact(
    temporality, environments, command
):
    """With 50 invocations each, environments restored from one snapshot included."""
    expected = environments * INVOCATIONS
    with Collector(command, config()) as collector:
        variables = {TEMPORALITY: temporality}
        told = run(collector.http_endpoint, environments, **variables)
        totals = collector.wait_for(lambda: _complete(collector.scrape(), expected))
        collector.stop()  # flushes the file
        requests = collector.requests()

    assert len(told) == environments
    amounts = {each["instance"]: each["amount"] for each in told}
    assert len(amounts) == environments, "two environments are the same instance"
    for each in told:
        for counted in each["statistics"].values():
            assert counted["sent"] == counted["recorded"] > 0
    assert {
        instance: (each["Invocations_total"], each["Amount_total"])
        for instance, each in totals.items()
    } == {instance: (INVOCATIONS, amount) for instance, amount in amounts.items()}
    for instance, each in totals.items():
        assert each["Latency_milliseconds_count"] == INVOCATIONS
        assert each["Latency_milliseconds_sum"] == amounts[instance]

    spans, points = _arrived(requests)
    assert {each: len(ids) for each, ids in spans.items()} == dict.fromkeys(
        amounts, INVOCATIONS
    )
    assert len(set().union(*spans.values())) == expected
    for instance, amount in amounts.items():
        sent = points[instance]
        assert len(sent) == INVOCATIONS
        assert (sum(sent) if temporality == "delta" else max(sent)) == amount


def _complete(text, expected):
    totals = by_instance(text, service="orders")
    invocations = sum(each.get("Invocations_total", 0) for each in totals.values())
    return totals if invocations == expected else None


def _arrived(requests):
    """Span ids, and the values of `Amount`, by instance."""
    spans, points = defaultdict(set), defaultdict(list)
    for request in requests:
        for group in [
            *request.get("resourceSpans", []),
            *request.get("resourceMetrics", []),
        ]:
            instance = next(
                pair["value"]["stringValue"]
                for pair in group["resource"]["attributes"]
                if pair["key"] == "service.instance.id"
            )
            for scope in group.get("scopeSpans", []):
                spans[instance] |= {span["spanId"] for span in scope["spans"]}
            for scope in group.get("scopeMetrics", []):
                for metric in scope["metrics"]:
                    if metric["name"] == "Amount":
                        (point,) = metric["sum"]["dataPoints"]
                        points[instance].append(point["asDouble"])
    return spans, points

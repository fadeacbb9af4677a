"""Beside AWS's distribution of OpenTelemetry, really installed and activated."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.support.environments import environment

FUNCTION = Path(__file__).with_name("adot_function.py")
# What the tests of layers install: one environment serves both.
ADOT = (
    "awslambdaric",
    "boto3",
    "opentelemetry-instrumentation-aws-lambda",
    "aws-opentelemetry-distro",
)
ACTIVATED = {
    "OTEL_PYTHON_DISTRO": "aws_distro",
    "OTEL_PYTHON_CONFIGURATOR": "aws_configurator",
    "OTEL_AWS_APPLICATION_SIGNALS_ENABLED": "false",
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}
"""As its Lambda layer does it, but for spans, which are not the subject."""


@pytest.fixture(scope="module")
def python():
    try:
        return environment(*ADOT)
    except RuntimeError as error:
        pytest.skip(f"aws-opentelemetry-distro cannot be installed here: {error}")


def run(python, **variables):
    done = subprocess.run(
        [python.with_name("opentelemetry-instrument"), python, FUNCTION],
        env={
            "PATH": os.environ["PATH"],
            "AWS_LAMBDA_FUNCTION_NAME": "checkout",
            "AWS_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "POWERTOOLS_OTEL_FLUSH_TIMEOUT": "20000",
            **ACTIVATED,
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_meter_provider_that_exports_nothing_is_not_used(python, collector):
    """ADOT installs one under OTEL_METRICS_EXPORTER=none; our metrics arrive all the same.

    It takes every value and says that it has flushed, while none of them arrives.
    """
    found = run(python, OTEL_EXPORTER_OTLP_ENDPOINT=collector.http_endpoint)

    assert found == {
        "provider": "opentelemetry.sdk.metrics._internal.MeterProvider",
        "flushed": True,
    }
    collector.stop()
    arrived = {}
    for metric in collector.metrics():
        for point in metric.points:
            value = point.value if metric.kind == "sum" else point.sum
            arrived.setdefault((metric.scope.name, metric.name), []).append(value)
    assert arrived == {
        ("Shop", "ColdStart"): [1],
        ("Shop", "Orders"): [2, 2, 2],
        ("Shop", "Latency"): [12.5, 12.5, 12.5],
        ("Other", "Share"): [50, 50, 50],
    }

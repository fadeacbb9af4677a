"""Every configuration that speaks OTLP, run by the real Collector, delivers.

The backend is a stand-in on loopback. Only host and port of the exporters' endpoints
are replaced, once the URL is checked: path, headers, authentication, compression and
everything else are the file's own.
"""

from __future__ import annotations

import base64
import contextlib
import re
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from tests.collector_config.distributions import CONFIGS, Config
from tests.collector_config.standin import StandIn
from tests.support.aws_stub import DUMMY_CREDENTIALS, LogsStub, XRayStub
from tests.support.collector import LISTENERS, Collector

from powertools_otel.testing import OTLPReceiver

DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
KEY = "not-a-secret"


@dataclass(frozen=True)
class Expected:
    """Where a file sends, with what, and as which temporality."""

    traces: str = ""
    metrics: str = ""
    env: dict[str, str] = field(default_factory=dict)
    traces_headers: dict[str, str] = field(default_factory=dict)
    metrics_headers: dict[str, str] = field(default_factory=dict)
    temporality: int = DELTA


def one(url: str, headers: dict[str, str], **more: Any) -> Expected:
    """Both signals below one base URL, with the same headers."""
    return Expected(
        f"{url}/v1/traces",
        f"{url}/v1/metrics",
        traces_headers=headers,
        metrics_headers=headers,
        **more,
    )


SIGV4 = r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/eu-west-1/%s/aws4_request, .*"
EXPECTED = {
    "aws-otlp.yaml": Expected(
        "https://xray.eu-west-1.amazonaws.com/v1/traces",
        "https://monitoring.eu-west-1.amazonaws.com/v1/metrics",
        env={"AWS_REGION": "eu-west-1"},
        traces_headers={"authorization": SIGV4 % "xray", "content-encoding": "gzip"},
        metrics_headers={
            "authorization": SIGV4 % "monitoring",
            "content-encoding": "gzip",
        },
    ),
    "datadog.yaml": Expected(
        "https://otlp.datadoghq.com/v1/traces",
        "https://otlp.datadoghq.com/v1/metrics",
        env={"DD_API_KEY": KEY},
        traces_headers={
            "dd-api-key": KEY,
            "dd-otlp-source": "serverless",
            "compute_stats": "true",
        },
        metrics_headers={
            "dd-api-key": KEY,
            "dd-otel-metric-config": re.escape('{"resource_attributes_as_tags": true}'),
        },
    ),
    "dynatrace.yaml": one(
        "https://abc12345.live.dynatrace.com/api/v2/otlp",
        {"authorization": f"Api-Token {KEY}"},
        env={
            "DT_ENDPOINT": "https://abc12345.live.dynatrace.com/api/v2/otlp",
            "DT_API_TOKEN": KEY,
        },
    ),
    "gateway.yaml": one(
        "https://backend.example.com/otlp",
        {"api-key": KEY},
        env={
            "BACKEND_OTLP_ENDPOINT": "https://backend.example.com/otlp",
            "BACKEND_OTLP_HEADERS": f"{{api-key: {KEY}}}",
        },
    ),
    "grafana-cloud.yaml": one(
        "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp",
        {
            "authorization": "Basic "
            + base64.b64encode(f"123456:{KEY}".encode()).decode()
        },
        env={
            "GRAFANA_CLOUD_OTLP_ENDPOINT": "https://otlp-gateway-prod-eu-west-2"
            ".grafana.net/otlp",
            "GRAFANA_CLOUD_INSTANCE_ID": "123456",
            "GRAFANA_CLOUD_API_TOKEN": KEY,
        },
        temporality=CUMULATIVE,
    ),
    "honeycomb.yaml": Expected(
        "https://api.honeycomb.io/v1/traces",
        "https://api.honeycomb.io/v1/metrics",
        env={"HONEYCOMB_API_KEY": KEY},
        traces_headers={"x-honeycomb-team": KEY},
        metrics_headers={
            "x-honeycomb-team": KEY,
            "x-honeycomb-dataset": "powertools-metrics",
        },
    ),
    "new-relic.yaml": one(
        "https://otlp.nr-data.net",
        {"api-key": KEY, "content-encoding": "gzip"},
        env={"NEW_RELIC_LICENSE_KEY": KEY},
    ),
    "prometheus.yaml": Expected(
        metrics="http://prometheus:9090/api/v1/otlp/v1/metrics",
        temporality=CUMULATIVE,
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_spans_and_metrics_reach_the_backend(name, command, sent):
    """At the vendor's path, with its headers, in the temporality it takes."""
    config, expected = CONFIGS[name], EXPECTED[name]
    with StandIn() as backend:
        urls: dict[str, str] = {}
        overrides = redirected(config, expected.env, backend.netloc, urls)
        with running(config, command, overrides, expected.env) as collector:
            for signal in ("traces", "metrics"):
                post(collector, signal, sent[signal])
            backend.wait(lambda b: has_all(b, expected))

    assert urls.get("traces", "") == expected.traces
    assert urls["metrics"] == expected.metrics
    for signal in ("traces", "metrics"):
        for request in backend.of(signal):
            assert request.path == urlsplit(getattr(expected, signal)).path
            for header, pattern in getattr(expected, f"{signal}_headers").items():
                assert re.fullmatch(pattern, request.headers[header]), header
    if expected.traces:
        assert {"checkout", "charge"} <= {
            span.name.rpartition(".")[2] for span in backend.spans()
        }
    assert_points(backend.metrics(), expected.temporality)


def test_two_backends_both_get_everything(command, sent):
    """Each with its own headers."""
    config = CONFIGS["two-backends.yaml"]
    env = {
        "FIRST_OTLP_ENDPOINT": "https://first.example.com",
        "FIRST_OTLP_HEADERS": "{api-key: one}",
        "SECOND_OTLP_ENDPOINT": "https://second.example.com/otlp",
        "SECOND_OTLP_HEADERS": "{x-key: two}",
    }
    with StandIn() as first, StandIn() as second:
        overrides = {
            "exporters": {
                "otlphttp/first": {"endpoint": f"http://{first.netloc}"},
                "otlphttp/second": {"endpoint": f"http://{second.netloc}/otlp"},
            }
        }
        with running(config, command, overrides, env) as collector:
            for signal in ("traces", "metrics"):
                post(collector, signal, sent[signal])
            for backend in (first, second):
                backend.wait(lambda b: b.spans() and b.metrics())

    for backend in (first, second):
        assert_points(backend.metrics(), DELTA)
    assert {item.headers["api-key"] for item in first.received} == {"one"}
    assert {item.headers["x-key"] for item in second.received} == {"two"}


def test_a_backend_that_is_down_does_not_hold_up_the_other(command, sent):
    """Each of the two has its own queue."""
    env = {
        "FIRST_OTLP_ENDPOINT": "http://127.0.0.1:1",  # nothing listens there
        "FIRST_OTLP_HEADERS": "",
        "SECOND_OTLP_HEADERS": "",
    }
    config = CONFIGS["two-backends.yaml"]
    with StandIn() as second:
        env["SECOND_OTLP_ENDPOINT"] = f"http://{second.netloc}"
        collector = Collector(
            command, *layers(config, {}), env={**DUMMY_CREDENTIALS, **env}
        )
        with collector:
            post(collector, "traces", sent["traces"])
            second.wait(lambda b: b.spans())


def test_spans_reach_jaeger_by_grpc(command, sent):
    """And metrics, which Jaeger has no place for, are accepted all the same."""
    config = CONFIGS["jaeger.yaml"]
    with OTLPReceiver(grpc=True) as jaeger:
        env = {"JAEGER_OTLP_ENDPOINT": urlsplit(jaeger.grpc_endpoint).netloc}
        with running(config, command, {}, env) as collector:
            for signal in ("traces", "metrics"):
                post(collector, signal, sent[signal])
            jaeger.wait_for(lambda r: r.spans, timeout_s=10)

        assert {"checkout", "charge"} <= {
            item.span.name.rpartition(".")[2] for item in jaeger.spans
        }
        assert {request.protocol for request in jaeger.requests} == {"grpc"}


def test_x_ray_and_otlp_side_by_side(command, sent):
    """One migration: X-Ray, CloudWatch and the new backend get the same."""
    config = CONFIGS["xray-and-otlp.yaml"]
    env = {
        "AWS_REGION": "eu-west-1",
        "AWS_LAMBDA_FUNCTION_NAME": "checkout",
        "POWERTOOLS_METRICS_NAMESPACE": "Shop",
        "BACKEND_OTLP_ENDPOINT": "https://backend.example.com",
        "BACKEND_OTLP_HEADERS": f"{{api-key: {KEY}}}",
    }
    with StandIn() as backend, XRayStub() as xray, LogsStub() as logs:
        overrides = {
            "exporters": {
                "otlphttp": {"endpoint": f"http://{backend.netloc}"},
                "awsxray": {"endpoint": xray.endpoint},
                "awsemf": {"endpoint": logs.endpoint},
            }
        }
        with running(config, command, overrides, env) as collector:
            for signal in ("traces", "metrics"):
                post(collector, signal, sent[signal])
            backend.wait(lambda b: b.spans() and b.metrics())
            documents = xray.wait_for(len(backend.spans()))
            emf = logs.wait_for()

    assert {document["id"] for document in documents} == {
        span.span_id.hex() for span in backend.spans()
    }
    names = {metric.name for metric in backend.metrics()}
    assert {name for document in emf for name in metric_names(document)} == names


def redirected(
    config: Config, env: dict[str, str], netloc: str, urls: dict[str, str]
) -> dict[str, Any]:
    """Settings that move the endpoints to `netloc`; `urls` gets what they were."""
    defaults = {
        variable.name: variable.default or "" for variable in config.variables
    } | env
    overrides: dict[str, dict[str, str]] = {}
    for name, exporter in config.defined("exporters").items():
        for key in ("endpoint", "traces_endpoint", "metrics_endpoint"):
            if key not in (exporter or {}):
                continue
            url = re.sub(
                r"\$\{env:(\w+)(?::-[^}]*)?\}",
                lambda found: defaults[found[1]],
                exporter[key],
            )
            parts = urlsplit(url)
            overrides.setdefault(name, {})[key] = f"http://{netloc}{parts.path}"
            for signal, pipeline in config.pipelines().items():
                if name in pipeline["exporters"]:
                    suffix = f"/v1/{signal}" if key == "endpoint" else ""
                    urls[signal] = url + suffix
    return {"exporters": overrides}


def layers(config: Config, overrides: dict[str, Any]) -> list[dict[str, Any]]:
    """The file, and what moves its listeners and endpoints to this run's."""
    listeners: list[dict[str, Any]] = [dict(LISTENERS)]
    if "health_check" in config.types("extensions"):
        listeners.append(
            {"extensions": {"health_check": {"endpoint": "${env:TEST_HEALTH}"}}}
        )
    return [config.without_decouple(), *listeners, overrides]


@contextlib.contextmanager
def running(config, command, overrides, env):
    collector = Collector(
        command, *layers(config, overrides), env={**DUMMY_CREDENTIALS, **env}
    )
    with collector:
        try:
            yield collector
        except BaseException:
            print(collector.log_text())  # shown by pytest when the test fails
            raise


def post(collector: Collector, signal: str, bodies: list[bytes]) -> None:
    """Send the function's requests, one after the other as they came."""
    for body in bodies:
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{collector.http_endpoint}/v1/{signal}",
            body,
            {"Content-Type": "application/x-protobuf"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            assert answer.status == 200


def has_all(backend: StandIn, expected: Expected) -> bool:
    """Both invocations' data is there."""
    orders = [m for m in backend.metrics() if m.name == "Orders"]
    points = sum(len(metric.sum.data_points) for metric in orders)
    traced = [s for s in backend.spans() if s.name.endswith("charge")]
    return points >= 2 and (not expected.traces or len(traced) >= 2)


def assert_points(metrics: list[Any], temporality: int) -> None:
    """Two invocations of 1 + 2 orders, and of latencies 12.5 and 40."""
    orders = [
        point.as_double
        for metric in metrics
        if metric.name == "Orders"
        for point in metric.sum.data_points
    ]
    assert orders == ([3, 3] if temporality == DELTA else [3, 6])
    latencies = [
        (point.count, point.sum)
        for metric in metrics
        if metric.name == "Latency"
        for point in metric.histogram.data_points
    ]
    assert latencies == (
        [(2, 52.5), (2, 52.5)] if temporality == DELTA else [(2, 52.5), (4, 105)]
    )
    for metric in metrics:
        data = getattr(metric, metric.WhichOneof("data"))
        assert data.aggregation_temporality == temporality, metric.name


def metric_names(document: dict[str, Any]) -> list[str]:
    return [
        metric["Name"]
        for directive in document["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
    ]


def test_every_file_that_speaks_otlp_is_run():
    """A new file cannot be forgotten here."""
    elsewhere = {
        "two-backends.yaml",
        "jaeger.yaml",
        "xray-and-otlp.yaml",
        "local.yaml",  # speaks to a file: tests/support
    }
    speaking = {
        config.name
        for config in CONFIGS.values()
        if config.types("exporters") & {"otlp", "otlphttp"}
    }

    assert speaking - elsewhere == set(EXPECTED)
    assert elsewhere <= set(CONFIGS)

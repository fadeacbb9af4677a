"""Beside OpenTelemetry's and AWS's own layers, really installed and activated.

Their layers set variables, redirect the handler to a module of theirs and start the
runtime with ``opentelemetry-instrument``; so do these tests.
"""

import base64
import json
import socket
import stat
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from tests.support.environments import environment
from tests.support.lambda_runtime import StrictLambda

from powertools_otel.testing import OTLPReceiver

FUNCTIONS = Path(__file__).parent / "functions"
COMMON = ("awslambdaric", "boto3", "opentelemetry-instrumentation-aws-lambda")
LAYERS = {
    "opentelemetry": (
        *COMMON,
        "opentelemetry-distro",
        "opentelemetry-exporter-otlp-proto-http",
        "opentelemetry-instrumentation-botocore",
    ),
    "adot": (*COMMON, "aws-opentelemetry-distro"),
}
VARIABLES = {
    "opentelemetry": {
        "OTEL_PROPAGATORS": "tracecontext,baggage,xray",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_LOGS_EXPORTER": "none",
    },
    "adot": {
        "OTEL_PYTHON_DISTRO": "aws_distro",
        "OTEL_PYTHON_CONFIGURATOR": "aws_configurator",
        "OTEL_PROPAGATORS": "baggage,xray,tracecontext",
        "OTEL_AWS_APPLICATION_SIGNALS_ENABLED": "false",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_TRACES_SAMPLER": "always_on",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    },
}
WRAPPER = """\
#!/bin/sh
ORIG_HANDLER="$_HANDLER"
_HANDLER=layer_wrapper.lambda_handler
export ORIG_HANDLER _HANDLER
exec "{bin}/opentelemetry-instrument" "$@"
"""
REDIRECT = """\
import os
from importlib import import_module

from opentelemetry.instrumentation.aws_lambda import AwsLambdaInstrumentor

AwsLambdaInstrumentor().instrument(skip_dep_check=True)
module, _, function = os.environ["ORIG_HANDLER"].rpartition(".")
lambda_handler = getattr(import_module(module), function)
"""


LAYERS_SCOPE = "opentelemetry.instrumentation.aws_lambda"
OURS = "powertools_otel"


@pytest.fixture(params=sorted(LAYERS))
def layer(request):
    return request.param


@pytest.fixture
def run(tmp_path):
    """Start a function in an environment with a layer."""

    def run(layer, handler, script=WRAPPER, **variables):
        python = environment(*LAYERS[layer])
        (tmp_path / "layer_wrapper.py").write_text(REDIRECT)
        wrapper = tmp_path / "otel-instrument"
        wrapper.write_text(script.format(bin=python.parent))
        wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
        env = {
            "AWS_LAMBDA_EXEC_WRAPPER": str(wrapper),
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "aws-lambda",
            "PYTHONPATH": str(tmp_path),
            **VARIABLES[layer],
            **variables,
        }
        return StrictLambda(handler, FUNCTIONS, env=env, python=str(python), timeout=10)

    return run


@pytest.fixture
def start(run, layer, collector):
    """Start a function with each layer, sending to an OTLP endpoint."""

    def start(handler, **variables):
        return run(
            layer,
            handler,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.endpoint}/v1/traces",
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
            **variables,
        )

    return start


def senders(collector, signal):
    return [
        request.headers["user-agent"].partition("/")[0]
        for request in collector.requests
        if request.signal == signal
    ]


def test_the_layers_provider_makes_and_sends_the_spans_once(start, collector):
    with start("unchanged.handler") as function:
        for _ in range(2):
            invocation = function.invoke({"amount": 5})
            assert invocation.outcome == "success", invocation
            assert senders(collector, "traces") == ["OTel-OTLP-Exporter-Python"]
            spans = {each.span.name: each for each in collector.spans}
            assert len(spans) == len(collector.spans)
            layers, ours = spans["checkout"], spans["handler"]
            assert layers.scope.name == LAYERS_SCOPE
            assert layers.span.kind == 2
            assert ours.scope.name == OURS
            assert ours.span.kind == 1
            assert ours.span.parent_span_id == layers.span.span_id
            assert spans["audited"].span.parent_span_id == ours.span.span_id
            assert len({each.span.trace_id for each in collector.spans}) == 1
            assert len({str(each.resource) for each in collector.spans}) == 1
            collector.clear()


def test_the_order_of_the_instrumentors_does_not_matter(start, collector):
    """The one for Lambda imports the function's module as soon as it is activated."""
    with start(
        "unchanged.handler",
        script='#!/bin/sh\nexec "{bin}/opentelemetry-instrument" "$@"\n',
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="",
    ) as function:
        assert function.invoke({"amount": 5}).outcome == "success"
    spans = {each.span.name: each for each in collector.spans}
    assert spans["checkout"].scope.name == LAYERS_SCOPE
    assert spans["handler"].span.parent_span_id == spans["checkout"].span.span_id


def test_metrics_are_sent_once(start, layer, collector):
    """By the layer's MeterProvider if it exports, by ourselves if it does not."""
    with start("unchanged.handler") as function:
        function.invoke({"amount": 5})
    names = sorted(each.metric.name for each in collector.metrics)
    (sender,) = senders(collector, "metrics")
    if layer == "adot":
        assert sender == "OTel-OTLP-Exporter-Python-powertools-otel"
        assert names == ["Charges", "ColdStart", "Fee", "Size"]
    else:
        assert sender == "OTel-OTLP-Exporter-Python"
        assert names == ["charges", "coldstart", "fee", "size"]


def test_libraries_are_instrumented_once(start, collector):
    with start("calling.handler", LOOPBACK=collector.endpoint) as function:
        invocation = function.invoke({})
    assert invocation.outcome == "success", invocation
    calls = [each for each in collector.spans if "botocore" in each.scope.name]
    assert len(calls) == 1
    (ours,) = [each for each in collector.spans if each.scope.name == OURS]
    assert calls[0].span.parent_span_id == ours.span.span_id
    assert "already instrumented" not in "".join(function.logs.stderr).lower()


def test_our_own_export_is_never_traced(run):
    """ADOT instruments grpcio, by which our metrics go here."""
    with (
        OTLPReceiver(grpc=True) as collector,
        run(
            "adot",
            "unchanged.handler",
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.endpoint}/v1/traces",
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=collector.grpc_endpoint,
            OTEL_EXPORTER_OTLP_METRICS_PROTOCOL="grpc",
        ) as function,
    ):
        for _ in range(2):
            assert function.invoke({"amount": 5}).outcome == "success"
    metrics = [one for one in collector.requests if one.signal == "metrics"]
    assert {one.protocol for one in metrics} == {"grpc"}
    assert {each.scope.name for each in collector.spans} == {LAYERS_SCOPE, OURS}


def test_a_layer_that_disables_us_has_its_way(start, collector):
    disabled = "aws-lambda,aws-lambda-powertools"
    with start(
        "metering.handler", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=disabled
    ) as function:
        invocation = function.invoke({})
    assert {each.scope.name for each in collector.spans} == {LAYERS_SCOPE}
    assert any('"Charges"' in line for line in invocation.logs.stdout)


def test_adots_spans_go_to_the_xray_daemon_and_metrics_stay_emf(run):
    """Without an OTLP endpoint ADOT speaks UDP to the daemon that Lambda runs."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(5)
        address = ":".join(map(str, daemon.getsockname()))
        with run(
            "adot", "unchanged.handler", AWS_XRAY_DAEMON_ADDRESS=address
        ) as function:
            invocation = function.invoke({"amount": 5})
            header, _, body = daemon.recv(65_535).partition(b"\n")
            logs = [*function.logs.stdout, *function.logs.stderr]
    assert json.loads(header) == {"format": "json", "version": 1}
    assert body.startswith(b"T1S")
    sent = ExportTraceServiceRequest.FromString(base64.b64decode(body[3:]))
    spans = {
        span.name: span
        for of_resource in sent.resource_spans
        for scope in of_resource.scope_spans
        for span in scope.spans
    }
    assert spans["handler"].parent_span_id == spans["checkout"].span_id
    assert any('"Charges":[1.0]' in line for line in invocation.logs.stdout)
    said = [line for line in logs if "metrics stay EMF" in line]
    assert len(said) == 1
    assert "Set OTEL_EXPORTER_OTLP_METRICS_ENDPOINT" in said[0]


def test_with_an_older_sdk_the_function_runs_and_the_log_says_what_to_do(
    opt, collector
):
    python = environment(
        "aws-lambda-powertools",
        "awslambdaric",
        "opentelemetry-sdk==1.38.0",
        project=False,
    )
    env = {
        "AWS_LAMBDA_EXEC_WRAPPER": str(opt / "powertools-otel"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
    }
    with StrictLambda(
        "unchanged.handler", FUNCTIONS, env=env, python=str(python)
    ) as function:
        invocation = function.invoke({"amount": 5})
        logs = [*function.logs.stdout, *function.logs.stderr]
    assert invocation.result["body"] == {"charged": 5}
    said = [line for line in logs if "opentelemetry-sdk 1.38.0 at " in line]
    assert len(said) == 1
    assert "Update the layer it comes from" in said[0]

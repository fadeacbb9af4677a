"""The handlers that are compared: the same work, told to different receivers.

Each scenario is a function that sets up and returns a handler, run in a process of
its own: ``python -m benchmarks.scenarios NAME MODE``.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    Handler = Callable[[dict[str, Any], Any], Any]

SPANS = 5
METRICS = 5


class Context:
    """As much of a Lambda context as handlers look at."""

    function_name = "benchmark"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:benchmark"

    def __init__(self, number: int) -> None:
        self.aws_request_id = f"request-{number}"

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def nothing() -> Handler:
    """No decorator at all."""

    def method() -> int:
        return 1

    def handler(event: dict[str, Any], context: Any) -> int:
        return sum(method() for _ in range(SPANS - 1))

    return handler


def _powertools(tracer: Any, metrics: Any) -> Handler:
    """One span for the handler and four methods; five metrics, if there are any."""

    @tracer.capture_method(capture_response=False)
    def method() -> int:
        tracer.put_annotation("key", "value")
        return 1

    def work(event: dict[str, Any], context: Any) -> int:
        for number in range(METRICS if metrics else 0):
            metrics.add_metric(f"Metric{number}", "Milliseconds", 12.5 + number)
        return sum(method() for _ in range(SPANS - 1))

    handler = tracer.capture_lambda_handler(capture_response=False)(work)
    return metrics.log_metrics(handler) if metrics else handler  # type: ignore[no-any-return]


def ours() -> Handler:
    """Traces only, by this package."""
    from powertools_otel import Tracer

    return _powertools(Tracer(service="s", auto_patch=False), None)


def ours_both() -> Handler:
    """Traces and metrics, by this package."""
    from powertools_otel import Metrics, Tracer

    return _powertools(
        Tracer(service="s", auto_patch=False), Metrics(namespace="n", service="s")
    )


def xray() -> Handler:
    """Powertools' Tracer as it is."""
    from aws_lambda_powertools import Tracer

    return _powertools(Tracer(service="s", auto_patch=False), None)


def xray_emf() -> Handler:
    """Powertools' Tracer and Metrics as they are; EMF goes to /dev/null."""
    from aws_lambda_powertools import Metrics, Tracer

    return _powertools(
        Tracer(service="s", auto_patch=False), Metrics(namespace="n", service="s")
    )


def xray_emf_patched() -> Handler:
    """As most have it: ``Tracer()`` patches what it finds."""
    import boto3  # noqa: F401
    from aws_lambda_powertools import Metrics, Tracer

    return _powertools(Tracer(service="s"), Metrics(namespace="n", service="s"))


def ours_both_patched() -> Handler:
    """The same with ours, botocore instrumented."""
    import boto3  # noqa: F401

    from powertools_otel import Metrics, Tracer

    return _powertools(Tracer(service="s"), Metrics(namespace="n", service="s"))


def stock() -> Handler:
    """The SDK's own batch processor and exporter, flushed at the end."""
    return _stock(with_metrics=False)


def stock_both() -> Handler:
    """The SDK's own exporters of both signals, flushed at the end."""
    return _stock(with_metrics=True)


def _stock(*, with_metrics: bool) -> Handler:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    tracer = provider.get_tracer("benchmark")
    meters = _stock_meters() if with_metrics else None

    def method() -> int:
        with tracer.start_as_current_span("method") as span:
            span.set_attribute("key", "value")
            return 1

    def handler(event: dict[str, Any], context: Any) -> int:
        try:
            with tracer.start_as_current_span("handler"):
                if meters:
                    for number, instrument in enumerate(meters[1]):
                        instrument.record(12.5 + number, {"service": "s"})
                return sum(method() for _ in range(SPANS - 1))
        finally:
            provider.force_flush()
            if meters:
                meters[0].force_flush()

    return handler


def _stock_meters() -> tuple[Any, list[Any]]:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
        OTLPMetricExporter,
    )
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(), export_interval_millis=float("inf")
    )
    provider = MeterProvider([reader])
    meter = provider.get_meter("benchmark")
    return provider, [
        meter.create_histogram(f"metric{number}", unit="ms")
        for number in range(METRICS)
    ]


SCENARIOS: dict[str, Callable[[], Handler]] = {
    scenario.__name__: scenario
    for scenario in (
        nothing,
        ours,
        ours_both,
        ours_both_patched,
        xray,
        xray_emf,
        xray_emf_patched,
        stock,
        stock_both,
    )
}


def environment(port: int, scheme: str = "http", **more: str) -> dict[str, str]:
    """Lambda's variables, and the sink as the endpoint."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "LAMBDA_TASK_ROOT": "/var/task",
        "AWS_LAMBDA_FUNCTION_NAME": "benchmark",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{port}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{scheme}://127.0.0.1:{port}",
        "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;"
        "Parent=53995c3f42cd8ad8;Sampled=1",
        **more,
    }


def _serve(name: str) -> None:
    """Warm: for each number on stdin, run so many invocations; say us for each."""
    answers = sys.stdout
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - what EMF prints to
    handler = SCENARIOS[name]()
    number = 0
    answers.write("ready\n")
    answers.flush()
    for line in sys.stdin:
        count = int(line)
        began = time.perf_counter()
        for _ in range(count):
            number += 1
            handler({}, Context(number))
        took = (time.perf_counter() - began) / count * 1e6
        answers.write(f"{took}\n")
        answers.flush()


def _start(name: str, preload: str) -> None:
    """Cold: what importing and setting up takes, then the first invocation, ms."""
    answers = sys.stdout
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
    _preload(preload)
    began = time.perf_counter()
    handler = SCENARIOS[name]()
    ready = time.perf_counter()
    handler({}, Context(1))
    done = time.perf_counter()
    import resource

    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    init, first = (ready - began) * 1000, (done - ready) * 1000
    answers.write(f"{init} {first} {memory}\n")
    answers.flush()
    # Neither the exit handlers nor what the stock exporters do in them counts.
    os._exit(0)


def _preload(what: str) -> None:
    """What is there already when Lambda imports the handler's module."""
    import awslambdaric.bootstrap  # noqa: F401

    if what == "boto3":
        import boto3

        boto3.client("sqs", aws_access_key_id="x", aws_secret_access_key="y")


if __name__ == "__main__":
    if sys.argv[2] == "serve":
        _serve(sys.argv[1])
    else:
        _start(sys.argv[1], sys.argv[3] if len(sys.argv) > 3 else "")

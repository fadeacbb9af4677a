"""The embedded receiver: the stock exporters, and faults on demand."""

from __future__ import annotations

import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import (
    OTLPMetricExporter as GrpcMetricExporter,
)
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcSpanExporter,
)
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
    OTLPMetricExporter as HttpMetricExporter,
)
from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
    OTLPSpanExporter as HttpSpanExporter,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from powertools_otel.testing._receiver import Fault, OTLPReceiver

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shared() -> Iterator[OTLPReceiver]:
    with OTLPReceiver(grpc=True) as running:
        yield running


@pytest.fixture
def both(shared: OTLPReceiver) -> OTLPReceiver:
    """A receiver for HTTP and gRPC, without what earlier tests left."""
    shared.accept()
    shared.fail()
    shared.clear()
    return shared


RESOURCE = Resource({"service.name": "checkout"})


def export_a_span(exporter: Any) -> None:
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("a.scope", "1.2").start_span("work").end()
    provider.shutdown()


def export_a_metric(exporter: Any) -> None:
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=60_000)
    provider = MeterProvider([reader], resource=RESOURCE)
    provider.get_meter("a.scope", "1.2").create_counter("jobs").add(3)
    provider.shutdown()


@pytest.mark.parametrize("compression", list(Compression))
def test_stock_http_exporters_are_received(
    compression: Compression, both: OTLPReceiver
) -> None:
    """Spans and metrics with their scope and resource, as official messages."""
    url = both.endpoint
    export_a_span(HttpSpanExporter(f"{url}/v1/traces", compression=compression))
    export_a_metric(HttpMetricExporter(f"{url}/v1/metrics", compression=compression))
    check(both, "http/protobuf")


def test_stock_grpc_exporters_are_received(both: OTLPReceiver) -> None:
    export_a_span(GrpcSpanExporter(both.grpc_endpoint))
    export_a_metric(GrpcMetricExporter(both.grpc_endpoint))
    check(both, "grpc")


def check(receiver: OTLPReceiver, protocol: str) -> None:
    receiver.wait_for(lambda r: r.spans and r.metrics)
    [span], [metric] = receiver.spans, receiver.metrics
    assert span.span.name == "work"
    assert metric.metric.sum.data_points[0].as_int == 3
    for received in (span, metric):
        assert received.scope.name == "a.scope"
        assert received.resource.attributes[0].value.string_value == "checkout"
    assert {request.protocol for request in receiver.requests} == {protocol}


def test_json_is_decoded_with_its_hexadecimal_ids(both: OTLPReceiver) -> None:
    """The answer is JSON, too."""
    ids = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331"}
    link = {**ids, "attributes": [{"key": "spanId", "value": {"stringValue": "x"}}]}
    span = {**ids, "name": "a", "links": [link], "startTimeUnixNano": "5", "new": 1}
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    answer = requests.post(f"{both.endpoint}/v1/traces", json=body, timeout=5)
    assert answer.json() == {"partialSuccess": {}}
    [received] = both.spans
    assert received.span.trace_id.hex() == ids["traceId"]
    assert received.span.links[0].span_id.hex() == ids["spanId"]
    assert received.span.links[0].attributes[0].value.string_value == "x"
    assert received.span.start_time_unix_nano == 5


def test_chunked_bodies_are_read(both: OTLPReceiver) -> None:
    answer = requests.post(
        f"{both.endpoint}/v1/traces",
        data=iter([b"", b"\n", b"\0"]),
        headers={"Content-Type": "application/x-protobuf"},
        timeout=5,
    )
    assert answer.status_code == 200
    assert len(both.requests) == 1


@pytest.mark.parametrize(
    ("path", "kind", "body", "status"),
    [
        ("/v1/traces", "application/x-protobuf", b"\xff", 400),
        ("/v1/traces", "application/json", b"{", 400),
        ("/v1/traces", "text/csv", b"", 400),
        ("/v1/nothing", "application/json", b"{}", 404),
    ],
)
def test_what_is_no_otlp_is_refused(
    path: str, kind: str, body: bytes, status: int, both: OTLPReceiver
) -> None:
    answer = requests.post(
        both.endpoint + path, data=body, headers={"Content-Type": kind}, timeout=5
    )
    assert answer.status_code == status
    assert both.requests == ()


def post(receiver: OTLPReceiver, timeout: float = 5) -> requests.Response:
    return requests.post(f"{receiver.endpoint}/v1/traces", json={}, timeout=timeout)


def test_faults_are_for_the_next_requests_or_for_all(both: OTLPReceiver) -> None:
    both.fail(Fault(status=500, body=b"oh"))
    both.fail_next(Fault(status=503, retry_after="7"), Fault(delay_s=0.05))
    first = post(both)
    assert (first.status_code, first.headers["Retry-After"]) == (503, "7")
    began = time.monotonic()
    assert post(both).status_code == 200
    assert time.monotonic() - began >= 0.05
    for _ in range(2):
        assert post(both).content == b"oh"
    both.fail()
    assert post(both).status_code == 200
    assert both.attempts == 5
    assert len(both.requests) == 2


def test_a_hanging_request_is_not_received(both: OTLPReceiver) -> None:
    both.fail_next(Fault(hang=True))
    with pytest.raises(requests.Timeout):
        post(both, 0.05)
    both.fail_next(Fault(close=True))
    with pytest.raises(requests.ConnectionError):
        post(both)
    assert both.attempts == 2
    assert both.requests == ()


def test_an_answer_can_trickle(both: OTLPReceiver) -> None:
    both.fail_next(Fault(trickle_s=0.0005))
    began = time.monotonic()
    assert post(both).status_code == 200
    assert time.monotonic() - began > 0.03


def test_it_can_refuse_and_come_back_on_the_same_port(both: OTLPReceiver) -> None:
    """Open connections break, too."""
    with socket.create_connection(("127.0.0.1", both.port), 5) as connection:
        time.sleep(0.05)
        both.refuse()
        both.refuse()
        assert connection.recv(1) == b""
    with pytest.raises(requests.ConnectionError):
        post(both)
    both.accept()
    both.accept()
    assert post(both).status_code == 200


def test_waiting_in_vain_is_an_error(both: OTLPReceiver) -> None:
    with pytest.raises(TimeoutError, match="0 requests"):
        both.wait_for(lambda r: r.requests, timeout_s=0.02)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither gRPC that was not asked for, nor messages that are not installed."""
    with OTLPReceiver() as plain, pytest.raises(RuntimeError, match="grpc=True"):
        print(plain.grpc_endpoint)
    module = "opentelemetry.proto.collector.trace.v1.trace_service_pb2"
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"powertools-otel\[otlp\]"):
        OTLPReceiver()

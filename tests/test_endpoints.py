"""Through the front door: whatever the endpoint does, the handler does not notice."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.conftest import LambdaContext
from tests.support.faults import LOOPBACK, RawServer, dropping_syn, refused_port

import powertools_otel
from powertools_otel import Metrics, Tracer
from powertools_otel.testing import Fault, OTLPReceiver

if TYPE_CHECKING:
    from collections.abc import Iterator

BOUND_S = 0.5 * 1.1
OPEN_S = 0.005
METHODS = 4


@contextmanager
def silent() -> Iterator[str]:
    with OTLPReceiver() as receiver:
        receiver.fail(Fault(hang=True))
        yield receiver.endpoint


@contextmanager
def deaf() -> Iterator[str]:
    with RawServer(lambda peer: peer.wait()) as server:
        yield server.endpoint


@contextmanager
def syn_dropping() -> Iterator[str]:
    with dropping_syn() as port:
        yield f"http://{LOOPBACK}:{port}"


@contextmanager
def refused() -> Iterator[str]:
    yield f"http://{LOOPBACK}:{refused_port()}"


@contextmanager
def unknown_name() -> Iterator[str]:
    yield "http://collector.invalid:4318"


@contextmanager
def unavailable() -> Iterator[str]:
    with OTLPReceiver() as receiver:
        receiver.fail(Fault(status=503))
        yield receiver.endpoint


@contextmanager
def unavailable_for_long() -> Iterator[str]:
    with OTLPReceiver() as receiver:
        receiver.fail(Fault(status=503, retry_after="30"))
        yield receiver.endpoint


@contextmanager
def trickling() -> Iterator[str]:
    with OTLPReceiver() as receiver:
        receiver.fail(Fault(trickle_s=1.0))
        yield receiver.endpoint


ENDPOINTS = (
    refused,
    silent,
    deaf,
    syn_dropping,
    unavailable,
    unavailable_for_long,
    trickling,
    unknown_name,
)


def make_handler():
    tracer = Tracer(service="checkout", auto_patch=False)
    metrics = Metrics(namespace="Shop", service="checkout")

    @tracer.capture_method
    def method(number):
        return number

    @metrics.log_metrics
    @tracer.capture_lambda_handler
    def handler(event, context):
        metrics.add_metric("Calls", "Count", 1)
        return [method(number) for number in range(METHODS)]

    return handler, tracer


def timed(handler, number: int) -> float:
    began = time.perf_counter()
    assert handler({}, LambdaContext(10_000, f"request-{number}")) == [0, 1, 2, 3]
    return time.perf_counter() - began


def assert_accounted(tracer, invocations: int) -> None:
    traces = tracer.provider.statistics["traces"]
    points = tracer.provider.statistics["metrics"]
    assert traces.recorded == invocations * (METHODS + 1)
    assert points.recorded == invocations
    for counted in (traces, points):
        assert counted.recorded == (
            counted.sent + counted.retained + counted.dropped + counted.unknown
        )


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: each.__name__)
def test_the_handler_does_not_notice(in_lambda, monkeypatch, capfd, endpoint):
    """Its results are the same, the first call is late by the bound at most, later
    ones are not while the breaker is open, and everything is accounted for."""
    with endpoint() as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        handler, tracer = make_handler()

        first = timed(handler, 0)
        later = sorted(timed(handler, number) for number in range(1, 11))

        assert first <= BOUND_S
        # The median: a busy machine may delay a single one.
        assert later[len(later) // 2] <= OPEN_S
        assert_accounted(tracer, 11)
        powertools_otel.testing.reset()
    assert capfd.readouterr().out == ""


def test_delivery_resumes_when_the_endpoint_is_back(in_lambda, monkeypatch):
    """What was kept arrives with what is new, and all of it is counted as sent."""
    with OTLPReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        receiver.fail(Fault(status=503))
        handler, tracer = make_handler()
        for number in range(3):
            timed(handler, number)
        assert not receiver.spans

        receiver.fail()
        deadline = time.monotonic() + 10
        invocations = 3
        while time.monotonic() < deadline and any(
            counted.retained for counted in tracer.provider.statistics.values()
        ):
            time.sleep(0.1)
            timed(handler, invocations)
            invocations += 1

        timed(handler, invocations)
        invocations += 1
        assert_accounted(tracer, invocations)
        counted = tracer.provider.statistics
        assert counted["traces"].sent == counted["traces"].recorded
        assert counted["metrics"].sent == counted["metrics"].recorded
        assert len(receiver.spans) == invocations * (METHODS + 1)


def test_one_request_a_signal_an_invocation(in_lambda, monkeypatch):
    """Both decorators share one flush, over connections that are kept alive."""
    with OTLPReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        handler, _ = make_handler()
        for number in range(5):
            timed(handler, number)

        signals = [request.signal for request in receiver.requests]
        assert sorted(signals) == ["metrics"] * 5 + ["traces"] * 5
        assert len({request.connection for request in receiver.requests}) == 2


def test_the_time_that_is_left_bounds_the_flush(in_lambda, monkeypatch):
    """Shortly before the function's timeout, a silent endpoint costs next to nothing."""
    with silent() as url:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        handler, _ = make_handler()

        began = time.perf_counter()
        handler({}, LambdaContext(300))

        # 300 ms are left, of which 200 are kept free.
        assert time.perf_counter() - began <= 0.15


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json", "grpc"])
def test_every_protocol_delivers(in_lambda, monkeypatch, protocol):
    """OTEL_EXPORTER_OTLP_PROTOCOL chooses; what arrives is the same."""
    with OTLPReceiver(grpc=protocol == "grpc") as receiver:
        endpoint = receiver.grpc_endpoint if protocol == "grpc" else receiver.endpoint
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        handler, tracer = make_handler()
        timed(handler, 0)

        assert {request.protocol for request in receiver.requests} == {protocol}
        assert len(receiver.spans) == METHODS + 1
        assert [received.metric.name for received in receiver.metrics] == ["Calls"]
        assert_accounted(tracer, 1)
        powertools_otel.testing.reset()


def test_headers_are_sent_and_never_told(in_lambda, monkeypatch, caplog):
    """OTEL_EXPORTER_OTLP_HEADERS reach the endpoint, and no log."""
    caplog.set_level("DEBUG")
    with OTLPReceiver() as receiver:
        receiver.fail_next(Fault(status=401, body=b"bad key: s3cr3t-key"))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s3cr3t-key")
        handler, _ = make_handler()
        timed(handler, 0)
        timed(handler, 1)

        assert receiver.requests[-1].headers["api-key"] == "s3cr3t-key"
    assert "s3cr3t-key" not in caplog.text
    assert "s3cr3t-key" not in repr(powertools_otel._pipeline.get().delivery)

"""One invocation, both signals: what arrives, in how many requests, how long it takes."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from powertools_otel import Metrics, Tracer, single_metric
from powertools_otel.testing import Fault

ORDERS = ("metrics outside", "tracer outside")
DELAY_S = 0.4
PROTOCOLS = ("http/protobuf", "http/json", "grpc")


class BoomError(Exception):
    """What a handler fails with."""


def function(order, *, fails=False, waits=False):
    """A decorated handler that uses everything that could cause a flush."""
    tracer = Tracer(service="orders", auto_patch=False)
    metrics = Metrics(namespace="Shop", service="orders")

    @tracer.capture_method
    def charge():
        tracer.put_annotation("order", "A-1")
        metrics.add_metric("Latency", "Milliseconds", 12.5)

    def work(event, context):
        metrics.add_dimension("tenant", "acme")
        metrics.add_metric("Orders", "Count", 1)
        metrics.flush_metrics()
        metrics.add_dimension("tenant", "acme")
        metrics.add_metric("Orders", "Count", 2)
        with single_metric("Share", "Percent", 50, namespace="Other") as single:
            single.add_dimension("kind", "single")
        charge()
        if fails:
            raise BoomError
        return "done"

    async def work_async(event, context):
        await asyncio.sleep(0)
        return work(event, context)

    handler = work_async if waits else work
    if order == "metrics outside":
        handler = tracer.capture_lambda_handler(handler)
        handler = metrics.log_metrics(handler, capture_cold_start_metric=True)
    else:
        handler = metrics.log_metrics(handler, capture_cold_start_metric=True)
        handler = tracer.capture_lambda_handler(handler)
    if waits:
        return lambda event, context: asyncio.run(handler(event, context))
    return handler


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_collector_receives_both_signals(
    order, protocol, collector, send_to, invoke
):
    """Spans and metrics of the same sender, metrics naming the trace they belong to."""
    grpc = protocol == "grpc"
    endpoint = collector.grpc_endpoint if grpc else collector.http_endpoint
    send_to(endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)

    assert invoke(function(order)) == "done"

    metrics = {each.name: each for each in collector.wait_for_metrics(4)}
    spans = {each.name: each for each in collector.wait_for_spans(2)}
    assert set(metrics) == {"ColdStart", "Orders", "Latency", "Share"}
    assert len(spans) == 2
    (charge,) = [each for name, each in spans.items() if name.endswith("charge")]
    assert charge.attributes["order"] == "A-1"
    (span_ids,) = {(each.trace_id, each.kind) for each in spans.values()} - {
        (charge.trace_id, "INTERNAL")
    }
    assert span_ids == (charge.trace_id, "SERVER")

    (orders,) = metrics["Orders"].points
    assert metrics["Orders"].kind == "sum"
    assert metrics["Orders"].monotonic
    assert metrics["Orders"].temporality == "DELTA"
    assert orders.value == 3
    assert orders.attributes == {"service": "orders", "tenant": "acme"}
    (latency,) = metrics["Latency"].points
    assert (latency.count, latency.sum, latency.min, latency.max) == (1, *[12.5] * 3)
    (exemplar,) = latency.raw["exemplars"]
    assert exemplar["traceId"] == charge.trace_id
    assert exemplar["spanId"] == charge.span_id
    assert {name: each.scope.name for name, each in metrics.items()} == {
        "ColdStart": "Shop",
        "Orders": "Shop",
        "Latency": "Shop",
        "Share": "Other",
    }
    senders = {
        each.resource["service.instance.id"]
        for each in [*metrics.values(), *spans.values()]
    }
    assert len(senders) == 1
    assert len(collector.requests()) == 2


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["sync", "async", "failing"])
def test_one_request_per_signal_and_invocation(order, kind, receiver, send_to, invoke):
    """However often the handler flushes, and whether it fails; on one connection each."""
    send_to(receiver.endpoint)
    handler = function(order, fails=kind == "failing", waits=kind == "async")

    for number in range(1, 6):
        if kind == "failing":
            with pytest.raises(BoomError):
                invoke(handler)
        else:
            assert invoke(handler) == "done"
        signals = sorted(each.signal for each in receiver.requests)
        assert signals == ["metrics"] * number + ["traces"] * number
    assert len({each.connection for each in receiver.requests}) == 2


@pytest.mark.parametrize("order", ORDERS)
def test_both_requests_are_in_flight_at_once(order, receiver, send_to, invoke):
    """An endpoint that answers late costs the invocation its delay once, not twice."""
    send_to(receiver.endpoint)
    handler = function(order)
    invoke(handler)  # connects
    receiver.clear()
    receiver.fail(Fault(delay_s=DELAY_S))

    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        running = pool.submit(invoke, handler)
        receiver.wait_for(lambda each: each.attempts == 2)
        both_there = time.monotonic() - began
        assert not running.done()
        assert running.result() == "done"
        took = time.monotonic() - began

    assert both_there < DELAY_S
    assert DELAY_S <= took < 1.75 * DELAY_S
    assert receiver.attempts == 2


@pytest.mark.parametrize("order", ORDERS)
def test_both_requests_share_one_deadline(order, receiver, send_to, invoke):
    """An endpoint that never answers costs the flush timeout once."""
    send_to(receiver.endpoint, POWERTOOLS_OTEL_FLUSH_TIMEOUT="300")
    handler = function(order)
    invoke(handler)
    receiver.fail(Fault(hang=True))

    began = time.monotonic()
    assert invoke(handler) == "done"
    took = time.monotonic() - began

    assert 0.28 <= took < 0.55

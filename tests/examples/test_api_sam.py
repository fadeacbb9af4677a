"""`examples/api-sam`: what its users and the readers of its telemetry see."""

from __future__ import annotations

import json

import pytest
from tests.examples import received, stacks
from tests.examples.services import http_event

ORDER = {"lines": [{"sku": "book", "cents": 1245, "pieces": 2}]}
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def api(start, instrumented):
    """The function; `api(route, path, body=..., headers=..., name=...)` calls it."""
    stack = stacks.sam()
    (function,) = stack.functions.values()
    events = stack.template["Resources"]["OrdersFunction"]["Properties"]["Events"]
    routes = {
        f"{event['Properties']['Method']} {event['Properties']['Path']}"
        for event in events.values()
    }
    with start(function, instrumented) as running:

        def call(route, path, **rest):
            assert route in routes, "the template has no such route"
            invocation = running.invoke(http_event(route, path, **rest))
            assert invocation.outcome == "success", invocation.error
            return invocation

        yield call


def logged(invocation):
    return [json.loads(line) for line in invocation.logs.stdout if line[:1] == "{"]


def test_an_order_is_placed_and_told_of(api, collector, aws):
    """Named by its route, with the call of DynamoDB, and three metrics."""
    placed = api("POST /orders", "/orders", body=ORDER)

    assert placed.result["statusCode"] == 201
    order = json.loads(placed.result["body"])
    assert order["cents"] == 2490
    assert [item["order_id"]["S"] for item in aws.tables["OrdersTable"]] == [
        order["order_id"]
    ]
    assert received.edges(collector) == {
        ("", "POST /orders [SERVER]"),
        *received.drawn(stacks.EXAMPLES / "api-sam" / "README.md"),
    }
    root = received.span(collector, "POST /orders")
    assert root.kind == "SERVER"
    assert root.attributes["http.response.status_code"] == 201
    assert root.attributes["faas.coldstart"] is True
    assert root.resource["service.name"] == "orders"
    assert root.resource["deployment.environment.name"] == "production"
    stored = received.span(collector, "app.store")
    assert stored.attributes["OrderId"] == order["order_id"]
    assert received.span(collector, "DynamoDB.PutItem").kind == "CLIENT"
    points = received.points(collector)
    assert received.totals(collector) == {
        "ColdStart": 1,
        "OrderValue": 24.9,
        "OrdersPlaced": 1,
    }
    assert points["OrdersPlaced"].kind == "sum"
    assert points["OrderValue"].kind == "histogram"
    assert {point.scope for point in points.values()} == {"Shop"}


def test_log_and_trace_speak_of_the_same(api, collector):
    """Logger's `xray_trace_id` is the trace's id, with X-Ray's punctuation."""
    placed = api("POST /orders", "/orders", body=ORDER)

    (line,) = [line for line in logged(placed) if line["message"] == "order placed"]
    trace_id = line["xray_trace_id"].removeprefix("1-").replace("-", "")
    assert {span.trace_id for span in received.spans(collector)} == {trace_id}


def test_an_order_is_shown_within_the_callers_trace(api, collector):
    """The route has a name for the order, not its number; the caller is the parent."""
    placed = api("POST /orders", "/orders", body=ORDER)
    order_id = json.loads(placed.result["body"])["order_id"]
    collector.clear()

    shown = api(
        "GET /orders/{order_id}",
        f"/orders/{order_id}",
        headers={"traceparent": CALLER},
        order_id=order_id,
    )

    assert shown.result["statusCode"] == 200
    assert json.loads(shown.result["body"]) == json.loads(placed.result["body"])
    root = received.span(collector, "GET /orders/{order_id}")
    assert root.trace_id in CALLER
    assert root.parent in CALLER
    assert received.totals(collector) == {}


def test_a_wrong_request_is_no_fault_of_the_function(api, collector):
    """400 and 404 are the answers; the spans are not errors."""
    refused = api("POST /orders", "/orders", body={})
    missing = api("GET /orders/{order_id}", "/orders/none", order_id="none")

    assert refused.result["statusCode"] == 400
    assert missing.result["statusCode"] == 404
    roots = [span for span in received.spans(collector) if span.kind == "SERVER"]
    codes = [root.attributes["http.response.status_code"] for root in roots]
    assert codes == [400, 404]
    assert {span.status for span in received.spans(collector)} <= {"", "OK"}
    assert received.totals(collector) == {"ColdStart": 1, "OrdersNotFound": 1}


def test_the_vendors_key_comes_from_the_store(api, collector, aws):
    """Every request has the secret's headers, which were fetched once, untraced."""
    for _ in range(2):
        api("POST /orders", "/orders", body=ORDER)

    assert len(collector.requests) == 4
    assert {each.headers["api-key"] for each in collector.requests} == {
        "from-the-store"
    }
    fetched = [call for call in aws.calls if call.operation == "GetSecretValue"]
    assert len(fetched) == 1
    assert not [s for s in received.spans(collector) if "Secret" in s.name]

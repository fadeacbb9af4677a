"""`examples/pipeline-cdk`: what its users and the readers of its telemetry see."""

from __future__ import annotations

import json

import pytest
from tests.examples import received, stacks
from tests.examples.services import message, sqs_event

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PRICES = {"book": 1245, "pen": 190}


@pytest.fixture
def pipeline(cdk):
    return cdk[0]


@pytest.fixture
def run(pipeline, start, instrumented, aws):
    """Invoke one of the steps with an event, in an environment of its own."""

    def run(step, event):
        function = pipeline.functions[step]
        with start(function, instrumented) as running:
            return running.invoke(event)

    table = pipeline.functions["intake"].variables["PRICES_TABLE"]
    aws.tables[table] = [
        {"sku": {"S": sku}, "cents": {"N": str(cents)}} for sku, cents in PRICES.items()
    ]
    return run


def order_placed(*lines):
    """The event as EventBridge delivers it, sent within a trace."""
    return {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "OrderPlaced",
        "source": "shop.orders",
        "account": "123456789012",
        "time": "2026-11-21T12:00:00Z",
        "region": "eu-west-1",
        "resources": [],
        "detail": {
            "order_id": "1001",
            "lines": [{"sku": sku, "pieces": pieces} for sku, pieces in lines],
            "traceparent": CALLER,
        },
    }


def queued(aws):
    (messages,) = aws.queues.values()
    return messages


def test_lines_are_priced_at_once(run, collector, aws):
    """Spans of concurrent tasks, and of the threads they use, have right parents."""
    invocation = run("intake", order_placed(("book", 2), ("pen", 1)))

    assert invocation.result == {"order_id": "1001", "cents": 2680}
    bodies = [json.loads(each["MessageBody"]) for each in queued(aws)]
    assert bodies == [
        {"order_id": "1001", "sku": "book", "pieces": 2, "cents": 2490},
        {"order_id": "1001", "sku": "pen", "pieces": 1, "cents": 190},
    ]
    spans = received.spans(collector)
    priced = {s.attributes["Sku"]: s for s in spans if s.name == "intake.price"}
    assert priced.keys() == PRICES.keys()
    assert {s.parent for s in priced.values()} == {"intake.price_all"}
    read = [
        span.span for span in collector.spans if span.span.name == "DynamoDB.GetItem"
    ]
    assert {span.parent_span_id.hex() for span in read} == {
        s.span_id for s in priced.values()
    }
    assert len({s.trace_id for s in spans}) == 1
    assert received.totals(collector) == {
        "ColdStart": 1,
        "OrderLines": 2,
        "OrderValue": 26.8,
    }


def test_one_trace_from_the_event_to_the_shipment(run, collector, aws):
    """The trace goes through EventBridge, the function, the queue and the next one."""
    run("intake", order_placed(("book", 2)))
    invocation = run("fulfil", sqs_event(queued(aws), "Shipping"))

    assert invocation.result == {"batchItemFailures": []}
    assert {s.trace_id for s in received.spans(collector)} == {CALLER[3:35]}
    assert received.edges(collector) == {
        (CALLER[36:52], "intake [SERVER]"),
        *received.drawn(stacks.EXAMPLES / "pipeline-cdk" / "README.md"),
    }
    services = {s.resource["service.name"] for s in received.spans(collector)}
    assert services == {"intake", "fulfil"}


def test_a_batch_is_shipped_at_once_and_what_fails_goes_back(
    run, pipeline, collector, aws
):
    """Async record handlers: one span each, one of them an error."""
    lines = [("book", 2), ("pen", 1000), ("ink", 3)]
    messages = [
        message({"order_id": "1001", "sku": sku, "pieces": pieces, "cents": 1})
        for sku, pieces in lines
    ]
    invocation = run("fulfil", sqs_event(messages, "Shipping"))

    assert invocation.result == {"batchItemFailures": [{"itemIdentifier": "message-1"}]}
    table = pipeline.functions["fulfil"].variables["SHIPMENTS_TABLE"]
    shipped = {item["shipment_id"]["S"] for item in aws.tables[table]}
    assert shipped == {"1001-book", "1001-ink"}
    ships = [s for s in received.spans(collector) if s.name == "fulfil.ship"]
    assert {s.parent for s in ships} == {"process Shipping"}
    assert {s.attributes["Sku"]: s.status for s in ships} == {
        "book": "",
        "pen": "ERROR",
        "ink": "",
    }
    assert received.totals(collector) == {"ColdStart": 1, "PiecesShipped": 5}


def test_the_stack_connects_the_steps(pipeline):
    """The rule calls the first, the queue the second, which reports what failed."""
    resources = pipeline.template["Resources"].values()
    (rule,) = [each for each in resources if each["Type"] == "AWS::Events::Rule"]
    event = order_placed()
    (mapping,) = [
        each["Properties"]
        for each in resources
        if each["Type"] == "AWS::Lambda::EventSourceMapping"
    ]

    pattern = rule["Properties"]["EventPattern"]
    assert event["source"] in pattern["source"]
    assert event["detail-type"] in pattern["detail-type"]
    (target,) = rule["Properties"]["Targets"]
    names = {name for name in pipeline.template["Resources"] if name[:6] == "Intake"}
    assert target["Arn"]["Fn::GetAtt"][0] in names
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["FunctionName"]["Ref"].startswith("Fulfil")

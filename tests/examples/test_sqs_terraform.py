"""`examples/sqs-terraform`: what its users and the readers of its telemetry see."""

from __future__ import annotations

import re

import pytest
from tests.examples import received, stacks
from tests.examples.services import message, sqs_event
from tests.support.environments import REPOSITORY

# As Lambda sends it where active tracing is on, which the template says.
INVOKED = "Root=1-6920a9c1-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
SENDERS = [f"{number:032x}" for number in (1, 2, 3)]


@pytest.fixture
def consumer(start, instrumented):
    (function,) = stacks.terraform().functions.values()
    with start(function, instrumented) as running:
        yield running


def batch(*orders):
    """Orders, each sent within a trace of its own."""
    return sqs_event(
        [
            message(order, traceparent=f"00-{sender}-00000000000000ff-01")
            for sender, order in zip(SENDERS, orders, strict=True)
        ],
        "parcels",
    )


@pytest.fixture
def mixed():
    """Of three orders, the second one cannot be shipped."""
    return batch(
        {"order_id": "1001", "address": "Main Street 1"},
        {"order_id": "1002"},
        {"order_id": "1003", "address": "Main Street 3"},
    )


def test_what_fails_goes_back_alone(consumer, aws, mixed):
    """Two of three are packed; the queue keeps the one that is not."""
    invocation = consumer.invoke(mixed, trace_header=INVOKED)

    assert invocation.result == {"batchItemFailures": [{"itemIdentifier": "message-1"}]}
    packed = [item["order_id"]["S"] for item in aws.tables["parcels"]]
    assert packed == ["1001", "1003"]


def test_each_record_has_its_span(consumer, collector, mixed):
    """One of them is an error; the batch links to the traces of those who sent it."""
    consumer.invoke(mixed, trace_header=INVOKED)

    assert received.edges(collector) == {
        ("53995c3f42cd8ad8", "parcels-consumer [SERVER]"),
        *received.drawn(stacks.EXAMPLES / "sqs-terraform" / "README.md"),
    }
    root = received.span(collector, "parcels-consumer")
    assert (root.kind, root.status) == ("SERVER", "")
    process = received.span(collector, "process parcels")
    assert (process.kind, process.parent) == ("CONSUMER", "parcels-consumer")
    assert [trace for trace, _ in process.links] == SENDERS
    assert process.attributes["messaging.batch.message_count"] == 3
    packs = [s for s in received.spans(collector) if s.name == "consumer.pack"]
    assert {s.parent for s in packs} == {"process parcels"}
    assert {s.attributes["OrderId"]: s.status for s in packs} == {
        "1001": "",
        "1002": "ERROR",
        "1003": "",
    }
    (failed,) = [s for s in packs if s.status]
    assert failed.events == ["exception"]
    assert failed.attributes["error.type"].endswith("UnknownAddressError")
    assert {s.trace_id for s in received.spans(collector)} == {
        "6920a9c1bd862e3fe1be46a994272793"
    }


def test_metrics_are_as_cloudwatch_had_them(consumer, collector, mixed):
    """Counts keep their samples, times their distribution, units CloudWatch's names."""
    consumer.invoke(mixed, trace_header=INVOKED)

    points = received.points(collector)
    counted = {name: (p.total, p.count) for name, p in points.items()}
    waited = counted.pop("TimeInQueue")
    assert counted == {
        "ColdStart": (1, 1),
        "ParcelsPacked": (2, 2),
        "ParcelsRefused": (1, 1),
    }
    assert waited[1] == 3
    assert 3 * 250 <= waited[0] < 3 * 5000
    assert points["TimeInQueue"].unit == "Milliseconds"
    assert {p.kind for p in points.values()} == {"exponential_histogram"}


def test_a_batch_that_fails_entirely_is_an_error(consumer, collector):
    """Powertools raises then; the invocation's span says so, and metrics arrive."""
    orders = [{"order_id": str(number)} for number in (1, 2, 3)]
    invocation = consumer.invoke(batch(*orders), trace_header=INVOKED)

    assert invocation.outcome == "error"
    assert invocation.error["errorType"] == "BatchProcessingError"
    root = received.span(collector, "parcels-consumer")
    assert root.status == "ERROR"
    assert root.attributes["error.type"].endswith("BatchProcessingError")
    assert received.totals(collector)["ParcelsRefused"] == 3


def test_the_collectors_configuration_has_what_it_asks_for():
    """The file is there, the README brings it along, its variables are set."""
    stack = stacks.terraform()
    (function,) = stack.functions.values()
    uri = function.variables["OPENTELEMETRY_COLLECTOR_CONFIG_URI"]
    file = REPOSITORY / "collector-config" / uri.removeprefix("/var/task/")
    header = file.read_text().partition("\nreceivers:")[0]
    asked = set(re.findall(r"^#   ([A-Z_]+):", header, re.MULTILINE))

    assert "POWERTOOLS_OTEL_XRAY_CONTEXT" in asked
    assert asked <= set(function.variables)
    assert (
        f"collector-config/{file.name}"
        in (stacks.EXAMPLES / "sqs-terraform" / "README.md").read_text()
    )
    policies = stack.template["resource"]
    for policy in re.findall(r"AWS(?:XRay|LambdaBasic)\w+", header):
        assert policy in str(policies)


def test_the_queue_is_told_of_partial_failures():
    """Without that setting SQS would take the whole batch as done."""
    ((_, mapping),) = stacks.blocks(
        stacks.terraform().template, "resource", "aws_lambda_event_source_mapping"
    )

    assert mapping["function_response_types"] == ["ReportBatchItemFailures"]


def test_every_reference_leads_somewhere():
    """Names of resources, data and variables in expressions are declared."""
    template = stacks.terraform().template
    source = (stacks.EXAMPLES / "sqs-terraform" / "main.tf").read_text()
    declared = {
        f"{kind}.{name}"
        for block in template["resource"]
        for kind, bodies in block.items()
        for name in bodies
    }
    data = {
        f"data.{kind}.{name}"
        for block in template["data"]
        for kind, bodies in block.items()
        for name in bodies
    }
    variables = {f"var.{name}" for block in template["variable"] for name in block}
    used = re.findall(r"(?<![\w.\"])((?:data\.)?(?:aws|archive)_\w+\.\w+)\.", source)

    assert {*used} == {*used} & (declared | data)
    assert {*re.findall(r"\bvar\.\w+", source)} == variables
    assert "aws_sqs_queue.parcels" in used

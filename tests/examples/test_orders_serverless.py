"""`examples/orders-serverless`: what its users and its telemetry's readers see."""

from __future__ import annotations

import json

import pytest
from tests.examples import received, stacks
from tests.examples.services import http_event, message, sqs_event

ORDER = {"order_id": "1001", "cents": 2490}
SCHEDULED = {
    "version": "0",
    "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-11-21T00:00:00Z",
    "region": "eu-west-1",
    "resources": ["arn:aws:events:eu-west-1:123456789012:rule/report"],
    "detail": {},
}


@pytest.fixture
def run(start, instrumented):
    """Invoke one of the functions with an event, in an environment of its own."""

    def run(name, event):
        function = stacks.serverless().functions[name]
        with start(function, instrumented) as running:
            invocation = running.invoke(event)
        assert invocation.outcome == "success", invocation.error
        return invocation

    return run


def place(run):
    return run("place", http_event("POST /orders", "/orders", body=ORDER))


def test_no_code_knows_of_it():
    """Neither the handlers nor what is installed with them names this package."""
    sources = [*(stacks.EXAMPLES / "orders-serverless" / "src").iterdir()]

    names = {path.name for path in sources if path.is_file()}
    assert names == {"charge.py", "place.py", "report.py"}
    for path in sources:
        if path.is_file():
            assert "powertools_otel" not in path.read_text()


def test_a_request_arrives(run, collector, aws):
    """The route's span, the method's, and the call of SQS; metrics beside them."""
    invocation = place(run)

    assert invocation.result["statusCode"] == 202
    assert [json.loads(m["MessageBody"]) for m in aws.queues["OrdersQueue"]] == [ORDER]
    root = received.span(collector, "POST /orders")
    assert (root.kind, root.resource["service.name"]) == ("SERVER", "place")
    assert received.span(collector, "src.place.enqueue").attributes["OrderId"] == "1001"
    assert received.totals(collector) == {"ColdStart": 1, "OrdersPlaced": 1}
    assert not [line for line in invocation.logs.stdout if "CloudWatchMetrics" in line]


def test_the_queue_carries_the_trace(run, collector, aws):
    """Two functions, one trace, and not a line of code for it."""
    place(run)
    charged = run("charge", sqs_event(aws.queues["OrdersQueue"], "orders"))

    assert charged.result == {"batchItemFailures": []}
    assert len({s.trace_id for s in received.spans(collector)}) == 1
    run("report", SCHEDULED)
    assert received.edges(collector) == {
        ("", "POST /orders [SERVER]"),
        ("", "report [SERVER]"),
        *received.drawn(stacks.EXAMPLES / "orders-serverless" / "README.md"),
    }
    assert aws.tables["PaymentsTable"] == [
        {"order_id": {"S": "1001"}, "cents": {"N": "2490"}}
    ]


def test_a_batch_arrives(run, collector):
    """A span for each message of a batch, and one count of all."""
    orders = [{**ORDER, "order_id": str(number)} for number in range(3)]
    run("charge", sqs_event([message(order) for order in orders], "orders"))

    charges = [s for s in received.spans(collector) if s.name == "src.charge.charge"]
    assert {s.attributes["OrderId"] for s in charges} == {"0", "1", "2"}
    assert received.totals(collector) == {"OrdersCharged": 3}


def test_a_schedule_arrives(run, collector, aws):
    """`single_metric` too, with its own dimension only."""
    aws.tables["PaymentsTable"] = [{"order_id": {"S": str(n)}} for n in range(4)]
    invocation = run("report", SCHEDULED)

    assert invocation.result == {"payments": 4}
    root = received.span(collector, "report")
    assert root.attributes["faas.trigger"] == "timer"
    point = received.points(collector)["PaymentsInTable"]
    assert (point.total, point.scope) == (4, "Shop")
    assert point.attributes["table"] == "payments"


def test_the_vendors_key_is_sent(run, collector):
    """What CloudFormation put into the variable is on every request."""
    place(run)

    assert {each.headers["api-key"] for each in collector.requests} == {
        "from-the-store"
    }


def test_the_layer_is_what_the_build_makes():
    """The zip's name is the one of `make layer` for that Python and architecture."""
    template = stacks.serverless().template
    provider = template["provider"]
    (layer,) = template["layers"].values()
    python, arch = provider["runtime"], provider["architecture"]

    assert (
        layer["package"]["artifact"]
        == f"../../build/powertools-otel-{python}-{arch}.zip"
    )
    assert layer["compatibleRuntimes"] == [python]
    readme = (stacks.EXAMPLES / "orders-serverless" / "README.md").read_text()
    version = python.removeprefix("python")
    assert f"--python {version} --arch {arch} --instrumentation" in readme
    build = (stacks.REPOSITORY / "layer" / "build.py").read_text()
    assert 'f"powertools-otel-python{options.python}-{options.arch}.zip"' in build


def test_the_layer_and_its_wrapper_are_everywhere():
    """Serverless names a layer's resource after its key; /opt is where it lies."""
    provider = stacks.serverless().template["provider"]

    assert {"Ref": "PowertoolsOtelLambdaLayer"} in provider["layers"]
    assert provider["environment"]["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/powertools-otel"
    assert (stacks.REPOSITORY / "layer" / "powertools-otel").exists()


def test_the_queue_is_told_of_partial_failures():
    """Without that setting SQS would take the whole batch as done."""
    (event,) = stacks.serverless().template["functions"]["charge"]["events"]

    assert event["sqs"]["functionResponseType"] == "ReportBatchItemFailures"

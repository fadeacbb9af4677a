"""`examples/three-decorators`: the same handler before and after, side by side."""

from __future__ import annotations

import difflib
import json
import re

import pytest
from tests.examples import received, stacks
from tests.support.lambda_runtime import StrictLambda
from tests.support.xray_daemon import XRayDaemon, flatten

FOLDER = stacks.EXAMPLES / "three-decorators"
INVOKED = "Root=1-6920a9c1-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
PAID = {"channel": "web", "card": "visa", "cents": 2490}
DECLINED = {**PAID, "card": "expired"}


@pytest.fixture
def daemon():
    """An X-Ray daemon."""
    with XRayDaemon() as daemon:
        yield daemon


@pytest.fixture
def before(daemon):
    """The function as it was, with an X-Ray daemon beside it."""
    env = {"AWS_XRAY_DAEMON_ADDRESS": daemon.address}
    with StrictLambda("before.handler", FOLDER, env=env) as function:
        yield function


@pytest.fixture
def after(collector):
    """The function as it is, with one variable more."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "PYTHONWARNINGS": "error"}
    with StrictLambda("after.handler", FOLDER, env=env) as function:
        yield function


def lines(invocation):
    return [json.loads(line) for line in invocation.logs.stdout if line[:1] == "{"]


def told_by_logger(invocation):
    """Logger's lines, less what differs between any two invocations."""
    varying = {"timestamp", "location", "function_request_id"}
    return [
        {key: value for key, value in line.items() if key not in varying}
        for line in lines(invocation)
        if "_aws" not in line
    ]


def emf(invocation):
    """Values of EMF's metrics by name, all of the documents in the log."""
    return {
        metric["Name"]: line[metric["Name"]][0]
        for line in lines(invocation)
        if "_aws" in line
        for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    }


def test_the_imports_are_all_that_changes():
    """And the difference is the one that the README shows."""
    changed = [
        line
        for line in difflib.ndiff(
            (FOLDER / "before.py").read_text().splitlines()[1:],
            (FOLDER / "after.py").read_text().splitlines()[1:],
        )
        if line[:2] in {"- ", "+ "} and line[2:].strip()
    ]
    readme = (FOLDER / "README.md").read_text()
    (shown,) = re.findall(r"```diff\n(.*?)```", readme, re.DOTALL)

    assert [line[0] + line[2:] for line in changed] == [
        line for line in shown.splitlines() if line[0] in "+-"
    ]
    assert all(line[2:].startswith("from ") for line in changed)


@pytest.mark.parametrize("event", [PAID, DECLINED], ids=["paid", "declined"])
def test_the_caller_and_the_log_see_no_difference(before, after, event):
    """The same result, the same error, the same lines of Logger's."""
    then = before.invoke(event, trace_header=INVOKED)
    now = after.invoke(event, trace_header=INVOKED)

    assert now.outcome == then.outcome
    assert now.result == then.result
    for name in ("errorType", "errorMessage"):
        assert (now.error or {}).get(name) == (then.error or {}).get(name)
    assert told_by_logger(now) == told_by_logger(then)


def test_what_emf_said_arrives_as_points(before, after, collector):
    """The same metrics with the same values and dimensions, and no EMF in the log."""
    then = before.invoke(PAID, trace_header=INVOKED)
    now = after.invoke(PAID, trace_header=INVOKED)

    assert received.totals(collector) == emf(then)
    assert set(emf(then)) == {"ColdStart", "PaymentSize", "SuccessfulPayments"}
    assert emf(now) == {}
    points = received.points(collector)
    paid = points["SuccessfulPayments"]
    assert (paid.kind, points["PaymentSize"].kind) == ("sum", "histogram")
    assert paid.attributes.items() >= {"channel": "web", "service": "checkout"}.items()


def test_what_xray_was_told_arrives_as_spans(before, after, daemon, collector):
    """Annotations and metadata too, in the trace that X-Ray would have it in."""
    before.invoke(PAID, trace_header=INVOKED)
    after.invoke(PAID, trace_header=INVOKED)

    then = {each["name"]: each for each in flatten(daemon.wait_for(2))}
    assert set(then) == {"## handler", "## before.charge"}
    assert received.edges(collector) >= {("checkout [SERVER]", "after.charge")}
    root = received.span(collector, "checkout")
    charge = received.span(collector, "after.charge")
    assert root.kind == "SERVER"
    annotations = then["## before.charge"]["annotations"]
    assert annotations == {"CardBrand": "visa"}
    assert charge.attributes.items() >= annotations.items()
    assert root.attributes.items() >= then["## handler"]["annotations"].items()
    metadata = json.loads(root.attributes["aws.xray.metadata.checkout"])
    assert metadata == then["## handler"]["metadata"]["checkout"]
    assert root.trace_id == "6920a9c1bd862e3fe1be46a994272793"


def test_a_declined_card_is_an_error_on_both_spans(before, after, daemon, collector):
    """As X-Ray's faults were, each with one exception."""
    before.invoke(DECLINED, trace_header=INVOKED)
    after.invoke(DECLINED, trace_header=INVOKED)

    faults = [each.get("fault") for each in flatten(daemon.wait_for(2))]
    assert faults == [True, True]
    spans = received.spans(collector)
    assert [span.status for span in spans] == ["ERROR", "ERROR"]
    assert [span.events for span in spans] == [["exception"], ["exception"]]
    assert received.totals(collector) == {"ColdStart": 1}

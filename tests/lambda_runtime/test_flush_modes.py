"""When telemetry leaves: before the response, or after it by an extension of ours."""

import json

import pytest

STDOUT = {"OTEL_TRACES_EXPORTER": "otlp/stdout", "OTEL_METRICS_EXPORTER": "otlp/stdout"}
MODES = ("before_response", "after_response")
NAMES = ["first", "inner", "outer", "work", "checkout"]


def names(receiver):
    return [span.name.rpartition(".")[2] for span in receiver.spans()]


@pytest.mark.parametrize("mode", MODES)
def test_every_invocation_has_arrived_when_the_environment_freezes(
    function, receiver, mode
):
    with function(FLUSH_MODE=mode) as lambda_:
        for n in range(3):
            receiver.clear()
            assert lambda_.invoke({"n": n}).outcome == "success"
            assert names(receiver) == NAMES
            assert {span.attributes.get("n", n) for span in receiver.spans()} == {n}
            assert [value for value, _ in receiver.points("Orders")] == [1]


@pytest.mark.parametrize("mode", MODES)
def test_a_failing_invocation_has_arrived_too(function, receiver, mode):
    with function(FLUSH_MODE=mode) as lambda_:
        assert lambda_.invoke({"do": "raise"}).outcome == "error"
        assert names(receiver) == NAMES
        assert {s.status for s in receiver.spans() if s.name != "first"} == {2}


def test_the_response_does_not_wait_for_a_flush_after_it(function, receiver):
    receiver.delay_s = 0.3
    with function(FLUSH_MODE="after_response") as lambda_:
        invocation = lambda_.invoke({})
    assert invocation.response_s < 0.2
    assert 0.3 <= invocation.billed_s < 0.8
    assert names(receiver) == NAMES


def test_the_response_waits_for_a_flush_before_it(function, receiver):
    receiver.delay_s = 0.3
    with function() as lambda_:
        invocation = lambda_.invoke({})
        assert lambda_.extensions == {}
    assert invocation.response_s >= 0.3


@pytest.mark.parametrize("mode", MODES)
def test_what_is_only_printed_is_printed_after_the_response(function, receiver, mode):
    """And within the invocation, before the runtime asks for the next one."""
    with function("posting.handler", FLUSH_MODE=mode, env=STDOUT) as lambda_:
        for n in range(3):
            lines = lambda_.invoke({"n": n}).logs.stdout
            assert lines[0] == "posted"
            assert [next(iter(json.loads(line))) for line in lines[1:]] == [
                "resourceSpans",
                "resourceMetrics",
            ]
    assert names(receiver) == []


def test_printed_traces_wait_for_no_metrics_that_are_never_recorded(function):
    """Whose exporter, the default, would send."""
    env = {"OTEL_TRACES_EXPORTER": "otlp/stdout"}
    with function("late.handler", env=env) as lambda_:
        (line,) = lambda_.invoke({}).logs.stdout
    assert "resourceSpans" in json.loads(line)


def test_what_is_printed_beside_what_is_sent_is_there_before_the_response(
    function, receiver
):
    env = {"OTEL_TRACES_EXPORTER": "otlp/stdout"}
    with function("posting.handler", env=env) as lambda_:
        lines = lambda_.invoke({}).logs.stdout
    assert "resourceSpans" in json.loads(lines[0])
    assert lines[1:] == ("posted",)
    assert [value for value, _ in receiver.points("Orders")] == [1]


@pytest.mark.parametrize("env", [{}, STDOUT])
def test_an_applications_provider_is_flushed_before_the_response(function, env):
    """Whatever becomes of what is ours."""
    with function("own_provider.handler", env=env) as lambda_:
        for n in range(2):
            lines = lambda_.invoke({"n": n}).logs.stdout
            assert lines[0] == "exported 5"
            assert lines[-1] == "posted"


def test_billed_time_is_bounded_after_the_response_too(function, receiver):
    receiver.delay_s = 3.0
    with function(FLUSH_MODE="after_response", FLUSH_TIMEOUT=200) as lambda_:
        invocation = lambda_.invoke({})
    assert invocation.outcome == "success"
    assert 0.2 <= invocation.billed_s < 0.6


def test_a_slow_flush_after_the_response_makes_no_timeout(function, receiver):
    receiver.delay_s = 3.0
    with function(
        FLUSH_MODE="after_response", FLUSH_TIMEOUT=5000, timeout=0.8
    ) as lambda_:
        invocation = lambda_.invoke({})
    assert invocation.outcome == "success"
    assert invocation.billed_s < 0.8


@pytest.mark.parametrize("handler", ["app.bare", "app.undecorated"])
def test_a_handler_without_decorator_does_not_keep_the_extension(
    function, receiver, handler
):
    with function(handler, FLUSH_MODE="after_response") as lambda_:
        billed = [lambda_.invoke({"n": n}).billed_s for n in range(5)]
    assert max(billed[1:]) < 0.2
    if handler == "app.undecorated":
        assert names(receiver) == NAMES[:4] * 5
        assert len({span.trace_id for span in receiver.spans()}) == 5


def test_the_extension_says_the_account_before_any_invocation(function, receiver):
    with function(
        FLUSH_MODE="after_response", initialization_type="provisioned-concurrency"
    ) as lambda_:
        assert lambda_.extensions == {"powertools-otel": frozenset({"INVOKE"})}
        lambda_.invoke({})
    resource = receiver.spans()[0].resource
    assert resource["cloud.account.id"] == "123456789012"


def test_the_account_is_known_from_the_first_invocation_on(function, receiver):
    with function() as lambda_:
        lambda_.invoke({})
    assert receiver.spans()[0].resource["cloud.account.id"] == "123456789012"


def test_an_account_that_the_user_sets_wins(function, receiver):
    env = {"OTEL_RESOURCE_ATTRIBUTES": "cloud.account.id=mine"}
    with function(FLUSH_MODE="after_response", env=env) as lambda_:
        lambda_.invoke({})
    assert {s.resource["cloud.account.id"] for s in receiver.spans()} == {"mine"}


def test_a_tracer_made_after_init_flushes_before_the_response(function, receiver):
    with function("late.handler", FLUSH_MODE="after_response") as lambda_:
        first, second = lambda_.invoke({"n": 1}), lambda_.invoke({"n": 2})
        assert lambda_.extensions == {}
    assert names(receiver) == ["late"] * 2
    said = [
        line for line in first.logs.stdout + second.logs.stdout if "extension" in line
    ]
    assert len(said) == 1
    assert "Extension.RegistrationClosed" in said[0]
    assert "before the response" in said[0]


def test_another_extension_of_the_same_name_is_no_obstacle(function, receiver):
    with function("twice.handler", FLUSH_MODE="after_response") as lambda_:
        invocation = lambda_.invoke({})
    assert invocation.outcome == "success"
    assert names(receiver) == ["twice"]


def test_managed_instances_flush_before_the_response(function, receiver):
    with function(FLUSH_MODE="after_response", concurrency=2) as lambda_:
        running = [lambda_.begin({"n": n, "do": "sleep", "s": 0.3}) for n in range(2)]
        done = [each.wait() for each in running]
        assert [each.outcome for each in done] == ["success"] * 2
        assert sorted(names(receiver)) == sorted(NAMES * 2)
        assert len({each.result["pid"] for each in done}) == 2
    instances = {span.resource["service.instance.id"] for span in receiver.spans()}
    assert len(instances) == 2

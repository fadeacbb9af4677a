"""A function that hangs past its timeout: its trace arrives, marked, up to the hang."""

import time

import pytest

MODES = ("before_response", "after_response")
MARK = "powertools_otel.timed_out"
TIMEOUT_S = 0.6


def marks(receiver):
    return {
        span.name.rpartition(".")[2]: span.attributes.get(MARK, False)
        for span in receiver.spans()
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("how", ["sleep", "loop"])
def test_the_trace_of_a_timeout_arrives_marked(function, receiver, mode, how):
    with function(FLUSH_MODE=mode, timeout=TIMEOUT_S) as lambda_:
        lambda_.invoke({"n": 1})
        receiver.clear()
        invocation = lambda_.invoke({"n": 2, "do": how, "s": 5})
        assert invocation.outcome == "timeout"
    assert marks(receiver) == {
        "first": False,
        "inner": True,
        "outer": True,
        "work": True,
        "checkout": True,
    }
    marked = [span for span in receiver.spans() if span.attributes.get(MARK)]
    assert {span.status for span in marked} == {2}
    assert {span.attributes["error.type"] for span in marked} == {"timeout"}
    assert [span.name.rpartition(".")[2] for span in marked] == [
        "inner",
        "outer",
        "work",
        "checkout",
    ]
    assert len({span.trace_id for span in receiver.spans()}) == 1
    assert [value for value, _ in receiver.points("Orders")] == [1]
    said = [line for line in invocation.logs.stdout if "times out in" in line]
    assert len(said) == 1


def test_a_timeout_of_the_first_invocation_arrives_too(function, receiver):
    with function(timeout=TIMEOUT_S) as lambda_:
        assert lambda_.invoke({"do": "sleep", "s": 5}).outcome == "timeout"
    assert marks(receiver)["inner"] is True
    assert len(receiver.spans()) == 5


def test_a_handler_that_ends_after_the_mark_sends_no_span_twice(function, receiver):
    with function(timeout=1.0, env={"PYTHONWARNINGS": "default"}) as lambda_:
        invocation = lambda_.invoke({"do": "sleep", "s": 0.85})
        assert invocation.outcome == "success"
        assert lambda_.invoke({"n": 7}).outcome == "success"
        logs = lambda_.logs
    ids = [span.span_id for span in receiver.spans()]
    assert len(ids) == len(set(ids)) == 10
    assert "ended span" not in "".join(logs.stdout + logs.stderr)
    second = [span for span in receiver.spans() if span.attributes.get("n") == 7]
    assert not any(MARK in span.attributes for span in second)
    assert sum(value for value, _ in receiver.points("Orders")) == 2


def test_without_the_watchdog_nothing_is_marked(function, receiver):
    with function(timeout=TIMEOUT_S, WATCHDOG="false") as lambda_:
        assert lambda_.invoke({"do": "sleep", "s": 5}).outcome == "timeout"
    assert receiver.spans() == []


def test_handlers_that_end_before_the_margin_are_not_marked(function, receiver, long):
    # Each ends some 20 ms before the watchdog would fire, or well before it.
    with function(timeout=0.4) as lambda_:
        for n in range(1000 if long else 60):
            seconds = 0.075 if n % 10 == 0 else 0.0
            event = {"n": n, "do": "sleep", "s": seconds}
            assert lambda_.invoke(event).outcome == "success"
    assert len(receiver.spans()) == 5 * (1000 if long else 60)
    assert not any(MARK in span.attributes for span in receiver.spans())


def test_a_deadline_that_passed_in_the_freeze_fires_at_no_later_invocation(
    function, receiver
):
    with function(timeout=0.5) as lambda_:
        for n in range(3):
            assert lambda_.invoke({"n": n}).outcome == "success"
            time.sleep(0.6)
        assert lambda_.invoke({"n": 3, "do": "sleep", "s": 0.1}).outcome == "success"
    assert not any(MARK in span.attributes for span in receiver.spans())


def test_it_is_armed_again_after_a_freeze(function, receiver):
    with function(timeout=0.6) as lambda_:
        lambda_.invoke({"n": 0})
        time.sleep(0.7)
        receiver.clear()
        assert lambda_.invoke({"n": 1, "do": "sleep", "s": 5}).outcome == "timeout"
    assert marks(receiver)["inner"] is True


def test_every_timeout_is_seen(function, receiver, long):
    runs = 100 if long else 6
    with function(timeout=TIMEOUT_S) as lambda_:
        for n in range(runs):
            event = {"n": n, "do": ("sleep", "loop")[n % 2], "s": 5}
            assert lambda_.invoke(event).outcome == "timeout"
    spans = receiver.spans()
    assert len(spans) == 5 * runs
    assert sum(MARK in span.attributes for span in spans) == 4 * runs


def test_a_timeout_without_decorator_is_seen(function, receiver):
    with function("app.undecorated", timeout=TIMEOUT_S) as lambda_:
        assert lambda_.invoke({"do": "sleep", "s": 5}).outcome == "timeout"
    assert marks(receiver)["work"] is True

"""How an invocation or a process may end, and what arrives of it."""

import time

import pytest

MODES = ("before_response", "after_response")


@pytest.mark.parametrize("mode", MODES)
def test_a_handler_that_exits_the_process_is_seen(function, receiver, mode):
    with function(FLUSH_MODE=mode) as lambda_:
        lambda_.invoke({"n": 1})
        receiver.clear()
        invocation = lambda_.invoke({"n": 2, "do": "exit"})
        assert invocation.outcome == "exit"
        assert "exit status 3" in invocation.error["errorMessage"]
        assert lambda_.invoke({"n": 3}).outcome == "success"
    ended = [span for span in receiver.spans() if span.attributes.get("n") == 2]
    assert len(ended) == 4
    root = receiver.named("checkout")[0]
    assert root.attributes["error.type"] == "SystemExit"
    assert root.status == 2


def test_a_process_that_ends_at_once_loses_that_invocation_only(function, receiver):
    with function() as lambda_:
        lambda_.invoke({"n": 1})
        assert lambda_.invoke({"n": 2, "do": "abort"}).outcome == "exit"
        lambda_.invoke({"n": 3})
    assert {span.attributes.get("n", 0) for span in receiver.spans()} == {0, 1, 3}
    assert len(receiver.spans()) == 10


@pytest.mark.parametrize("mode", MODES)
def test_a_connection_that_died_in_the_freeze_loses_nothing(function, receiver, mode):
    with function(FLUSH_MODE=mode) as lambda_:
        for n in range(4):
            lambda_.invoke({"n": n})
            receiver.stop()
            receiver.start()
    assert len({span.span_id for span in receiver.spans()}) == 20
    assert sum(value for value, _ in receiver.points("Orders")) == 4


def test_a_collector_that_returns_gets_what_it_missed(function, receiver):
    with function(FLUSH_MODE="after_response", REGISTER_EXTENSION="true") as lambda_:
        receiver.stop()
        for n in range(3):
            invocation = lambda_.invoke({"n": n})
            assert invocation.billed_s < 0.3
        receiver.start()
        lambda_.shutdown()
    assert len(receiver.spans()) == 15
    assert sum(value for value, _ in receiver.points("Orders")) == 3


def test_time_in_the_freeze_is_not_taken_from_the_next_flush(function, receiver):
    with function(FLUSH_TIMEOUT=150) as lambda_:
        for n in range(3):
            lambda_.invoke({"n": n})
            assert len(receiver.spans()) == 5 * (n + 1)
            time.sleep(0.3)


def test_nothing_is_printed_and_nothing_runs_between_invocations(function):
    with function(FLUSH_MODE="after_response") as lambda_:
        invocation = lambda_.invoke({"do": "print"})
        assert invocation.logs.stdout == ("from the handler",)
        assert lambda_.frozen
    assert lambda_.logs.stderr == ()

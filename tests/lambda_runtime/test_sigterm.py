"""SIGTERM: what is recorded leaves, and the process ends as it would have."""

import os
import random
import signal
import time

import pytest
from tests.support.lambda_runtime import FunctionInitError

MODES = ("before_response", "after_response")
TERMINATED = "powertools_otel.terminated"


def test_lambda_sends_no_sigterm_without_an_extension(function):
    with function() as lambda_:
        lambda_.invoke({})
        assert lambda_.shutdown().signals == ("SIGKILL",)


def test_registering_without_events_makes_lambda_send_it(function, receiver):
    with function(REGISTER_EXTENSION="true") as lambda_:
        assert lambda_.extensions == {"powertools-otel": frozenset()}
        invocation = lambda_.invoke({})
        assert len(receiver.spans()) == 5
        receiver.clear()
        shutdown = lambda_.shutdown()
    assert invocation.billed_s < 0.3
    assert shutdown.signals == ("SIGTERM",)
    assert shutdown.exit_code == -15
    assert shutdown.seconds < 0.4


def test_what_could_not_be_sent_before_is_sent_at_the_end(function, receiver):
    receiver.stop()
    with function(FLUSH_MODE="after_response") as lambda_:
        lambda_.invoke({"n": 1})
        receiver.start()
        lambda_.shutdown()
    assert len(receiver.spans()) == 5


def test_up_to_python_3_11_it_is_sent_too_though_the_process_cannot_end(
    function, receiver
):
    # There the main thread waits for invocations in C code, where no handler runs.
    receiver.stop()
    env = {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.11"}
    with function(FLUSH_MODE="after_response", env=env) as lambda_:
        lambda_.invoke({"n": 1})
        receiver.start()
        assert lambda_.shutdown().signals == ("SIGTERM", "SIGKILL")
    assert len(receiver.spans()) == 5


@pytest.mark.parametrize("mode", MODES)
def test_an_invocation_that_is_ended_by_sigterm_is_seen(function, receiver, mode):
    with function(FLUSH_MODE=mode) as lambda_:
        lambda_.invoke({"n": 1})
        receiver.clear()
        running = lambda_.begin({"n": 2, "do": "sleep", "s": 2})
        time.sleep(0.15)
        lambda_.sigterm()
        invocation = running.wait()
    assert invocation.outcome == "exit"
    assert invocation.response_s < 0.6
    spans = receiver.spans()
    assert len(spans) == 5
    marked = [span for span in spans if span.attributes.get(TERMINATED)]
    assert len(marked) == 4
    assert {span.attributes["error.type"] for span in marked} == {"SIGTERM"}
    assert sum(value for value, _ in receiver.points("Orders")) == 1


@pytest.mark.parametrize("mode", MODES)
def test_a_collector_that_hangs_does_not_hold_up_the_end(function, receiver, mode):
    receiver.delay_s = 5
    with function(FLUSH_MODE=mode, FLUSH_TIMEOUT=100) as lambda_:
        lambda_.invoke({"n": 1})
        started = time.monotonic()
        lambda_.sigterm()
        assert lambda_.wait_for_exit() == -15
        assert time.monotonic() - started < 0.45


def test_a_flush_in_the_middle_goes_on_to_its_end(function, receiver):
    receiver.delay_s = 0.2
    with function(FLUSH_TIMEOUT=450) as lambda_:
        running = lambda_.begin({"n": 1})
        assert receiver.wait_for(receiver.spans)
        lambda_.sigterm()
        running.wait()
        assert lambda_.timeline[0].outcome == "exit"
        receiver.delay_s = 0
        ids = [span.span_id for span in receiver.spans()]
    assert len(ids) == len(set(ids)) == 5
    assert sum(value for value, _ in receiver.points("Orders")) == 1


def test_during_init_it_ends_the_process_too(function, receiver):
    started = time.monotonic()
    with pytest.raises(FunctionInitError, match="terminated"):
        function("ended_in_init.handler").start()
    assert time.monotonic() - started < 2
    (span,) = receiver.spans()
    assert span.name == "initialising"
    assert span.attributes[TERMINATED] is True


def test_what_ignored_it_before_still_does(function, receiver):
    with function("ignoring.handler", REGISTER_EXTENSION="true") as lambda_:
        lambda_.invoke({"n": 1})
        lambda_.sigterm()
        assert lambda_.invoke({"n": 2}).outcome == "success"
        assert lambda_.shutdown().signals == ("SIGTERM", "SIGKILL")


def test_a_handler_of_the_function_is_called_after_ours(function, receiver):
    with function("surviving.handler") as lambda_:
        lambda_.invoke({"n": 1})
        lambda_.sigterm()
        time.sleep(0.1)
        assert lambda_.invoke({"n": 2}).result["signals"] == 1


def test_a_handler_that_raises_reaches_the_runtime(function, receiver):
    with function("leaving.handler") as lambda_:
        running = lambda_.begin({"n": 1, "do": "sleep", "s": 2})
        time.sleep(0.2)
        lambda_.sigterm()
        assert running.wait().outcome == "exit"
    assert len({span.span_id for span in receiver.spans()}) == 5


def test_it_can_be_switched_off(function, receiver):
    with function(HANDLE_SIGTERM="false", REGISTER_EXTENSION="true") as lambda_:
        running = lambda_.begin({"n": 1, "do": "sleep", "s": 2})
        time.sleep(0.2)
        lambda_.sigterm()
        assert running.wait().outcome == "exit"
    assert receiver.spans() == []


@pytest.mark.parametrize("mode", MODES)
def test_at_random_points_nothing_hangs_and_nothing_is_counted_twice(
    function, receiver, long, mode
):
    wanted = 1000 if long else 60
    chance = random.Random(7)  # noqa: S311 - points in time
    receiver.delay_s = 0.002
    invocations = 0
    env = {"PYTHONWARNINGS": "default"}
    with function("surviving.handler", FLUSH_MODE=mode, timeout=10, env=env) as lambda_:
        sent = 0
        while sent < wanted:
            running = lambda_.begin({"n": invocations, "do": "loop", "s": 0.003})
            for _ in range(chance.randrange(1, 4)):
                time.sleep(chance.random() * 0.012)
                os.killpg(lambda_.pid, signal.SIGTERM)
                sent += 1
            invocation = running.wait()
            assert invocation.outcome == "success"
            assert invocation.billed_s < 1.5
            invocations += 1
        receiver.delay_s = 0
        for _ in range(2):
            last = lambda_.invoke({"n": invocations})
            invocations += 1
        logs = "".join(lambda_.logs.stdout + lambda_.logs.stderr)
    assert last.result["signals"] > wanted * 0.5  # those that came together are one
    assert "ended span" not in logs
    by_id = {span.span_id: span.raw for span in receiver.spans()}
    lost = last.result["spans"]["dropped"] + last.result["spans"]["unknown"]
    assert len(by_id) == invocations * 5
    assert lost == 0
    counted = sum(value for value, _ in receiver.points("Orders"))
    unknown = last.result["points"]["dropped"] + last.result["points"]["unknown"]
    assert invocations - unknown <= counted <= invocations


def test_at_random_points_the_process_ends_in_time(function, receiver, long):
    chance = random.Random(11)  # noqa: S311 - points in time
    for n in range(150 if long else 12):
        receiver.delay_s = (0, 0.01, 5)[n % 3]
        lambda_ = function(FLUSH_MODE=MODES[n % 2], FLUSH_TIMEOUT=200)
        with lambda_:
            running = lambda_.begin({"n": n, "do": "loop", "s": 0.01})
            time.sleep(chance.random() * 0.06)
            os.killpg(lambda_.pid, signal.SIGTERM)
            started = time.monotonic()
            assert exit_code(lambda_) == -15
            assert time.monotonic() - started < 0.8
            running.done.exception(5)


def exit_code(lambda_):
    """Of a process that may be frozen at this moment, or be about to be."""
    for _ in range(100):
        lambda_.thaw()
        try:
            return lambda_.wait_for_exit(0.02)
        except TimeoutError:
            continue
    return None

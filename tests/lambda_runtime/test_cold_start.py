"""The first invocation of an environment, and the time before it."""

import time

import pytest


def cold_starts(receiver):
    return [span.attributes["faas.coldstart"] for span in receiver.named("checkout")]


@pytest.mark.parametrize(
    ("initialization_type", "expected"),
    [
        ("on-demand", [True, False]),
        ("provisioned-concurrency", [False, False]),
        ("snap-start", [True, False]),
    ],
)
def test_only_the_first_invocation_is_a_cold_start(
    function, receiver, initialization_type, expected
):
    with function(initialization_type=initialization_type) as lambda_:
        lambda_.invoke({"n": 1})
        lambda_.invoke({"n": 2})
    assert cold_starts(receiver) == expected


def test_a_first_invocation_that_fails_was_the_cold_start(function, receiver):
    with function() as lambda_:
        assert lambda_.invoke({"n": 1, "do": "raise"}).outcome == "error"
        lambda_.invoke({"n": 2})
    assert cold_starts(receiver) == [True, False]


def test_a_new_process_after_a_timeout_starts_cold_again(function, receiver):
    with function(timeout=0.6) as lambda_:
        assert lambda_.invoke({"do": "sleep", "s": 5}).outcome == "timeout"
        lambda_.invoke({"n": 2})
        lambda_.invoke({"n": 3})
    assert cold_starts(receiver) == [True, True, False]


def test_a_first_invocation_without_a_span_was_the_cold_start(function, receiver):
    with function("sometimes.handler") as lambda_:
        lambda_.invoke({"traced": False})
        lambda_.invoke({"traced": True})
    assert cold_starts(receiver) == [False]


def test_a_span_shows_init_in_the_first_trace(function, receiver):
    before = time.time_ns()
    with function("exec_import.handler", INIT_SPAN="true") as lambda_:
        initialised = time.time_ns()
        invoked = lambda_.invoke({"n": 1})
        lambda_.invoke({"n": 2})
    (init,) = receiver.named("init")
    (imported,) = receiver.named("import exec_import")
    root = receiver.named("checkout")[0]
    assert init.trace_id == imported.trace_id == root.trace_id
    assert init.parent_id == root.span_id
    assert imported.parent_id == init.span_id
    tick = 20_000_000  # the kernel counts in 10 ms
    assert before - tick <= init.start <= imported.start
    assert imported.end - imported.start >= 100_000_000
    assert imported.end == init.end <= min(initialised, root.start)
    assert (init.end - init.start) / 1e9 <= invoked.init_s + 0.02


@pytest.mark.parametrize("kind", ["provisioned-concurrency", "snap-start"])
def test_an_init_of_long_ago_is_not_shown(function, receiver, kind):
    with function(INIT_SPAN="true", initialization_type=kind) as lambda_:
        lambda_.invoke({"n": 1})
    assert receiver.named("init") == []


def test_without_the_setting_there_is_no_such_span(function, receiver):
    with function() as lambda_:
        lambda_.invoke({"n": 1})
    assert receiver.named("init") == []

"""The invocation begins and ends with the outermost decorator."""

from __future__ import annotations

import contextvars
import threading

import pytest
from tests.conftest import LambdaContext

from powertools_otel import _invocation
from powertools_otel._invocation import scope


@pytest.fixture
def ended():
    """The invocations whose end was told."""
    seen = []
    _invocation.on_end(seen.append)
    return seen


def test_the_outermost_ends_it_once(ended, context):
    """Nested scopes join; the flush comes with the outermost end."""
    with scope({}, context) as outer:
        with scope({}, context) as inner, scope() as implicit:
            assert outer is inner is implicit
        assert ended == []
        assert _invocation.current() is outer

    assert ended == [outer]
    assert _invocation.current() is None


def test_knows_the_deadline(context):
    """The remaining time of the Lambda context bounds what is done."""
    import time

    with scope({}, context) as invocation:
        left = invocation.deadline - time.monotonic()

    assert 2.9 < left <= 3.0


def test_a_decorator_inside_tells_what_it_knows(context):
    """An invocation opened without a context learns it from an inner decorator."""
    with scope() as outer:
        with scope({"a": 1}, context):
            pass
        assert outer.context is context
        assert outer.event == {"a": 1}


def test_another_request_is_another_invocation(ended):
    """What an earlier invocation left open is not joined."""
    left_open = scope({}, LambdaContext(request_id="one"))
    first = left_open.__enter__()

    with scope({}, LambdaContext(request_id="two")) as second:
        assert second is not first

    assert ended == [second]


def test_threads_that_do_not_know_it_do_not_end_it(ended, context):
    """A thread without the context gets a scope that never flushes."""

    def work():
        with scope():
            pass

    with scope({}, context) as invocation:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert ended == []

    assert ended == [invocation]


def test_a_copied_context_joins(ended, context):
    """A thread that runs in a copy of the context is part of the invocation."""
    seen = []

    def work():
        with scope() as joined:
            seen.append(joined)

    with scope({}, context) as invocation:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
        thread.join()

    assert seen == ended == [invocation]


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt])
def test_an_exception_ends_it_too(ended, context, kind):
    """Whatever leaves the handler, the end is told."""
    with pytest.raises(kind), scope({}, context):
        raise kind

    assert len(ended) == 1


def test_a_failing_hook_is_harmless(context):
    """A fault at the end reaches nobody."""

    def fails(invocation):
        raise RuntimeError

    _invocation.on_end(fails)
    with scope({}, context):
        pass


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (None, [True, False]),
        ("on-demand", [True, False]),
        ("snap-start", [True, False]),
        ("provisioned-concurrency", [False, False]),
        ("lambda-managed-instances", [False, False]),
    ],
)
def test_cold_start(monkeypatch, kind, expected):
    """The first invocation is cold, unless the environment was made ahead of it."""
    if kind:
        monkeypatch.setenv("AWS_LAMBDA_INITIALIZATION_TYPE", kind)
    seen = []
    for number in range(2):
        with scope({}, LambdaContext(request_id=str(number))) as invocation:
            seen.append(invocation.cold_start)

    assert seen == expected


class Durable:
    """A durable execution's context, as Powertools recognises it."""

    state = "running"

    def __init__(self, inner):
        self.lambda_context = inner


def test_a_durable_context_is_unwrapped(context):
    """The Lambda context inside a durable one is what counts."""
    with scope({}, Durable(context)) as invocation:
        assert invocation.context is context
        assert invocation.request_id == context.aws_request_id

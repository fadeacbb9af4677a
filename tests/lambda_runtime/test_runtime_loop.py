"""What the runtime client tells of invocations, and who waits for it."""

import sys
import threading
import time
import types

import pytest

from powertools_otel._lambda import _runtime

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f"


class Request:
    def __init__(self, invoke_id, seconds=3.0, arn=ARN):
        self.invoke_id = invoke_id
        self.deadline_time_in_ms = int((time.time() + seconds) * 1000)
        self.invoked_function_arn = arn


def waited_for(loop, wait):
    """What ``wait`` returned: nothing before the response was posted."""
    answered = []
    thread = threading.Thread(target=lambda: answered.append(wait()))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    loop.waits()
    thread.join(5)
    assert not thread.is_alive()
    return answered


def test_a_turn_carries_request_deadline_and_account():
    loop = _runtime.Loop()
    loop.got(Request("a", seconds=3.0))
    assert loop.turn is not None
    assert loop.turn.request_id == "a"
    assert loop.turn.deadline - time.monotonic() == pytest.approx(3.0, abs=0.1)
    assert loop.turn.account == "123456789012"


def test_the_first_wait_is_the_end_of_init():
    loop = _runtime.Loop()
    assert loop.initialized is None
    before = time.time_ns()
    loop.waits()
    first = loop.initialized
    loop.got(Request("a"))
    loop.waits()
    assert before <= first <= time.time_ns()
    assert loop.initialized == first


def test_waiting_ends_when_the_response_was_posted():
    loop = _runtime.Loop()
    loop.waits()
    loop.got(Request("a"))
    assert waited_for(loop, lambda: loop.wait_until_answered("a")) == [True]


def test_an_answer_given_before_anyone_waits_is_not_missed():
    loop = _runtime.Loop()
    loop.got(Request("a"))
    loop.waits()
    assert loop.wait_until_answered("a")


def test_a_retry_under_the_same_id_is_waited_for_anew():
    loop = _runtime.Loop()
    loop.got(Request("same"))
    loop.waits()
    assert loop.wait_until_answered("same")
    loop.got(Request("same"))
    assert waited_for(loop, lambda: loop.wait_until_answered("same")) == [True]


def test_the_next_answer_is_waited_for_whatever_its_id():
    loop = _runtime.Loop()
    loop.waits()
    known = loop.answers
    loop.got(Request("a"))
    assert waited_for(loop, lambda: loop.wait_for_answer(known)) == [None]
    loop.wait_for_answer(known)  # returns at once: it has been given


def test_no_answer_is_waited_for_long_where_no_invocation_runs():
    loop = _runtime.Loop()
    loop.waits()
    began = time.monotonic()
    loop.wait_for_answer(loop.answers)
    assert 0.9 <= time.monotonic() - began < 3.0


def test_an_invocation_that_the_runtime_never_noticed_is_not_waited_for_long():
    loop = _runtime.Loop()
    loop.waits()
    started = time.monotonic()
    assert not loop.wait_until_answered("elsewhere")
    assert time.monotonic() - started < 3


def test_a_handler_that_takes_longer_than_that_is_waited_for():
    loop = _runtime.Loop()
    loop.waits()
    loop.got(Request("slow"))
    answered = []
    thread = threading.Thread(
        target=lambda: answered.append(loop.wait_until_answered("slow"))
    )
    thread.start()
    thread.join(2.5)
    assert thread.is_alive()
    loop.waits()
    thread.join(5)
    assert answered == [True]


@pytest.fixture
def client_class(monkeypatch):
    """A runtime client as awslambdaric has it: the method on a base class."""

    class Base:
        requests = ()

        def wait_next_invocation(self):
            return self.requests.pop(0)

    class Client(Base):
        pass

    module = types.ModuleType("awslambdaric.lambda_runtime_client")
    module.LambdaRuntimeClient = Client
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return Client


def test_the_client_returns_what_it_returned_before_it_was_observed(client_class):
    loop = _runtime.Loop()
    assert _runtime.observe(loop)
    client = client_class()
    request = Request("a")
    client.requests = [request]
    assert client.wait_next_invocation() is request
    assert loop.turn.request_id == "a"


def test_a_request_of_another_shape_reaches_the_runtime_all_the_same(client_class):
    loop = _runtime.Loop()
    assert _runtime.observe(loop)
    client = client_class()
    client.requests = ["no request of ours"]
    assert client.wait_next_invocation() == "no request of ours"
    assert loop.turn is None


def test_a_failing_hook_does_not_stop_the_runtime(client_class):
    def fail(_):
        raise RuntimeError

    loop = _runtime.Loop()
    loop.on_begin.append(fail)
    loop.on_finish.append(fail)
    seen = []
    loop.on_finish.append(lambda turn: seen.append(turn.request_id))
    assert _runtime.observe(loop)
    client = client_class()
    client.requests = [Request("a"), Request("b")]
    client.wait_next_invocation()
    client.wait_next_invocation()
    assert seen == ["a"]


def test_without_a_runtime_client_there_is_nothing_to_observe(monkeypatch):
    monkeypatch.delitem(
        sys.modules, "awslambdaric.lambda_runtime_client", raising=False
    )
    assert not _runtime.observe(_runtime.Loop())


@pytest.mark.parametrize(
    ("arn", "account"),
    [
        (ARN, "123456789012"),
        (ARN + ":alias", "123456789012"),
        ("arn:aws:lambda:::function:f", None),
        ("test", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_the_account_is_read_from_a_function_arn_only(arn, account):
    assert _runtime.account_of(arn) == account

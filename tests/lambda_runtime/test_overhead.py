"""What following the runtime and watching the deadline costs an invocation."""

import time

import pytest

from powertools_otel import _pipeline
from powertools_otel._lambda import _follow, _watch
from powertools_otel._lambda._runtime import Loop
from powertools_otel._lambda._sentinel import Sentinel

INVOCATIONS = 2_000


class Request:
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:checkout"
    tenant_id = None

    def __init__(self, n):
        self.invoke_id = f"{n:036d}"
        self.deadline_time_in_ms = int((time.time() + 60) * 1000)


@pytest.fixture
def loop():
    pipeline = _pipeline.get()
    loop = Loop()
    _follow(pipeline, loop)
    _watch(pipeline, loop, Sentinel(), observed=True)
    yield loop
    loop.waits()  # the last invocation is over: nothing is watched any more


def test_at_most_30_us_an_invocation(loop):
    requests = [Request(n) for n in range(INVOCATIONS)]
    best = min(measure(loop, requests) for _ in range(5))
    print(f"{best * 1e6:.1f} us an invocation")
    assert best < 30e-6


def measure(loop, requests):
    started = time.perf_counter()
    for request in requests:
        loop.waits()
        loop.got(request)
    return (time.perf_counter() - started) / len(requests)

"""Many invocations, some of which fail, time out, or find no collector."""

import time
from collections import Counter

import pytest
from tests.lambda_runtime.telemetry import Printed

MODES = {
    "before_response": {},
    "after_response": {"POWERTOOLS_OTEL_FLUSH_MODE": "after_response"},
    "stdout": {
        "OTEL_TRACES_EXPORTER": "otlp/stdout",
        "OTEL_METRICS_EXPORTER": "otlp/stdout",
    },
}
HEADER = "Root=1-65a1b2c3-{n:024x};Parent=53995c3f42cd8ad8;Sampled=0"
SETTLING = 10**9
NAMES = ("first", "inner", "outer", "work", "checkout")
MEGABYTE = 1024 * 1024


class Run:
    """Invocations in a row, each in a trace that says which it was."""

    def __init__(self, lambda_):
        self.lambda_ = lambda_
        self.settled = 0
        self.memory = {}
        self.unknown = {}

    def invoke(self, n, **event):
        invocation = self.lambda_.invoke(
            {"n": n, **event}, trace_header=HEADER.format(n=n)
        )
        result = invocation.result
        if invocation.outcome == "success":
            pid = result["pid"]
            self.memory.setdefault(pid, []).append(self.lambda_.rss_bytes())
            self.unknown[pid] = result["points"]["unknown"]
            assert result["spans"]["dropped"] == result["points"]["dropped"] == 0
        return invocation

    def settle(self):
        """Invoke until nothing waits: what does would end with the process."""
        for _ in range(200):
            result = self.invoke(SETTLING + self.settled).result
            self.settled += 1
            # Of this very invocation, one span has ended when it looks.
            if result["spans"]["retained"] == 1 and not result["points"]["retained"]:
                return
            time.sleep(0.2)
        pytest.fail(f"telemetry still waits: {result}")


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_lost_doubled_or_in_the_wrong_trace(function, receiver, long, mode):
    count, timeouts = 1000 if long else 120, 0
    with function(env=MODES[mode], timeout=0.6) as lambda_:
        run = Run(lambda_)
        for n in range(count):
            if n % 60 == 45:
                receiver.stop()
            elif n % 60 == 49:
                receiver.start()
            if n % 60 == 40:
                run.settle()
                assert run.invoke(n, do="sleep", s=5).outcome == "timeout"
                timeouts += 1
            elif n % 17 == 5:
                assert run.invoke(n, do="raise").outcome == "error"
            else:
                assert run.invoke(n).outcome == "success"
        run.settle()
        found = Printed(lambda_.logs.stdout) if mode == "stdout" else receiver
    arrived = {}
    for span in found.spans():
        assert arrived.setdefault(span.span_id, span).raw == span.raw
    expected = [*range(count), *range(SETTLING, SETTLING + run.settled)]
    assert Counter(
        (int(span.trace_id[8:], 16), span.name.rpartition(".")[2])
        for span in arrived.values()
    ) == Counter((n, name) for n in expected for name in NAMES)
    for span in arrived.values():
        if "n" in span.attributes:
            assert span.attributes["n"] == int(span.trace_id[8:], 16)
    counted = sum(value for value, _ in found.points("Orders"))
    unknown = sum(run.unknown.values())
    assert len(expected) - unknown <= counted <= len(expected)
    assert len(run.memory) == timeouts + 1


@pytest.mark.parametrize("mode", MODES)
def test_memory_stays_as_it_is(function, receiver, long, mode):
    count = 1000 if long else 200
    with function(env=MODES[mode]) as lambda_:
        run = Run(lambda_)
        for n in range(count):
            run.invoke(n)
    (measured,) = run.memory.values()
    assert measured[-1] - measured[count // 4] < MEGABYTE

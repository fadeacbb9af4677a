"""All ways of sending work under AWS' own emulator of Lambda's runtime."""

import os

import pytest
from tests.lambda_runtime.conftest import HANDLERS
from tests.lambda_runtime.telemetry import Printed
from tests.support.lambda_emulator import Emulator, Unavailable, obtain

STDOUT = {"OTEL_TRACES_EXPORTER": "otlp/stdout", "OTEL_METRICS_EXPORTER": "otlp/stdout"}
MODES = {
    "before_response": {},
    "after_response": {"POWERTOOLS_OTEL_FLUSH_MODE": "after_response"},
    "stdout": STDOUT,
}
NAMES = ["first", "inner", "outer", "work", "checkout"]


@pytest.fixture
def emulated(receiver):
    """Make a function under the emulator; without it, that is said and skipped."""
    binary = obtain()
    if isinstance(binary, Unavailable):
        pytest.skip(binary.reason)

    def make(mode, timeout=3):
        env = {
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            **MODES[mode],
        }
        return Emulator(binary, "app.handler", HANDLERS, env=env, timeout=timeout)

    return make


def arrived(receiver, lambda_, mode):
    spans = Printed(lambda_.logs).spans() if mode == "stdout" else receiver.spans()
    return [span.name.rpartition(".")[2] for span in spans]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_works(receiver, emulated, mode):
    with emulated(mode) as lambda_:
        for n in range(3):
            answer = lambda_.invoke({"n": n})
            assert answer.result["pid"] != os.getpid()
            assert arrived(receiver, lambda_, mode) == NAMES * (n + 1)


@pytest.mark.parametrize("mode", MODES)
def test_a_timeout_is_seen(receiver, emulated, mode):
    with emulated(mode, timeout=1) as lambda_:
        lambda_.invoke({"n": 1})
        answer = lambda_.invoke({"n": 2, "do": "sleep", "s": 5})
        assert "timed out after 1.00 seconds" in answer.body.decode()
        assert sorted(arrived(receiver, lambda_, mode)) == sorted(NAMES * 2)
        if mode != "stdout":
            marks = [
                s.attributes.get("powertools_otel.timed_out") for s in receiver.spans()
            ]
            assert marks.count(True) == 4

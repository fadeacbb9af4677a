"""One thread that sleeps until a deadline comes near, or a signal arrives."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from powertools_otel._guard import harmless

if TYPE_CHECKING:
    from collections.abc import Callable

_NEVER = float("inf")
_LONGEST_S = 86_400.0
_CHUNK = 4096
_WAKE = b"\0"


class _Alarm(NamedTuple):
    due: float
    action: Callable[[], None]


class Sentinel:
    """Runs what is due, in a thread that costs nothing while it sleeps.

    Setting the alarm stores it; the thread is woken only if it would sleep longer
    than that. With a function's constant timeout each deadline is later than the one
    before, so that the thread wakes about once in a timeout's time, looks at the alarm
    that is set by then, and sleeps on. A freeze changes nothing about it: whenever the
    thread wakes, it looks at the clock and at the alarm anew.

    Attributes:
        fd: Where a byte wakes the thread: for ``signal.set_wakeup_fd``.
        on_signal: Called, in the thread, with the number of each signal that came.
    """

    def __init__(self) -> None:
        self.on_signal: list[Callable[[int], None]] = []
        self._reads, self.fd = _pipe()
        self._alarm: _Alarm | None = None
        self._wakes = _NEVER
        self._thread: threading.Thread | None = None

    def restart(self) -> None:
        """Begin anew in a forked process; its parent goes on using the pipe."""
        for fd in (self._reads, self.fd):
            os.close(fd)
        self._reads, self.fd = _pipe()
        self._alarm = None
        self._wakes = _NEVER
        self._thread = None

    def start(self) -> None:
        """Have the thread, if it does not run yet."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="powertools-otel-sentinel", daemon=True
            )
            self._thread.start()

    def set(self, due: float, action: Callable[[], None]) -> None:
        """Have ``action`` run at ``due`` (``time.monotonic()``, s), and nothing else."""
        self._alarm = _Alarm(due, action)
        if self._thread is None:
            self.start()
        elif due < self._wakes:
            with harmless("wake the sentinel"):
                os.write(self.fd, _WAKE)

    def cancel(self) -> None:
        """Have nothing run."""
        self._alarm = None

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._reads, select.POLLIN)
        done: _Alarm | None = None
        while True:
            # In this order: a set() that still sees the old time has stored its
            # alarm before the next line reads it.
            self._wakes = _NEVER
            alarm = self._alarm
            left = _LONGEST_S
            if alarm is not None and alarm is not done:
                left = min(alarm.due - time.monotonic(), _LONGEST_S)
                if left <= 0:
                    done = alarm
                    with harmless("do what is due"):
                        alarm.action()
                    continue
                self._wakes = alarm.due
            if poll.poll(left * 1000):
                for signum in set(os.read(self._reads, _CHUNK)) - {_WAKE[0]}:
                    for hook in self.on_signal:
                        with harmless("notice a signal"):
                            hook(signum)


def _pipe() -> tuple[int, int]:
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    return reads, writes

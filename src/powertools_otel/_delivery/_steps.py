"""Bounded waiting: protocols are generators, and only one place waits for sockets.

A generator yields what it waits for and is resumed when that is ready, or when its
time is over; it then tries again. So several exchanges progress under one deadline
in one thread, whatever their peers do, and an exchange that ran out of time can be
continued later from where it stopped.
"""

from __future__ import annotations

import math
import select
import time
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from powertools_otel._guard import note

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from typing import TypeAlias

    T = TypeVar("T")
    Steps: TypeAlias = "Generator[Wait, None, T]"
    Interest: TypeAlias = tuple[int, int]

READ = 1
WRITE = 4

_LONGEST_POLL_S = 3600.0


class Wait(NamedTuple):
    """What a generator waits for: any of some sockets, but not for ever."""

    interests: tuple[Interest, ...]
    """File descriptors, each with ``READ``, ``WRITE`` or both."""
    until: float = math.inf
    """Resume at this ``time.monotonic()`` even if nothing is ready."""


class DeadlineExceeded(Exception):  # noqa: N818 - the name of the gRPC status
    """The time for an exchange is over; the generator within can be resumed."""


def within(steps: Steps[T], deadline: float) -> Steps[T]:
    """Run steps until a deadline.

    Args:
        steps: What to run. It stays alive when the time is over.
        deadline: The ``time.monotonic()`` at which to give up.

    Raises:
        DeadlineExceeded: If the steps have to wait and the deadline is over.
    """
    while True:
        try:
            wait = next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        if time.monotonic() >= deadline:
            raise DeadlineExceeded
        yield wait if wait.until <= deadline else Wait(wait.interests, deadline)


def run(tasks: Iterable[Steps[None]]) -> None:
    """Run tasks side by side until all have ended; their exceptions are logged.

    Every task must bound its own waiting, with :func:`within`.
    """
    running = list(tasks)
    waiting: list[tuple[Steps[None], Wait]] = []
    try:
        while running:
            for task in running:
                wait = _advance(task)
                if wait is not None:
                    waiting.append((task, wait))
            running = _take_ready(waiting)
    finally:
        for task in (*running, *(task for task, _ in waiting)):
            task.close()


def _take_ready(waiting: list[tuple[Steps[None], Wait]]) -> list[Steps[None]]:
    """Wait for some of the tasks and remove them; none only if none was waiting."""
    ready: list[Steps[None]] = []
    while waiting and not ready:
        interests: dict[int, int] = {}
        until = math.inf
        for _, wait in waiting:
            until = min(until, wait.until)
            for fd, events in wait.interests:
                interests[fd] = interests.get(fd, 0) | events
        remaining = max(until - time.monotonic(), 0.0)
        readable = poll(interests, min(remaining, _LONGEST_POLL_S))
        instant = time.monotonic()
        still: list[tuple[Steps[None], Wait]] = []
        for entry in waiting:
            task, wait = entry
            if wait.until <= instant or _is_ready(wait, readable):
                ready.append(task)
            else:
                still.append(entry)
        waiting[:] = still
    return ready


def _is_ready(wait: Wait, readable: set[int]) -> bool:
    for fd, _ in wait.interests:  # noqa: SIM110 - a generator takes twice as long
        if fd in readable:
            return True
    return False


def _advance(task: Steps[None]) -> Wait | None:
    try:
        return next(task)
    except StopIteration:
        pass
    except Exception as error:  # noqa: BLE001 - ours stay ours
        note("deliver telemetry", error)
    return None


def _poll(interests: dict[int, int], timeout_s: float) -> set[int]:
    poller = select.poll()
    for fd, events in interests.items():
        poller.register(fd, events)
    return {fd for fd, _ in poller.poll(math.ceil(timeout_s * 1000))}


def _select(interests: dict[int, int], timeout_s: float) -> set[int]:
    readers = [fd for fd, events in interests.items() if events & READ]
    writers = [fd for fd, events in interests.items() if events & WRITE]
    if not interests:
        time.sleep(timeout_s)
        return set()
    # A failed connect is an exceptional condition on Windows.
    ready = select.select(readers, writers, writers, timeout_s)
    return {fd for found in ready for fd in found}


poll = _poll if hasattr(select, "poll") else _select

"""Waiting: bounded, resumable, side by side."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from powertools_otel._delivery import _steps
from powertools_otel._delivery._steps import READ, WRITE, DeadlineExceeded, Wait, within

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from powertools_otel._delivery._steps import Steps


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets."""
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)
        yield left, right


@pytest.fixture(params=["poll", "select"])
def either_poll(request: pytest.FixtureRequest, monkeypatch: Any) -> None:
    """Both ways to wait: select() is what Windows has."""
    monkeypatch.setattr(_steps, "poll", getattr(_steps, f"_{request.param}"))


def receive(sock: socket.socket) -> Steps[bytes]:
    while True:
        try:
            return sock.recv(100)
        except BlockingIOError:
            yield Wait(((sock.fileno(), READ),))


def test_steps_can_be_continued_after_their_time_is_over(
    pair: tuple[socket.socket, socket.socket], either_poll: None
) -> None:
    """The deadline ends the waiting, not what waits."""
    steps = receive(pair[0])
    results: list[object] = []

    def task(deadline: float) -> Generator[Wait, None, None]:
        try:
            results.append((yield from within(steps, deadline)))
        except DeadlineExceeded:
            results.append("too late")

    _steps.run([task(time.monotonic() + 0.02)])
    pair[1].send(b"now")
    _steps.run([task(time.monotonic() + 1)])

    assert results == ["too late", b"now"]


def test_tasks_run_side_by_side(either_poll: None) -> None:
    """Two waits of 50 ms take 50 ms together, not 100."""
    left, right = socket.socketpair()
    with left, right:
        left.setblocking(False)

        def task() -> Generator[Wait, None, None]:
            with pytest.raises(DeadlineExceeded):
                yield from within(receive(left), time.monotonic() + 0.05)

        began = time.monotonic()
        _steps.run([task(), task()])
        assert 0.05 <= time.monotonic() - began < 0.09


def test_a_task_that_fails_does_not_stop_the_others(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """An exception, which would be ours, ends its own task only."""
    done: list[bytes] = []

    def broken() -> Generator[Wait, None, None]:
        yield Wait(((pair[0].fileno(), WRITE),))
        raise ZeroDivisionError

    def sound() -> Generator[Wait, None, None]:
        yield Wait(((pair[0].fileno(), WRITE),))
        pair[1].send(b"x")
        done.append((yield from receive(pair[0])))

    _steps.run([broken(), sound()])

    assert done == [b"x"]


def test_an_interrupt_passes_and_closes_every_task(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """KeyboardInterrupt belongs to the application; tasks clean up behind it."""
    closed: list[str] = []

    def waiting() -> Generator[Wait, None, None]:
        try:
            yield Wait(((pair[0].fileno(), READ),))
        finally:
            closed.append("waiting")

    def interrupted() -> Generator[Wait, None, None]:
        yield Wait(((pair[0].fileno(), WRITE),))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _steps.run([waiting(), interrupted()])

    assert closed == ["waiting"]


def test_a_wait_without_sockets_is_a_pause(either_poll: None) -> None:
    """Something may be waited for that only time brings."""

    def pause() -> Generator[Wait, None, None]:
        until = time.monotonic() + 0.02
        while time.monotonic() < until:
            yield Wait((), until)

    began = time.monotonic()
    _steps.run([pause()])
    assert 0.02 <= time.monotonic() - began < 0.06

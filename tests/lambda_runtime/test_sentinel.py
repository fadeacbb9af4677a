"""The thread that wakes for a deadline or a signal."""

import os
import threading
import time

import pytest

from powertools_otel._lambda._sentinel import Sentinel


class Bell:
    def __init__(self):
        self.rung = []
        self._ringing = threading.Event()

    def ring(self, what="bell"):
        self.rung.append((what, time.monotonic()))
        self._ringing.set()

    def wait(self, timeout=5):
        assert self._ringing.wait(timeout)
        return self.rung[0]


@pytest.fixture
def sentinel():
    return Sentinel()


def test_what_is_due_runs_once_and_in_time(sentinel):
    bell = Bell()
    due = time.monotonic() + 0.1
    sentinel.set(due, bell.ring)
    _, rung = bell.wait()
    assert due <= rung < due + 0.1
    time.sleep(0.15)
    assert len(bell.rung) == 1


def test_what_is_cancelled_does_not_run(sentinel):
    bell = Bell()
    sentinel.set(time.monotonic() + 0.1, bell.ring)
    sentinel.cancel()
    time.sleep(0.2)
    assert bell.rung == []


def test_an_earlier_alarm_wakes_the_thread_that_sleeps_for_a_later_one(sentinel):
    bell = Bell()
    sentinel.set(time.monotonic() + 60, lambda: bell.ring("late"))
    time.sleep(0.05)
    sentinel.set(time.monotonic() + 0.05, lambda: bell.ring("early"))
    assert bell.wait()[0] == "early"


def test_a_later_alarm_replaces_an_earlier_one(sentinel):
    bell = Bell()
    sentinel.set(time.monotonic() + 0.05, lambda: bell.ring("early"))
    sentinel.set(time.monotonic() + 0.2, lambda: bell.ring("late"))
    assert bell.wait()[0] == "late"
    assert len(bell.rung) == 1


def test_a_failing_action_does_not_end_the_thread(sentinel):
    bell = Bell()

    def fail():
        raise RuntimeError

    sentinel.set(time.monotonic(), fail)
    time.sleep(0.05)
    sentinel.set(time.monotonic() + 0.01, bell.ring)
    bell.wait()


def test_a_signal_is_passed_on_and_leaves_the_alarm_as_it_is(sentinel):
    bell, signalled = Bell(), Bell()
    sentinel.on_signal.append(signalled.ring)
    due = time.monotonic() + 0.15
    sentinel.set(due, bell.ring)
    os.write(sentinel.fd, bytes([15]))
    assert signalled.wait()[0] == 15
    assert bell.wait()[1] >= due


def test_a_pipe_that_nobody_reads_never_blocks(sentinel):
    written = os.write(sentinel.fd, b"\0" * 10_000_000)
    assert written < 10_000_000
    with pytest.raises(BlockingIOError):
        os.write(sentinel.fd, b"\0")
    bell = Bell()
    sentinel.set(time.monotonic() + 0.01, bell.ring)
    bell.wait()


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process_has_a_thread_and_a_pipe_of_its_own(sentinel):
    bell = Bell()
    sentinel.on_signal.append(bell.ring)
    sentinel.start()
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        sentinel.restart()
        sentinel.set(time.monotonic() + 0.02, lambda: os.write(writes, b"rung"))
        os.write(sentinel.fd, bytes([15]))  # which the parent must not see
        time.sleep(0.3)
        os._exit(0)
    os.close(writes)
    assert os.read(reads, 10) == b"rung"
    os.close(reads)
    assert os.waitpid(child, 0)[1] == 0
    assert bell.rung == []
    os.write(sentinel.fd, bytes([10]))
    assert bell.wait()[0] == 10

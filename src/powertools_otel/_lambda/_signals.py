"""SIGTERM: send what there is, then end as the process would have ended.

Lambda sends it only if an extension is registered, ours (setting
``POWERTOOLS_OTEL_REGISTER_EXTENSION`` or mode ``after_response``) or another.
"""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from powertools_otel._guard import harmless, logger
from powertools_otel._invocation import Interruption

if TYPE_CHECKING:
    from types import FrameType

    from powertools_otel._lambda._sentinel import Sentinel
    from powertools_otel._pipeline import Pipeline

_BOUND_S = 0.3
"""What Lambda leaves a process whose only extension is an internal one: 500 ms."""
_NOTICE_S = 0.02


def install(pipeline: Pipeline, sentinel: Sentinel) -> bool:
    """Flush on SIGTERM, within 300 ms, before what was to happen on it.

    Args:
        pipeline: What is flushed.
        sentinel: Helps where the main thread does not notice the signal.

    Returns:
        False where it cannot be: outside the main thread, or where code that is not
        Python's handles the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        logger.debug("SIGTERM can be handled from the main thread only")
        return False
    previous = signal.getsignal(signal.SIGTERM)
    if previous is None:
        logger.debug("SIGTERM is handled by other than Python code")
        return False
    handler = _Handler(pipeline, previous)
    pipeline.after_flush.append(handler.resume)
    pipeline.on_restart.append(handler.restart)
    signal.signal(signal.SIGTERM, handler)
    with harmless("be told of signals"):
        _Nudge(handler, sentinel).install(pipeline)
    return True


class _Handler:
    """The signal handler.

    It runs in the main thread, between two bytecodes of whatever was running, which
    may hold any lock. So the handler itself takes none: the flush runs aside, on a
    thread started without ``threading`` (which has a lock too), and is waited for no
    longer than the bound. If the interrupted code is itself in the middle of a flush,
    that flush goes on to its end, and the process ends then.

    Args:
        pipeline: What is flushed.
        previous: What was to happen on the signal.

    Attributes:
        called: How many times.
    """

    def __init__(self, pipeline: Pipeline, previous: Any) -> None:
        self.called = 0
        self._pipeline = pipeline
        self._previous = previous
        self._handling = False
        self._pending: int | None = None

    def restart(self, _: object) -> None:
        """Begin anew, in a forked process: the signal was for the parent."""
        self._handling = False
        self._pending = None

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        self.called += 1
        if self._handling:
            return
        self._handling = True
        if _thread.get_ident() in self._pipeline.flushing:
            self._pending = signum
            return
        self._flush_aside()
        self._pass_on(signum, frame)

    def resume(self) -> None:
        """A flush is over: end, if it was what a signal had to wait for."""
        if self._pending is None:
            return
        if threading.current_thread() is threading.main_thread():
            signum, self._pending = self._pending, None
            self._pass_on(signum, None)

    def _flush_aside(self) -> None:
        deadline = time.monotonic() + _BOUND_S
        done = _thread.allocate_lock()
        done.acquire()

        def flush() -> None:
            try:
                with harmless("flush on SIGTERM"):
                    self._pipeline.interrupt(
                        Interruption(
                            "SIGTERM",
                            "the process was told to end",
                            "powertools_otel.terminated",
                            0,
                        ),
                        deadline,
                    )
            finally:
                done.release()

        try:
            _thread.start_new_thread(flush, ())
        except RuntimeError:  # too late: the interpreter is being finalised
            return
        done.acquire(timeout=_BOUND_S)

    def _pass_on(self, signum: int, frame: FrameType | None) -> None:
        if callable(self._previous):
            self._handling = False
            self._previous(signum, frame)
        elif self._previous == signal.SIG_IGN:
            self._handling = False
        else:
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)


class _Nudge:
    """Makes the main thread notice a SIGTERM that another thread received.

    The kernel may give it to any thread; Python's handler runs in the main one, once
    that wakes. There it is woken by another signal, which does nothing: should the
    SIGTERM have been for a process forked at that moment, which still shares the pipe,
    nothing happens here. Up to Python 3.11 Lambda's runtime client waits for
    invocations in C code, where no handler can run: then it is flushed from here.

    Args:
        handler: Counts its calls.
        sentinel: Is told of signals.
    """

    def __init__(self, handler: _Handler, sentinel: Sentinel) -> None:
        self._handler = handler
        self._sentinel = sentinel
        self._seen = 0
        self._signal = signal.SIGRTMAX - 3

    def install(self, pipeline: Pipeline) -> None:
        """Be told of signals, if no one else is."""
        if signal.getsignal(self._signal) is not signal.SIG_DFL:
            return
        before = signal.set_wakeup_fd(self._sentinel.fd, warn_on_full_buffer=False)
        if before != -1:
            signal.set_wakeup_fd(before)
            return
        signal.signal(self._signal, _do_nothing)
        self._pipeline = pipeline
        self._sentinel.on_signal.append(self._told)
        pipeline.on_restart.append(self._restart)
        self._sentinel.start()

    def _restart(self, forked: bool) -> None:  # noqa: FBT001 - a hook
        if forked:
            signal.set_wakeup_fd(self._sentinel.fd, warn_on_full_buffer=False)

    def _told(self, signum: int) -> None:
        if signum != signal.SIGTERM or self._noticed():
            return
        main = threading.main_thread().ident
        if main is not None:
            signal.pthread_kill(main, self._signal)
        if not self._noticed():
            self._pipeline.flush(deadline=time.monotonic() + _BOUND_S)

    def _noticed(self) -> bool:
        """Whether the handler is called, now or within 20 ms."""
        if self._handler.called == self._seen:
            time.sleep(_NOTICE_S)
        noticed = self._handler.called > self._seen
        self._seen = self._handler.called
        return noticed


def _do_nothing(_: int, __: FrameType | None) -> None:
    pass

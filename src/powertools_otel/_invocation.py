"""What is known of the invocation that is running, and when it is over.

Whichever decorator is the outermost one opens the invocation; those within join it.
The end of the outermost one is the moment to send. Threads started inside an
invocation, whose context does not know it, never trigger a flush of their own.
"""

from __future__ import annotations

import itertools
import os
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from powertools_otel._guard import harmless

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

IMPORTED = time.time_ns()
"""When this package was imported, in ns since the epoch."""

_INITIALIZED_AHEAD = frozenset({"provisioned-concurrency", "lambda-managed-instances"})


class Interruption(NamedTuple):
    """Why spans that are still open are sent as they are."""

    error_type: str
    """Their ``error.type``."""
    description: str
    """Of their status, which is ERROR."""
    mark: str
    """The attribute that is set to true on them."""
    since: int
    """Spans that began before that, in ns since the epoch, are none of this."""


class Invocation:
    """One run of the function's handler.

    Attributes:
        event: The event as the handler got it, or ``None`` where nobody told us.
        context: The Lambda context (a durable context unwrapped), or ``None``.
        request_id: ``context.aws_request_id``, or ``None``.
        deadline: When Lambda ends the function, on ``time.monotonic()``'s clock in
            seconds, or ``None`` where it is not known.
        started: When it began, in ns since the epoch.
        root: The segment of the invocation's first span, once there is one.
        handler: The handler that is about to begin, for its span to describe.
        described: What the event is, once it has been looked at.
        remote: Where the trace continues from, once that has been found out.
        ended: Whether the outermost decorator has returned.
    """

    __slots__ = (
        "_cold_start",
        "context",
        "deadline",
        "depth",
        "described",
        "ended",
        "event",
        "flushes",
        "handler",
        "number",
        "remote",
        "request_id",
        "root",
        "started",
    )

    def __init__(self, *, flushes: bool) -> None:
        self.event: Any = None
        self.context: Any = None
        self.request_id: str | None = None
        self.deadline: float | None = None
        self._cold_start: bool | None = None
        self.started = time.time_ns()
        self.depth = 0
        self.ended = False
        self.flushes = flushes
        self.handler: Callable[..., Any] | None = None
        self.described: Any = None
        self.remote: Any = None
        self.root: Any = None
        self.number = next(_numbers)

    @property
    def cold_start(self) -> bool:
        """Whether this is the environment's first invocation.

        Asked for at the handler only: code that runs before it, while the function
        initialises, is no invocation and takes nothing away from the first one.
        """
        if self._cold_start is None:
            self._cold_start = _take_cold_start()
        return self._cold_start

    def learn(self, event: object, context: object) -> None:
        """Take over the event and context of a decorator that knows them."""
        if context is None or self.context is not None:
            return
        self.event = event
        with harmless("read the Lambda context"):
            self.context = context = unwrap(context)
            request_id = getattr(context, "aws_request_id", None)
            self.request_id = request_id if isinstance(request_id, str) else None
            remaining = getattr(context, "get_remaining_time_in_millis", None)
            if remaining is not None:
                self.deadline = time.monotonic() + float(remaining()) / 1000


_numbers = itertools.count(1)
_current: ContextVar[Invocation | None] = ContextVar(
    "powertools_otel_invocation", default=None
)
_running: dict[int, Invocation] = {}
_begin_hooks: list[Callable[[Invocation], None]] = []
_end_hooks: list[Callable[[Invocation], None]] = []
_invoked_before = False


def current() -> Invocation | None:
    """The invocation this code runs in, unless it is over."""
    invocation = _current.get()
    return None if invocation is None or invocation.ended else invocation


def latest() -> Invocation | None:
    """The invocation begun last that still runs, in whatever thread or task."""
    return next(reversed(_running.values()), None) if _running else None


def unwrap(context: Any) -> Any:
    """The Lambda context inside a durable execution's context, or itself.

    Powertools 3.37 tells them by the attributes ``state`` and ``lambda_context``
    (``aws_lambda_powertools.shared.functions.is_durable_context``).
    """
    if hasattr(context, "state") and hasattr(context, "lambda_context"):
        return context.lambda_context
    return context


class scope:  # noqa: N801 - a context manager, used as a statement
    """Run as part of the invocation: join it, or open it and end it.

    Args:
        event: The handler's event, if known.
        context: The handler's Lambda context, if known. A context with another
            request id than the running invocation's opens a new one: what is left
            of an earlier invocation (a suspended generator) is not joined.
    """

    __slots__ = ("_event", "_given", "_invocation", "_outer")

    def __init__(self, event: object = None, context: object = None) -> None:
        self._event = event
        self._given = context
        self._outer: Invocation | None = None

    def __enter__(self) -> Invocation:
        self._outer = running = _current.get()
        if running is not None and not running.ended and self._same(running):
            self._invocation = running
        else:
            explicit = self._given is not None
            self._invocation = Invocation(flushes=explicit or not _running)
            _running[self._invocation.number] = self._invocation
            _current.set(self._invocation)
        invocation = self._invocation
        invocation.depth += 1
        invocation.learn(self._event, self._given)
        if invocation.depth == 1:
            for hook in _begin_hooks:
                with harmless("begin an invocation"):
                    hook(invocation)
        return invocation

    def _same(self, running: Invocation) -> bool:
        if self._given is None or running.request_id is None:
            return True
        given = getattr(unwrap(self._given), "aws_request_id", None)
        return given is None or given == running.request_id

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        invocation = self._invocation
        invocation.depth -= 1
        if invocation.depth > 0:
            return
        invocation.ended = True
        _running.pop(invocation.number, None)
        if _current.get() is invocation:
            _current.set(self._outer)
        if invocation.flushes:
            for hook in _end_hooks:
                with harmless("end an invocation"):
                    hook(invocation)
        # Its segment knows the invocation: a cycle, which would keep the event, too.
        invocation.root = None


def on_begin(hook: Callable[[Invocation], None]) -> None:
    """Call ``hook`` when an invocation begins."""
    _begin_hooks.append(hook)


def on_end(hook: Callable[[Invocation], None]) -> None:
    """Call ``hook`` at the end of each invocation that is ours to flush."""
    _end_hooks.append(hook)


def _take_cold_start(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this is the environment's first invocation, and not made ahead of it.

    An environment of provisioned concurrency was initialised before any request
    came; a SnapStart restore counts as cold, as it does in Powertools 3.37.
    """
    global _invoked_before
    cold = not _invoked_before
    _invoked_before = True
    return cold and environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") not in (
        _INITIALIZED_AHEAD
    )


def note_invoked() -> None:
    """Let no later invocation be a cold one: the environment has had its first.

    For invocations whose cold start nobody asked about: a handler that begins no span.
    """
    global _invoked_before
    _invoked_before = True


def reset_cold_start() -> None:
    """Make the next invocation a cold one: after a SnapStart restore, in tests."""
    global _invoked_before
    _invoked_before = False


def after_fork() -> None:
    """In a forked process: the invocation is the parent's, which will end it."""
    _running.clear()
    _current.set(None)


def forget() -> None:
    """Drop all state, for tests: no invocation runs, hooks are gone."""
    reset_cold_start()
    _running.clear()
    _begin_hooks.clear()
    _end_hooks.clear()
    _current.set(None)

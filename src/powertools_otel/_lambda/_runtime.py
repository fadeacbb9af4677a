"""Lambda's runtime client, observed: when an invocation begins and is answered.

``awslambdaric`` asks for the next invocation when the response to the one before has
been posted. That is the one moment that tells both, also for a handler without any
decorator of ours; nothing in the Extensions API does.
"""

from __future__ import annotations

import functools
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from powertools_otel._guard import harmless, logger
from powertools_otel._resource import function_identity

if TYPE_CHECKING:
    from collections.abc import Callable

_CLIENT_MODULE = "awslambdaric.lambda_runtime_client"
_CLIENT = "LambdaRuntimeClient"
_NEXT = "wait_next_invocation"
_UNNOTICED_S = 1.0


class Turn(NamedTuple):
    """One invocation as the runtime client got it."""

    request_id: str
    deadline: float
    """When Lambda ends it, in s on ``time.monotonic()``'s clock."""
    began: int
    """When it began, in ns since the epoch."""
    account: str | None
    """The account of the function's ARN."""


class Loop:
    """Where the runtime loop is.

    Attributes:
        turn: The invocation that runs, or None: while the function initialises, and
            from the moment its response has been posted.
        initialized: When the runtime first asked for an invocation, which is the end
            of INIT, in ns since the epoch.
        on_begin: Called with each invocation before its handler.
        on_finish: Called with each invocation after its response was posted.
        answers: How many responses have been posted.
    """

    def __init__(self) -> None:
        self.turn: Turn | None = None
        self.initialized: int | None = None
        self.on_begin: list[Callable[[Turn], None]] = []
        self.on_finish: list[Callable[[Turn], None]] = []
        self.answers = 0
        self._answered = threading.Condition()
        self._answered_id: str | None = None
        self._idle_since = 0.0

    def waits(self) -> None:
        """The runtime asks for the next invocation."""
        if self.initialized is None:
            self.initialized = time.time_ns()
        turn = self.turn
        if turn is not None:
            for hook in self.on_finish:
                with harmless("finish an invocation"):
                    hook(turn)
        with self._answered:
            self.turn = None
            self._idle_since = time.monotonic()
            if turn is not None:
                self.answers += 1
                self._answered_id = turn.request_id
                self._answered.notify_all()

    def got(self, request: Any) -> None:
        """The runtime has got an invocation."""
        self.turn = turn = _turn(request)
        for hook in self.on_begin:
            with harmless("begin an invocation"):
                hook(turn)

    def wait_for_answer(self, known: int) -> None:
        """Wait until a response was posted that ``known`` does not count.

        Or until the runtime has been idle for 1 s, and none is under way.
        """
        with self._answered:
            since = time.monotonic()
            while self.answers == known:
                self._answered.wait(_UNNOTICED_S)
                if self._is_idle(since):
                    return

    def wait_until_answered(self, request_id: str) -> bool:
        """Wait, as long as it takes, until that invocation's response was posted.

        Returns:
            False if the runtime has not noticed such an invocation: it has been
            idle for 1 s and the response was to another. Lambda gives runtime and
            extensions the same invocation at the same time, so this does not happen;
            if it does, waiting on would cost the whole timeout.
        """
        with self._answered:
            since = time.monotonic()
            while self._answered_id != request_id:
                self._answered.wait(_UNNOTICED_S)
                if self._answered_id != request_id and self._is_idle(since):
                    return False
            # Lambda retries an asynchronous invocation under the same id.
            self._answered_id = None
        return True

    def _is_idle(self, since: float) -> bool:
        """Whether no invocation has run for 1 s; not asked earlier than ``since``."""
        idle = time.monotonic() - max(self._idle_since, since)
        return self.turn is None and idle >= _UNNOTICED_S


def observe(loop: Loop) -> bool:
    """Tell ``loop`` of every invocation; False if there is no client to observe.

    Wraps ``wait_next_invocation``, the runtime client's name for it in every release
    since 1.0, on the class: the instance was made before the handler's module was
    imported.
    """
    client: Any = getattr(sys.modules.get(_CLIENT_MODULE), _CLIENT, None)
    bases: tuple[Any, ...] = getattr(client, "__mro__", ())
    for base in bases:
        if _NEXT in vars(base):
            setattr(base, _NEXT, _observing(getattr(base, _NEXT), loop))
            return True
    logger.debug("There is no awslambdaric to observe")
    return False


def _observing(original: Callable[[Any], Any], loop: Loop) -> Callable[[Any], Any]:
    @functools.wraps(original)
    def wait_next_invocation(client: Any) -> Any:
        with harmless("note that the runtime waits"):
            loop.waits()
        request = original(client)
        with harmless("note an invocation"):
            loop.got(request)
        return request

    return wait_next_invocation


def _turn(request: Any) -> Turn:
    """An invocation from awslambdaric's ``InvocationRequest``.

    Raises:
        AttributeError: It has no ``invoke_id`` or ``deadline_time_in_ms``.
        ValueError: The deadline is not a number.
    """
    return Turn(
        str(request.invoke_id),
        monotonic(request.deadline_time_in_ms),
        time.time_ns(),
        account_of(getattr(request, "invoked_function_arn", None)),
    )


def monotonic(deadline_ms: Any) -> float:
    """A deadline in ms since the epoch, in s on ``time.monotonic()``'s clock.

    Raises:
        TypeError: It is not a number.
        ValueError: It is a text that is no number.
    """
    return time.monotonic() + float(deadline_ms) / 1000 - time.time()


def account_of(arn: object) -> str | None:
    """The account id in a function's ARN."""
    return function_identity(arn).get("cloud.account.id")

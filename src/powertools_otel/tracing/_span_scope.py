"""A span for the time of a ``with`` or ``async with`` block, or of a function."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry import context as otel_context
from opentelemetry import trace

from powertools_otel._guard import note
from powertools_otel.tracing._light_span import SPAN_KEY
from powertools_otel.tracing._segment import NO_SEGMENT, OTelSegment

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from powertools_otel.tracing._provider import OTelTracingProvider

    F = TypeVar("F", bound=Callable[..., Any])

SEGMENT_KEY = otel_context.create_key("powertools-otel-segment")


def with_segment(base: Context, segment: OTelSegment, span: Span) -> Context:
    """``base`` with the segment and its span as the current ones, copied once."""
    return otel_context.Context({**base, SEGMENT_KEY: segment, SPAN_KEY: span})


class attached:  # noqa: N801 - a context manager, used as a statement
    """Make a context current, and put the former one back without complaint.

    A generator may be finalised in another context or another invocation than the
    one it began in; putting its former context back there would make a span of the
    past the parent of new ones. So only what is still current is undone.
    """

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token = otel_context.attach(self._context)

    def __exit__(self, *_: object) -> None:
        put_back(self._context, self._token)


def put_back(context: Context, token: Token[Context]) -> None:
    """Undo what made ``context`` current, unless another one has become so."""
    if otel_context.get_current() is context:
        otel_context.detach(token)


class SpanScope:
    """What ``in_subsegment()`` returns, usable in every way X-Ray's is.

    As a context manager, as an async one, and as a decorator of a function or a
    coroutine function. The span begins on entry and ends on exit; an exception that
    leaves makes it an error, except ``GeneratorExit``, which is how an abandoned
    generator ends.

    Args:
        provider: Who begins the span.
        name: The segment's name, ``## `` included where Powertools puts it.
        namespace: X-Ray's: ``"remote"`` and ``"aws"`` make the span a CLIENT one.
        private: Whether an exception's message and stack stay out. ``None``: out
            unless Powertools has handed the exception to the segment, which is how
            its decorators tell ``capture_error``.
    """

    __slots__ = (
        "_context",
        "_invocation",
        "_name",
        "_namespace",
        "_private",
        "_provider",
        "_segment",
        "_token",
    )

    def __init__(
        self,
        provider: OTelTracingProvider,
        name: str | None,
        namespace: str | None = None,
        *,
        private: bool | None = False,
    ) -> None:
        self._provider = provider
        self._name = name
        self._namespace = namespace
        self._private = private
        self._segment: OTelSegment | None = None

    def __enter__(self) -> OTelSegment:
        try:
            begun = self._provider.begin(self._name, self._namespace)
        except Exception as error:  # noqa: BLE001 - ours stay ours
            note("begin a span", error)
            begun = None
        if begun is None:
            return NO_SEGMENT
        segment, self._context, self._invocation = begun
        self._token = otel_context.attach(self._context)
        segment.detach = self._detach
        self._segment = segment
        return segment

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        segment = self._segment
        if segment is None:
            return
        self._segment = None
        if error is not None and not isinstance(error, GeneratorExit):
            private = self._private
            if private is None:
                private = not segment.error_captured
            segment.fail(error, private=private)
            if segment.inner is not None:
                segment.fail_inner(error)
        segment.close()

    async def __aenter__(self) -> OTelSegment:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def _detach(self) -> None:
        put_back(self._context, self._token)
        if self._invocation is not None:
            self._invocation.__exit__(None, None, None)

    def __call__(self, function: F) -> F:
        """Decorate a function or coroutine function: a span for each call."""
        name = self._name or function.__name__

        def again() -> SpanScope:
            return SpanScope(
                self._provider, name, self._namespace, private=self._private
            )

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def traced_async(*args: Any, **kwargs: Any) -> Any:
                async with again():
                    return await function(*args, **kwargs)

            return traced_async  # type: ignore[return-value]

        @functools.wraps(function)
        def traced(*args: Any, **kwargs: Any) -> Any:
            with again():
                return function(*args, **kwargs)

        return traced  # type: ignore[return-value]


def leave_parent(forked: bool) -> None:  # noqa: FBT001 - a hook
    """In a forked process: the parent process' span is parent, but not ours to end."""
    if not forked:
        return
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        outside = otel_context.set_value(SEGMENT_KEY, None)
        span = trace.NonRecordingSpan(context)
        otel_context.attach(trace.set_span_in_context(span, outside))

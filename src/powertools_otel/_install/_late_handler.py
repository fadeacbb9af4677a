"""A handler that was decorated before install(): what its decorator did not tell."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from powertools_otel import _invocation
from powertools_otel._guard import harmless
from powertools_otel.tracing import _seams
from powertools_otel.tracing._span_scope import SpanScope

if TYPE_CHECKING:
    from types import TracebackType

    from powertools_otel.tracing._segment import OTelSegment


class LateHandler:
    """The provider, for one call of such a handler: its span is the invocation's.

    Args:
        provider: The Tracer's provider.
        event: The handler's event.
        context: Its Lambda context.
        handler: The handler itself.
    """

    def __init__(self, provider: Any, event: Any, context: Any, handler: Any) -> None:
        self._provider = provider
        self._scope = _invocation.scope(event, context)
        self._handler = handler
        self._span: Any = None

    def in_subsegment(self, name: str | None = None, **options: Any) -> LateHandler:
        """As the provider's; to be used in one ``with`` statement."""
        self._span = SpanScope(
            self._provider, name, options.get("namespace"), private=None
        )
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)

    def __enter__(self) -> OTelSegment:
        invocation = self._scope.__enter__()
        if invocation.root is None:
            invocation.handler = self._handler
        segment: OTelSegment = self._span.__enter__()
        return segment

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with harmless("read the response of a handler"):
            decorator = sys._getframe(1)  # noqa: SLF001 - it has the response
            _seams._note_response(decorator.f_locals.get("response"))  # noqa: SLF001
        self._span.__exit__(kind, error, trace)
        self._scope.__exit__(kind, error, trace)

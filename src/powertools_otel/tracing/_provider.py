"""OTelTracingProvider: Powertools' tracing provider that makes OpenTelemetry spans."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, TypeVar

from aws_lambda_powertools.tracing import tracer as upstream
from aws_lambda_powertools.tracing.base import BaseProvider
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanKind, set_span_in_context
from typing_extensions import override

from powertools_otel import _invocation, _pipeline
from powertools_otel._guard import harmless, logger
from powertools_otel.tracing import _propagation, _root, _sdk, _seams
from powertools_otel.tracing._ids import adopt_trace_id
from powertools_otel.tracing._light_span import SPAN_KEY
from powertools_otel.tracing._segment import NO_SEGMENT, OTelSegment, segment_of
from powertools_otel.tracing._span_scope import (
    SEGMENT_KEY,
    SpanScope,
    leave_parent,
    with_segment,
)

if TYPE_CHECKING:
    import numbers
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from opentelemetry.context import Context
    from opentelemetry.trace import Span, SpanContext, TracerProvider

    from powertools_otel._delivery import Statistics
    from powertools_otel._invocation import Invocation

    F = TypeVar("F", bound=Callable[..., Any])
    Begun = tuple[OTelSegment, Context, "_invocation.scope | None"]

_PREFIX = "## "
_UPSTREAM: object = vars(upstream)
_CLIENT_NAMESPACES = frozenset({"remote", "aws"})


class OTelTracingProvider(BaseProvider):
    """Gives Powertools' Tracer OpenTelemetry spans instead of X-Ray segments.

    ``aws_lambda_powertools.Tracer(provider=OTelTracingProvider())`` is all it takes.
    Besides Powertools' interface it has the methods of the X-Ray recorder that
    Powertools' documentation uses on ``tracer.provider``.

    Args:
        tracer_provider: Begin spans with this TracerProvider. Without it: with the
            global one if it exports, else with one of ours (see the README).
        redact: Called with key and value of each metadata entry (captured responses
            included) before it is recorded; what it returns is recorded instead.
        extract_context: Called with event and Lambda context; returns headers (a
            mapping) or a ``SpanContext`` to continue the trace from, or ``None`` for
            what the event itself says.
        set_global: Whether a TracerProvider of ours becomes the global one if there
            is none. The setting ``POWERTOOLS_OTEL_SET_GLOBAL`` if not given.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None = None,
        *,
        redact: Callable[[str, Any], Any] | None = None,
        extract_context: _propagation.Hook | None = None,
        set_global: bool | None = None,
    ) -> None:
        pipeline = _pipeline.get()
        settings = pipeline.settings
        self._pipeline = pipeline
        self._settings = settings
        self._explicit = tracer_provider
        self._redact = redact
        self._roots = _root.Roots(settings, os.environ, extract_context)
        self._set_global = settings.set_global if set_global is None else set_global
        self._limit = settings.payload_limit
        self._keep_prefix = settings.keep_name_prefix
        self._resolved: _sdk.Resolved | None = None
        self._layer_flushes = False
        _seams.install(upstream.Tracer, OTelTracingProvider)
        pipeline.before_flush.append(self._flush_foreign)
        pipeline.on_restart.append(leave_parent)

    # Powertools' interface.

    @override
    def in_subsegment(  # type: ignore[override]  # a class, as upstream's recorder
        self, name: str | None = None, **kwargs: Any
    ) -> SpanScope:
        """A span for a ``with`` block; also usable as a decorator.

        Args:
            name: Its name; Powertools' ``## `` prefix is dropped.
            **kwargs: ``namespace="remote"`` or ``"aws"`` makes it a CLIENT span.
        """
        # Powertools' decorators tell us of an exception only where capture_error is
        # on, which is how message and stack stay out where it is off.
        decorated = _is_upstream(sys._getframe(1))  # noqa: SLF001
        return SpanScope(
            self, name, kwargs.get("namespace"), private=None if decorated else False
        )

    in_subsegment_async = in_subsegment
    """A span for an ``async with`` block, likewise."""

    @override
    def put_annotation(self, key: str, value: str | float | numbers.Number) -> None:
        """Set an attribute on the current span, named among its annotations."""
        segment = self._current()
        if segment is not None:
            segment.put_annotation(key, value)

    @override
    def put_metadata(
        self, key: str, value: Any, namespace: str | None = "default"
    ) -> None:
        """Add to the current span's metadata of ``namespace``."""
        segment = self._current()
        if segment is not None:
            segment.put_metadata(key, value, namespace)

    @override
    def patch(self, modules: Sequence[str]) -> None:
        """Instrument libraries, by the X-Ray SDK's names for them."""
        with harmless("instrument libraries"):
            from powertools_otel import _patch

            _patch.patch(modules, self)

    @override
    def patch_all(self) -> None:
        """Instrument every supported library that is installed and imported."""
        with harmless("instrument libraries"):
            from powertools_otel import _patch

            _patch.patch_all(self)

    # What the X-Ray recorder offers beyond it, as Powertools' documentation uses it.

    in_segment = in_subsegment
    in_segment_async = in_subsegment_async

    def capture(self, name: str | None = None) -> SpanScope:
        """Decorator: a span for each call of the function."""
        return SpanScope(self, name)

    def capture_async(self, name: str | None = None) -> SpanScope:
        """Decorator: a span for each call of the coroutine function."""
        return SpanScope(self, name)

    def begin_subsegment(
        self, name: str | None = None, namespace: str = "local"
    ) -> OTelSegment:
        """Begin a span that :meth:`end_subsegment` ends."""
        return SpanScope(self, name, namespace).__enter__()

    begin_segment = begin_subsegment
    begin_subsegment_without_sampling = begin_subsegment

    def end_subsegment(self, end_time: float | None = None) -> None:
        """End the current span.

        Args:
            end_time: Seconds since the epoch; now, if not given.
        """
        segment = self._current(ours=True)
        if segment is not None:
            segment.close(end_time)

    end_segment = end_subsegment

    def current_subsegment(self) -> OTelSegment:
        """The segment of the current span; one that records nothing if there is none."""
        return self._current() or NO_SEGMENT

    def current_segment(self) -> OTelSegment:
        """The segment of the invocation's span, or the current one outside of one."""
        invocation = _invocation.current()
        root = None if invocation is None else invocation.root
        return root if isinstance(root, OTelSegment) else self.current_subsegment()

    get_trace_entity = current_subsegment

    def set_trace_entity(self, trace_entity: OTelSegment) -> None:
        """Make a segment the current one in this thread, as X-Ray users do."""
        with harmless("set the current span"):
            current = otel_context.get_current()
            otel_context.attach(with_segment(current, trace_entity, trace_entity.span))

    def clear_trace_entities(self) -> None:
        """Leave no span current in this thread."""
        otel_context.attach(otel_context.Context())

    def is_sampled(self) -> bool:
        """Whether the current span will be sent."""
        return trace.get_current_span().get_span_context().trace_flags.sampled

    def configure(self, **options: Any) -> None:
        """X-Ray's options mean nothing here; the README names their counterparts."""
        logger.debug("X-Ray options have no effect: %s", ", ".join(options))

    def add_exception(
        self, exception: BaseException, stack: Any = None, *, remote: bool = False
    ) -> None:
        """Record a caught exception on the current span."""
        self.current_subsegment().add_exception(exception, stack, remote)

    # Ours.

    @property
    def enabled(self) -> bool:
        """Whether spans are made: not where Powertools or the SDK is switched off."""
        if self._pipeline.disabled or _sdk.override is not None:
            return not self._pipeline.disabled
        config = upstream.Tracer._config  # noqa: SLF001 - its only place
        return not (config["disabled"] and config["provider"] is self)

    def flush(self, timeout_s: float | None = None) -> None:
        """Send what has ended, within ``timeout_s`` or the configured bound."""
        self._pipeline.flush(timeout_s, invocation=_invocation.current())

    @property
    def statistics(self) -> Mapping[str, Statistics]:
        """Per signal: recorded = sent + retained + dropped + unknown."""
        return self._pipeline.statistics()

    def resolve(self) -> _sdk.Resolved:
        """Where spans come from: decided when the first one is wanted."""
        return _sdk.override or self._resolved or self._resolve()

    def warm_up(self) -> None:
        """Import and prepare now what the first invocation would have to."""
        with harmless("warm up"):
            if self._settings.warm_up and self._explicit is None:
                # Ours may turn out not to be needed, if the application sets a global
                # one later; to have it ready costs less than to wait for it.
                _sdk.own_provider(self._service())
                self._pipeline.delivery.warm_up("traces")

    def begin(
        self, name: str | None, namespace: str | None, *, join_only: bool = False
    ) -> Begun | None:
        """Begin a span; the caller makes the context current, and ends both.

        Args:
            name: The segment's name.
            namespace: X-Ray's namespace.
            join_only: Do not open an invocation where none runs: for generators,
                which would leave it open while they are suspended.

        Returns:
            The segment, the context in which it is current, and the invocation that
            was opened for it, if none was running. None if tracing is disabled.
        """
        if not self.enabled:
            return None
        resolved = self.resolve()
        invocation = _invocation.current()
        opened = None
        if invocation is None and not join_only:
            opened = _invocation.scope()
            invocation = opened.__enter__()
        current = otel_context.get_current()
        outer = current.get(SEGMENT_KEY)
        if (
            invocation is None
            or invocation.handler is not None
            or not isinstance(outer, OTelSegment)
            or outer.invocation is not invocation
        ):
            segment, span, base = self._begin_outer(
                resolved, invocation, current, outer, name, namespace
            )
        else:
            base = current
            span = resolved.spans.start_span(
                self._name(name), current, _kind(namespace)
            )
            segment = OTelSegment(span, self._limit, self._redact)
        segment.invocation = invocation
        if invocation is not None and invocation.root is None:
            invocation.root = segment
        return segment, with_segment(base, segment, span), opened

    def _begin_outer(
        self,
        resolved: _sdk.Resolved,
        invocation: Invocation | None,
        current: Context,
        outer: object,
        name: str | None,
        namespace: str | None,
    ) -> tuple[OTelSegment, Span, Context]:
        """Begin a span whose parent is none of this invocation's own spans."""
        ambient = trace.get_current_span(current)
        stale = isinstance(outer, OTelSegment) and outer.invocation is not invocation
        handler = None
        if invocation is not None:
            handler, invocation.handler = invocation.handler, None
        if not stale and ambient.get_span_context().is_valid:
            local = not ambient.get_span_context().is_remote
            if local and invocation is not None and invocation.root is None:
                # A layer's or the application's own span: who opened it, flushes.
                self._layer_flushes = not resolved.ours
            if local or handler is None:
                span = resolved.spans.start_span(
                    self._name(name), current, _kind(namespace)
                )
                return OTelSegment(span, self._limit, self._redact), span, current
            return self._begin_handler(
                resolved, invocation, current, _propagation.NOTHING, handler, name
            )
        base = otel_context.Context() if stale else current
        remote = self._remote(invocation)
        base = _with_remote(base, remote)
        if handler is not None:
            return self._begin_handler(
                resolved, invocation, base, remote, handler, name
            )
        span = self._start(
            resolved, remote, self._name(name), base, _kind(namespace), None, invocation
        )
        return OTelSegment(span, self._limit, self._redact), span, base

    def _begin_handler(
        self,
        resolved: _sdk.Resolved,
        invocation: Invocation | None,
        base: Context,
        remote: _propagation.RemoteContext,
        handler: Callable[..., Any],
        name: str | None,
    ) -> tuple[OTelSegment, Span, Context]:
        """Begin the span that stands for the invocation, and its CONSUMER child."""
        root = self._roots.describe(invocation, handler, self._name(name))
        links = remote.links
        consumer = root.consumer
        if remote.dropped_links:
            root.attributes["powertools_otel.dropped_links"] = remote.dropped_links
        span = self._start(
            resolved,
            remote._replace(links=()) if consumer else remote,
            root.name,
            base,
            SpanKind.SERVER,
            root.attributes,
            invocation,
        )
        if self._settings.init_span and invocation is not None:
            self._record_init(resolved, invocation, span)
        segment = OTelSegment(span, self._limit, self._redact)
        if consumer is None:
            return segment, span, base
        segment.inner = inner = resolved.spans.start_span(
            consumer.name,
            set_span_in_context(span, base),
            SpanKind.CONSUMER,
            consumer.attributes,
            [trace.Link(context, facts) for context, facts in links],
        )
        return segment, inner, base

    def _record_init(
        self, resolved: _sdk.Resolved, invocation: Invocation, root: Span
    ) -> None:
        """Record a span for INIT, if it was part of this first request."""
        if invocation.cold_start and self._pipeline.initialized is not None:
            with harmless("record INIT"):
                from powertools_otel._lambda import _init_span

                _init_span.record(resolved.tracer, root, self._pipeline.initialized)

    def _start(
        self,
        resolved: _sdk.Resolved,
        remote: _propagation.RemoteContext,
        name: str,
        base: Context,
        kind: SpanKind,
        attributes: dict[str, Any] | None,
        invocation: Invocation | None,
    ) -> Span:
        """Start a span without a local parent, in the trace it belongs to."""
        links = [trace.Link(context, facts) for context, facts in remote.links]
        adopted = remote.trace_id
        if adopted is None and invocation is not None and invocation.root is not None:
            # Spans side by side in one invocation are one trace.
            adopted = invocation.root.span.get_span_context().trace_id
        if adopted and resolved.ours and remote.parent is None:
            with adopt_trace_id(adopted):
                return resolved.spans.start_span(name, base, kind, attributes, links)
        return resolved.spans.start_span(name, base, kind, attributes, links)

    def _remote(self, invocation: Invocation | None) -> _propagation.RemoteContext:
        """What the event or Lambda says of the caller's trace, found out once."""
        if invocation is None:
            return self._roots.remote_context(None)
        if invocation.remote is None:
            invocation.remote = _propagation.NOTHING
            with harmless("find the caller's trace"):
                invocation.remote = self._roots.remote_context(invocation)
        remote: _propagation.RemoteContext = invocation.remote
        return remote

    def _resolve(self) -> _sdk.Resolved:
        self._resolved = _sdk.resolve(
            self._explicit, self._service(), set_global=self._set_global
        )
        if not self._resolved.ours:
            self._pipeline.sends = True
        return self._resolved

    def _service(self) -> str | None:
        service: str | None = upstream.Tracer._config["service"]  # noqa: SLF001
        return service or None

    def _current(self, *, ours: bool = False) -> OTelSegment | None:
        """The segment of the current span, or None without one."""
        if not self.enabled:
            return None
        context = otel_context.get_current()
        span = context.get(SPAN_KEY)
        segment = context.get(SEGMENT_KEY)
        if isinstance(segment, OTelSegment) and (
            span is segment.span or (span is segment.inner and span is not None)
        ):
            return segment
        span = trace.get_current_span(context)
        if ours or not span.is_recording():
            logger.debug("No span is current: nothing to annotate or end")
            return None
        return segment_of(span, self._limit, self._redact)

    def _name(self, name: str | None) -> str:
        if not name:
            return "unnamed"
        if self._keep_prefix or not name.startswith(_PREFIX):
            return name
        return name[len(_PREFIX) :]

    def _flush_foreign(self, deadline: float) -> None:
        resolved = self._resolved
        if resolved is None or resolved.ours or self._layer_flushes:
            return
        left = deadline - time.monotonic()
        if left > 0:
            _sdk.flush_foreign(resolved.provider, left)


def _is_upstream(frame: FrameType) -> bool:
    globals_: object = frame.f_globals
    return globals_ is _UPSTREAM


def _kind(namespace: str | None) -> SpanKind:
    return SpanKind.CLIENT if namespace in _CLIENT_NAMESPACES else SpanKind.INTERNAL


def _with_remote(base: Context, remote: _propagation.RemoteContext) -> Context:
    parent: SpanContext | None = remote.parent
    span = trace.INVALID_SPAN if parent is None else NonRecordingSpan(parent)
    context = set_span_in_context(span, base)
    if remote.baggage:
        from opentelemetry import baggage

        for key, value in remote.baggage.items():
            context = baggage.set_baggage(key, value, context)
    return context

"""The SDK's span without what most spans never use.

For each span the SDK (1.45) asks a sampler, makes a bounded dictionary and two bounded
lists, checks every attribute, and copies all of it at the end: 16 us, most of what
tracing a handler costs. A :class:`LightSpan` is a span of the SDK that makes these
parts when somebody asks for them; whatever it does beyond begin, attributes of ours
and end, it inherits.

Only for a TracerProvider of our own, and only as long as its sampler, its limits and
the SDK's own class are those that this module knows; any other span is the SDK's.
"""

from __future__ import annotations

import threading
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, ParentBased
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.sdk.trace import Event, SpanLimits, SpanProcessor
    from opentelemetry.trace import Link
    from opentelemetry.util.types import Attributes

_LIMIT = 128
"""The SDK's default for the number of attributes, events and links."""
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SAMPLED_RANDOM = TraceFlags(_SAMPLED | TraceFlags.RANDOM_TRACE_ID)
_FLAGS = {1: _SAMPLED, 3: _SAMPLED_RANDOM}
_LOCAL = False
_default_sampler: Any = DEFAULT_ON
_DEFAULT: str = _default_sampler.get_description()

_PER_SPAN = frozenset(
    {
        *("_context", "_end_time", "_kind", "_lock", "_name", "_parent"),
        *("_resource", "_start_time", "_status"),
    }
)
_PUT_OFF = frozenset({"_attributes", "_events", "_links"})
_PER_TRACER = frozenset(
    {
        *("_instrumentation_info", "_instrumentation_scope", "_limits"),
        *("_record_end_metrics", "_record_exception", "_sampler"),
        *("_set_status_on_exception", "_span_processor", "_trace_config"),
    }
)


SPAN_KEY = next(iter(trace.set_span_in_context(trace.INVALID_SPAN, Context())))
"""Where the API keeps a context's current span, which it tells nobody."""

_FIELDS = _PER_SPAN | _PUT_OFF | _PER_TRACER


class LightSpan(Span):
    """A recording span; made by :class:`LightTracer` only.

    Attributes given at the start, and those of :meth:`put`, are taken as they are:
    they come from us and are what OTLP can carry.
    """

    _facts: dict[str, Any] | None
    """The attributes, until they need the SDK's care."""
    _given: Sequence[Link]
    """The links it began with."""
    _end_time: int | None
    _span_processor: SpanProcessor

    def __getattr__(self, name: str) -> Any:
        """Make a part that the SDK's methods ask for, which then is theirs."""
        made: Any
        make: Any
        if name == "_attributes":
            made, self._facts = BoundedAttributes(_LIMIT, self._facts, False), None  # noqa: FBT003
        elif name == "_events":
            make = self._new_events
            made = make()
        elif name == "_links":
            make = self._new_links
            made = make(self._given)
        else:
            raise AttributeError(name)
        vars(self)[name] = made
        return made

    def put(self, attributes: Mapping[str, Any]) -> None:
        """Set attributes whose values are ours: text, numbers, tuples of text."""
        with self._lock:
            facts = self._facts
            if (
                facts is not None
                and self._end_time is None
                and len(facts) + len(attributes) <= _LIMIT
            ):
                facts.update(attributes)
                return
        self.set_attributes(attributes)

    @override
    def end(self, end_time: int | None = None) -> None:
        with self._lock:
            ended = self._end_time is not None
            if not ended:
                self._end_time = time.time_ns() if end_time is None else end_time
        if ended:
            super().end(end_time)  # says so
            return
        processor = self._span_processor
        processor._on_ending(self)  # noqa: SLF001 - as the SDK's own spans
        # Nothing can change it any more, so it needs no copy.
        processor.on_end(self)

    @override
    def get_span_context(self) -> SpanContext:
        context: SpanContext = self._context  # type: ignore[assignment]  # always there
        return context

    @property
    @override
    def attributes(self) -> Attributes:
        facts = self._facts
        return super().attributes if facts is None else MappingProxyType(facts)

    @property
    @override
    def events(self) -> Sequence[Event]:
        return super().events if "_events" in vars(self) else ()

    @property
    @override
    def links(self) -> Sequence[Link]:
        return self._given if "_links" not in vars(self) else super().links

    @property
    @override
    def dropped_attributes(self) -> int:
        return super().dropped_attributes if self._facts is None else 0

    @property
    @override
    def dropped_events(self) -> int:
        return super().dropped_events if "_events" in vars(self) else 0

    @property
    @override
    def dropped_links(self) -> int:
        return super().dropped_links if "_links" in vars(self) else 0


class LightTracer:
    """Begins light spans where the SDK's tracer would begin the same, but slower.

    Args:
        tracer: Begins all other spans.
        lightens: Whether spans may be light at all: not those of a provider that is
            not ours, and not where the SDK counts its own spans.
    """

    __slots__ = ("_begins_traces", "_lightens", "_shared", "_tracer")

    def __init__(self, tracer: trace.Tracer, *, lightens: bool) -> None:
        self._tracer: Any = tracer
        self._shared: dict[str, Any] | None = None
        sampling = _description(tracer) if lightens else ""
        self._lightens = ",localParentSampled:AlwaysOnSampler," in sampling
        self._begins_traces = sampling == _DEFAULT

    def start_span(
        self,
        name: str,
        context: Context,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: dict[str, Any] | None = None,
        links: Sequence[Link] = (),
    ) -> trace.Span:
        """Begin a span, as a ``Tracer`` of the API does.

        Args:
            name: Its name.
            context: With its parent, if it has one.
            kind: Its kind.
            attributes: Which it begins with; the dictionary becomes the span's.
            links: Which it begins with.
        """
        shared = self._shared
        if shared is not None:
            identity = self._identity(context)
            if identity is not None and len(links) <= _LIMIT:
                span = object.__new__(LightSpan)
                of_span = vars(span)
                of_span.update(shared)
                of_span["_context"], of_span["_parent"] = identity
                of_span["_name"] = name
                of_span["_kind"] = kind
                of_span["_facts"] = {} if attributes is None else attributes
                of_span["_given"] = links
                of_span["_lock"] = threading.Lock()
                # The SDK gives its tracers another one in a forked process.
                of_span["_resource"] = self._tracer.resource
                of_span["_start_time"] = time.time_ns()
                shared["_span_processor"].on_start(span, context)
                return span
        begun: trace.Span = self._tracer.start_span(
            name, context, kind, attributes, links
        )
        if shared is None and self._lightens:
            self._learn(begun)
        return begun

    def _identity(
        self, context: Context
    ) -> tuple[SpanContext, SpanContext | None] | None:
        """Context and parent's context of a new span; None if it may not be sampled.

        What the SDK's default sampler says: a span whose parent is sampled is sampled,
        and so is one that begins a trace.
        """
        current: Any = context.get(SPAN_KEY)
        parent = None if current is None else current.get_span_context()
        ids = self._tracer.id_generator
        if parent is None or not parent.is_valid:
            if not self._begins_traces:
                return None
            trace_id = ids.generate_trace_id()
            flags = _SAMPLED_RANDOM if ids.is_trace_id_random() else _SAMPLED
            return SpanContext(trace_id, ids.generate_span_id(), _LOCAL, flags), None
        known = _FLAGS.get(parent.trace_flags & 3)
        if known is None or (parent.is_remote and not self._begins_traces):
            return None
        span_id = ids.generate_span_id()
        return (
            SpanContext(parent.trace_id, span_id, _LOCAL, known, parent.trace_state),
            parent,
        )

    def _learn(self, span: trace.Span) -> None:
        """See from a span of the SDK's what all spans of the tracer have in common."""
        if isinstance(span, Span):
            made = vars(span)
            if made.keys() == _FIELDS and _are_default(made["_limits"]):
                shared = {each: made[each] for each in _PER_TRACER}
                status = trace.Status(trace.StatusCode.UNSET)
                self._shared = {**shared, "_status": status, "_end_time": None}
            else:
                self._lightens = False


def _description(tracer: object) -> str:
    """What the tracer's sampler is, if it is the SDK's own that follows parents."""
    sampler: object = getattr(tracer, "sampler", None)
    described: Any = sampler
    return described.get_description() if type(sampler) is ParentBased else ""


def _are_default(limits: SpanLimits) -> bool:
    counts = (
        limits.max_span_attributes,
        limits.max_event_attributes,
        limits.max_link_attributes,
        limits.max_events,
        limits.max_links,
    )
    lengths = (limits.max_attribute_length, limits.max_span_attribute_length)
    return all(count == _LIMIT for count in counts) and lengths == (None, None)

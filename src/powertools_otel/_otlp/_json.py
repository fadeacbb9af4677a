"""OTLP requests as JSON: spans here, metrics in a module loaded when needed.

A fragment is a list of ``ResourceSpans`` or ``ResourceMetrics`` without its brackets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from powertools_otel._otlp._json_values import (
    attributes_field,
    message,
    quoted,
    resource_ends,
    scope_ends,
    span_id,
    text_field,
    trace_id,
    unsigned,
    utf8,
)
from powertools_otel._otlp._shared import (
    INT32_MAX,
    UINT32_MAX,
    bounded,
    grouped,
    remember_by_identity,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeVar

    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Link, SpanContext, SpanKind, Status

    from powertools_otel._otlp import Signal
    from powertools_otel._otlp._model import Resource, Scope

    Part = TypeVar("Part")

# ``flags``: whether the context is remote is known, and is false or true.
_LOCAL, _REMOTE = '"flags":256', '"flags":768'

_ENVELOPES = {"traces": b"resourceSpans", "metrics": b"resourceMetrics"}

_remembered_scope_ends = remember_by_identity(scope_ends)


def encode_spans(spans: Iterable[ReadableSpan]) -> bytes:
    """Encode ``ResourceSpans``, grouped by resource and scope.

    A span whose own properties raise is logged and left out.
    """
    resources = grouped(spans, _span, resource_ends, _remembered_scope_ends)
    return utf8(
        ",".join(
            [
                f'{start}"scopeSpans":[{",".join(map(_scope_spans, scopes.items()))}]{end}'
                for (start, end), scopes in resources.items()
            ]
        )
    )


def encode_metrics(resource: Resource, scopes: Iterable[Scope]) -> bytes:
    """Encode one ``ResourceMetrics``; empty without scopes.

    A data point without a number as its value is logged and left out.
    """
    from powertools_otel._otlp import _json_metrics

    return _json_metrics.encode_metrics(resource, scopes)


def frame(signal: Signal, fragments: Iterable[bytes]) -> bytes:
    """Put fragments into one request."""
    items = b",".join(filter(None, fragments))
    return b'{"%b":[%b]}' % (_ENVELOPES[signal], items)


def _scope_spans(group: tuple[tuple[str, str], list[str]]) -> str:
    (start, end), spans = group
    return f'{start}"spans":[{",".join(spans)}]{end}'


def _span(span: ReadableSpan) -> str:
    return (
        f"{{{_identity(span.get_span_context())}{_parent(span.parent)}"
        f"{text_field('name', span.name)}{_kind(span.kind)}"
        f',"startTimeUnixNano":"{unsigned(span.start_time)}"'
        f',"endTimeUnixNano":"{unsigned(span.end_time)}"'
        f"{attributes_field('attributes', span.attributes)}"
        f"{_list('events', _event, span.events)}{_list('links', _link, span.links)}"
        f"{_dropped(span)}{_status(span.status)}}}"
    )


def _identity(context: SpanContext | None) -> str:
    """The fields of a span's own context, each before a comma."""
    if context is None:
        return ""
    ids = (
        f'"traceId":"{trace_id(context.trace_id)}",'
        f'"spanId":"{span_id(context.span_id)}",'
    )
    if not context.trace_state:
        return ids
    entries = context.trace_state.items()
    state = ",".join([f"{key}={value}" for key, value in entries])
    return f'{ids}"traceState":{quoted(state)},'


def _parent(context: SpanContext | None) -> str:
    """The id of the parent, if there is one, and the flags."""
    if context is None:
        return _LOCAL
    flags = _REMOTE if context.is_remote else _LOCAL
    return f'"parentSpanId":"{span_id(context.span_id)}",{flags}'


def _list(name: str, encode: Callable[[Part], str], parts: Sequence[Part]) -> str:
    return f',"{name}":[{",".join(map(encode, parts))}]' if parts else ""


def _event(event: Event) -> str:
    return (
        f'{{"timeUnixNano":"{unsigned(event.timestamp)}"'
        f"{text_field('name', event.name)}"
        f"{attributes_field('attributes', event.attributes)}"
        f"{_count('droppedAttributesCount', event.dropped_attributes)}}}"
    )


def _link(link: Link) -> str:
    """A link; as in OpenTelemetry's own exporters, without its trace state."""
    context = link.context
    return (
        f'{{"traceId":"{trace_id(context.trace_id)}"'
        f',"spanId":"{span_id(context.span_id)}"'
        f",{_REMOTE if context.is_remote else _LOCAL}"
        f"{attributes_field('attributes', link.attributes)}"
        f"{_count('droppedAttributesCount', link.dropped_attributes)}}}"
    )


def _kind(kind: SpanKind) -> str:
    """The ``kind`` field: SPAN_KIND_* is one more than the value of the SDK's."""
    value = getattr(kind, "_value_", None)
    return f',"kind":{value + 1}' if isinstance(value, int) else ""


def _dropped(span: ReadableSpan) -> str:
    attributes, events = span.dropped_attributes, span.dropped_events
    links = span.dropped_links
    if not (attributes or events or links):
        return ""
    return (
        f"{_count('droppedAttributesCount', attributes)}"
        f"{_count('droppedEventsCount', events)}"
        f"{_count('droppedLinksCount', links)}"
    )


def _count(name: str, count: int) -> str:
    return f',"{name}":{bounded(count, 0, UINT32_MAX)}' if count else ""


def _status(status: Status | None) -> str:
    if status is None:
        return ""
    code = getattr(status.status_code, "_value_", 0)
    description = status.description
    if not code and description is None:
        return ',"status":{}'
    code = bounded(code, 0, INT32_MAX)
    content = message(
        f',"code":{code}' if code else "", text_field("message", description)
    )
    return f',"status":{content}'

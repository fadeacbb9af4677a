"""OTLP requests as JSON: spans here, metrics in a module loaded when needed.

A fragment is a list of ``ResourceSpans`` or ``ResourceMetrics`` without its brackets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from powertools_otel._guard import harmless
from powertools_otel._otlp._json_values import (
    dumps,
    put_attributes,
    put_text,
    resource_ends,
    scope_ends,
    span_id,
    trace_id,
    unsigned,
    utf8,
)
from powertools_otel._otlp._shared import (
    INT32_MAX,
    UINT32_MAX,
    bounded,
    remember_by_identity,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Link, Status

    from powertools_otel._otlp import Signal
    from powertools_otel._otlp._json_values import Json
    from powertools_otel._otlp._model import Resource, Scope

# ``flags``: whether the context is remote is known, and is false or true.
_LOCAL, _REMOTE = 0x100, 0x300

_ENVELOPES = {"traces": b"resourceSpans", "metrics": b"resourceMetrics"}

_remembered_scope_ends = remember_by_identity(scope_ends)


def encode_spans(spans: Iterable[ReadableSpan]) -> bytes:
    """Encode ``ResourceSpans``, grouped by resource and scope.

    A span whose own properties raise is logged and left out.
    """
    resources: dict[tuple[str, str], dict[tuple[str, str], list[str]]] = {}
    for span in spans:
        with harmless("encode a span"):
            encoded = dumps(_span(span))
            scopes = resources.setdefault(resource_ends(span.resource), {})
            place = _remembered_scope_ends(span.instrumentation_scope)
            scopes.setdefault(place, []).append(encoded)
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


def _span(span: ReadableSpan) -> Json:
    context = span.get_span_context()
    parent = span.parent
    message: Json = {}
    if context is not None:
        message["traceId"] = trace_id(context.trace_id)
        message["spanId"] = span_id(context.span_id)
        if context.trace_state:
            entries = context.trace_state.items()
            message["traceState"] = ",".join([f"{key}={item}" for key, item in entries])
    if parent is not None:
        message["parentSpanId"] = span_id(parent.span_id)
    message["flags"] = _REMOTE if parent is not None and parent.is_remote else _LOCAL
    put_text(message, "name", span.name)
    _put_kind(message, span)
    message["startTimeUnixNano"] = unsigned(span.start_time)
    message["endTimeUnixNano"] = unsigned(span.end_time)
    put_attributes(message, "attributes", span.attributes)
    if events := span.events:
        message["events"] = [_event(event) for event in events]
    if links := span.links:
        message["links"] = [_link(link) for link in links]
    _put_count(message, "droppedAttributesCount", span.dropped_attributes)
    _put_count(message, "droppedEventsCount", span.dropped_events)
    _put_count(message, "droppedLinksCount", span.dropped_links)
    _put_status(message, span.status)
    return message


def _event(event: Event) -> Json:
    message: Json = {"timeUnixNano": unsigned(event.timestamp)}
    put_text(message, "name", event.name)
    put_attributes(message, "attributes", event.attributes)
    _put_count(message, "droppedAttributesCount", event.dropped_attributes)
    return message


def _link(link: Link) -> Json:
    """A link; as in OpenTelemetry's own exporters, without its trace state."""
    context = link.context
    message: Json = {
        "traceId": trace_id(context.trace_id),
        "spanId": span_id(context.span_id),
        "flags": _REMOTE if context.is_remote else _LOCAL,
    }
    put_attributes(message, "attributes", link.attributes)
    _put_count(message, "droppedAttributesCount", link.dropped_attributes)
    return message


def _put_kind(message: Json, span: ReadableSpan) -> None:
    """Set ``kind``: SPAN_KIND_* is one more than the value of the SDK's SpanKind."""
    value = getattr(span.kind, "_value_", None)
    if isinstance(value, int):
        message["kind"] = value + 1


def _put_status(message: Json, status: Status | None) -> None:
    if status is None:
        return
    code = bounded(getattr(status.status_code, "_value_", 0), 0, INT32_MAX)
    message["status"] = encoded = {"code": code} if code else {}
    put_text(encoded, "message", status.description)


def _put_count(message: Json, name: str, count: int) -> None:
    if count:
        message[name] = bounded(count, 0, UINT32_MAX)

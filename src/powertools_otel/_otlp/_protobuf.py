"""OTLP requests as protobuf: spans here, metrics in a module loaded when needed.

The messages are those of OTLP's ``trace.proto``.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct
from struct import error as StructError  # noqa: N812 - its name says nothing
from typing import TYPE_CHECKING

from powertools_otel._otlp._shared import (
    INT32_MAX,
    UINT32_MAX,
    UINT64_MAX,
    bounded,
    grouped,
    low_bits,
)
from powertools_otel._otlp._wire import (
    field,
    put_attributes,
    remembered_scope_ends,
    resource_ends,
    text_field,
    varint,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import Link, SpanContext, SpanKind, Status

    from powertools_otel._otlp import Signal
    from powertools_otel._otlp._model import Resource, Scope

# ``kind``: SPAN_KIND_*, by the value of the SDK's SpanKind.
_KINDS = tuple(bytes((0x30, value + 1)) for value in range(5))

# ``flags``: whether the context is remote is known, and is false or true.
_LOCAL = b"\x85\x01\x00\x01\x00\x00"
_REMOTE = b"\x85\x01\x00\x03\x00\x00"
_LINK_LOCAL = b"\x35\x00\x01\x00\x00"
_LINK_REMOTE = b"\x35\x00\x03\x00\x00"

_fixed64 = Struct("<BQ").pack
_span_times = Struct("<BQBQ").pack


def encode_spans(spans: Iterable[ReadableSpan]) -> bytes:
    """Encode an ``ExportTraceServiceRequest``, grouped by resource and scope.

    A span whose own properties raise is logged and left out.
    """
    resources = grouped(spans, _span, resource_ends, remembered_scope_ends)
    return b"".join(
        [
            field(b"\x0a", start + b"".join(map(_scope_spans, scopes.items())) + end)
            for (start, end), scopes in resources.items()
        ]
    )


def encode_metrics(resource: Resource, scopes: Iterable[Scope]) -> bytes:
    """Encode an ``ExportMetricsServiceRequest``.

    A data point without a number as its value is logged and left out.
    """
    from powertools_otel._otlp import _protobuf_metrics

    return _protobuf_metrics.encode_metrics(resource, scopes)


def frame(
    signal: Signal,  # noqa: ARG001 - both signals have it in field 1
    fragments: Iterable[bytes],
) -> bytes:
    """Join requests into one: concatenated messages merge their repeated fields."""
    return b"".join(fragments)


def _scope_spans(group: tuple[tuple[bytes, bytes], list[bytes]]) -> bytes:
    (start, end), spans = group
    return field(b"\x12", start + b"".join(spans) + end)


def _span(span: ReadableSpan) -> bytes:
    context = span.get_span_context()
    parent = span.parent
    parts: list[bytes] = []
    if context is not None:
        parts += (
            b"\x0a\x10",
            _big_endian(context.trace_id, 16),
            b"\x12\x08",
            _big_endian(context.span_id, 8),
        )
        if context.trace_state:
            parts.append(_trace_state(context))
    if parent is None:
        parts.append(_LOCAL)
    else:
        parts += (
            b"\x22\x08",
            _big_endian(parent.span_id, 8),
            _REMOTE if parent.is_remote else _LOCAL,
        )
    parts += (
        _name(span.name),
        _kind(span.kind),
        _times(span.start_time, span.end_time),
    )
    put_attributes(parts, b"\x4a", span.attributes)
    for event in span.events:
        parts.append(_event(event))
    for link in span.links:
        parts.append(_link(link))
    if dropped := span.dropped_attributes:
        parts.append(_count(b"\x50", dropped))
    if dropped := span.dropped_events:
        parts.append(_count(b"\x60", dropped))
    if dropped := span.dropped_links:
        parts.append(_count(b"\x70", dropped))
    parts.append(_status(span.status))
    content = b"".join(parts)
    return b"\x12" + varint(len(content)) + content


def _event(event: Event) -> bytes:
    parts = [_event_time(event.timestamp), text_field(b"\x12", event.name)]
    put_attributes(parts, b"\x1a", event.attributes)
    parts.append(_count(b"\x20", event.dropped_attributes))
    return field(b"\x5a", b"".join(parts))


def _link(link: Link) -> bytes:
    """A link; as in OpenTelemetry's own exporters, without its trace state."""
    context = link.context
    parts = [
        b"\x0a\x10",
        _big_endian(context.trace_id, 16),
        b"\x12\x08",
        _big_endian(context.span_id, 8),
    ]
    put_attributes(parts, b"\x22", link.attributes)
    parts += (
        _count(b"\x28", link.dropped_attributes),
        _LINK_REMOTE if context.is_remote else _LINK_LOCAL,
    )
    return field(b"\x6a", b"".join(parts))


def _name(name: object) -> bytes:
    return _known_name(name) if type(name) is str else text_field(b"\x2a", name)


# A function has few, and each in every invocation.
@lru_cache(maxsize=256)
def _known_name(name: str) -> bytes:
    return text_field(b"\x2a", name)


def _status(status: Status | None) -> bytes:
    if status is None:
        return b""
    code = getattr(status.status_code, "_value_", 0)
    description = status.description
    if not code and not description:
        return b"\x7a\x00"
    encoded = text_field(b"\x12", description)
    return field(b"\x7a", encoded + b"\x18" + varint(bounded(code, 0, INT32_MAX)))


def _trace_state(context: SpanContext) -> bytes:
    entries = context.trace_state.items()
    return text_field(b"\x1a", ",".join([f"{key}={value}" for key, value in entries]))


def _kind(kind: SpanKind) -> bytes:
    """The ``kind`` field, by ``_value_``: Enum's ``value`` is ten times slower."""
    try:
        return _KINDS[kind._value_]
    except (AttributeError, LookupError, TypeError):
        return b""


def _times(start: int | None, end: int | None) -> bytes:
    try:
        return _span_times(0x39, start, 0x41, end)
    except StructError:
        start, end = bounded(start, 0, UINT64_MAX), bounded(end, 0, UINT64_MAX)
        return _span_times(0x39, start, 0x41, end)


def _event_time(timestamp: int) -> bytes:
    try:
        return _fixed64(0x09, timestamp)
    except StructError:
        return _fixed64(0x09, bounded(timestamp, 0, UINT64_MAX))


def _big_endian(identifier: int, size: int) -> bytes:
    try:
        return identifier.to_bytes(size, "big")
    except (AttributeError, OverflowError):
        return low_bits(identifier, 8 * size).to_bytes(size, "big")


def _count(tag: bytes, count: int) -> bytes:
    return tag + varint(bounded(count, 0, UINT32_MAX)) if count else b""

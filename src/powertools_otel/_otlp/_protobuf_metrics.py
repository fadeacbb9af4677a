"""OTLP metrics requests as protobuf: the messages of ``metrics.proto``."""

from __future__ import annotations

from struct import Struct, pack
from struct import error as StructError  # noqa: N812 - its name says nothing
from typing import TYPE_CHECKING

from powertools_otel._guard import harmless
from powertools_otel._otlp._model import (
    ExponentialHistogram,
    Gauge,
    Histogram,
    Sum,
)
from powertools_otel._otlp._shared import (
    INT32_MAX,
    INT32_MIN,
    UINT64_MAX,
    as_double,
    bounded,
    low_bits,
    plain_number,
    remember_by_identity,
)
from powertools_otel._otlp._wire import (
    ONE_BYTE,
    field,
    put_attributes,
    resource_ends,
    scope_ends,
    text_field,
    varint,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeVar

    from powertools_otel._otlp._model import (
        Exemplar,
        ExponentialPoint,
        HistogramPoint,
        Metric,
        NumberPoint,
        Resource,
        Scope,
    )

    Point = TypeVar("Point")

_double = Struct("<Bd").pack
_fixed64 = Struct("<BQ").pack
_times = Struct("<BQBQ").pack
_times_and_double = Struct("<BQBQBd").pack
_times_and_integer = Struct("<BQBQBq").pack


def encode_metrics(resource: Resource, scopes: Iterable[Scope]) -> bytes:
    """Encode an ``ExportMetricsServiceRequest``; empty without scopes."""
    encoded = b"".join([_scope_metrics(scope) for scope in scopes])
    if not encoded:
        return b""
    start, end = resource_ends(resource)
    return field(b"\x0a", start + encoded + end)


def _scope_metrics(scope: Scope) -> bytes:
    start, end = scope_ends(scope)
    metrics = b"".join([_metric(metric) for metric in scope.metrics])
    return field(b"\x12", start + metrics + end)


def _metric(metric: Metric) -> bytes:
    parts = [
        text_field(b"\x0a", metric.name),
        text_field(b"\x12", metric.description),
        text_field(b"\x1a", metric.unit),
        _data(metric.data),
    ]
    put_attributes(parts, b"\x62", metric.metadata)
    return field(b"\x12", b"".join(parts))


def _data(data: Gauge | Sum | Histogram | ExponentialHistogram) -> bytes:
    if isinstance(data, Gauge):
        return field(b"\x2a", _points(_number_point, data.points))
    temporality = bytes((0x10, data.temporality))
    if isinstance(data, Sum):
        monotonic = b"\x18\x01" if data.monotonic else b""
        points = _points(_number_point, data.points)
        return field(b"\x3a", points + temporality + monotonic)
    if isinstance(data, Histogram):
        points = _points(_histogram_point, data.points)
        return field(b"\x4a", points + temporality)
    points = _points(_exponential_point, data.points)
    return field(b"\x52", points + temporality)


def _points(encode: Callable[[Point], bytes], points: Iterable[Point]) -> bytes:
    encoded: list[bytes] = []
    for point in points:
        with harmless("encode a data point"):
            encoded.append(encode(point))
    return b"".join(encoded)


def _number_point(point: NumberPoint) -> bytes:
    parts = [_time_and_value(point)]
    put_attributes(parts, b"\x3a", point.attributes)
    parts += [_exemplar(b"\x2a", exemplar) for exemplar in point.exemplars]
    return field(b"\x0a", b"".join(parts))


def _time_and_value(point: NumberPoint) -> bytes:
    start, end, value = point.start_unix_nano, point.time_unix_nano, point.value
    try:
        if type(value) is float:
            return _times_and_double(0x11, start, 0x19, end, 0x21, value)
        if type(value) is int:
            return _times_and_integer(0x11, start, 0x19, end, 0x31, value)
    except StructError:
        pass
    value = plain_number(value)
    encoded = pack("<Bq", 0x31, value) if type(value) is int else _double(0x21, value)
    return _start_and_time(start, end) + encoded


def _histogram_point(point: HistogramPoint) -> bytes:
    parts = [
        _start_and_time(point.start_unix_nano, point.time_unix_nano),
        _unsigned(0x21, point.count),
        _optional(0x29, point.sum),
        _packed_fixed64(b"\x32", point.bucket_counts),
        _bounds(point.bounds),
        _optional(0x59, point.min),
        _optional(0x61, point.max),
    ]
    put_attributes(parts, b"\x4a", point.attributes)
    parts += [_exemplar(b"\x42", exemplar) for exemplar in point.exemplars]
    return field(b"\x0a", b"".join(parts))


def _exponential_point(point: ExponentialPoint) -> bytes:
    parts = [
        _start_and_time(point.start_unix_nano, point.time_unix_nano),
        _unsigned(0x21, point.count),
        _optional(0x29, point.sum),
        b"\x30" + _zigzag(point.scale),
        _unsigned(0x39, point.zero_count),
        _buckets(b"\x42", point.positive_offset, point.positive_counts),
        _buckets(b"\x4a", point.negative_offset, point.negative_counts),
        _optional(0x61, point.min),
        _optional(0x69, point.max),
        _optional(0x71, point.zero_threshold),
    ]
    put_attributes(parts, b"\x0a", point.attributes)
    parts += [_exemplar(b"\x5a", exemplar) for exemplar in point.exemplars]
    return field(b"\x0a", b"".join(parts))


def _buckets(tag: bytes, offset: int, counts: Sequence[int]) -> bytes:
    if not counts:
        return b""
    content = b"\x08" + _zigzag(offset) + field(b"\x12", _varints(counts))
    return field(tag, content)


def _varints(values: Sequence[int]) -> bytes:
    try:
        if max(values) < ONE_BYTE:
            # Usual counts are one byte each.
            return bytes(values)
        if min(values) >= 0 and max(values) <= UINT64_MAX:
            return b"".join([varint(value) for value in values])
    except (TypeError, ValueError):
        pass
    return b"".join([varint(bounded(value, 0, UINT64_MAX)) for value in values])


def _exemplar(tag: bytes, exemplar: Exemplar) -> bytes:
    value = plain_number(exemplar.value)
    parts = [
        _unsigned(0x11, exemplar.time_unix_nano),
        pack("<Bq", 0x31, value) if type(value) is int else _double(0x19, value),
    ]
    if exemplar.span_id and exemplar.trace_id:
        parts += (
            b"\x22\x08",
            low_bits(exemplar.span_id, 64).to_bytes(8, "big"),
            b"\x2a\x10",
            low_bits(exemplar.trace_id, 128).to_bytes(16, "big"),
        )
    put_attributes(parts, b"\x3a", exemplar.attributes)
    return field(tag, b"".join(parts))


def _start_and_time(start: int, end: int) -> bytes:
    try:
        return _times(0x11, start, 0x19, end)
    except StructError:
        start, end = bounded(start, 0, UINT64_MAX), bounded(end, 0, UINT64_MAX)
        return _times(0x11, start, 0x19, end)


def _unsigned(tag: int, value: int) -> bytes:
    try:
        return _fixed64(tag, value)
    except StructError:
        return _fixed64(tag, bounded(value, 0, UINT64_MAX))


def _optional(tag: int, value: float | None) -> bytes:
    if value is None:
        return b""
    try:
        return _double(tag, value)
    except (OverflowError, StructError):
        return _double(tag, as_double(value))


def _zigzag(value: int) -> bytes:
    value = bounded(value, INT32_MIN, INT32_MAX)
    return varint(value << 1 if value >= 0 else -(value << 1) - 1)


def _packed_fixed64(tag: bytes, values: Sequence[int]) -> bytes:
    if not values:
        return b""
    try:
        return field(tag, pack(f"<{len(values)}Q", *values))
    except StructError:
        values = [bounded(value, 0, UINT64_MAX) for value in values]
        return field(tag, pack(f"<{len(values)}Q", *values))


def _bounds(bounds: Sequence[float]) -> bytes:
    """``explicit_bounds``; those that cannot change are the same for many points."""
    if isinstance(bounds, tuple):
        return _remembered_bounds(bounds)
    return _packed_doubles(b"\x3a", bounds)


@remember_by_identity
def _remembered_bounds(bounds: tuple[float, ...]) -> bytes:
    return _packed_doubles(b"\x3a", bounds)


def _packed_doubles(tag: bytes, values: Sequence[float]) -> bytes:
    if not values:
        return b""
    return field(tag, pack(f"<{len(values)}d", *map(as_double, values)))

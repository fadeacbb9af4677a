"""OTLP metrics requests as protobuf: the messages of ``metrics.proto``."""

from __future__ import annotations

from functools import lru_cache
from struct import Struct, pack
from struct import error as StructError  # noqa: N812 - its name says nothing
from typing import TYPE_CHECKING

from powertools_otel._otlp._model import (
    CUMULATIVE,
    DELTA,
    Gauge,
    Histogram,
    Scope,
    Sum,
)
from powertools_otel._otlp._shared import (
    INT32_MAX,
    INT32_MIN,
    UINT64_MAX,
    as_double,
    bounded,
    encoded_points,
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
    from typing import Any, TypeAlias, TypeVar

    from powertools_otel._otlp._model import (
        Attributes,
        Exemplar,
        ExponentialHistogram,
        ExponentialPoint,
        HistogramPoint,
        Metric,
        NumberPoint,
        Resource,
    )

    Data: TypeAlias = Gauge | Sum | Histogram | ExponentialHistogram
    Point = TypeVar("Point")

_TEMPORALITY = {DELTA: b"\x10\x01", CUMULATIVE: b"\x10\x02"}

_NUMBERS = "<BQBQBQBdBdBd"
"""A histogram's times, count, sum, minimum and maximum."""

_double = Struct("<Bd").pack
_fixed64 = Struct("<BQ").pack
_times = Struct("<BQBQ").pack
_times_and_double = Struct("<BQBQBd").pack
_times_and_integer = Struct("<BQBQBq").pack
_IN_A_SPAN = Struct("<sBBQBdBB8sBB16s")
"""An exemplar: its tag and size, its time, a double, the span's id and the trace's."""


def encode_metrics(resource: Resource, scopes: Iterable[Scope]) -> bytes:
    """Encode an ``ExportMetricsServiceRequest``; empty without scopes."""
    encoded = b"".join([_scope_metrics(scope) for scope in scopes])
    if not encoded:
        return b""
    start, end = resource_ends(resource)
    return field(b"\x0a", start + encoded + end)


def _scope_metrics(scope: Scope) -> bytes:
    start, end = (
        scope_ends(scope)
        if scope.attributes
        else _plain_scope_ends(scope.name, scope.version, scope.schema_url)
    )
    metrics = b"".join([_metric(metric) for metric in scope.metrics])
    return field(b"\x12", start + metrics + end)


# A function has few namespaces, and those in each request.
@lru_cache(maxsize=64, typed=True)
def _plain_scope_ends(name: str, version: str, schema_url: str) -> tuple[bytes, bytes]:
    return scope_ends(Scope(name, version, schema_url, None, ()))


def _metric(metric: Metric) -> bytes:
    tag, encode, end = _kind(metric.data)
    points = encoded_points(encode, metric.data.points)
    name, description, unit = metric.name, metric.description, metric.unit
    if len(points) == 1 and not metric.metadata:
        [point] = points
        return _opening(name, description, unit, tag, len(point), end) + point + end
    data = b"".join([field(b"\x0a", point) for point in points])
    parts = [_head(name, description, unit), field(tag, data + end)]
    put_attributes(parts, b"\x62", metric.metadata)
    return field(b"\x12", b"".join(parts))


# From flush to flush a function has the same metrics, mostly with one point each, in
# which little but the numbers is new: they all have the size of those before.
@lru_cache(maxsize=1024, typed=True)
def _opening(
    name: str, description: str, unit: str, tag: bytes, size: int, end: bytes
) -> bytes:
    """A metric with one point of ``size`` bytes, up to where the point begins."""
    head = _head(name, description, unit)
    point = b"\x0a" + varint(size)
    data = tag + varint(len(point) + size + len(end)) + point
    return b"\x12" + varint(len(head) + len(data) + size + len(end)) + head + data


def _head(name: str, description: str, unit: str) -> bytes:
    return (
        text_field(b"\x0a", name)
        + text_field(b"\x12", description)
        + text_field(b"\x1a", unit)
    )


def _kind(data: Data) -> tuple[bytes, Callable[[Any], bytes], bytes]:
    """A metric's tag for its data, how its points are encoded, what follows them."""
    if isinstance(data, Histogram):
        return b"\x4a", _histogram_point, _TEMPORALITY[data.temporality]
    if isinstance(data, Sum):
        monotonic = b"\x18\x01" if data.monotonic else b""
        return b"\x3a", _number_point, _TEMPORALITY[data.temporality] + monotonic
    if isinstance(data, Gauge):
        return b"\x2a", _number_point, b""
    return b"\x52", _exponential_point, _TEMPORALITY[data.temporality]


def _attributes(tag: bytes) -> Callable[[Attributes], bytes]:
    """How a kind of point has its attributes: all points of a flush share theirs."""

    @remember_by_identity
    def encoded(attributes: Attributes) -> bytes:
        parts: list[bytes] = []
        put_attributes(parts, tag, attributes)
        return b"".join(parts)

    return encoded


_of_a_number = _attributes(b"\x3a")
_of_a_histogram = _attributes(b"\x4a")
_of_an_exponential = _attributes(b"\x0a")


def _number_point(point: NumberPoint) -> bytes:
    content = _time_and_value(point) + _of_a_number(point.attributes)
    for exemplar in point.exemplars:
        content += _exemplar(b"\x2a", exemplar)
    return content


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
    content = _distribution(point) + _of_a_histogram(point.attributes)
    for exemplar in point.exemplars:
        content += _exemplar(b"\x42", exemplar)
    return content


def _distribution(point: HistogramPoint) -> bytes:
    """All numbers of a histogram's point: at once, where they are as they should be."""
    if isinstance(point.bounds, tuple):
        numbers, size, bounds = _layout(point.bounds)
        try:
            content = numbers(
                0x11, point.start_unix_nano,
                0x19, point.time_unix_nano,
                0x21, point.count,
                0x29, point.sum,
                0x59, point.min,
                0x61, point.max,
                size, *point.bucket_counts,
            )  # fmt: skip
            return content + bounds
        except (OverflowError, StructError):
            pass
    return b"".join(
        (
            _start_and_time(point.start_unix_nano, point.time_unix_nano),
            _unsigned(0x21, point.count),
            _optional(0x29, point.sum),
            _optional(0x59, point.min),
            _optional(0x61, point.max),
            _packed_fixed64(b"\x32", point.bucket_counts),
            _packed_doubles(b"\x3a", point.bounds),
        )
    )


@remember_by_identity
def _layout(
    bounds: tuple[float, ...],
) -> tuple[Callable[..., bytes], bytes, bytes]:
    """What points with these bounds have in common.

    Returns:
        Packs their numbers and, after the second item, their bucket counts; the tag
        and size of the bucket counts; the ``explicit_bounds`` field.
    """
    buckets = len(bounds) + 1
    size = b"\x32" + varint(8 * buckets)
    numbers = Struct(f"{_NUMBERS}{len(size)}s{buckets}Q").pack
    return numbers, size, _packed_doubles(b"\x3a", bounds)


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
        _of_an_exponential(point.attributes),
    ]
    parts += [_exemplar(b"\x5a", exemplar) for exemplar in point.exemplars]
    return b"".join(parts)


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
    value, trace_id, span_id = exemplar.value, exemplar.trace_id, exemplar.span_id
    if type(value) is float and trace_id and span_id and not exemplar.attributes:
        try:
            return _IN_A_SPAN.pack(
                tag, _IN_A_SPAN.size - 2,
                0x11, exemplar.time_unix_nano,
                0x19, value,
                0x22, 8, span_id.to_bytes(8, "big"),
                0x2A, 16, trace_id.to_bytes(16, "big"),
            )  # fmt: skip
        except (AttributeError, OverflowError, StructError):
            pass
    value = plain_number(value)
    parts = [
        _unsigned(0x11, exemplar.time_unix_nano),
        pack("<Bq", 0x31, value) if type(value) is int else _double(0x19, value),
    ]
    if span_id and trace_id:
        parts += (
            b"\x22\x08",
            low_bits(span_id, 64).to_bytes(8, "big"),
            b"\x2a\x10",
            low_bits(trace_id, 128).to_bytes(16, "big"),
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


def _packed_doubles(tag: bytes, values: Sequence[float]) -> bytes:
    if not values:
        return b""
    return field(tag, pack(f"<{len(values)}d", *map(as_double, values)))

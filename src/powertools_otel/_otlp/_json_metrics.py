"""OTLP metrics as JSON: the messages of ``metrics.proto``."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from powertools_otel._otlp._json_values import (
    attributes_field,
    double,
    message,
    resource_ends,
    scope_ends,
    span_id,
    text_field,
    trace_id,
    unsigned,
    utf8,
)
from powertools_otel._otlp._model import Gauge, Histogram, Sum
from powertools_otel._otlp._shared import (
    INT32_MAX,
    INT32_MIN,
    as_double,
    bounded,
    encoded_points,
    plain_number,
    remember_by_identity,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeVar

    from powertools_otel._otlp._model import (
        Exemplar,
        ExponentialHistogram,
        ExponentialPoint,
        HistogramPoint,
        Metric,
        NumberPoint,
        Resource,
        Scope,
    )

    Point = TypeVar("Point")


def encode_metrics(resource: Resource, scopes: Iterable[Scope]) -> bytes:
    """Encode one ``ResourceMetrics``; empty without scopes."""
    encoded = ",".join([_scope_metrics(scope) for scope in scopes])
    if not encoded:
        return b""
    start, end = resource_ends(resource)
    return utf8(f'{start}"scopeMetrics":[{encoded}]{end}')


def _scope_metrics(scope: Scope) -> str:
    start, end = scope_ends(scope)
    metrics = ",".join([_metric(metric) for metric in scope.metrics])
    return f'{start}"metrics":[{metrics}]{end}'


def _metric(metric: Metric) -> str:
    return message(
        text_field("name", metric.name),
        text_field("description", metric.description),
        text_field("unit", metric.unit),
        _data(metric.data),
        attributes_field("metadata", metric.metadata),
    )


def _data(data: Gauge | Sum | Histogram | ExponentialHistogram) -> str:
    if isinstance(data, Gauge):
        return f',"gauge":{{{_points(_number_point, data.points)}}}'
    temporality = f'"aggregationTemporality":{data.temporality:d},'
    if isinstance(data, Sum):
        points = _points(_number_point, data.points)
        monotonic = ',"isMonotonic":true' if data.monotonic else ""
        return f',"sum":{{{temporality}{points}{monotonic}}}'
    if isinstance(data, Histogram):
        points = _points(_histogram_point, data.points)
        return f',"histogram":{{{temporality}{points}}}'
    points = _points(_exponential_point, data.points)
    return f',"exponentialHistogram":{{{temporality}{points}}}'


def _points(encode: Callable[[Point], str], points: Iterable[Point]) -> str:
    return f'"dataPoints":[{",".join(encoded_points(encode, points))}]'


def _number_point(point: NumberPoint) -> str:
    return f"{{{_common(point)}{_value(point.value)}}}"


def _histogram_point(point: HistogramPoint) -> str:
    return (
        f"{{{_common(point)}{_distribution(point)}"
        f"{_counts(point.bucket_counts)}{_bounds(point.bounds)}}}"
    )


def _exponential_point(point: ExponentialPoint) -> str:
    return (
        f"{{{_common(point)}{_distribution(point)}"
        f',"scale":{bounded(point.scale, INT32_MIN, INT32_MAX)}'
        f',"zeroCount":"{unsigned(point.zero_count)}"'
        f"{_optional('zeroThreshold', point.zero_threshold)}"
        f"{_buckets('positive', point.positive_offset, point.positive_counts)}"
        f"{_buckets('negative', point.negative_offset, point.negative_counts)}}}"
    )


def _common(point: NumberPoint | HistogramPoint | ExponentialPoint) -> str:
    """What every point starts with."""
    return (
        f'"startTimeUnixNano":"{unsigned(point.start_unix_nano)}"'
        f',"timeUnixNano":"{unsigned(point.time_unix_nano)}"'
        f"{attributes_field('attributes', point.attributes)}"
        f"{_exemplars(point.exemplars)}"
    )


def _distribution(point: HistogramPoint | ExponentialPoint) -> str:
    return (
        f',"count":"{unsigned(point.count)}"{_optional("sum", point.sum)}'
        f"{_optional('min', point.min)}{_optional('max', point.max)}"
    )


def _exemplars(exemplars: Sequence[Exemplar]) -> str:
    return f',"exemplars":[{",".join(map(_exemplar, exemplars))}]' if exemplars else ""


def _exemplar(exemplar: Exemplar) -> str:
    span, trace = exemplar.span_id, exemplar.trace_id
    return (
        f'{{"timeUnixNano":"{unsigned(exemplar.time_unix_nano)}"'
        f"{_value(exemplar.value)}{_ids(span, trace) if span and trace else ''}"
        f"{attributes_field('filteredAttributes', exemplar.attributes)}}}"
    )


def _ids(span: int, trace: int) -> str:
    return f',"spanId":"{span_id(span)}","traceId":"{trace_id(trace)}"'


def _value(value: float) -> str:
    number = value if type(value) is float else plain_number(value)
    if type(number) is float:
        return f',"asDouble":{double(number)}'
    return f',"asInt":"{number}"'


def _optional(name: str, value: float | None) -> str:
    if value is None:
        return ""
    if type(value) is float and value - value == 0:
        return f',"{name}":{value!r}'
    return f',"{name}":{double(as_double(value))}'


def _buckets(name: str, offset: int, counts: Sequence[int]) -> str:
    if not counts:
        return ""
    offset = bounded(offset, INT32_MIN, INT32_MAX)
    return f',"{name}":{{"offset":{offset}{_counts(counts)}}}'


def _counts(counts: Sequence[int]) -> str:
    if not counts:
        return ""
    try:
        return _remembered_row(tuple(counts))
    except TypeError:
        return _row(counts)


def _row(counts: Iterable[int]) -> str:
    """``bucketCounts``; most buckets are empty."""
    texts = '","'.join([unsigned(count) if count else "0" for count in counts])
    return f',"bucketCounts":["{texts}"]'


# Few values since the last flush, near those of the flush before: the same row again.
# Numbers that are equal have the same text, whatever their types.
_remembered_row = lru_cache(maxsize=128)(_row)


def _bounds(bounds: Sequence[float]) -> str:
    """``explicitBounds``; those that cannot change are the same for many points."""
    if isinstance(bounds, tuple):
        return _remembered_bounds(bounds)
    return _doubles(bounds)


@remember_by_identity
def _remembered_bounds(bounds: tuple[float, ...]) -> str:
    return _doubles(bounds)


def _doubles(bounds: Sequence[float]) -> str:
    if not bounds:
        return ""
    texts = ",".join([double(as_double(bound)) for bound in bounds])
    return f',"explicitBounds":[{texts}]'

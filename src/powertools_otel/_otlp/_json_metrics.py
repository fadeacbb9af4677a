"""OTLP metrics as JSON: the messages of ``metrics.proto``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from powertools_otel._guard import harmless
from powertools_otel._otlp._json_values import (
    double,
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
from powertools_otel._otlp._model import Gauge, Histogram, Sum
from powertools_otel._otlp._shared import (
    INT32_MAX,
    INT32_MIN,
    as_double,
    bounded,
    plain_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeVar

    from powertools_otel._otlp._json_values import Json
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
    metrics = dumps([_metric(metric) for metric in scope.metrics])
    return f'{start}"metrics":{metrics}{end}'


def _metric(metric: Metric) -> Json:
    message: Json = {}
    put_text(message, "name", metric.name)
    put_text(message, "description", metric.description)
    put_text(message, "unit", metric.unit)
    name, content = _data(metric.data)
    message[name] = content
    put_attributes(message, "metadata", metric.metadata)
    return message


def _data(data: Gauge | Sum | Histogram | ExponentialHistogram) -> tuple[str, Json]:
    if isinstance(data, Gauge):
        return "gauge", {"dataPoints": _points(_number_point, data.points)}
    content: Json = {"aggregationTemporality": data.temporality}
    if isinstance(data, Sum):
        content["dataPoints"] = _points(_number_point, data.points)
        if data.monotonic:
            content["isMonotonic"] = True
        return "sum", content
    if isinstance(data, Histogram):
        content["dataPoints"] = _points(_histogram_point, data.points)
        return "histogram", content
    content["dataPoints"] = _points(_exponential_point, data.points)
    return "exponentialHistogram", content


def _points(encode: Callable[[Point], Json], points: Iterable[Point]) -> list[Json]:
    encoded: list[Json] = []
    for point in points:
        with harmless("encode a data point"):
            encoded.append(encode(point))
    return encoded


def _number_point(point: NumberPoint) -> Json:
    message = _common(point)
    _put_value(message, point.value)
    return message


def _histogram_point(point: HistogramPoint) -> Json:
    message = _distribution(point)
    if point.bucket_counts:
        message["bucketCounts"] = [unsigned(count) for count in point.bucket_counts]
    if point.bounds:
        message["explicitBounds"] = [double(as_double(bound)) for bound in point.bounds]
    return message


def _exponential_point(point: ExponentialPoint) -> Json:
    message = _distribution(point)
    message["scale"] = bounded(point.scale, INT32_MIN, INT32_MAX)
    message["zeroCount"] = unsigned(point.zero_count)
    _put_double(message, "zeroThreshold", point.zero_threshold)
    _put_buckets(message, "positive", point.positive_offset, point.positive_counts)
    _put_buckets(message, "negative", point.negative_offset, point.negative_counts)
    return message


def _distribution(point: HistogramPoint | ExponentialPoint) -> Json:
    message = _common(point)
    message["count"] = unsigned(point.count)
    _put_double(message, "sum", point.sum)
    _put_double(message, "min", point.min)
    _put_double(message, "max", point.max)
    return message


def _common(point: NumberPoint | HistogramPoint | ExponentialPoint) -> Json:
    message: Json = {
        "startTimeUnixNano": unsigned(point.start_unix_nano),
        "timeUnixNano": unsigned(point.time_unix_nano),
    }
    put_attributes(message, "attributes", point.attributes)
    if point.exemplars:
        message["exemplars"] = [_exemplar(exemplar) for exemplar in point.exemplars]
    return message


def _exemplar(exemplar: Exemplar) -> Json:
    message: Json = {"timeUnixNano": unsigned(exemplar.time_unix_nano)}
    _put_value(message, exemplar.value)
    if exemplar.span_id and exemplar.trace_id:
        message["spanId"] = span_id(exemplar.span_id)
        message["traceId"] = trace_id(exemplar.trace_id)
    put_attributes(message, "filteredAttributes", exemplar.attributes)
    return message


def _put_value(message: Json, value: float) -> None:
    number = plain_number(value)
    if isinstance(number, float):
        message["asDouble"] = double(number)
    else:
        message["asInt"] = str(number)


def _put_double(message: Json, name: str, value: float | None) -> None:
    if value is not None:
        message[name] = double(as_double(value))


def _put_buckets(message: Json, name: str, offset: int, counts: Sequence[int]) -> None:
    if counts:
        message[name] = {
            "offset": bounded(offset, INT32_MIN, INT32_MAX),
            "bucketCounts": [unsigned(count) for count in counts],
        }

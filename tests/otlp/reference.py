"""What the official protobuf messages and encoder say a request contains."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from google.protobuf import json_format
from opentelemetry.exporter.otlp.proto.common import trace_encoder
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from powertools_otel._otlp import _model as model
from powertools_otel._otlp import encoding

PROTOBUF = encoding("http/protobuf")
JSON = encoding("http/json")
ENCODINGS = {"protobuf": PROTOBUF, "json": JSON}

_MESSAGES = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
_HEX_IDS = {"traceId": 32, "spanId": 16, "parentSpanId": 16}
_DECIMAL_TEXT = {"intValue", "asInt", "count", "zeroCount"}
_NUMBERS = {"kind", "code", "aggregationTemporality", "flags", "scale", "offset"}


def official_spans(spans) -> ExportTraceServiceRequest:
    """The official encoder's request."""
    return trace_encoder.encode_spans(spans)


def official_attributes(attributes) -> list[Any]:
    """The official encoder's ``KeyValue`` messages."""
    context = SpanContext(1, 1, is_remote=False)
    span = ReadableSpan("", context, attributes=attributes, resource=Resource({}))
    return list(only_span(official_spans([span])).attributes)


def only_span(request: ExportTraceServiceRequest):
    """The span of a request that has one."""
    [resource_spans] = request.resource_spans
    [scope_spans] = resource_spans.scope_spans
    [span] = scope_spans.spans
    return span


def all_spans(request: ExportTraceServiceRequest) -> list[Any]:
    """The spans of a request in its order."""
    return [
        span
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def parse(encoder, signal: str, *fragments: bytes):
    """Read a request as a strict receiver does."""
    body = encoder.frame(signal, fragments)
    if encoder is not JSON:
        return _MESSAGES[signal].FromString(body)
    document = json.loads(body.decode(), parse_constant=_refuse)
    return json_format.ParseDict(_with_base64_ids(document), _MESSAGES[signal]())


def plain(value: AnyValue) -> Any:
    """What an ``AnyValue`` holds, as Python values."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    content = getattr(value, kind)
    if kind == "array_value":
        return [plain(item) for item in content.values]
    if kind == "kvlist_value":
        return {item.key: plain(item.value) for item in content.values}
    return content


def official_metrics(
    resource: model.Resource, scopes: list[model.Scope]
) -> ExportMetricsServiceRequest:
    """The request as the official messages hold it."""
    request = ExportMetricsServiceRequest()
    resource_metrics = request.resource_metrics.add(schema_url=resource.schema_url)
    attributes = official_attributes(resource.attributes)
    resource_metrics.resource.attributes.extend(attributes)
    resource_metrics.resource.SetInParent()
    for scope in scopes:
        resource_metrics.scope_metrics.add(
            scope=InstrumentationScope(
                name=scope.name,
                version=scope.version,
                attributes=official_attributes(scope.attributes),
            ),
            schema_url=scope.schema_url,
            metrics=[_metric(metric) for metric in scope.metrics],
        )
    return request


def _metric(metric: model.Metric) -> pb.Metric:
    data = metric.data
    message = pb.Metric(
        name=metric.name,
        unit=metric.unit,
        description=metric.description,
        metadata=official_attributes(metric.metadata),
    )
    if isinstance(data, model.Gauge):
        points = [_number_point(point) for point in data.points]
        message.gauge.CopyFrom(pb.Gauge(data_points=points))
    elif isinstance(data, model.Sum):
        message.sum.CopyFrom(
            pb.Sum(
                data_points=[_number_point(point) for point in data.points],
                aggregation_temporality=data.temporality,
                is_monotonic=data.monotonic,
            )
        )
    elif isinstance(data, model.Histogram):
        message.histogram.CopyFrom(
            pb.Histogram(
                data_points=[_histogram_point(point) for point in data.points],
                aggregation_temporality=data.temporality,
            )
        )
    else:
        message.exponential_histogram.CopyFrom(
            pb.ExponentialHistogram(
                data_points=[_exponential_point(point) for point in data.points],
                aggregation_temporality=data.temporality,
            )
        )
    return message


def _number_point(point: model.NumberPoint) -> pb.NumberDataPoint:
    return pb.NumberDataPoint(**_common(point), **_value(point.value))


def _histogram_point(point: model.HistogramPoint) -> pb.HistogramDataPoint:
    return pb.HistogramDataPoint(
        **_common(point),
        count=point.count,
        sum=point.sum,
        min=point.min,
        max=point.max,
        explicit_bounds=point.bounds,
        bucket_counts=point.bucket_counts,
    )


def _exponential_point(
    point: model.ExponentialPoint,
) -> pb.ExponentialHistogramDataPoint:
    return pb.ExponentialHistogramDataPoint(
        **_common(point),
        count=point.count,
        sum=point.sum,
        min=point.min,
        max=point.max,
        scale=point.scale,
        zero_count=point.zero_count,
        zero_threshold=point.zero_threshold,
        positive=_buckets(point.positive_offset, point.positive_counts),
        negative=_buckets(point.negative_offset, point.negative_counts),
    )


def _buckets(offset, counts):
    if not counts:
        return None
    return pb.ExponentialHistogramDataPoint.Buckets(offset=offset, bucket_counts=counts)


def _common(point) -> dict[str, Any]:
    return {
        "attributes": official_attributes(point.attributes),
        "start_time_unix_nano": point.start_unix_nano,
        "time_unix_nano": point.time_unix_nano,
        "exemplars": [_exemplar(exemplar) for exemplar in point.exemplars],
    }


def _exemplar(exemplar: model.Exemplar) -> pb.Exemplar:
    traced = exemplar.trace_id and exemplar.span_id
    return pb.Exemplar(
        time_unix_nano=exemplar.time_unix_nano,
        trace_id=exemplar.trace_id.to_bytes(16, "big") if traced else b"",
        span_id=exemplar.span_id.to_bytes(8, "big") if traced else b"",
        filtered_attributes=official_attributes(exemplar.attributes),
        **_value(exemplar.value),
    )


def _value(value: float) -> dict[str, float]:
    return {"as_int" if isinstance(value, int) else "as_double": value}


def _refuse(constant: str):
    raise AssertionError(f"{constant} is not JSON")


def _with_base64_ids(document: Any) -> Any:
    """Check OTLP/JSON's rules, and turn its ids into those of protobuf's mapping."""
    if isinstance(document, list):
        return [_with_base64_ids(item) for item in document]
    if not isinstance(document, dict):
        return document
    return {name: _field(name, value) for name, value in document.items()}


def _field(name: str, value: Any) -> Any:
    assert re.fullmatch(r"[a-z][A-Za-z]*", name), f"{name} is not lowerCamelCase"
    if name in _HEX_IDS:
        assert re.fullmatch(f"[0-9a-f]{{{_HEX_IDS[name]}}}", value), name
        return base64.b64encode(bytes.fromhex(value)).decode()
    if name in _DECIMAL_TEXT or name.endswith("UnixNano"):
        assert isinstance(value, str), f"{name} loses digits in JavaScript"
    elif name == "bucketCounts":
        assert all(isinstance(count, str) for count in value)
    elif name in _NUMBERS or name.startswith("dropped"):
        assert type(value) is int, f"{name} is not a number"
    return _with_base64_ids(value)

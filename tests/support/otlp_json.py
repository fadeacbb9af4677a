"""OTLP/JSON, one export request a line, as plain Python values.

Follows the protobuf JSON mapping as the OTLP specification amends it: ids in
hexadecimal, enumerations as numbers, 64-bit integers as strings.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Json = dict[str, Any]

SPAN_KINDS = ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUS_CODES = ("UNSET", "OK", "ERROR")
TEMPORALITIES = ("UNSPECIFIED", "DELTA", "CUMULATIVE")
METRIC_KINDS = ("gauge", "sum", "histogram", "exponentialHistogram", "summary")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The instrumentation scope."""

    name: str
    version: str
    attributes: Json
    schema_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A span event."""

    name: str
    attributes: Json
    time_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A span link."""

    trace_id: str
    span_id: str
    attributes: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A span with the resource and scope it came under; `raw` is all of it."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_span_id: str
    start_ns: int
    end_ns: int
    status: str
    status_message: str
    attributes: Json
    events: tuple[Event, ...]
    links: tuple[Link, ...]
    scope: Scope
    resource: Json
    raw: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A data point. Numbers have `value`, histograms `count`, `sum`, `min`, `max`."""

    attributes: Json
    start_ns: int
    time_ns: int
    value: int | float | None
    count: int | None
    sum: float | None
    min: float | None
    max: float | None
    raw: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A metric with its points; `temporality` is None for a gauge or a summary."""

    name: str
    unit: str
    description: str
    kind: str
    temporality: str | None
    monotonic: bool
    points: tuple[Point, ...]
    scope: Scope
    resource: Json
    raw: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """A log record."""

    body: Any
    severity_text: str
    trace_id: str
    span_id: str
    time_ns: int
    attributes: Json
    scope: Scope
    resource: Json
    raw: Json


def requests(text: str) -> list[Json]:
    """Return the requests in `text`; a last line still being written is left out."""
    whole, _, _ = text.rpartition("\n")
    return [json.loads(line) for line in whole.splitlines() if line]


def spans(exports: Iterable[Json]) -> list[Span]:
    """Return the spans of the trace export requests among `exports`."""
    return [
        _span(raw, resource, scope)
        for raw, resource, scope in _items(exports, "resourceSpans", "spans")
    ]


def metrics(exports: Iterable[Json]) -> list[Metric]:
    """Return the metrics of the metrics export requests among `exports`."""
    return [
        _metric(raw, resource, scope)
        for raw, resource, scope in _items(exports, "resourceMetrics", "metrics")
    ]


def logs(exports: Iterable[Json]) -> list[LogRecord]:
    """Return the log records of the logs export requests among `exports`."""
    return [
        LogRecord(
            body=any_value(raw.get("body", {})),
            severity_text=raw.get("severityText", ""),
            trace_id=raw.get("traceId", ""),
            span_id=raw.get("spanId", ""),
            time_ns=int(raw.get("timeUnixNano", 0)),
            attributes=attributes(raw),
            scope=scope,
            resource=resource,
            raw=raw,
        )
        for raw, resource, scope in _items(exports, "resourceLogs", "logRecords")
    ]


def any_value(value: Json) -> Any:
    """Return an AnyValue as a Python value; the empty AnyValue is None."""
    match value:
        case {"intValue": number}:
            return int(number)
        case {"doubleValue": number}:
            return float(number)  # NaN and the infinities come as words
        case {"arrayValue": array}:
            return [any_value(item) for item in array.get("values", [])]
        case {"kvlistValue": pairs}:
            return attributes(pairs, "values")
        case {"bytesValue": text}:
            return base64.b64decode(text)
        case _:
            return next(iter(value.values()), None)


def attributes(owner: Json, field: str = "attributes") -> Json:
    """Return a list of key-value pairs as a dictionary.

    Raises:
        ValueError: A key comes twice, which OTLP forbids.

    """
    pairs = owner.get(field, [])
    found = {pair["key"]: any_value(pair.get("value", {})) for pair in pairs}
    if len(found) != len(pairs):
        message = f"a key comes twice in {pairs!r}"
        raise ValueError(message)
    return found


def _items(
    exports: Iterable[Json], by_resource: str, leaf: str
) -> Iterator[tuple[Json, Json, Scope]]:
    by_scope = by_resource.replace("resource", "scope")
    for export in exports:
        for group in export.get(by_resource, []):
            resource = attributes(group.get("resource", {}))
            for scoped in group.get(by_scope, []):
                scope = _scope(scoped)
                for raw in scoped.get(leaf, []):
                    yield raw, resource, scope


def _scope(scoped: Json) -> Scope:
    raw = scoped.get("scope", {})
    return Scope(
        name=raw.get("name", ""),
        version=raw.get("version", ""),
        attributes=attributes(raw),
        schema_url=scoped.get("schemaUrl", ""),
    )


def _span(raw: Json, resource: Json, scope: Scope) -> Span:
    status = raw.get("status", {})
    return Span(
        name=raw.get("name", ""),
        kind=SPAN_KINDS[raw.get("kind", 0)],
        trace_id=raw["traceId"],
        span_id=raw["spanId"],
        parent_span_id=raw.get("parentSpanId", ""),
        start_ns=int(raw.get("startTimeUnixNano", 0)),
        end_ns=int(raw.get("endTimeUnixNano", 0)),
        status=STATUS_CODES[status.get("code", 0)],
        status_message=status.get("message", ""),
        attributes=attributes(raw),
        events=tuple(
            Event(
                name=event.get("name", ""),
                attributes=attributes(event),
                time_ns=int(event.get("timeUnixNano", 0)),
            )
            for event in raw.get("events", [])
        ),
        links=tuple(
            Link(
                trace_id=link["traceId"],
                span_id=link["spanId"],
                attributes=attributes(link),
            )
            for link in raw.get("links", [])
        ),
        scope=scope,
        resource=resource,
        raw=raw,
    )


def _metric(raw: Json, resource: Json, scope: Scope) -> Metric:
    kind = next(kind for kind in METRIC_KINDS if kind in raw)
    data = raw[kind]
    temporality = data.get("aggregationTemporality")
    return Metric(
        name=raw.get("name", ""),
        unit=raw.get("unit", ""),
        description=raw.get("description", ""),
        kind=kind,
        temporality=None if temporality is None else TEMPORALITIES[temporality],
        monotonic=data.get("isMonotonic", False),
        points=tuple(_point(point) for point in data.get("dataPoints", [])),
        scope=scope,
        resource=resource,
        raw=raw,
    )


def _point(raw: Json) -> Point:
    return Point(
        attributes=attributes(raw),
        start_ns=int(raw.get("startTimeUnixNano", 0)),
        time_ns=int(raw.get("timeUnixNano", 0)),
        value=int(raw["asInt"]) if "asInt" in raw else _number(raw, "asDouble"),
        count=int(raw["count"]) if "count" in raw else None,
        sum=_number(raw, "sum"),
        min=_number(raw, "min"),
        max=_number(raw, "max"),
        raw=raw,
    )


def _number(raw: Json, field: str) -> float | None:
    return float(raw[field]) if field in raw else None

"""Kinesis data streams.

Record format: the Lambda developer guide ("Using Lambda with Kinesis Data Streams").
A record has no headers; a producer puts the context into its JSON data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from powertools_otel.tracing._events._description import (
    Attributes,
    EventDescription,
    Messages,
)
from powertools_otel.tracing._events._envelopes import base64_fields
from powertools_otel.tracing._events._fields import (
    arn_resource,
    mapping,
    put,
    text,
)
from powertools_otel.tracing._events._messages import consumer, received

if TYPE_CHECKING:
    from collections.abc import Sequence

    from powertools_otel.tracing._events._fields import Budget, Wanted


def kinesis(records: Sequence[Any]) -> EventDescription:
    """Kinesis: one shard an event, so the first record names stream and shard."""
    first = mapping(records[0])
    resource = arn_resource(first.get("eventSourceARN")) or ""
    # stream/orders, or stream/orders/consumer/billing:1 with enhanced fan-out.
    parts = resource.split("/")
    stream = parts[1] if len(parts) > 1 else None
    span = consumer("aws.kinesis", stream)
    shard, separator, _ = (text(first.get("eventID")) or "").partition(":")
    if separator:
        put(span.attributes, "messaging.destination.partition.id", shard)
    messages = Messages(records, len(records), _read, _identify)
    return received("kinesis", span, messages, batch=True)


def _read(record: Any, wanted: Wanted, budget: Budget) -> dict[str, str]:
    data = mapping(mapping(record).get("kinesis")).get("data")
    return base64_fields(data, wanted, budget)


def _identify(record: Any) -> Attributes:
    found: Attributes = {}
    put(found, "messaging.message.id", mapping(record).get("eventID"))
    return found

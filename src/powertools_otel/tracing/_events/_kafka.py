"""Kafka: Amazon MSK and self-managed clusters.

Record format: the Lambda developer guide ("Using Lambda with Amazon MSK", "... with
self-managed Apache Kafka"). Header values are lists of bytes, which arrive as signed
numbers at times, or base64.
"""

from __future__ import annotations

from binascii import a2b_base64
from itertools import chain, islice
from string import ascii_letters, digits
from typing import TYPE_CHECKING, Any

from powertools_otel.tracing._events._description import (
    EXAMINED,
    Attributes,
    EventDescription,
    Messages,
)
from powertools_otel.tracing._events._fields import (
    FIELD_LIMIT,
    NAME_LIMIT,
    mapping,
    sequence,
    text,
)
from powertools_otel.tracing._events._messages import consumer, received

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from powertools_otel.tracing._events._fields import Budget, Wanted

_BASE64 = ascii_letters + digits + "+/="
_PARTITION_LIMIT = 4096
_HEADER_LIMIT = 64
_SOURCES = {
    "aws:kafka": "msk",
    "SelfManagedKafka": "kafka",
    "aws:SelfManagedKafka": "kafka",
}


def source_of(event: Mapping[str, Any]) -> str | None:
    """``msk`` or ``kafka`` if the event is from Kafka."""
    source = event.get("eventSource")
    return _SOURCES.get(source) if isinstance(source, str) else None


def kafka(event: Mapping[str, Any], source: str) -> EventDescription:
    """Kafka: records by ``topic-partition``. Several topics have no name in common."""
    by_name = mapping(event.get("records"))
    candidates = map(sequence, islice(by_name.values(), _PARTITION_LIMIT))
    partitions = [records for records in candidates if records]
    topics = {text(mapping(records[0]).get("topic")) for records in partitions}
    topic = topics.pop() if len(topics) == 1 else None
    span = consumer("kafka", topic)
    if len(partitions) == 1:
        partition = _partition(mapping(partitions[0][0]))
        if partition is not None:
            span.attributes["messaging.destination.partition.id"] = partition
    messages = Messages(
        list(islice(chain.from_iterable(partitions), EXAMINED)),
        sum(map(len, partitions)),
        _read,
        _identify if topic is not None else _identify_with_topic,
    )
    return received(source, span, messages, batch=True)


def _read(record: Any, wanted: Wanted, _budget: Budget) -> dict[str, str]:
    """The wanted headers; of repeated ones the last, as Kafka's ``lastHeader``."""
    names = wanted.names
    found: dict[str, str] = {}
    for header in sequence(mapping(record).get("headers"))[:_HEADER_LIMIT]:
        for name, value in islice(mapping(header).items(), _HEADER_LIMIT):
            if not isinstance(name, str) or len(name) > NAME_LIMIT:
                continue
            lower = name.lower()
            if names is None or lower in names:
                decoded = _decode(value)
                if decoded is not None:
                    found[lower] = decoded
    return found


def _decode(value: Any) -> str | None:
    if isinstance(value, list):
        return _from_bytes(sequence(value))
    if not isinstance(value, str) or len(value) > FIELD_LIMIT:
        return None
    if len(value) % 4 or value.strip(_BASE64):
        return value
    try:
        return a2b_base64(value).decode("latin-1")
    except ValueError:
        return value


def _from_bytes(values: Sequence[Any]) -> str | None:
    if len(values) > FIELD_LIMIT:
        return None
    try:
        return bytes(values).decode("latin-1")
    except (TypeError, ValueError):
        pass
    try:
        # Signed, as Java writes bytes.
        return bytes([value & 0xFF for value in values]).decode("latin-1")
    except (TypeError, ValueError):
        return None


def _partition(record: Mapping[str, Any]) -> str | None:
    """A partition's number, which arrives as a number or as a string."""
    value = record.get("partition")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 1 << 32 else None
    return text(value, NAME_LIMIT)


def _identify(record: Any) -> Attributes:
    """Where a record lies: Kafka has no message ids."""
    found: Attributes = {}
    fields = mapping(record)
    partition = _partition(fields)
    if partition is not None:
        found["messaging.destination.partition.id"] = partition
    offset = fields.get("offset")
    if isinstance(offset, int) and not isinstance(offset, bool) and offset < 1 << 63:
        found["messaging.kafka.offset"] = offset
    return found


def _identify_with_topic(record: Any) -> Attributes:
    found = _identify(record)
    topic = text(mapping(record).get("topic"))
    if topic is not None:
        found["messaging.destination.name"] = topic
    return found

"""What SQS, SNS, Kinesis and Kafka have in common: the CONSUMER span's attributes.

The messaging conventions (1.44.0, in development) have values of ``messaging.system``
for SQS, SNS and Kafka. Kinesis and EventBridge get ``aws.kinesis`` and
``aws.eventbridge``, formed like ``aws.sns``.
"""

from __future__ import annotations

from powertools_otel.tracing._events._description import (
    Attributes,
    Consumer,
    EventDescription,
    Messages,
)

_PROCESS = "process"


def consumer(system: str, destination: str | None, name: str | None = None) -> Consumer:
    """The span ``process <destination>``.

    Args:
        system: ``messaging.system``.
        destination: ``messaging.destination.name``: left out where messages of one
            batch come from several.
        name: What to call the destination in the span's name, if not by its name.
    """
    attributes: Attributes = {
        "messaging.system": system,
        "messaging.operation.name": _PROCESS,
        "messaging.operation.type": _PROCESS,
    }
    if destination:
        attributes["messaging.destination.name"] = destination
    shown = name or destination
    return Consumer(f"{_PROCESS} {shown}" if shown else _PROCESS, attributes)


def received(
    source: str, consumer: Consumer, messages: Messages, *, batch: bool
) -> EventDescription:
    """An event of messages.

    Args:
        source: Where it came from.
        consumer: The span that processes it; gets the count and a sole message's id.
        messages: The messages.
        batch: Whether the service delivers batches (of one, at times): only then
            does the convention want a count.
    """
    if batch:
        consumer.attributes["messaging.batch.message_count"] = messages.total
    if messages.total == 1:
        for record in messages.records:
            consumer.attributes.update(messages.identify(record))
    return EventDescription(source, "pubsub", consumer=consumer, messages=messages)

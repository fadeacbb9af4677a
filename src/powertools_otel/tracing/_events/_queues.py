"""SQS and SNS, and what arrives through them: SNS or EventBridge inside SQS.

Record formats: the Lambda developer guide ("Using Lambda with Amazon SQS", "... SNS"),
the SNS guide ("Message and JSON formats") and the SQS guide ("Message metadata").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from powertools_otel.tracing._events import _envelopes
from powertools_otel.tracing._events._description import (
    Attributes,
    EventDescription,
    Messages,
)
from powertools_otel.tracing._events._fields import (
    FIELD_LIMIT,
    arn_resource,
    mapping,
    put,
)
from powertools_otel.tracing._events._messages import consumer, received

if TYPE_CHECKING:
    from collections.abc import Sequence

    from powertools_otel.tracing._events._fields import Budget, Wanted

_XRAY = "x-amzn-trace-id"


def sqs(records: Sequence[Any]) -> EventDescription:
    """SQS: one queue an event. What the first message wraps, all do, as a rule."""
    first = mapping(records[0])
    queue = arn_resource(first.get("eventSourceARN"))
    body = first.get("body")
    if _envelopes.is_notification(body):
        source = "sns_sqs"
    elif _envelopes.is_bus_event(body):
        source = "eventbridge_sqs"
    else:
        source = "sqs"
    messages = Messages(records, len(records), _read_sqs, _identify_sqs)
    return received(source, consumer("aws_sqs", queue), messages, batch=True)


def sns(records: Sequence[Any]) -> EventDescription:
    """SNS: Lambda gets one message an event."""
    notification = mapping(mapping(records[0]).get("Sns"))
    topic = notification.get("TopicArn")
    span = consumer("aws.sns", arn_resource(topic))
    put(span.attributes, "aws.sns.topic.arn", topic)
    messages = Messages(records, len(records), _read_sns, _identify_sns)
    return received("sns", span, messages, batch=len(records) > 1)


def _read_sqs(record: Any, wanted: Wanted, budget: Budget) -> dict[str, str]:
    """A message's own attributes, else its envelope's, and ``AWSTraceHeader``."""
    message = mapping(record)
    found = _envelopes.attribute_fields(
        message.get("messageAttributes"), "stringValue", wanted
    )
    if not found:
        found = _envelopes.body_fields(message.get("body"), wanted, budget)
    trace_header = mapping(message.get("attributes")).get("AWSTraceHeader")
    if isinstance(trace_header, str) and len(trace_header) <= FIELD_LIMIT:
        # Written by SQS from the sender's header: no user attribute is better.
        found[_XRAY] = trace_header
    return found


def _identify_sqs(record: Any) -> Attributes:
    found: Attributes = {}
    put(found, "messaging.message.id", mapping(record).get("messageId"))
    return found


def _read_sns(record: Any, wanted: Wanted, budget: Budget) -> dict[str, str]:
    """A message's attributes, else those of the EventBridge event that it carries."""
    notification = mapping(mapping(record).get("Sns"))
    return _envelopes.attribute_fields(
        notification.get("MessageAttributes"), "Value", wanted
    ) or _envelopes.body_fields(notification.get("Message"), wanted, budget)


def _identify_sns(record: Any) -> Attributes:
    found: Attributes = {}
    notification = mapping(mapping(record).get("Sns"))
    put(found, "messaging.message.id", notification.get("MessageId"))
    return found

"""Which kind of event this is."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from powertools_otel._guard import harmless
from powertools_otel.tracing._events import _direct
from powertools_otel.tracing._events._description import (
    KNOWN_METHODS,
    EventDescription,
)
from powertools_otel.tracing._events._fields import mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from powertools_otel._settings import Settings

# A function is called by one kind of source, so the modules of the others are not
# imported: together they would cost each cold start more than a millisecond.
_RECORDS = {
    "aws:dynamodb": ("_storage", "dynamodb"),
    "aws:kinesis": ("_streams", "kinesis"),
    "aws:s3": ("_storage", "s3"),
    "aws:sns": ("_queues", "sns"),
    "aws:sqs": ("_queues", "sqs"),
}


def describe(
    event: object,
    settings: Settings,
    known_methods: Container[str] = KNOWN_METHODS,
) -> EventDescription:
    """Recognise an event and say what the conventions want to know of it.

    Total: whatever ``event`` is, and whatever it does when it is read, there is an
    answer and no exception; strings are cut to 1024 characters.

    Args:
        event: As the handler got it: JSON values, or one of Powertools' data classes.
        settings: ``url_query`` says whether query values are shown.
        known_methods: HTTP methods that are recorded as they are.
    """
    with harmless("recognise the event"):
        if not isinstance(event, dict | list):
            # What Powertools' data classes wrap.
            event = getattr(event, "raw_event", event)
        if isinstance(event, dict):
            return _describe(mapping(event), settings, known_methods)
        return _describe_list(sequence(event))
    return EventDescription("direct", "other")


def _describe(
    event: Mapping[str, Any], settings: Settings, known: Container[str]
) -> EventDescription:
    records = sequence(event.get("Records"))
    if records:
        return _describe_records(event, records)
    request = event.get("requestContext")
    if isinstance(request, dict) or "httpMethod" in event or "raw_path" in event:
        found = _describe_request(event, mapping(request), settings, known)
        if found is not None:
            return found
    if "detail-type" in event and "source" in event:
        from powertools_otel.tracing._events import _event_bus

        return _event_bus.event_bus(event)
    if "records" in event:
        from powertools_otel.tracing._events import _kafka

        kafka = _kafka.source_of(event)
        if kafka is not None:
            return _kafka.kafka(event, kafka)
    return _describe_invocation(event)


def _describe_records(
    event: Mapping[str, Any], records: Sequence[Any]
) -> EventDescription:
    first = mapping(records[0])
    source = first.get("eventSource") or first.get("EventSource")
    known = _RECORDS.get(source) if isinstance(source, str) else None
    if known is None:
        return _direct.direct(event)
    module = import_module(f"powertools_otel.tracing._events.{known[0]}")
    found: EventDescription = getattr(module, known[1])(records)
    return found


def _describe_request(
    event: Mapping[str, Any],
    request: Mapping[str, Any],
    settings: Settings,
    known: Container[str],
) -> EventDescription | None:
    from powertools_otel.tracing._events import _http

    found = None
    if "methodArn" in event or "routeArn" in event:
        found = _http.authorizer(event)
    elif "elb" in request:
        found = _http.load_balancer(event, settings, known)
    elif isinstance(request.get("http"), dict):
        found = _http.http_api(event, settings, known)
    elif _http.is_websocket(request):
        found = _http.websocket(event)
    elif "serviceArn" in request or "serviceNetworkArn" in request:
        found = _http.lattice(event, settings, known, "vpc_lattice_v2")
    elif "raw_path" in event:
        found = _http.lattice(event, settings, known, "vpc_lattice_v1")
    elif "httpMethod" in event:
        found = _http.rest_api(event, settings, known)
    return found


def _describe_invocation(event: Mapping[str, Any]) -> EventDescription:
    if "info" in event or "fieldName" in event:
        from powertools_otel.tracing._events import _graphql

        if _graphql.is_resolver(event):
            return _graphql.resolver(event)
    if "triggerSource" in event and "userPoolId" in event:
        found = _direct.cognito(event)
    elif isinstance(event.get("awslogs"), dict):
        found = _direct.log_subscription()
    elif "DurableExecutionArn" in event:
        found = _direct.durable(event)
    elif _direct.is_state_machine_task(event):
        found = _direct.state_machine_task(event)
    elif "methodArn" in event and "authorizationToken" in event:
        from powertools_otel.tracing._events import _http

        found = _http.authorizer(event)
    else:
        found = _direct.direct(event)
    return found


def _describe_list(event: Sequence[Any]) -> EventDescription:
    first = mapping(event[0] if event else None)
    if "info" in first or "fieldName" in first:
        from powertools_otel.tracing._events import _graphql

        if _graphql.is_resolver(first):
            return _graphql.resolver(first, "appsync_batch")
    return _direct.direct(event)

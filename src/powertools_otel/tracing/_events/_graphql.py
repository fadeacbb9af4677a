"""AppSync: Lambda resolvers, single and batched, and event handlers.

Payload: the AppSync developer guide ("Lambda resolvers": the context object of a
direct resolver, the ``typeName``/``fieldName`` form of generated templates, and
"batching"; "AppSync Events": Lambda data sources).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from powertools_otel.tracing._events._description import (
    Attributes,
    Carrier,
    EventDescription,
)
from powertools_otel.tracing._events._fields import (
    headers,
    mapping,
    read_headers,
    sequence,
    text,
)
from powertools_otel.tracing._events._http import set_caller

if TYPE_CHECKING:
    from collections.abc import Mapping

_OPERATIONS = {
    "Mutation": "mutation",
    "Query": "query",
    "Subscription": "subscription",
}


def is_resolver(event: Mapping[str, Any]) -> bool:
    """Whether an event asks to resolve a GraphQL field, or handles a channel."""
    info = mapping(event.get("info"))
    return (
        "fieldName" in info
        or "channelNamespace" in info
        or ("typeName" in event and "fieldName" in event and "arguments" in event)
    )


def resolver(event: Mapping[str, Any], source: str = "appsync") -> EventDescription:
    """One field: named by its schema coordinate, ``Query.getOrder``.

    ``graphql.operation.type`` is known where the field is one of an operation's root.
    """
    info = mapping(event.get("info"))
    request = mapping(event.get("request"))
    sent = headers(request.get("headers"))
    attributes: Attributes = {}
    if "channelNamespace" in info:
        name = _channel(info)
        source = "appsync_events"
    else:
        field = text(info.get("fieldName")) or text(event.get("fieldName"))
        kind = text(info.get("parentTypeName")) or text(event.get("typeName"))
        name = f"{kind}.{field}" if kind and field else field
        operation = _OPERATIONS.get(kind or "")
        if operation is not None:
            attributes["graphql.operation.type"] = operation
    if sent:
        attributes["url.scheme"] = "https"
    set_caller(attributes, sent)
    seen_from = sequence(mapping(event.get("identity")).get("sourceIp"))
    if seen_from:
        client = text(seen_from[0])
        if client is not None:
            attributes["client.address"] = client
    carriers = (Carrier(sent, read_headers, outside=True),) if sent else ()
    return EventDescription(source, "http", name, attributes, carriers=carriers)


def _channel(info: Mapping[str, Any]) -> str | None:
    namespace = text(mapping(info.get("channelNamespace")).get("name"))
    operation = text(info.get("operation"))
    return f"{operation} {namespace}" if operation and namespace else namespace

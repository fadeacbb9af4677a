"""S3 notifications and DynamoDB streams: the trigger ``datasource``.

Record formats: the S3 user guide ("Event message structure") and the DynamoDB
Streams API (``Record``, ``StreamRecord``).
"""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from powertools_otel.tracing._events._description import (
    Attributes,
    EventDescription,
    Messages,
)
from powertools_otel.tracing._events._fields import (
    ENTRY_LIMIT,
    arn_resource,
    mapping,
    pick,
    put,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from powertools_otel.tracing._events._fields import Budget, Wanted

_COMPARED = 128
"""Records of a batch that are compared; above it they are not called alike."""
_CHANGES = {"INSERT": "insert", "MODIFY": "edit", "REMOVE": "delete"}
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999."""


def s3(records: Sequence[Any]) -> EventDescription:
    """S3: bucket, key and operation. A notification cannot carry a context."""
    bucket = mapping(mapping(mapping(records[0]).get("s3")).get("bucket"))
    attributes: Attributes = {}
    put(attributes, "faas.document.collection", bucket.get("name"))
    _set_operation(attributes, records, _s3_operation)
    if len(records) == 1:
        record = mapping(records[0])
        key = text(mapping(mapping(record.get("s3")).get("object")).get("key"))
        if key is not None:
            # S3 sends keys encoded as in a form.
            put(attributes, "faas.document.name", unquote_plus(key))
        put(attributes, "faas.document.time", record.get("eventTime"))
    return EventDescription("s3", "datasource", attributes=attributes)


def dynamodb(records: Sequence[Any]) -> EventDescription:
    """DynamoDB Streams: the table, which is collection and name alike.

    An item's key is the user's data and stays out.
    """
    first = mapping(records[0])
    resource = arn_resource(first.get("eventSourceARN")) or ""
    parts = resource.split("/")
    attributes: Attributes = {}
    if len(parts) > 1 and parts[0] == "table":
        put(attributes, "faas.document.collection", parts[1])
        put(attributes, "faas.document.name", parts[1])
    _set_operation(attributes, records, _item_operation)
    if len(records) == 1:
        change = mapping(first.get("dynamodb"))
        when = _iso(change.get("ApproximateCreationDateTime"))
        put(attributes, "faas.document.time", when)
    messages = Messages(records, len(records), _read_item, _identify_item)
    return EventDescription(
        "dynamodb", "datasource", attributes=attributes, messages=messages
    )


def _set_operation(
    attributes: Attributes,
    records: Sequence[Any],
    operation_of: Callable[[Mapping[str, Any]], str | None],
) -> None:
    """``faas.document.operation``, if all the records have the same."""
    if len(records) > _COMPARED:
        return
    found = {operation_of(mapping(record)) for record in records}
    if len(found) == 1:
        put(attributes, "faas.document.operation", found.pop())


def _s3_operation(record: Mapping[str, Any]) -> str | None:
    name = (text(record.get("eventName")) or "").removeprefix("s3:")
    if name.startswith("ObjectCreated:"):
        return "insert"
    if name.startswith(("ObjectRemoved:", "LifecycleExpiration:")):
        return "delete"
    # Restored, tagged, replicated, moved to another class, ...
    return "edit" if name.startswith(("Object", "Lifecycle")) else None


def _item_operation(record: Mapping[str, Any]) -> str | None:
    name = record.get("eventName")
    return _CHANGES.get(name) if isinstance(name, str) else None


def _read_item(record: Any, wanted: Wanted, _budget: Budget) -> dict[str, str]:
    """The context in string attributes of an item, ``{"traceparent": {"S": ...}}``.

    It is of whoever wrote the item, so it counts where this change has written it:
    in a new item, or where it differs from the old image. A change that left it as
    it was, or a removal, was made by somebody else.
    """
    change = mapping(record)
    images = mapping(change.get("dynamodb"))
    if change.get("eventName") not in ("INSERT", "MODIFY"):
        return {}
    new = _strings(images.get("NewImage"), wanted)
    if not new or change.get("eventName") == "INSERT":
        return new
    if not isinstance(images.get("OldImage"), dict):
        return {}
    return {} if _strings(images.get("OldImage"), wanted) == new else new


def _strings(image: Any, wanted: Wanted) -> dict[str, str]:
    """The wanted string attributes; a large item is looked up by name, not walked."""
    item = mapping(image)
    flat: dict[str, str] = {}
    for name in islice(item if wanted.names is None else wanted.spellings, ENTRY_LIMIT):
        value = mapping(item.get(name)).get("S")
        if isinstance(value, str):
            flat[name] = value
    return pick(flat, wanted) if flat else flat


def _identify_item(record: Any) -> Attributes:
    found: Attributes = {}
    put(found, "messaging.message.id", mapping(record).get("eventID"))
    return found


def _iso(seconds: Any) -> str | None:
    """Seconds since the epoch as ISO 8601 in UTC."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return None
    if not 0 <= seconds <= _LAST_SECOND:
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))

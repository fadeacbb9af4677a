"""Contexts inside JSON texts, found without parsing the texts.

A body may be a megabyte of somebody's JSON, and parsing even 8 KB of it takes longer
than everything else here. But inside a JSON string every quote is escaped: a quoted
name followed by a colon can only be a key. So it is enough to look for the key, and
to decode the one value behind it. A key that occurs twice is not clear and not used.
"""

from __future__ import annotations

import json
from binascii import a2b_base64
from typing import TYPE_CHECKING, Any

from powertools_otel.tracing._events._fields import (
    ENTRY_LIMIT,
    FIELD_LIMIT,
    NAME_LIMIT,
    mapping,
)

if TYPE_CHECKING:
    from powertools_otel.tracing._events._fields import Budget, Wanted

_SCANNED = 16_384
"""Characters of the longest text that is searched."""
_BASE64 = 8192
_HEAD = 512
_TAIL = 8192
_OCCURRENCES = 8
_SHORT_NAME = 8
_GAP = 16
"""White space that may stand around a colon."""
_ATTRIBUTES = '"MessageAttributes"'
_BASE64_OBJECT = "e"
"""How base64 begins where the first byte is ``{`` (or ``x``, ``y``, ``z``)."""
_decoder = json.JSONDecoder()


def is_notification(body: Any) -> bool:
    """Whether a text looks like an SNS notification."""
    return (
        isinstance(body, str)
        and body.startswith("{")
        and body.find('"Notification"', 0, _HEAD) > 0
        and body.find('"TopicArn"', 0, _HEAD) > 0
    )


def is_bus_event(body: Any) -> bool:
    """Whether a text looks like an event of EventBridge."""
    return (
        isinstance(body, str)
        and body.startswith("{")
        and body.find('"detail-type"', 0, _HEAD) > 0
    )


def body_fields(body: Any, wanted: Wanted, budget: Budget) -> dict[str, str]:
    """The fields in a message body that is another service's envelope."""
    if is_notification(body):
        return _notification_fields(body, wanted, budget)
    if is_bus_event(body):
        return text_fields(body, wanted, budget)
    return {}


def text_fields(body: Any, wanted: Wanted, budget: Budget) -> dict[str, str]:
    """The fields in the text of a JSON object, at whatever depth, if it is not long.

    The first mark that is there decides, so the marks' order is the propagators'.
    """
    if not isinstance(body, str) or len(body) > _SCANNED or not body.startswith("{"):
        return {}
    if not budget.take(len(body)):
        return {}
    found: dict[str, str] = {}
    for name in wanted.marks:
        value = _only_value(body, name)
        if value is not None:
            found[name.lower()] = value
            for extra in wanted.extras:
                value = _only_value(body, extra)
                if value is not None:
                    found[extra.lower()] = value
            break
    return found


def base64_fields(data: Any, wanted: Wanted, budget: Budget) -> dict[str, str]:
    """The fields in a small JSON object in base64: a Kinesis record's data."""
    if (
        not isinstance(data, str)
        or not data.startswith(_BASE64_OBJECT)
        or len(data) > _BASE64
    ):
        return {}
    try:
        body = a2b_base64(data).decode()
    except ValueError:
        return {}
    return text_fields(body, wanted, budget)


def attribute_fields(attributes: Any, member: str, wanted: Wanted) -> dict[str, str]:
    """The wanted fields of SQS or SNS message attributes.

    Args:
        attributes: ``{name: {member: value, ...}}``.
        member: ``stringValue`` in SQS, ``Value`` in SNS.
        wanted: Which to take.
    """
    found: dict[str, str] = {}
    entries = mapping(attributes)
    if len(entries) > ENTRY_LIMIT:
        return found
    names = wanted.names
    for name, attribute in entries.items():
        if not isinstance(name, str) or len(name) > NAME_LIMIT:
            continue
        lower = name.lower()
        if names is None or lower in names:
            value = mapping(attribute).get(member)
            if isinstance(value, str) and len(value) <= FIELD_LIMIT:
                found[lower] = value
    return found


def _notification_fields(body: str, wanted: Wanted, budget: Budget) -> dict[str, str]:
    """The message attributes of an SNS notification, which stand at its end."""
    start = body.rfind(_ATTRIBUTES, max(0, len(body) - _TAIL))
    start = _after_colon(body, start, start + len(_ATTRIBUTES))
    if start < 0 or not budget.take(len(body) - start):
        return {}
    return attribute_fields(_decode(body, start), "Value", wanted)


def _only_value(text: str, name: str) -> str | None:
    """The string behind the only key ``name``, or None."""
    key = f'"{name}"'
    # A long name is found faster without its quotes, of which JSON is full.
    offset = 1 if len(name) > _SHORT_NAME else 0
    needle = name if offset else key
    found = 0
    start = text.find(needle)
    for _ in range(_OCCURRENCES):
        if start < 0:
            return _string_at(text, found) if found else None
        start -= offset
        end = start + len(key)
        if text[start:end] == key:
            value = _after_colon(text, start, end)
            if value > 0:
                if found:
                    return None
                found = value
        start = text.find(needle, end)
    return None


def _string_at(text: str, start: int) -> str | None:
    if text[start] != '"':
        return None
    value: Any = text[start + 1 : text.find('"', start + 1)]
    if "\\" in value:
        value = _decode(text, start)
    return value if isinstance(value, str) and len(value) <= FIELD_LIMIT else None


def _after_colon(text: str, start: int, end: int) -> int:
    """Where the value begins of what may be a key in quotes, or -1 if it is none."""
    if start < 1 or text[start - 1] == "\\":
        return -1
    if text[end : end + 2] == ':"':
        return end + 1
    window = text[end : end + 2 * _GAP]
    rest = window.lstrip()
    value = rest[1:].lstrip()
    if not rest.startswith(":") or not value:
        return -1
    return end + len(window) - len(value)


def _decode(text: str, start: int) -> Any:
    try:
        return _decoder.raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return None

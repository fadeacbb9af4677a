"""Reading the two small messages that OTLP endpoints answer with.

``ExportTraceServiceResponse`` and ``ExportMetricsServiceResponse`` look the same on
the wire: ``partial_success`` (1) holding the number of rejected items (1) and an
error message (2). Errors come as ``google.rpc.Status``: message (2), details (3).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST_MESSAGE = 500
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_REJECTED = ("rejectedSpans", "rejectedDataPoints", "rejected_spans")


def partial_success(body: bytes, content_type: str) -> tuple[int, str]:
    """The number of rejected items and the message; ``(0, "")`` for full success.

    What cannot be understood counts as full success: the status said so.
    """
    try:
        if "json" in content_type:
            return _partial_success_json(body)
        for number, value in _fields(body):
            if number == 1 and isinstance(value, bytes):
                return _partial_success_protobuf(value)
    except (ValueError, RecursionError):
        pass
    return 0, ""


def error_message(body: bytes, content_type: str) -> str:
    """What the endpoint says about an error, as ``": it says so"``, or nothing."""
    text = ""
    try:
        if "json" in content_type:
            answer = json.loads(body)
            if isinstance(answer, dict):
                text = str(cast("dict[str, Any]", answer).get("message", ""))
        elif "protobuf" in content_type:
            for number, value in _fields(body):
                if number == 2 and isinstance(value, bytes):  # noqa: PLR2004 - the field
                    text = value.decode("utf-8", "replace")
        elif content_type.startswith("text/plain"):
            text = body.decode("utf-8", "replace")
    except (ValueError, RecursionError):
        return ""
    text = printable(text)
    return f": {text}" if text else ""


def retry_delay(status: bytes) -> float | None:
    """The delay in s that a ``google.rpc.Status`` asks for by ``RetryInfo``."""
    try:
        for number, detail in _fields(status):
            if number != 3 or not isinstance(detail, bytes):  # noqa: PLR2004 - details
                continue
            packed = dict(_fields(detail))  # google.protobuf.Any
            kind, value = packed.get(1), packed.get(2)
            if isinstance(kind, bytes) and kind.endswith(b"google.rpc.RetryInfo"):
                return _retry_info(value if isinstance(value, bytes) else b"")
    except ValueError:
        pass
    return None


def printable(text: str) -> str:
    """A foreign message on one line, of bounded length, without control characters."""
    line = " ".join(text[: 4 * _LONGEST_MESSAGE].split())
    line = "".join(c if c.isprintable() else "?" for c in line)
    return line[:_LONGEST_MESSAGE]


def _partial_success_json(body: bytes) -> tuple[int, str]:
    answer: Any = json.loads(body)
    if not isinstance(answer, dict):
        return 0, ""
    partial = cast("dict[str, Any]", answer).get("partialSuccess")
    if not isinstance(partial, dict):
        return 0, ""
    found = cast("dict[str, Any]", partial)
    rejected = next((found[name] for name in _REJECTED if name in found), 0)
    try:
        count = int(rejected)
    except TypeError:
        count = 0
    return max(count, 0), printable(str(found.get("errorMessage") or ""))


def _partial_success_protobuf(message: bytes) -> tuple[int, str]:
    rejected, text = 0, ""
    for number, value in _fields(message):
        if number == 1 and isinstance(value, int):
            rejected = value if value < 1 << 63 else 0
        elif number == 2 and isinstance(value, bytes):  # noqa: PLR2004 - the field
            text = value.decode("utf-8", "replace")
    return rejected, printable(text)


def _retry_info(message: bytes) -> float | None:
    for number, value in _fields(message):
        if number == 1 and isinstance(value, bytes):  # google.protobuf.Duration
            duration = dict(_fields(value))
            seconds, nanos = duration.get(1, 0), duration.get(2, 0)
            if isinstance(seconds, int) and isinstance(nanos, int):
                return seconds + nanos / 1e9 if seconds < 1 << 62 else 0.0
    return 0.0


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: number and value.

    Raises:
        ValueError: If it is not one.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
        if kind == _LENGTH:
            size, at = _varint(message, at)
        if size is None or at + size > len(message):
            msg = "not a protobuf message"
            raise ValueError(msg)
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:  # noqa: PLR2004 - bits of a varint
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value, at
        shift += 7
    msg = "not a protobuf message"
    raise ValueError(msg)

"""Protobuf's wire format, and the OTLP messages that every signal uses.

Written for one-time use in a short-lived process: no descriptors, no message objects.
Tags are literals: ``field number << 3 | wire type`` as a varint.

Reference: https://protobuf.dev/programming-guides/encoding/ and OTLP's
``common.proto`` and ``resource.proto``.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

from powertools_otel._otlp._shared import (
    INT64_MAX,
    INT64_MIN,
    MAX_DEPTH,
    UINT64_MAX,
    as_text,
    remember_by_identity,
    simplified,
    snapshot,
    valid_unicode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.util.types import AnyValue

ONE_BYTE = 0x80
"""Varints below take one byte."""

LENGTHS = tuple(bytes((size,)) for size in range(ONE_BYTE))
"""The varints of one byte."""

# An ``AnyValue`` with its own length, up to where the text starts.
_SHORT = ONE_BYTE - 2
_SHORT_TEXT = tuple(bytes((size + 2, 0x0A, size)) for size in range(_SHORT))

_MAX_KEYS = 1024
_keys: dict[str, bytes] = {}

_double = Struct("<Bd").pack


def varint(value: int) -> bytes:
    """Encode a non-negative integer."""
    if value < ONE_BYTE:
        return LENGTHS[value]
    if value < 0x4000:  # noqa: PLR2004 - two bytes, the usual length of a span
        return bytes((value & 0x7F | 0x80, value >> 7))
    encoded = bytearray()
    while value >= ONE_BYTE:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def field(tag: bytes, content: bytes) -> bytes:
    """A length-delimited field: a message, text, bytes or packed numbers."""
    return b"".join((tag, varint(len(content)), content))


def utf8(value: object) -> bytes:
    """The text of any value as valid UTF-8."""
    text = value if type(value) is str else as_text(value)
    try:
        return str.encode(text)
    except UnicodeEncodeError:
        return valid_unicode(text).encode()


def text_field(tag: bytes, value: object) -> bytes:
    """A text field; left out for ``None`` and for the default, the empty text."""
    text = b"" if value is None else utf8(value)
    return field(tag, text) if text else b""


def put_attributes(
    parts: list[bytes], tag: bytes, attributes: Mapping[str, AnyValue] | None
) -> None:
    """Append each attribute as a ``KeyValue`` field.

    Args:
        parts: The message under construction.
        tag: The repeated field that holds attributes in that message.
        attributes: Whatever values were recorded; none of them raises.
    """
    if not attributes:
        return
    for key, value in snapshot(attributes).items():
        name = _keys.get(key) if type(key) is str else _name(key)
        if name is None:
            name = _remember_key(key)
        if type(value) is str:
            # The most frequent kind, and nearly always short: without calls.
            try:
                text = value.encode()
            except UnicodeEncodeError:
                text = utf8(value)
            size = len(text)
            total = len(name) + size + 3
            if total < ONE_BYTE:
                parts += (tag, LENGTHS[total], name, _SHORT_TEXT[size], text)
                continue
        content = any_value(value)
        length = varint(len(content))
        total = len(name) + len(length) + len(content)
        parts += (tag, varint(total), name, length, content)


def any_value(value: object, depth: int = 0) -> bytes:
    """The content of an ``AnyValue`` for any value; empty for ``None``."""
    kind = type(value)
    if kind in _SCALARS:
        return _SCALARS[kind](value)
    if kind in _NESTED:
        return _NESTED[kind](value, depth)
    return any_value(simplified(value), depth)


def resource_ends(resource: Any) -> tuple[bytes, bytes]:
    """How a ``ResourceSpans`` or ``ResourceMetrics`` starts and ends.

    Args:
        resource: Anything with ``attributes`` and ``schema_url``. Other attributes
            are another object, which is how a resource says something new.

    Returns:
        The ``resource`` field and the ``schema_url`` field.
    """
    return _resource(resource.attributes), text_field(b"\x1a", resource.schema_url)


@remember_by_identity
def _resource(attributes: Any) -> bytes:
    parts: list[bytes] = []
    put_attributes(parts, b"\x0a", attributes)
    return field(b"\x0a", b"".join(parts))


def scope_ends(scope: Any) -> tuple[bytes, bytes]:
    """How a ``ScopeSpans`` or ``ScopeMetrics`` starts and ends."""
    if scope is None:
        return b"\x0a\x00", b""
    parts = [text_field(b"\x0a", scope.name), text_field(b"\x12", scope.version)]
    put_attributes(parts, b"\x1a", scope.attributes)
    return field(b"\x0a", b"".join(parts)), text_field(b"\x1a", scope.schema_url)


remembered_scope_ends = remember_by_identity(scope_ends)


def _name(key: object) -> bytes:
    """A ``KeyValue`` up to the length of its value."""
    return field(b"\x0a", utf8(key)) + b"\x12"


def _remember_key(key: str) -> bytes:
    if len(_keys) >= _MAX_KEYS:
        _keys.clear()
    name = _keys[key] = _name(key)
    return name


def _text(value: object) -> bytes:
    return field(b"\x0a", utf8(value))


def _integer(value: int) -> bytes:
    if INT64_MIN <= value <= INT64_MAX:
        return b"\x18" + varint(value & UINT64_MAX)
    return _text(value)


def _array(values: Sequence[object], depth: int) -> bytes:
    if depth >= MAX_DEPTH:
        return _text(values)
    depth += 1
    parts: list[bytes] = []
    for value in values:
        if type(value) is str and value.isascii() and len(value) < _SHORT:
            # The names of annotations, above all: without calls.
            parts += (b"\x0a", _SHORT_TEXT[len(value)], value.encode())
        else:
            parts.append(field(b"\x0a", any_value(value, depth)))
    return field(b"\x2a", b"".join(parts))


def _mapping(values: Mapping[object, object], depth: int) -> bytes:
    if depth >= MAX_DEPTH:
        return _text(values)
    depth += 1
    items = [
        field(b"\x0a", _name(key) + varint(len(content)) + content)
        for key, value in snapshot(values).items()
        for content in (any_value(value, depth),)
    ]
    return field(b"\x32", b"".join(items))


_SCALARS: dict[type, Callable[[Any], bytes]] = {
    str: _text,
    bool: lambda value: b"\x10\x01" if value else b"\x10\x00",
    int: _integer,
    float: lambda value: _double(0x21, value),
    bytes: lambda value: field(b"\x3a", value),
    type(None): lambda _: b"",
}

_NESTED: dict[type, Callable[[Any, int], bytes]] = {
    tuple: _array,
    list: _array,
    dict: _mapping,
}

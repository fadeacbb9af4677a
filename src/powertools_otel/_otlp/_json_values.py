"""The OTLP/JSON form of values that every signal uses.

It is protobuf's JSON mapping with two changes: ids are hexadecimal and enumerations
are numbers. Integers of 64 bits are decimal text, as JavaScript would round them.

Messages are written as text at once, in a third of the time that dictionaries and a
JSON encoder take: a field is its text after a comma, or nothing if it is absent, and
:func:`message` puts fields into braces.

Reference: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

from binascii import b2a_base64
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any

from powertools_otel._otlp._shared import (
    INT64_MAX,
    INT64_MIN,
    MAX_DEPTH,
    UINT64_MAX,
    as_text,
    bounded,
    low_bits,
    remember_by_identity,
    simplified,
    snapshot,
    valid_unicode,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.util.types import AnyValue

_MAX_KEYS = 1024
_keys: dict[str, str] = {}


def utf8(text: str) -> bytes:
    """JSON text as valid UTF-8."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return valid_unicode(text).encode()


def message(*fields: str) -> str:
    """A message of fields, each of which starts with a comma or is empty."""
    return f"{{{''.join(fields)[1:]}}}"


def quoted(value: object) -> str:
    """The text of any value as a JSON string."""
    return encode_basestring(value if type(value) is str else as_text(value))


def text_field(name: str, value: object) -> str:
    """A text field; left out for ``None`` and for the default, the empty text."""
    text = value if type(value) is str else "" if value is None else as_text(value)
    return f',"{name}":{encode_basestring(text)}' if text else ""


def attributes_field(name: str, attributes: Mapping[str, AnyValue] | None) -> str:
    """A field of attributes, whatever values they have; left out without any."""
    if not attributes:
        return ""
    return f',"{name}":[{_key_values(snapshot(attributes), 0)}]'


def any_value(value: object, depth: int = 0) -> str:
    """An ``AnyValue`` for any value; empty for ``None``."""
    if type(value) is str:
        # The most frequent kind.
        return f'{{"stringValue":{encode_basestring(value)}}}'
    kind = type(value)
    if kind in _SCALARS:
        return _SCALARS[kind](value)
    if kind in _NESTED:
        return _NESTED[kind](value, depth)
    return any_value(simplified(value), depth)


def unsigned(value: object) -> str:
    """An unsigned integer of 64 bits, without the quotes it needs."""
    if type(value) is int and 0 <= value <= UINT64_MAX:
        return str(value)
    return str(bounded(value, 0, UINT64_MAX))


def double(value: float) -> str:
    """A double: JSON has no number for infinity and for what is no number."""
    if value - value == 0:
        return repr(value)
    if value != value:  # noqa: PLR0124 - true of NaN only
        return '"NaN"'
    return '"Infinity"' if value > 0 else '"-Infinity"'


def trace_id(value: int) -> str:
    """A trace id of 32 hexadecimal digits, without quotes."""
    try:
        return value.to_bytes(16, "big").hex()
    except (AttributeError, OverflowError):
        return f"{low_bits(value, 128):032x}"


def span_id(value: int) -> str:
    """A span id of 16 hexadecimal digits, without quotes."""
    try:
        return value.to_bytes(8, "big").hex()
    except (AttributeError, OverflowError):
        return f"{low_bits(value, 64):016x}"


def resource_ends(resource: Any) -> tuple[str, str]:
    """How a ``ResourceSpans`` or ``ResourceMetrics`` starts and ends.

    Args:
        resource: Anything with ``attributes`` and ``schema_url``. Other attributes
            are another object, which is how a resource says something new.

    Returns:
        The text from the opening brace to the next field's name, and from the comma
        after that field to the closing brace.
    """
    return _resource(resource.attributes), _closing(resource.schema_url)


@remember_by_identity
def _resource(attributes: Any) -> str:
    resource = message(attributes_field("attributes", attributes))
    return f'{{"resource":{resource},'


def scope_ends(scope: Any) -> tuple[str, str]:
    """How a ``ScopeSpans`` or ``ScopeMetrics`` starts and ends."""
    if scope is None:
        return '{"scope":{},', "}"
    encoded = message(
        text_field("name", scope.name),
        text_field("version", scope.version),
        attributes_field("attributes", scope.attributes),
    )
    return f'{{"scope":{encoded},', _closing(scope.schema_url)


def _closing(schema_url: object) -> str:
    return text_field("schemaUrl", schema_url) + "}"


def _key_values(values: Mapping[Any, object], depth: int) -> str:
    parts: list[str] = []
    for key, value in values.items():
        start = _keys.get(key) if type(key) is str else _key(key)
        if start is None:
            start = _remember_key(key)
        if type(value) is str:
            # The most frequent kind: without calls but one.
            content = f'{{"stringValue":{encode_basestring(value)}}}'
        else:
            content = any_value(value, depth)
        parts.append(f"{start}{content}}}")
    return ",".join(parts)


def _key(key: object) -> str:
    """A ``KeyValue`` up to its value."""
    return f'{{"key":{quoted(key)},"value":'


def _remember_key(key: str) -> str:
    if len(_keys) >= _MAX_KEYS:
        _keys.clear()
    start = _keys[key] = _key(key)
    return start


def _text(value: object) -> str:
    return f'{{"stringValue":{quoted(value)}}}'


def _integer(value: int) -> str:
    if INT64_MIN <= value <= INT64_MAX:
        return f'{{"intValue":"{value}"}}'
    return _text(value)


def _bytes(value: bytes) -> str:
    return f'{{"bytesValue":"{b2a_base64(value, newline=False).decode()}"}}'


def _array(values: Sequence[object], depth: int) -> str:
    if depth >= MAX_DEPTH:
        return _text(values)
    depth += 1
    items = ",".join([any_value(item, depth) for item in values])
    return f'{{"arrayValue":{{"values":[{items}]}}}}'


def _mapping(values: Mapping[Any, object], depth: int) -> str:
    if depth >= MAX_DEPTH:
        return _text(values)
    items = _key_values(snapshot(values), depth + 1)
    return f'{{"kvlistValue":{{"values":[{items}]}}}}'


_SCALARS: dict[type, Callable[[Any], str]] = {
    bool: lambda value: '{"boolValue":true}' if value else '{"boolValue":false}',
    int: _integer,
    float: lambda value: f'{{"doubleValue":{double(value)}}}',
    bytes: _bytes,
    type(None): lambda _: "{}",
}

_NESTED: dict[type, Callable[[Any, int], str]] = {
    tuple: _array,
    list: _array,
    dict: _mapping,
}

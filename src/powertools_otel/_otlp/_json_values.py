"""The OTLP/JSON form of values that every signal uses.

It is protobuf's JSON mapping with two changes: ids are hexadecimal and enumerations
are numbers. Integers of 64 bits are decimal text, as JavaScript would round them.

Reference: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

from binascii import b2a_base64
from json import JSONEncoder
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
    from typing import TypeAlias

    from opentelemetry.util.types import AnyValue

    Json: TypeAlias = dict[str, Any]

dumps = JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode


def utf8(text: str) -> bytes:
    """JSON text as valid UTF-8."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return valid_unicode(text).encode()


def put_text(message: Json, name: str, value: object) -> None:
    """Set a text field, unless to its default: nothing or the empty text."""
    if value is not None and (text := as_text(value)):
        message[name] = text


def put_attributes(
    message: Json, name: str, attributes: Mapping[str, AnyValue] | None
) -> None:
    """Set a field of attributes, whatever values they have."""
    if attributes:
        message[name] = _key_values(snapshot(attributes), 0)


def any_value(value: object, depth: int = 0) -> Json:
    """An ``AnyValue`` for any value; empty for ``None``."""
    kind = type(value)
    if kind in _SCALARS:
        return _SCALARS[kind](value)
    if kind in _NESTED:
        return _NESTED[kind](value, depth)
    return any_value(simplified(value), depth)


def unsigned(value: object) -> str:
    """An unsigned integer of 64 bits."""
    return str(bounded(value, 0, UINT64_MAX))


def double(value: float) -> float | str:
    """A double: JSON has no number for infinity and for what is no number."""
    if value - value == 0:
        return value
    if value != value:  # noqa: PLR0124 - true of NaN only
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def trace_id(value: object) -> str:
    """A trace id of 32 hexadecimal digits."""
    return f"{low_bits(value, 128):032x}"


def span_id(value: object) -> str:
    """A span id of 16 hexadecimal digits."""
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
    message: Json = {}
    put_attributes(message, "attributes", attributes)
    return f'{{"resource":{dumps(message)},'


def scope_ends(scope: Any) -> tuple[str, str]:
    """How a ``ScopeSpans`` or ``ScopeMetrics`` starts and ends."""
    if scope is None:
        return '{"scope":{},', "}"
    message: Json = {}
    put_text(message, "name", scope.name)
    put_text(message, "version", scope.version)
    put_attributes(message, "attributes", scope.attributes)
    return f'{{"scope":{dumps(message)},', _closing(scope.schema_url)


def _closing(schema_url: object) -> str:
    message: Json = {}
    put_text(message, "schemaUrl", schema_url)
    return f",{dumps(message)[1:]}" if message else "}"


def _key_values(values: Mapping[Any, object], depth: int) -> list[Json]:
    return [
        {"key": as_text(key), "value": any_value(value, depth)}
        for key, value in values.items()
    ]


def _text(value: object) -> Json:
    return {"stringValue": as_text(value)}


def _integer(value: int) -> Json:
    if INT64_MIN <= value <= INT64_MAX:
        return {"intValue": str(value)}
    return _text(value)


def _array(values: Sequence[object], depth: int) -> Json:
    if depth >= MAX_DEPTH:
        return _text(values)
    return {"arrayValue": {"values": [any_value(item, depth + 1) for item in values]}}


def _mapping(values: Mapping[Any, object], depth: int) -> Json:
    if depth >= MAX_DEPTH:
        return _text(values)
    return {"kvlistValue": {"values": _key_values(snapshot(values), depth + 1)}}


_SCALARS: dict[type, Callable[[Any], Json]] = {
    str: _text,
    bool: lambda value: {"boolValue": value},
    int: _integer,
    float: lambda value: {"doubleValue": double(value)},
    bytes: lambda value: {"bytesValue": b2a_base64(value, newline=False).decode()},
    type(None): lambda _: {},
}

_NESTED: dict[type, Callable[[Any, int], Json]] = {
    tuple: _array,
    list: _array,
    dict: _mapping,
}

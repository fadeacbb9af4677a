"""What both encodings share: limits, repairs of values that OTLP cannot carry, memory.

Only the conversions to a number raise, and only for what is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from powertools_otel._guard import note

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeAlias, TypeVar

    from opentelemetry.sdk.trace import ReadableSpan

    Plain: TypeAlias = str | int | float | bytes | list[Any] | dict[Any, Any]

    K = TypeVar("K")
    V = TypeVar("V")
    T = TypeVar("T")
    R = TypeVar("R")

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
UINT64_MAX = 2**64 - 1
UINT32_MAX = 2**32 - 1

MAX_DEPTH = 24
"""Nested values beyond are sent as text.

Decoders built on protobuf's C++ and Java code refuse a request of more than 100 nested
messages: six lead to an event's attribute value and three make one map within a map.
"""

_REMEMBERED = 16


def as_text(value: object) -> str:
    """The text of a value of any type.

    ``<module.Class>`` where the class defines no text of its own (the default one
    holds a memory address) or where its ``__str__`` raises.
    """
    kind = type(value)
    try:
        if isinstance(value, str):
            return str.__str__(value)
        if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
            return _placeholder(kind)
        return str.__str__(str(value))
    except Exception:  # noqa: BLE001 - it is the application's code that raises
        # CPython refuses decimal text of more than 4,300 digits.
        return hex(value) if type(value) is int else _placeholder(kind)


def simplified(value: object) -> Plain:
    """A value of a built-in type in place of one of another type.

    Subclasses become what they extend, other sequences and mappings are copied, and
    what OTLP has no kind for becomes text.
    """
    try:
        for kind, plain in _PLAIN:
            if isinstance(value, kind):
                return plain(value)
    except Exception:  # noqa: BLE001, S110 - it is the application's code that raises
        pass
    return as_text(value)


def snapshot(attributes: Mapping[K, V]) -> Mapping[K, V]:
    """A copy that stays whole while another thread adds to the original.

    For the SDK's attributes that is also a fifth of the cost of their own iteration,
    which looks up each key.
    """
    source: Any = attributes
    try:
        copy: Mapping[K, V] = source.copy()
    except AttributeError:
        return dict(attributes)
    return copy


def valid_unicode(text: str) -> str:
    """Join surrogate pairs, and replace lone surrogates by U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def bounded(value: Any, lowest: int, highest: int) -> int:
    """The nearest integer a field can hold; 0 for what is no number."""
    try:
        return min(max(int(value), lowest), highest)
    except Exception:  # noqa: BLE001 - any object may stand here
        return 0


def low_bits(value: Any, size: int) -> int:
    """An identifier's last ``size`` bits; 0 for what is no number."""
    try:
        return int(value) & (1 << size) - 1
    except Exception:  # noqa: BLE001 - any object may stand here
        return 0


def plain_number(value: Any) -> int | float:
    """A data point's value as exactly an ``int`` of 64 bits or a ``float``.

    Raises:
        TypeError: The value is no real number, so there is nothing to send.
        ValueError: The value is text that is no number.
    """
    if isinstance(value, int) and INT64_MIN <= value <= INT64_MAX:
        return int.__int__(value)
    return as_double(value)


def as_double(value: Any) -> float:
    """The nearest ``float``: infinity for what is beyond its range.

    Raises:
        TypeError: The value is no real number.
        ValueError: The value is text that is no number.
    """
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def remember_by_identity(encode: Callable[[T], R]) -> Callable[[T], R]:
    """Encode each of a few long-lived, immutable objects once.

    Entries hold their object, so an identity stays its own while it is remembered.
    """
    remembered: dict[int, tuple[T, R]] = {}

    def encoded(subject: T) -> R:
        entry = remembered.get(id(subject))
        if entry is None:
            if len(remembered) >= _REMEMBERED:
                remembered.clear()
            entry = remembered[id(subject)] = (subject, encode(subject))
        return entry[1]

    return encoded


def grouped(
    spans: Iterable[ReadableSpan],
    encode: Callable[[ReadableSpan], R],
    resource_ends: Callable[[Any], K],
    scope_ends: Callable[[Any], V],
) -> dict[K, dict[V, list[R]]]:
    """Encoded spans by resource and scope: by what these say, not which they are.

    A span whose own properties raise is logged and left out.

    Args:
        spans: What to encode.
        encode: Makes one of them.
        resource_ends: What a resource says, encoded.
        scope_ends: What a scope says, encoded.
    """
    resources: dict[K, dict[V, list[R]]] = {}
    last: tuple[object, object] = (None, None)
    group: list[R] | None = None
    for span in spans:
        try:
            encoded = encode(span)
            resource, scope = span.resource, span.instrumentation_scope
            # Nearly always those of the span before.
            if group is None or resource is not last[0] or scope is not last[1]:
                scopes = resources.setdefault(resource_ends(resource), {})
                group = scopes.setdefault(scope_ends(scope), [])
                last = resource, scope
            group.append(encoded)
        except Exception as error:  # noqa: BLE001, PERF203 - ours stay ours
            note("encode a span", error)
    return resources


def encoded_points(encode: Callable[[T], R], points: Iterable[T]) -> list[R]:
    """Each data point that can be encoded; the others are logged and left out."""
    encoded: list[R] = []
    for point in points:
        try:
            encoded.append(encode(point))
        except Exception as error:  # noqa: BLE001, PERF203 - ours stay ours
            note("encode a data point", error)
    return encoded


def _placeholder(kind: type) -> str:
    try:
        return f"<{kind.__module__}.{kind.__qualname__}>"
    except Exception:  # noqa: BLE001 - a metaclass may raise as well
        return "<object>"


# In the order in which an SDK looks at them: a ``str`` is a sequence as well.
_PLAIN: tuple[tuple[type, Callable[[Any], Plain]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (bytes, lambda value: b"".join((value,))),
    (Sequence, list),
    (Mapping, lambda value: dict(value.items())),
)

"""What both encodings share: limits, repairs of values that OTLP cannot carry, memory.

Only the conversions to a number raise, and only for what is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias, TypeVar

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

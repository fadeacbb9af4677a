"""Any Python object as something telemetry can carry: total, bounded, harmless.

Nothing here consumes an iterator or a stream, calls ``repr``, or raises. What cannot
be carried is replaced by a short text in angle brackets that says what it was.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
MARK = "\N{HORIZONTAL ELLIPSIS}"
_MAX_DEPTH = 16
_MAX_INT_BITS = 4096
_CONSUMABLE = ("__next__", "__anext__", "__aiter__", "__await__", "read")
_WRITTEN_AS_TEXT = frozenset(
    {"datetime", "uuid", "pathlib", "ipaddress", "zoneinfo", "fractions"}
)


def attribute(value: object, limit: int) -> bool | int | float | str:
    """A span attribute value for any object, as X-Ray annotations are scalars.

    Numbers stay numbers where OTLP can carry them (integers beyond 64 bits become
    their decimal text); everything composed becomes JSON text.

    Args:
        value: Whatever the user annotated with.
        limit: Longest text, in bytes of UTF-8.
    """
    kind = type(value)
    if kind is str:
        return _text(value, limit)  # type: ignore[arg-type]
    if kind is bool or kind is float:
        return value  # type: ignore[return-value]
    plain = _plain(value, _Budget(limit), 0)
    if isinstance(plain, bool | float):
        return plain
    if isinstance(plain, int):
        return plain if INT64_MIN <= plain <= INT64_MAX else str(plain)
    if isinstance(plain, str):
        return _text(plain, limit)
    return to_json(plain, limit)


def clean(text: str) -> str:
    """The text with lone surrogates, which UTF-8 cannot carry, replaced."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


def plain(value: object, limit: int) -> Any:
    """A copy of ``value`` made of JSON types only, of about ``limit`` bytes at most."""
    return _plain(value, _Budget(limit), 0)


def to_json(value: Any, limit: int) -> str:
    """Valid JSON of at most ``limit`` bytes for a value that :func:`plain` made.

    What does not fit is cut, with a mark that says so; below the size of the mark
    itself, an empty text is returned.
    """
    text = _dumps(value)
    budget = limit
    while _size(text) > limit:
        if budget < 1:
            return f'"{MARK}"' if limit >= len(MARK.encode()) + 2 else ""
        budget = budget * 7 // 8
        text = _dumps(_plain(value, _Budget(budget), 0))
    return text


def object_to_json(entries: Mapping[str, Any], limit: int) -> str:
    """One JSON object of at most ``limit`` bytes, its values cut fairly.

    Small values stay whole; the room that is left is shared among the large ones, so
    that one huge value does not push out the others.
    """
    text = _dumps(entries)
    if _size(text) <= limit:
        return text
    sizes = {key: _size(_dumps(value)) for key, value in entries.items()}
    overhead = {key: _size(_dumps(key)) + 4 for key in entries}
    room = limit - 2
    kept: dict[str, Any] = {}
    left = len(entries)
    for key in sorted(entries, key=sizes.__getitem__):
        share = room // left - overhead[key]
        left -= 1
        if share < 8:  # noqa: PLR2004 - not even room for a mark
            continue
        value = entries[key]
        cut = value if sizes[key] <= share else json.loads(to_json(value, share))
        kept[key] = cut
        room -= overhead[key] + _size(_dumps(cut))
    ordered: dict[str, Any] = {key: kept[key] for key in entries if key in kept}
    if len(ordered) < len(entries):
        ordered[MARK] = f"+{len(entries) - len(ordered)}"
    return to_json(ordered, limit)


class _Budget:
    """Bytes left to spend on one value."""

    __slots__ = ("left", "seen")

    def __init__(self, limit: int) -> None:
        self.left = limit
        self.seen: set[int] = set()


def _plain(value: Any, budget: _Budget, depth: int) -> Any:
    kind: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]  # of Any
    if kind is str:
        return _cut(value, budget)
    if value is None or kind is bool:
        budget.left -= 5
        return value
    if kind is int:
        return _integer(value, budget)
    if kind is float:
        budget.left -= 12
        return value if math.isfinite(value) else str(value)
    try:
        return _composed(value, budget, depth)
    except Exception as error:  # noqa: BLE001 - user code may raise anything
        return _cut(f"<{_name(kind)}: {_name(type(error))}>", budget)


def _composed(value: Any, budget: _Budget, depth: int) -> Any:  # noqa: C901, PLR0911, PLR0912
    kind: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]  # of Any
    if issubclass(kind, dict):
        found = cast("dict[Any, Any]", value)
        # Not the subclass' own items(), which may do anything.
        return _guarded(value, dict[Any, Any].items(found), budget, depth)
    if issubclass(kind, list | tuple | set | frozenset):
        return _guarded(value, value, budget, depth, length=len(value))
    if issubclass(kind, str):
        # IntEnum, StrEnum and other subclasses: their plain value is what is meant.
        return _cut(str.__str__(value), budget)
    if issubclass(kind, int):
        return _integer(int.__int__(value), budget)
    if issubclass(kind, float):
        return _plain(float.__float__(value), budget, depth)
    if issubclass(kind, bytes | bytearray | memoryview):
        return _cut(_bytes(value, budget), budget)
    if kind.__module__ == "decimal":
        return _decimal(value, budget)
    if hasattr(kind, "_value_") or hasattr(kind, "__members__"):
        return _plain(value.value, budget, depth + 1)
    if any(hasattr(kind, name) for name in _CONSUMABLE) or issubclass(kind, type):
        return _cut(f"<{_name(kind)}>", budget)
    if kind.__module__ in _WRITTEN_AS_TEXT:
        iso = getattr(value, "isoformat", None)
        return _cut(iso() if iso else str(value), budget)
    if issubclass(kind, BaseException):
        return _cut(f"{_name(kind)}: {value}", budget)
    if hasattr(kind, "keys") and hasattr(kind, "__getitem__"):
        return _guarded(value, ((k, value[k]) for k in value), budget, depth)
    if hasattr(kind, "__dataclass_fields__"):
        names: Iterable[str] = kind.__dataclass_fields__
        fields = ((name, getattr(value, name, None)) for name in names)
        return _guarded(value, fields, budget, depth)
    if hasattr(kind, "model_dump"):
        return _plain(value.model_dump(), budget, depth + 1)
    if hasattr(kind, "__float__") and hasattr(kind, "__add__"):
        return _plain(float(value), budget, depth)
    writes: object = kind.__str__
    if writes is not object.__str__:
        return _cut(str(value), budget)
    attributes: dict[str, Any] | None = getattr(value, "__dict__", None)
    if type(attributes) is dict and not callable(value):
        public = ((k, v) for k, v in attributes.items() if not str(k).startswith("_"))
        return _guarded(value, public, budget, depth)
    return _cut(f"<{_name(kind)}>", budget)


def _guarded(
    value: object,
    items: Iterable[Any],
    budget: _Budget,
    depth: int,
    length: int | None = None,
) -> Any:
    """Walk a container once: recursion and depth end in a mark."""
    if depth >= _MAX_DEPTH or id(value) in budget.seen:
        budget.left -= 8
        return f"<{MARK}>"
    budget.seen.add(id(value))
    try:
        if length is None:
            return _mapping(items, budget, depth)
        return _sequence(items, length, budget, depth)
    finally:
        budget.seen.discard(id(value))


def _mapping(items: Iterable[Any], budget: _Budget, depth: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    budget.left -= 2
    for key, item in items:
        if budget.left <= 0:
            result[MARK] = "truncated"
            break
        text = key if type(key) is str else _key(key)
        name = _cut(text, budget)
        budget.left -= 4
        result[name] = _plain(item, budget, depth + 1)
    return result


def _sequence(
    items: Iterable[Any], length: int, budget: _Budget, depth: int
) -> list[Any]:
    result: list[Any] = []
    budget.left -= 2
    for item in items:
        if budget.left <= 0:
            result.append(f"{MARK} +{length - len(result)}")
            break
        budget.left -= 2
        result.append(_plain(item, budget, depth + 1))
    return result


def _key(key: object) -> str:
    value = plain(key, 256)
    return value if isinstance(value, str) else _dumps(value)


def _integer(value: int, budget: _Budget) -> int | str:
    bits = value.bit_length()
    if bits > _MAX_INT_BITS:
        # Decimal text of a huge integer takes quadratic time, and CPython refuses it.
        return _cut(f"<int of {bits} bits>", budget)
    budget.left -= 2 + bits * 3 // 10
    return value


def _decimal(value: Any, budget: _Budget) -> int | float | str:
    if not value.is_finite():
        return _cut(str(value), budget)
    if value == value.to_integral_value() and abs(value) <= INT64_MAX:
        return _integer(int(value), budget)
    budget.left -= 12
    number = float(value)
    return number if math.isfinite(number) else _cut(str(value), budget)


def _bytes(value: bytes | bytearray | memoryview, budget: _Budget) -> str:
    head = bytes(value[: max(budget.left, 0) + 4])
    try:
        text = head.decode()
    except UnicodeDecodeError:
        text = head[: max(budget.left, 0) // 2].hex()
    size = value.nbytes if isinstance(value, memoryview) else len(value)
    return text if size == len(head) else f"{text}{MARK} ({size} bytes)"


def _cut(text: str, budget: _Budget) -> str:
    """Text within the budget, which it is charged to."""
    if len(text) > budget.left or not text.isascii():
        text = _text(text, max(budget.left, 0))
        budget.left -= _size(text)
    budget.left -= len(text) + 2
    return text


def _text(text: str, limit: int) -> str:
    """Text of at most ``limit`` bytes, ending in a mark where it was cut."""
    if len(text) <= limit and text.isascii():
        return text  # as nearly all are
    if len(text) > limit:
        missing = len(text) - limit
        mark = f"{MARK} (+{missing})"
        head = clean(text[: max(limit - len(mark.encode()), 0)])
    else:
        text = clean(text)
        if _size(text) <= limit:
            return text
        mark, head = MARK, text
    raw = head.encode()
    room = limit - len(mark.encode())
    if room < 0:
        return MARK if limit >= len(MARK.encode()) else ""
    return raw[:room].decode("utf-8", "ignore") + mark


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _name(kind: type) -> str:
    module = getattr(kind, "__module__", None)
    name = getattr(kind, "__qualname__", kind.__name__)
    if module in (None, "builtins"):
        return name
    return f"{module}.{name}"


def _dumps(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

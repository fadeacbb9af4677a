"""Total readers: whatever stands in an event, they answer with a sane, bounded value.

An event is somebody else's JSON. A field may be missing, null, of another type or
megabytes long. These functions never raise for plain JSON values and never copy more
than their bound; for objects that raise when read, :func:`describe` has one guard.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from powertools_otel.tracing._events._description import AttributeValue

TEXT_LIMIT = 1024
"""Characters of an attribute value."""
FIELD_LIMIT = 8192
"""Characters of a propagation field: the bound of a ``baggage`` header."""
NAME_LIMIT = 128
"""Characters of a header's or attribute's name; longer ones are nobody's."""
ENTRY_LIMIT = 128
"""Entries of a map of headers or attributes that are looked at."""
_WALKED = 32
"""Entries of an object that are compared; in a larger one names are looked up."""
_REPEAT_LIMIT = 32

_EMPTY: dict[Any, Any] = {}
_NESTED = ("headers", "metadata")


class Wanted:
    """Which fields the propagators read.

    Attributes:
        names: In lower case; None means every field.
        spellings: As they are usually written: a large object is looked up by them.
        marks: Of the spellings, those without which there is no context: a text is
            searched for them.
        extras: What a text is searched for besides, where it has a mark.
    """

    __slots__ = ("extras", "marks", "names", "spellings")

    def __init__(
        self,
        names: frozenset[str] | None,
        spellings: tuple[str, ...] = (),
        marks: tuple[str, ...] = (),
        extras: tuple[str, ...] = (),
    ) -> None:
        self.names = names
        self.spellings = spellings
        self.marks = marks
        self.extras = extras


class Budget:
    """How much JSON text may still be searched in one invocation, in characters."""

    __slots__ = ("left",)

    def __init__(self, left: int) -> None:
        self.left = left

    def take(self, size: int) -> bool:
        """Spend ``size`` characters, or answer False and spend nothing."""
        if size > self.left:
            return False
        self.left -= size
        return True


def mapping(value: Any) -> Mapping[Any, Any]:
    """``value`` if it is a dict, else an empty one."""
    return value if isinstance(value, dict) else _EMPTY  # pyright: ignore[reportUnknownVariableType]


def sequence(value: Any) -> Sequence[Any]:
    """``value`` if it is a list, else an empty one."""
    return value if isinstance(value, list) else ()  # pyright: ignore[reportUnknownVariableType]


def text(value: Any, limit: int = TEXT_LIMIT) -> str | None:
    """At most ``limit`` characters of a string that is not empty, else None."""
    return value[:limit] if isinstance(value, str) and value else None


def put(attributes: dict[str, AttributeValue], name: str, value: Any) -> None:
    """Set an attribute to a string, if there is one."""
    found = text(value)
    if found is not None:
        attributes[name] = found


def arn_resource(arn: Any) -> str | None:
    """What follows the account in an ARN: ``table/orders/stream/2024``."""
    if not isinstance(arn, str) or not arn.startswith("arn:"):
        return None
    parts = arn[:TEXT_LIMIT].split(":", 5)
    return parts[5] or None if len(parts) == 6 else None  # noqa: PLR2004 - an ARN


def headers(single: Any, several: Any = None) -> dict[str, str]:
    """Headers by lower-case name; ``several`` (lists of values) wins over ``single``.

    Repeated values are joined by commas, as HTTP allows for every header that may
    repeat; one that may not, such as ``traceparent``, is thereby recognisably wrong.
    """
    found: dict[str, str] = {}
    entries = mapping(several) or mapping(single)
    for name, value in islice(entries.items(), ENTRY_LIMIT):
        if not isinstance(name, str) or len(name) > NAME_LIMIT:
            continue
        if isinstance(value, str):
            found.setdefault(name.lower(), value)
        elif isinstance(value, list):
            joined = _join(sequence(value))
            if joined is not None:
                found.setdefault(name.lower(), joined)
    return found


def _join(values: Sequence[Any]) -> str | None:
    if len(values) == 1:
        return values[0] if isinstance(values[0], str) else None
    kept = [
        value
        for value in values[:_REPEAT_LIMIT]
        if isinstance(value, str) and len(value) <= FIELD_LIMIT
    ]
    return ",".join(kept) if kept else None


def read_headers(found: dict[str, str], _wanted: Wanted, _budget: Budget) -> Any:
    """Read a carrier that :func:`headers` has made already."""
    return found


def pick(source: Any, wanted: Wanted) -> dict[str, str]:
    """The wanted string fields of a JSON object, by lower-case name.

    A large object is not walked: there only the names as they are usually written
    are looked up.
    """
    fields = mapping(source)
    found: dict[str, str] = {}
    names = wanted.names
    if names is not None and len(fields) > _WALKED:
        for spelling in wanted.spellings:
            value = fields.get(spelling)
            if isinstance(value, str) and len(value) <= FIELD_LIMIT:
                found[spelling.lower()] = value
        return found
    for name, value in islice(fields.items(), ENTRY_LIMIT):
        if not isinstance(value, str) or not isinstance(name, str):
            continue
        if len(name) > NAME_LIMIT or len(value) > FIELD_LIMIT:
            continue
        lower = name.lower()
        if names is None or lower in names:
            found[lower] = value
    return found


def pick_nested(source: Any, wanted: Wanted, _budget: Budget) -> dict[str, str]:
    """The wanted fields of an object, of its ``headers``, or of its ``metadata``."""
    fields = mapping(source)
    found = pick(fields, wanted)
    for name in _NESTED:
        inner = fields.get(name)
        if isinstance(inner, dict):
            # The outermost wins, as it was written last.
            found = {**pick(inner, wanted), **found}
    return found

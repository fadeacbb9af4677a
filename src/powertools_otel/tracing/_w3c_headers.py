"""W3C Trace Context and Baggage, read strictly and with bounds.

``traceparent`` and ``tracestate``: W3C Trace Context level 2, sections 3.2 and 3.3.
``baggage``: W3C Baggage, section 3.3. A regular expression would have to be compiled
at every cold start; ``str.strip`` with a set of characters does as well.
"""

from __future__ import annotations

from functools import lru_cache
from string import ascii_letters, ascii_lowercase, digits
from urllib.parse import unquote

from opentelemetry.trace import TraceState

_HEX = "0123456789abcdef"
_HEX_AND_DASH = _HEX + "-"
_LENGTH = 55
_PARTS, _TRACE, _SPAN = 4, 32, 16
_KNOWN_FLAGS = 0x03
"""Sampled and random; what a later level adds is not ours to pass on."""

_STATE_MEMBERS = 32
_STATE_LIMIT = 512
_STATE_INPUT_LIMIT = 16_896
"""What 32 members of the greatest length take."""
_LONG_MEMBER = 128
_PART_LIMIT = 256
_TENANT_LIMIT, _SYSTEM_LIMIT = 241, 14
_KEY = ascii_lowercase + digits + "_-*/"
_VALUE = "".join(map(chr, range(0x20, 0x7F))).replace(",", "").replace("=", "")

BAGGAGE_LIMIT = 8192
"""Bytes of a ``baggage`` header that are read, as the specification's minimum."""
BAGGAGE_MEMBERS = 64
"""Members that are kept, as the specification's minimum."""
_TOKEN = ascii_letters + digits + "!#$%&'*+-.^_`|~"
_BAGGAGE_VALUE = "".join(
    chr(code) for code in range(0x21, 0x7F) if chr(code) not in '",;\\'
)


def traceparent(value: str | None) -> tuple[int, int, int] | None:
    """Read ``traceparent``: trace id, span id and flags, or None if it is invalid.

    Version 00 has exactly 55 characters; a later one may have more after a dash and is
    read as far as 00 goes. Version ff, upper case and zero ids are invalid.
    """
    if value is None or len(value) < _LENGTH:
        return None
    if len(value) > _LENGTH:
        if value[_LENGTH] != "-" or value.startswith("00"):
            return None
        value = value[:_LENGTH]
    parts = value.split("-")
    if len(parts) != _PARTS or value.strip(_HEX_AND_DASH):
        return None
    version, trace, span, flags = parts
    if len(trace) != _TRACE or len(span) != _SPAN or len(flags) != len(version):
        return None
    trace_id, span_id = int(trace, 16), int(span, 16)
    if not trace_id or not span_id or version == "ff":
        return None
    return trace_id, span_id, int(flags, 16) & _KNOWN_FLAGS


def tracestate(value: str | None) -> TraceState | None:
    """Read ``tracestate``; None if there is none or any member is malformed.

    The messages of a batch often share one: short ones are remembered.

    More than 32 members or a repeated key is malformed. What is longer than 512
    characters is shortened as section 3.3.1.5 says: members over 128 characters
    first, then from the end.
    """
    if not value or len(value) > _STATE_INPUT_LIMIT:
        return None
    return _remembered(value) if len(value) <= _STATE_LIMIT else _tracestate(value)


def _tracestate(value: str) -> TraceState | None:
    members: dict[str, str] = {}
    for member in value.split(","):
        stripped = member.strip(" \t")
        if not stripped:
            continue
        key, separator, content = stripped.partition("=")
        if (
            not separator
            or key in members
            or len(members) == _STATE_MEMBERS
            or not _is_state_key(key)
            or not _is_state_value(content)
        ):
            return None
        members[key] = content
    kept = _shorten(list(members.items()))
    return TraceState(kept) if kept else None


_remembered = lru_cache(maxsize=64)(_tracestate)


def _is_state_key(key: str) -> bool:
    tenant, separator, system = key.partition("@")
    if separator:
        return _is_state_name(
            tenant, _TENANT_LIMIT, ascii_lowercase + digits
        ) and _is_state_name(system, _SYSTEM_LIMIT, ascii_lowercase)
    return _is_state_name(key, _PART_LIMIT, ascii_lowercase)


def _is_state_name(name: str, limit: int, first: str) -> bool:
    return 0 < len(name) <= limit and name[0] in first and not name.strip(_KEY)


def _is_state_value(value: str) -> bool:
    return 0 < len(value) <= _PART_LIMIT and not value.strip(_VALUE)


def _shorten(members: list[tuple[str, str]]) -> list[tuple[str, str]]:
    size = sum(map(_size, members)) - 1
    if size > _STATE_LIMIT:
        members = [each for each in members if _size(each) <= _LONG_MEMBER + 1]
        size = sum(map(_size, members)) - 1
    while size > _STATE_LIMIT:
        size -= _size(members.pop())
    return members


def _size(member: tuple[str, str]) -> int:
    """Characters with ``=`` and a comma."""
    return len(member[0]) + len(member[1]) + 2


def baggage(value: str | None) -> dict[str, str]:
    """Read ``baggage``: its well-formed members, decoded, without properties.

    At most 8192 bytes and 64 members are looked at; the rest is left out. Values may
    stem from anybody: they are bounded, not trusted.
    """
    if not value:
        return {}
    if len(value) > BAGGAGE_LIMIT:
        # The member that the limit cuts in two is not a member.
        value = value[: BAGGAGE_LIMIT + 1].rpartition(",")[0]
    found: dict[str, str] = {}
    for member in value.split(",", BAGGAGE_MEMBERS)[:BAGGAGE_MEMBERS]:
        key, separator, content = member.partition(";")[0].partition("=")
        key, content = key.strip(" \t"), content.strip(" \t")
        if (
            separator
            and key
            and not (key.strip(_TOKEN) or content.strip(_BAGGAGE_VALUE))
        ):
            found[key] = unquote(content) if "%" in content else content
    return found

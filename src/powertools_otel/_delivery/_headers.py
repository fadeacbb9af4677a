"""``OTEL_EXPORTER_OTLP_HEADERS``: reading it without ever telling its values."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from powertools_otel._guard import warn_once

if TYPE_CHECKING:
    from powertools_otel._delivery._target import Headers

_TOKEN = frozenset(
    "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
"""What the name of an HTTP header may consist of (RFC 9110, section 5.6.2)."""
_VALUE = frozenset(chr(code) for code in range(0x20, 0x7F)) - frozenset('",;\\')
"""What a value may consist of in the variable (W3C Baggage), and the space that the
Python SDK's exporters admit too; they do not percent-decode values with spaces."""
_OURS = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that describe our message or connection: another value would be wrong."""


def parse_headers(name: str, text: str) -> Headers:
    """Headers of the form ``name=value,name=value``, values percent-decoded.

    What is malformed is left out and said once, by its position: even a part of it may
    be a secret.

    Args:
        name: The variable, for the message.
        text: Its value.

    Returns:
        Pairs of lower-case name and value, the last of equal names.
    """
    found: dict[str, str] = {}
    wrong: list[str] = []
    for position, item in enumerate(text.split(","), 1):
        if not item.strip(" \t"):
            continue
        pair = _pair(item)
        if pair is None:
            wrong.append(str(position))
        elif pair[0] in _OURS:
            wrong.append(f"{position} ({pair[0]}, which is not for you to set)")
        else:
            found[pair[0]] = pair[1]
    if wrong:
        warn_once(
            f"setting:{name}",
            "%s: it must be name=value,name=value with percent-encoded values. "
            "Going on without number %s.",
            name,
            ", ".join(wrong),
        )
    return tuple(found.items())


def _pair(item: str) -> tuple[str, str] | None:
    name, separator, value = item.partition("=")
    name, value = name.strip(" \t"), value.strip(" \t")
    if not separator or not _VALUE.issuperset(value):
        return None
    name = unquote(name).strip().lower()
    if " " not in value:
        value = unquote(value).strip()
    if not name or not _TOKEN.issuperset(name):
        return None
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in value):  # noqa: PLR2004
        return None  # above all CR and LF, which would begin another header
    return name, value

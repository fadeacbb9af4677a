"""What became of a request, and what the answer of an endpoint means."""

# No postponed annotations here: a NamedTuple compiles each of them when it is defined,
# which every cold start would pay for.
import time
from collections.abc import Mapping
from typing import Literal, NamedTuple

Kind = Literal["delivered", "retry", "rejected", "unknown"]

RETRYABLE = frozenset({429, 502, 503, 504})
"""The statuses after which OTLP/HTTP clients send again (OTLP 1.x, "Failures")."""
TOO_LARGE = 413

_EMPTY_ANSWERS = frozenset({b"", b"\n\x00", b"{}", b'{"partialSuccess":{}}'})


class Outcome(NamedTuple):
    """What became of a request.

    ``delivered``: accepted, but for the rejected items. ``retry``: not connected, not
    fully sent, or refused for now. ``rejected``: refused for good. ``unknown``: fully
    sent, and not answered.
    """

    kind: Kind
    message: str = ""
    retry_after: float | None = None
    """How long the endpoint asks to wait, in s."""
    rejected: int = 0
    """How many items the endpoint did not accept although it took the request."""
    connected: bool = True
    """False if no connection came about, so that nothing was sent."""
    timed_out: bool = False
    """Whether the time was over; the endpoint may be alive, but slow."""
    pending: bool = False
    """Whether an answer may still come, for the transport's ``late``."""
    too_large: bool = False
    """Whether a smaller request might be accepted."""


DELIVERED = Outcome("delivered")


def of_http(
    status: int, headers: Mapping[str, str], body: bytes, location: str
) -> Outcome:
    """What an HTTP answer means for the request.

    Args:
        status: The status code.
        headers: Headers by lower-case name.
        body: The body, possibly cut off.
        location: The endpoint, as it may be logged.
    """
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP's classes of statuses
        if body in _EMPTY_ANSWERS:
            return DELIVERED
        from powertools_otel._delivery._response import partial_success

        rejected, message = partial_success(body, headers.get("content-type", ""))
        return Outcome("delivered", message, rejected=rejected)
    message = f"{location} answered {status}"
    if status in RETRYABLE:
        return Outcome(
            "retry", message, retry_after=retry_after(headers.get("retry-after"))
        )
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP's classes of statuses
        return Outcome("rejected", message + ", and redirects are not followed")
    if body:
        from powertools_otel._delivery._response import error_message

        message += error_message(body, headers.get("content-type", ""))
    return Outcome("rejected", message, too_large=status == TOO_LARGE)


def retry_after(value: str | None) -> float | None:
    """How long ``Retry-After`` asks to wait, in s: given in seconds or as a date."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    from email.utils import mktime_tz, parsedate_tz

    parts = parsedate_tz(value)
    if parts is None:
        return None
    try:
        return max(mktime_tz(parts) - time.time(), 0.0)
    except (ValueError, OverflowError):
        return None

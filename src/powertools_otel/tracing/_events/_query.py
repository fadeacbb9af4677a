"""``url.query``, redacted.

The HTTP conventions want the query string where there was one, and say that names
stay while sensitive values become ``REDACTED``. Which values are sensitive only the
application knows, so by default all of them are redacted. With the setting
``url_query`` they are recorded, except the signatures and credentials that the
conventions list (semantic conventions 1.44.0, and the S3 ones of earlier versions).
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

from powertools_otel.tracing._events._fields import TEXT_LIMIT, mapping, sequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_REDACTED = "REDACTED"
_SECRET = frozenset(
    {
        "AWSAccessKeyId",
        "Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "X-Amz-Signature",
        "X-Goog-Signature",
        "sig",
    }
)
_PAIR_LIMIT = 64


def from_string(raw: Any, *, show: bool) -> str | None:
    """A query string as it was sent, for ``url.query``."""
    if not isinstance(raw, str) or not raw:
        return None
    # One more than the limit, so that what is cut does not end in a bare name.
    parts = raw[: TEXT_LIMIT + 1].split("&", _PAIR_LIMIT)[:_PAIR_LIMIT]
    return _join(_redact(parts, show=show))


def from_parameters(
    single: Any, several: Any = None, *, show: bool, encoded: bool = False
) -> str | None:
    """Parameters that a gateway has taken apart, put together again.

    Args:
        single: Value by name.
        several: Values by name; wins over ``single``.
        show: Whether to record values.
        encoded: Names and values are still percent-encoded, as an ALB leaves them.
    """
    parameters = mapping(several) or mapping(single)
    if not parameters:
        return None
    return _join(_redact(_parts(parameters.items(), encoded=encoded), show=show))


def _parts(parameters: Iterable[tuple[Any, Any]], *, encoded: bool) -> Iterator[str]:
    for name, values in islice(parameters, _PAIR_LIMIT):
        if not isinstance(name, str) or len(name) > TEXT_LIMIT:
            continue
        for value in sequence(values)[:_PAIR_LIMIT] or (values,):
            if isinstance(value, str):
                short = value[:TEXT_LIMIT]
                if encoded:
                    yield f"{name}={short}"
                else:
                    # A lone surrogate has no UTF-8: it becomes a question mark.
                    yield (
                        f"{quote_plus(name, errors='replace')}"
                        f"={quote_plus(short, errors='replace')}"
                    )


def _redact(parts: Iterable[str], *, show: bool) -> Iterator[str]:
    for part in parts:
        name, _, value = part.partition("=")
        if value and (not show or name in _SECRET):
            yield f"{name}={_REDACTED}"
        else:
            yield part


def _join(parts: Iterable[str]) -> str | None:
    kept: list[str] = []
    size = 0
    for part in islice(parts, _PAIR_LIMIT):
        size += len(part) + 1
        if size > TEXT_LIMIT + 1:
            break
        kept.append(part)
    return "&".join(kept) or None

"""The X-Ray tracing header: ``Root=1-5759e988-bd862e3f...;Parent=...;Sampled=1``.

Format: the X-Ray developer guide ("Tracing header"). It comes as the HTTP header
``X-Amzn-Trace-Id``, as the SQS attribute ``AWSTraceHeader`` and as the variable
``_X_AMZN_TRACE_ID``.
"""

from __future__ import annotations

_HEADER_LIMIT = 1024
_VERSION = "1"
_TIME = 8
_UNIQUE = 24
_SPAN = 16
_HEX = "0123456789abcdef"


class XRayHeader:
    """What a tracing header says.

    Attributes:
        trace_id: The trace.
        parent_id: The span, or None where a load balancer or a gateway has only
            named the trace.
        sampled: None where nobody has decided yet: ``Sampled`` is missing or ``?``.
    """

    __slots__ = ("parent_id", "sampled", "trace_id")

    def __init__(
        self,
        trace_id: int,
        parent_id: int | None,
        sampled: bool | None,  # noqa: FBT001 - a field
    ) -> None:
        self.trace_id = trace_id
        self.parent_id = parent_id
        self.sampled = sampled


def parse(value: object) -> XRayHeader | None:
    """Read a tracing header; anything malformed in ``Root`` or ``Parent`` is None.

    Names and hexadecimal digits may be in either case, as the X-Ray SDK reads them.
    Other members (``Self``, ``Lineage``) are passed over.
    """
    if not isinstance(value, str) or not value or len(value) > _HEADER_LIMIT:
        return None
    trace_id = parent_id = sampled = None
    for member in value.lower().split(";"):
        name, _, content = member.partition("=")
        name = name.strip()
        if name == "root" and trace_id is None:
            trace_id = _trace_id(content.strip())
            if trace_id is None:
                return None
        elif name == "parent" and parent_id is None:
            parent_id = _identifier(content.strip(), _SPAN)
            if parent_id is None:
                return None
        elif name == "sampled" and sampled is None:
            sampled = {"1": True, "0": False}.get(content.strip())
    return None if trace_id is None else XRayHeader(trace_id, parent_id, sampled)


def _trace_id(root: str) -> int | None:
    version, _, rest = root.partition("-")
    when, _, unique = rest.partition("-")
    if version != _VERSION or len(when) != _TIME or len(unique) != _UNIQUE:
        return None
    return _identifier(when + unique, _TIME + _UNIQUE)


def _identifier(digits: str, length: int) -> int | None:
    """An id of ``length`` hexadecimal digits that is not zero."""
    if len(digits) != length or digits.strip(_HEX):
        return None
    return int(digits, 16) or None

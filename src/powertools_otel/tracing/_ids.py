"""Span and trace ids that no snapshot or fork can repeat."""

from __future__ import annotations

import os
from contextvars import ContextVar

from opentelemetry.sdk.trace.id_generator import IdGenerator
from typing_extensions import override

_adopted: ContextVar[int | None] = ContextVar("powertools_otel_trace_id", default=None)


class adopt_trace_id:  # noqa: N801 - a context manager, used as a statement
    """Give the next trace begun in this context a trace id that exists already."""

    __slots__ = ("_token", "_trace_id")

    def __init__(self, trace_id: int) -> None:
        self._trace_id = trace_id

    def __enter__(self) -> None:
        self._token = _adopted.set(self._trace_id)

    def __exit__(self, *_: object) -> None:
        _adopted.reset(self._token)


class SystemIdGenerator(IdGenerator):
    """Ids from the operating system's randomness.

    The SDK's generator draws from ``random``, whose state is part of a SnapStart
    snapshot and of a fork: environments made from one would repeat each other's ids.
    """

    @override
    def generate_span_id(self) -> int:
        """A random span id, never zero."""
        return int.from_bytes(os.urandom(8), "big") or 1

    @override
    def generate_trace_id(self) -> int:
        """The adopted trace id if there is one, else a random one, never zero."""
        return _adopted.get() or int.from_bytes(os.urandom(16), "big") or 1

    @override
    def is_trace_id_random(self) -> bool:
        """Whether 56 bits are random, as in X-Ray's ids too (W3C Trace Context 2)."""
        return True

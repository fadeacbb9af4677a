"""Tracing, by the names of ``aws_lambda_powertools.tracing``."""

from typing import Any

from powertools_otel.tracing._provider import OTelTracingProvider
from powertools_otel.tracing._tracer import Tracer

__all__ = ["OTelTracingProvider", "Tracer", "aiohttp_trace_config"]


def aiohttp_trace_config() -> Any:
    """A ``TraceConfig`` that makes a span of each request of an aiohttp session.

    Raises:
        ImportError: aiohttp is not installed.
    """
    from powertools_otel import _patch

    return _patch.aiohttp_trace_config()

"""What tests of handlers need: captured telemetry, a receiver, and clean state."""

from powertools_otel.testing._receiver import (
    Fault,
    OTLPReceiver,
    ReceivedMetric,
    ReceivedRequest,
    ReceivedSpan,
)
from powertools_otel.testing._spans import CapturedSpans, capture_spans
from powertools_otel.testing._state import reset, reset_powertools

__all__ = [
    "CapturedSpans",
    "Fault",
    "OTLPReceiver",
    "ReceivedMetric",
    "ReceivedRequest",
    "ReceivedSpan",
    "capture_spans",
    "reset",
    "reset_powertools",
]

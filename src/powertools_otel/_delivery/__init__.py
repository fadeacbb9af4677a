"""Delivery of encoded telemetry: bounded in time and in memory, accounted exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from powertools_otel._delivery._batch import Batch, Statistics
from powertools_otel._delivery._delivery import Delivery
from powertools_otel._delivery._target import protocol

if TYPE_CHECKING:
    from powertools_otel._delivery._interfaces import Source as Source

__all__ = ["Batch", "Delivery", "Statistics", "protocol"]

"""Values through the instruments of a MeterProvider that the application gave us.

What that costs, and OTLP points of our own do not: the SDK lower-cases names and
takes ASCII ones only, drops negative values of counters and histograms, ignores NaN,
knows no timestamps, and what is exported when is for its readers to say.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from powertools_otel._guard import harmless, warn_once
from powertools_otel.metrics import _names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import Meter, MeterProvider

    from powertools_otel.metrics._store import Recording
    from powertools_otel.metrics._streams import Stream

_MAX_UNIT = 63
"""Longest unit the API accepts, in ASCII characters."""


class Instruments:
    """Records through a foreign MeterProvider (a ``Recorder``).

    Args:
        provider: Whose meters and instruments to use.
    """

    def __init__(self, provider: MeterProvider) -> None:
        self._provider = provider
        self._record: dict[object, Callable[[float, Mapping[str, str]], None]] = {}
        self._flushing: threading.Thread | None = None

    def record(
        self,
        recordings: Iterable[Recording],
        attribute_sets: Iterable[Mapping[str, str]],
        timestamp: int | None = None,
    ) -> None:
        """Record each value under all attribute sets."""
        if timestamp is not None:
            warn_once(
                "metrics:instruments:timestamp",
                "set_timestamp has no effect with a MeterProvider: "
                "OpenTelemetry's instruments take the time of recording.",
            )
        sets = list(attribute_sets)
        for stream, values, _, _ in recordings:
            with harmless("record a metric"):
                record = self._record.get(stream.key)
                if record is None:
                    record = self._record[stream.key] = self._instrument(stream)
                if stream.kind == "sum" and min(values) < 0:
                    warn_once(
                        "metrics:instruments:negative",
                        "The metric %.100r got a negative value: OpenTelemetry's "
                        "counters drop it. Make it a gauge with "
                        "POWERTOOLS_OTEL_METRIC_KINDS.",
                        stream.original,
                    )
                for attributes in sets:
                    for value in values:
                        record(value, attributes)

    def _instrument(self, stream: Stream) -> Callable[[float, Mapping[str, str]], None]:
        meter: Meter = self._provider.get_meter(stream.scope)
        name = _names.safe(stream.name)
        unit = stream.unit if _is_unit(stream.unit) else ""
        description = "" if name == stream.original else stream.original
        if stream.kind == "sum":
            return meter.create_counter(name, unit, description).add
        if stream.kind == "gauge":
            return meter.create_gauge(name, unit, description).set
        return meter.create_histogram(
            name,
            unit,
            description,
            explicit_bucket_boundaries_advisory=stream.bounds or None,
        ).record

    def flush(self, deadline: float) -> None:
        """Have the provider export, for as long as the deadline allows.

        Its exporters may take longer than they are told (OTLP's retry for seconds),
        so the wait for them is ours to end.

        Args:
            deadline: On ``time.monotonic()``'s clock, in s.
        """
        force_flush: Any = getattr(self._provider, "force_flush", None)
        if force_flush is None or (self._flushing and self._flushing.is_alive()):
            return
        left = deadline - time.monotonic()
        if left <= 0:
            return

        def run() -> None:
            with harmless("flush the MeterProvider"):
                force_flush(timeout_millis=max(int(left * 1000), 1))

        self._flushing = threading.Thread(
            target=run, name="powertools-otel-metrics", daemon=True
        )
        self._flushing.start()
        self._flushing.join(left)


def _is_unit(unit: str) -> bool:
    return len(unit) <= _MAX_UNIT and unit.isascii()

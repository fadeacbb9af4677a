"""Costs of single calls, measured in one process, in turn."""

from __future__ import annotations

import os
import time
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 2_000


def spans(rounds: int) -> dict[str, list[float]]:
    """us for a bare SDK span and for ``capture_method``, with either provider."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    from powertools_otel import Tracer
    from powertools_otel.tracing import _sdk
    from powertools_otel.tracing._processor import BufferingProcessor

    # Buffered as ever, and never sent: what is measured is the calls.
    buffer = BufferingProcessor(lambda _: b"", 10 * CALLS, lambda _: True)
    provider = TracerProvider(resource=Resource({}), shutdown_on_exit=False)
    provider.add_span_processor(buffer)
    sdk_tracer = provider.get_tracer("bare")
    tracer = Tracer(service="s", disabled=False, auto_patch=False)

    @tracer.capture_method(capture_response=False)
    def captured() -> int:
        return 1

    def bare() -> int:
        with sdk_tracer.start_as_current_span("bare"):
            return 1

    samples: dict[str, list[float]] = {
        "start_as_current_span": [],
        "capture_method": [],
        "with the application's provider": [],
    }
    before = _sdk.override
    for _ in range(rounds):
        samples["start_as_current_span"].append(_per_call(bare))
        buffer.collect()
        for name, ours in (
            ("capture_method", True),
            ("with the application's provider", False),
        ):
            _sdk.override = _sdk.resolved(provider, ours=ours)
            with tracer.provider.in_subsegment("outer"):
                samples[name].append(_per_call(captured))
            buffer.collect()
    _sdk.override = before
    return samples


def metrics(rounds: int) -> dict[str, list[float]]:
    """us per metric, from the call to its share of the encoded flush."""
    from aws_lambda_powertools.metrics import EphemeralMetrics

    from powertools_otel import OTelMetricsProvider, _pipeline
    from powertools_otel._otlp._model import Resource
    from powertools_otel._otlp._protobuf import encode_metrics
    from powertools_otel.metrics import _sink
    from powertools_otel.metrics._store import MetricStore

    outlet = _sink.Outlet(MetricStore())
    _sink.use(outlet)
    resource = Resource(_pipeline.get().resource("s"), "")
    emf = EphemeralMetrics(namespace="n", service="s")
    otel = OTelMetricsProvider(namespace="n", service="s")
    instruments = _Instruments()

    def add(provider: Any) -> None:
        for number in range(20):
            provider.add_metric(f"Metric{number}", "Milliseconds", 12.5)

    def by_emf() -> None:
        add(emf)
        emf.flush_metrics()

    def by_ours() -> None:
        add(otel)
        otel.flush_metrics()
        encode_metrics(resource, outlet.store.collect())

    samples: dict[str, list[float]] = {
        "EMF to /dev/null": [],
        "ours": [],
        "SDK instruments, collect, encode": [],
    }
    with open(os.devnull, "w") as devnull, redirect_stdout(devnull):  # noqa: PTH123
        for _ in range(rounds):
            for name, call in zip(
                samples, (by_emf, by_ours, instruments.run), strict=True
            ):
                samples[name].append(_per_call(call, CALLS // 20) / 20)
    return samples


class _Instruments:
    """Twenty SDK histograms, collected and encoded by hand."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import (
            encode_metrics,
        )
        from opentelemetry.sdk.metrics import Histogram, MeterProvider
        from opentelemetry.sdk.metrics.export import (
            AggregationTemporality,
            InMemoryMetricReader,
        )

        self._reader = InMemoryMetricReader(
            preferred_temporality={Histogram: AggregationTemporality.DELTA}
        )
        meter = MeterProvider([self._reader]).get_meter("benchmark")
        self._instruments = [
            meter.create_histogram(f"metric{number}", unit="ms") for number in range(20)
        ]
        self._encode = encode_metrics

    def run(self) -> None:
        for instrument in self._instruments:
            instrument.record(12.5, {"service": "s"})
        data = self._reader.get_metrics_data()
        assert data is not None
        self._encode(data).SerializeToString()


def _per_call(call: Callable[[], object], calls: int = CALLS) -> float:
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls * 1e6


__all__ = ["metrics", "spans"]

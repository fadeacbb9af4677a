"""A source of telemetry, a clock to turn, and a delivery for each test."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from powertools_otel._delivery import Batch, Delivery, Statistics
from powertools_otel._delivery._clock import Instant
from powertools_otel._otlp import encoding
from powertools_otel._settings import Settings
from powertools_otel.testing._receiver import OTLPReceiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from powertools_otel._delivery._channel import Channel


class TurnableClock:
    """Both clocks, and what a test adds to them."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> Instant:
        return Instant(time.monotonic() + self.ahead_s, time.time() + self.ahead_s)


class ListSource:
    """Items by name: every call of ``add`` becomes a batch."""

    def __init__(self, signal: str = "traces") -> None:
        self.signal = signal
        self.recorded = 0
        self.dropped = 0
        self._batches: list[Batch] = []

    def add(
        self,
        *names: str,
        resendable: bool = True,
        padding: int = 0,
        as_json: bool = False,
    ) -> None:
        self.recorded += len(names)
        body = self._json(names) if as_json else self._protobuf(names, padding)
        self._batches.append(Batch(body, len(names), resendable))

    def pending(self) -> int:
        return sum(batch.items for batch in self._batches)

    def collect(self) -> list[Batch]:
        batches, self._batches = self._batches, []
        return batches

    def _json(self, names: tuple[str, ...]) -> bytes:
        spans = [{"name": name} for name in names]
        return json.dumps({"scopeSpans": [{"spans": spans}]}).encode()

    def _protobuf(self, names: tuple[str, ...], padding: int) -> bytes:
        request: Any
        if self.signal == "traces":
            request = ExportTraceServiceRequest()
            scope = request.resource_spans.add().scope_spans.add()
            scope.scope.name = "x" * padding
            for name in names:
                scope.spans.add().name = name
        else:
            request = ExportMetricsServiceRequest()
            scope = request.resource_metrics.add().scope_metrics.add()
            scope.scope.name = "x" * padding
            for name in names:
                scope.metrics.add(name=name).gauge.data_points.add(as_int=1)
        return bytes(request.SerializeToString())


class Rig:
    """A delivery with a source for each signal."""

    def __init__(self, environ: Mapping[str, str], **settings: Any) -> None:
        self.clock = TurnableClock()
        self.delivery = Delivery(Settings(**settings), environ, self.clock)
        self.spans = ListSource("traces")
        self.points = ListSource("metrics")
        self._encoding = encoding(
            "http/json"
            if environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "http/json"
            else "http/protobuf"
        )
        self.delivery.attach("traces", self.spans, self._encoding)

    def with_metrics(self) -> Rig:
        self.delivery.attach("metrics", self.points, self._encoding)
        return self

    def flush(self, timeout_s: float = 0.5) -> float:
        """Flush, check the books, and return how long it took, in s."""
        began = time.monotonic()
        self.delivery.flush(began + timeout_s)
        took = time.monotonic() - began
        for counted in self.delivery.statistics().values():
            assert_balanced(counted)
        return took

    def wait(self, seconds: float) -> None:
        """Let time pass on the clock of the breaker and of idle connections."""
        self.clock.ahead_s += seconds

    @property
    def traces(self) -> Statistics:
        return self.delivery.statistics()["traces"]

    @property
    def metrics(self) -> Statistics:
        return self.delivery.statistics()["metrics"]

    @property
    def channel(self) -> Channel:
        return self.delivery.channel("traces")


def assert_balanced(counted: Statistics) -> None:
    """Everything recorded is in exactly one place."""
    assert (
        counted.sent + counted.retained + counted.dropped + counted.unknown
        == counted.recorded
    )
    assert min(counted) >= 0


@pytest.fixture
def make_rig() -> Iterator[Callable[..., Rig]]:
    """Makes rigs: ``make_rig(endpoint, OTEL_...=..., retention_items=...)``."""
    made: list[Rig] = []

    def make(endpoint: str = "", /, **options: Any) -> Rig:
        environ = {
            name: options.pop(name)
            for name in list(options)
            if name.isupper() or name.endswith("_proxy")
        }
        if endpoint:
            environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
        made.append(Rig(environ, **options))
        return made[-1]

    yield make
    for rig in made:
        rig.delivery.close()


@pytest.fixture
def receiver() -> Iterator[OTLPReceiver]:
    """An OTLP receiver that works."""
    with OTLPReceiver() as running:
        yield running


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    """Delivery leaves no thread behind, beyond a lookup that hangs."""
    before = set(threading.enumerate())
    yield
    left = [
        thread.name
        for thread in set(threading.enumerate()) - before
        if thread.is_alive() and "grpc" not in thread.name.lower()
    ]
    assert [name for name in left if "powertools" in name] == []


def names(receiver: OTLPReceiver) -> list[str]:
    """The names of the spans that arrived, in order, twice if sent twice."""
    return [received.span.name for received in receiver.spans]

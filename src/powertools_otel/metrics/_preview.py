"""What a flush would send, for ``serialize_metric_set``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from powertools_otel._otlp._model import Resource
from powertools_otel.metrics._store import MetricStore

if TYPE_CHECKING:
    from powertools_otel.metrics._publishing import Flush
    from powertools_otel.metrics._sink import Outlet


def preview(outlet: Outlet, flush: Flush) -> dict[str, Any]:
    """The OTLP/JSON ``ExportMetricsServiceRequest`` of this flush alone.

    Nothing is recorded or sent. With cumulative temporality it shows the points as
    they would be were these the first values.
    """
    from powertools_otel._otlp import _json

    store = MetricStore(cumulative=outlet.store.cumulative)
    store.record(flush.recordings, flush.attribute_sets, flush.timestamp)
    resource = outlet.resource() or Resource({})
    fragment = _json.encode_metrics(resource, store.collect())
    request: dict[str, Any] = json.loads(_json.frame("metrics", [fragment]))
    return request

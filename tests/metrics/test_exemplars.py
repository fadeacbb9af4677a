"""The trace that was current when a value was added."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from tests.metrics.sent import Sent

from powertools_otel.metrics import Metrics, single_metric

tracer = TracerProvider(shutdown_on_exit=False).get_tracer("t")
unsampled = TracerProvider(ALWAYS_OFF, shutdown_on_exit=False).get_tracer("t")


def exemplars(point):
    return [
        (found.as_double, found.trace_id.hex(), found.span_id.hex())
        for found in point.raw.exemplars
    ]


def ids(value, span):
    context = span.get_span_context()
    return value, f"{context.trace_id:032x}", f"{context.span_id:016x}"


@pytest.mark.parametrize(("unit", "kind"), [("Count", "sum"), ("Seconds", "histogram")])
def test_the_span_of_the_largest_value_is_the_exemplar(unit, kind, sent):
    """Not the span that is current when values are flushed."""
    metrics = Metrics(namespace="Shop")
    with tracer.start_as_current_span("outer"):
        metrics.add_metric("a", unit, 1)
        with tracer.start_as_current_span("slow") as slow:
            metrics.add_metric("a", unit, 9)
        metrics.add_metric("a", unit, 2)
        metrics.flush_metrics()

    point = sent.by_name()["a"]
    assert point.kind == kind
    assert exemplars(point) == [ids(9.0, slow)]
    assert point.raw.exemplars[0].time_unix_nano > 10**18


def test_instances_that_share_values_share_exemplars(sent):
    """The instance that flushes need not be the one that added."""
    with tracer.start_as_current_span("s") as span:
        Metrics(namespace="Shop").add_metric("a", "Count", 1)
    Metrics(namespace="Shop").flush_metrics()

    assert exemplars(sent.by_name()["a"]) == [ids(1.0, span)]


def test_single_metrics_have_exemplars(sent):
    """The span in which the value was given."""
    with (
        tracer.start_as_current_span("s") as span,
        single_metric("a", "Count", 1, namespace="Shop"),
    ):
        pass

    assert exemplars(sent.by_name()["a"]) == [ids(1.0, span)]


def test_no_exemplar_outlives_its_flush(sent):
    """A value of the next invocation has nothing to do with this one's trace."""
    metrics = Metrics(namespace="Shop")
    with tracer.start_as_current_span("s"):
        metrics.add_metric("a", "Count", 1)
    metrics.flush_metrics()
    sent.points()
    metrics.add_metric("a", "Count", 1)
    metrics.flush_metrics()

    assert exemplars(sent.by_name()["a"]) == []


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [("trace_based", False), ("always_on", True), ("always_off", False)],
)
def test_spans_that_are_not_sampled_count_with_always_on_only(chosen, expected):
    """Their trace arrives nowhere: OTEL_METRICS_EXEMPLAR_FILTER's default."""
    sent = Sent.install(exemplars=chosen)
    metrics = Metrics(namespace="Shop")
    with unsampled.start_as_current_span("s"):
        metrics.add_metric("a", "Count", 1)
    metrics.flush_metrics()

    assert bool(exemplars(sent.by_name()["a"])) is expected


def test_a_span_that_is_not_sampled_takes_nothing_from_one_that_is(sent):
    """Were its value the largest, the metric's exemplar would lead nowhere."""
    metrics = Metrics(namespace="Shop")
    with tracer.start_as_current_span("s") as span:
        metrics.add_metric("a", "Count", 1)
    with unsampled.start_as_current_span("u"):
        metrics.add_metric("a", "Count", 9)
    metrics.flush_metrics()

    assert exemplars(sent.by_name()["a"]) == [ids(1.0, span)]


def test_each_value_has_the_span_it_was_added_in(sent):
    """Contexts that alternate are told apart, and leaving all spans is noticed."""
    metrics = Metrics(namespace="Shop")
    with tracer.start_as_current_span("one") as one:
        metrics.add_metric("a", "Count", 1)
        with tracer.start_as_current_span("two") as two:
            metrics.add_metric("b", "Count", 1)
        metrics.add_metric("c", "Count", 1)
    metrics.add_metric("d", "Count", 1)
    metrics.flush_metrics()

    found = {name: exemplars(point) for name, point in sent.by_name().items()}
    assert found == {
        "a": [ids(1.0, one)],
        "b": [ids(1.0, two)],
        "c": [ids(1.0, one)],
        "d": [],
    }


def test_always_off_has_none_at_all():
    """Nor of sampled spans."""
    sent = Sent.install(exemplars="always_off")
    with tracer.start_as_current_span("s"):
        Metrics(namespace="Shop").add_metric("a", "Count", 1)
        Metrics(namespace="Shop").flush_metrics()

    assert exemplars(sent.by_name()["a"]) == []

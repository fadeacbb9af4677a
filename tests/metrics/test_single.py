"""single_metric: one metric with dimensions of its own."""

from __future__ import annotations

import pytest
from aws_lambda_powertools.metrics.base import SingleMetric as PowertoolsSingleMetric
from tests.metrics.sent import Sent

from powertools_otel._settings import Settings
from powertools_otel.metrics import (
    Metrics,
    MetricUnit,
    MetricValueError,
    SchemaValidationError,
    single_metric,
)


def test_it_carries_its_own_dimensions_only(sent):
    """Whatever else the invocation's metrics have."""
    metrics = Metrics(namespace="Shop", service="cart")
    metrics.set_default_dimensions(env="prod")
    metrics.add_metric("a", "Count", 1)
    with single_metric(
        "b", MetricUnit.Count, 2, namespace="Shop", default_dimensions={"x": "1"}
    ) as metric:
        assert isinstance(metric, PowertoolsSingleMetric)
        metric.add_dimension("y", 2)
        metric.add_metadata("id", "m-1")
        metric.set_timestamp(1_700_000_000_000)
    metrics.flush_metrics()

    points = sent.by_name()
    assert points["b"].attributes == {"x": "1", "y": "2"}
    assert points["b"].raw.time_unix_nano == 1_700_000_000_000 * 1_000_000
    assert points["b"].metadata == {"powertools.metadata.id": "m-1"}
    assert points["a"].attributes == {"env": "prod", "service": "cart"}


@pytest.fixture(autouse=True)
def old_timestamps_are_fine():
    """CloudWatch's window is warned about, and tested elsewhere."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This metric doesn't meet")
        yield


def test_many_of_one_name_are_one_point(sent):
    """A loop does not send a hundred points of one series."""
    for value in range(100):
        with single_metric("lat", "Seconds", value, namespace="Shop"):
            pass

    point = sent.by_name()["lat"]
    assert (point.raw.count, point.raw.sum) == (100, sum(range(100)))


def test_nothing_is_sent_if_the_body_raises(sent, capsys):
    """As with EMF, which prints "null" then; we print nothing."""
    with pytest.raises(KeyError), single_metric("a", "Count", 1, namespace="Shop"):
        raise KeyError

    assert sent.points() == []
    assert capsys.readouterr().out == ""


def test_it_refuses_what_powertools_refuses(sent):
    """A value that is no number, and a missing namespace."""
    with (
        pytest.raises(MetricValueError),
        single_metric("a", "Count", "1", namespace="Shop"),
    ):
        pass
    with pytest.raises(SchemaValidationError), single_metric("a", "Count", 1):
        pass


def test_serialised_it_is_the_otlp_json_form(sent):
    """And it can be published by hand."""
    with single_metric("a", "Count", 1, namespace="Shop") as metric:
        request = metric.serialize_metric_set()
    [scope] = request["resourceMetrics"][0]["scopeMetrics"]

    assert scope["scope"] == {"name": "Shop"}
    assert sent.by_name()["a"].value == 1


def test_a_word_that_powertools_cannot_read_disables_nothing(sent, monkeypatch):
    """EMF's single_metric does not look at the variable at all."""
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "perhaps")
    with single_metric("a", "Count", 1, namespace="Shop"):
        pass

    assert set(sent.by_name()) == {"a"}


def test_thirty_dimensions(sent):
    """CloudWatch's limit of 29 holds with strict_emf only."""
    with single_metric("a", "Count", 1, namespace="Shop") as metric:
        for number in range(30):
            metric.add_dimension(f"d{number}", "v")
    assert len(sent.by_name()["a"].attributes) == 30
    Sent.install(Settings(strict_emf=True))
    many = {f"d{number}": "v" for number in range(30)}
    with (
        pytest.raises(SchemaValidationError, match="29"),
        single_metric("a", "Count", 1, namespace="Shop", default_dimensions=many),
    ):
        pass

"""Values that are buffered when the end comes are counted, and counted once."""

import pytest
from aws_lambda_powertools.metrics import SchemaValidationError

from powertools_otel import Metrics


@pytest.fixture
def provider(receiver, in_lambda, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
    return Metrics(namespace="Shop", service="checkout").provider


def values(receiver):
    return sum(value for value, _ in receiver.points("Orders"))


def test_a_value_rescued_is_not_flushed_again(provider, receiver):
    provider.add_metric("Orders", "Count", 1)
    provider._rescue()
    provider.flush_metrics(raise_on_empty_metrics=True)
    provider._outlet.flush()
    assert values(receiver) == 1


def test_a_value_appended_while_it_was_rescued_is_not_lost(provider, receiver):
    provider.add_metric("Orders", "Count", 1)
    appending = provider.metric_set["Orders"]["Value"]
    provider._rescue()
    appending.append(1.0)
    provider.flush_metrics()
    assert values(receiver) == 2


def test_a_value_added_after_it_was_rescued_is_flushed(provider, receiver):
    provider.add_metric("Orders", "Count", 1)
    provider._rescue()
    provider.add_metric("Orders", "Count", 1)
    provider.flush_metrics()
    assert values(receiver) == 2


def test_the_function_still_hears_of_its_missing_namespace(provider):
    provider.namespace = None
    provider.add_metric("Orders", "Count", 1)
    provider._rescue()
    with pytest.raises(SchemaValidationError, match="namespace"):
        provider.flush_metrics()

"""Who sends can change while the process lives; all that is sent says the same."""

import pytest

from powertools_otel import Tracer, _pipeline
from powertools_otel._otlp import encoding
from powertools_otel.tracing import _sdk


@pytest.fixture
def provider(in_lambda, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    Tracer(service="checkout", auto_patch=False)
    return _sdk.own_provider("checkout")


def encoded(provider, protocol):
    span = provider.get_tracer("t").start_span("s")
    span.end()
    return encoding(protocol).encode_spans([span])


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_an_account_learnt_later_is_on_spans_from_then_on(provider, protocol):
    assert b"123456789012" not in encoded(provider, protocol)
    hashed = hash(provider.resource)
    _pipeline.get().learn_account("123456789012")
    assert b"123456789012" in encoded(provider, protocol)
    assert hash(provider.resource) != hashed
    assert _pipeline.get().resource()["cloud.account.id"] == "123456789012"


def test_a_restart_gives_the_resource_of_all_signals_a_new_instance(provider):
    pipeline = _pipeline.get()
    before = pipeline.resource()["service.instance.id"]
    pipeline.restart()
    after = pipeline.resource()["service.instance.id"]
    assert after != before
    assert provider.resource.attributes["service.instance.id"] == after


def test_an_instance_that_the_user_names_survives_a_restart(provider, monkeypatch):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=mine")
    pipeline = _pipeline.get()
    pipeline.restart()
    assert provider.resource.attributes["service.instance.id"] == "mine"

"""OpenTelemetry's own way to activate this package, called as its loader does."""

import logging
import sys

import aws_lambda_powertools
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import powertools_otel
from powertools_otel import OTelTracingProvider, _install
from powertools_otel._instrumentor import PowertoolsInstrumentor, pre_instrument


@pytest.fixture(autouse=True)
def uninstrumented():
    yield
    if PowertoolsInstrumentor().is_instrumented_by_opentelemetry:
        PowertoolsInstrumentor().uninstrument()


def test_instrument_and_uninstrument_are_install_and_uninstall(in_lambda):
    PowertoolsInstrumentor().instrument()
    tracer = aws_lambda_powertools.Tracer(auto_patch=False)
    assert isinstance(tracer.provider, OTelTracingProvider)
    PowertoolsInstrumentor().uninstrument()
    assert "provider" not in vars(aws_lambda_powertools.Tracer)


def test_the_dependency_check_of_the_loader_passes(in_lambda):
    PowertoolsInstrumentor().instrument(raise_exception_on_conflict=True)
    assert _install._active is not None


def test_a_given_tracer_provider_is_used(in_lambda):
    exporter = InMemorySpanExporter()
    given = TracerProvider(shutdown_on_exit=False)
    given.add_span_processor(SimpleSpanProcessor(exporter))
    PowertoolsInstrumentor().instrument(tracer_provider=given)
    aws_lambda_powertools.Tracer(auto_patch=False).capture_method(abs)(-1)
    assert len(exporter.get_finished_spans()) == 1


def test_being_there_early_and_again_in_turn_is_no_second_way(in_lambda, caplog):
    with caplog.at_level(logging.WARNING):
        pre_instrument()
        PowertoolsInstrumentor().instrument()
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("disabled", "active"),
    [
        ("", True),
        ("aws-lambda, requests", True),
        ("requests, aws-lambda-powertools", False),
        ("*", False),
    ],
)
def test_disabling_it_keeps_it_out(monkeypatch, disabled, active):
    monkeypatch.setenv("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", disabled)
    pre_instrument()
    assert (_install._active is not None) is active


def test_the_package_itself_needs_no_opentelemetry_instrumentation(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.instrumentation", None)
    powertools_otel.install()
    assert _install._active is not None

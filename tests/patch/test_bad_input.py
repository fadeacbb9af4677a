"""What patch() cannot do is said once, in words that help; nothing is raised."""

import logging
import sys

import aws_lambda_powertools
import pytest

import powertools_otel
from powertools_otel import OTelTracingProvider, _patch


@pytest.fixture
def said(caplog):
    with caplog.at_level(logging.INFO, "powertools_otel"):
        yield lambda: caplog.messages


@pytest.mark.parametrize("times", [1, 3])
def test_an_unknown_module_is_said_once_with_what_is_known(in_lambda, said, times):
    for _ in range(times):
        powertools_otel.Tracer(patch_modules=["dynamo", "my.module"])
    (message,) = said()
    assert "patch() does not know dynamo, my.module. It knows: aioboto3, " in message
    assert "urllib3." in message


def test_a_missing_instrumentation_of_the_extra_is_said_with_the_extra(said):
    _patch.patch(["requests", "boto3"], OTelTracingProvider())
    (message,) = said()
    assert "install powertools-otel[instrumentation]" in message
    assert "opentelemetry-instrumentation-botocore" in message
    assert "opentelemetry-instrumentation-requests" in message


def test_a_missing_instrumentation_is_said_with_its_package(said):
    _patch.patch(["redis"], OTelTracingProvider())
    (message,) = said()
    assert message.endswith("install opentelemetry-instrumentation-redis.")


def test_automatic_patching_says_nothing(in_lambda, said):
    import sqlite3  # noqa: F401

    powertools_otel.Tracer()
    assert said() == []


def test_anything_may_be_passed_for_modules(said):
    provider = OTelTracingProvider()
    for modules in ("requests", ("requests",), [None, 3], iter(["x"]), {"a": 1}, []):
        provider.patch(modules)
    provider.patch(5)
    assert any("does not know None, 3" in message for message in said())


def test_powertools_own_tracer_takes_the_same_way(in_lambda, said):
    aws_lambda_powertools.Tracer(
        provider=OTelTracingProvider(), patch_modules=["nothing"]
    )
    (message,) = said()
    assert "does not know nothing" in message


def test_without_aiohttp_its_trace_config_raises_as_powertools(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(ImportError):
        powertools_otel.tracing.aiohttp_trace_config()


def test_an_instrumentation_that_fails_is_said_and_the_import_goes_on(run):
    answer = run(
        """
        import opentelemetry.instrumentation.requests as instrumentation

        def fail(self, **options):
            raise RuntimeError("another requests")

        instrumentation.RequestsInstrumentor._instrument = fail
        del sys.modules["requests"]
        log = Log()
        tracer = Tracer(service="s", auto_patch=False)
        tracer.patch(["requests"])
        import requests
        tell([requests.get(url).status_code, log.lines])
        """
    )
    status, lines = answer
    assert status == 200
    (line,) = [line for line in lines if not line.startswith("DEBUG")]
    assert "opentelemetry-instrumentation-requests could not instrument" in line
    assert "another requests" in line


def test_without_the_instrumentation_a_trace_config_does_nothing(run):
    answer = run(
        """
        import asyncio, aiohttp
        from powertools_otel import _patch
        _patch._installed = lambda: frozenset()
        log = Log()
        spans = capture()
        Tracer(service="s")
        from powertools_otel.tracing import aiohttp_trace_config

        async def get():
            configs = [aiohttp_trace_config()]
            async with aiohttp.ClientSession(trace_configs=configs) as session:
                async with session.get(url) as response:
                    return response.status

        tell([asyncio.run(get()), len(spans), log.lines])
        """
    )
    status, count, lines = answer
    assert status == 200
    assert count == 0
    (line,) = [line for line in lines if line.startswith("WARNING")]
    assert "install powertools-otel[instrumentation]" in line

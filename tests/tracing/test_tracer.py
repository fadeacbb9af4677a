"""The drop-in Tracer: when it is on, and what it takes."""

from __future__ import annotations

import gc
import importlib.util
import inspect
import json
import logging
import subprocess
import sys
import weakref

import aws_lambda_powertools
import pytest
from hypothesis import HealthCheck, given, settings
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.conftest import LambdaContext
from tests.test_values import anything

import powertools_otel
import powertools_otel.testing
from powertools_otel import Metrics, OTelTracingProvider, Tracer
from powertools_otel.testing import OTLPReceiver


def test_signature_is_upstreams():
    """A dependency swap: the constructor takes what upstream's takes."""
    ours = inspect.signature(Tracer.__init__).parameters
    theirs = inspect.signature(aws_lambda_powertools.Tracer.__init__).parameters

    assert list(ours) == list(theirs)
    assert {name: p.default for name, p in ours.items()} == {
        name: p.default for name, p in theirs.items()
    }


@pytest.mark.parametrize(
    ("environ", "on"),
    [
        ({}, False),
        ({"LAMBDA_TASK_ROOT": "/var/task"}, True),
        ({"LAMBDA_TASK_ROOT": "/var/task", "AWS_SAM_LOCAL": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:9"}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
        (
            {"LAMBDA_TASK_ROOT": "/var/task", "POWERTOOLS_TRACE_DISABLED": "true"},
            False,
        ),
    ],
)
def test_is_on_in_lambda_or_where_an_exporter_is_configured(
    monkeypatch, caplog, capfd, environ, on
):
    """Outside Lambda it is on when telemetry has somewhere to go, else off, quietly."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    tracer = Tracer(auto_patch=False)

    assert bool(tracer.disabled) is not on
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_an_explicit_argument_decides(monkeypatch):
    """disabled=False traces outside Lambda, too."""
    tracer = Tracer(disabled=False, auto_patch=False)

    assert tracer.provider.enabled


def test_tracers_share_their_provider(in_lambda):
    """As upstream's, tracers made in several modules belong together."""
    first, second = Tracer(auto_patch=False), Tracer(auto_patch=False)

    assert first.provider is second.provider
    assert aws_lambda_powertools.Tracer(auto_patch=False).provider is first.provider


@given(anything, anything)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_value_arrives_or_says_why_not(annotation, metadata):
    """Whatever is annotated, put or returned: the user's call does not notice, and
    the span survives the official encoder."""
    powertools_otel.testing.reset()
    tracer = Tracer(service="s", disabled=False, auto_patch=False)

    @tracer.capture_method
    def method():
        tracer.put_annotation("annotation", annotation)
        tracer.put_metadata("metadata", metadata, "space")
        return metadata

    with powertools_otel.testing.capture_spans() as spans:
        assert method() is metadata

    (span,) = spans
    assert span.attributes["aws.xray.annotations"] == ("annotation",)
    assert "metadata" in json.loads(span.attributes["aws.xray.metadata.space"])
    request = encode_spans([span])
    sent = request.resource_spans[0].scope_spans[0].spans[0]
    assert {pair.key for pair in sent.attributes} == set(span.attributes)
    assert request.SerializeToString()


@pytest.mark.parametrize("key", ["", 17, None, "\ud800", "with space", "x" * 5_000])
def test_any_key_is_harmless(spans, key):
    """Keys that are no proper names disturb nobody."""
    tracer = Tracer(auto_patch=False)

    with tracer.provider.in_subsegment("span"):
        tracer.put_annotation(key, 1)
        tracer.put_metadata(key, 1)

    assert len(spans) == 1


def test_redaction(in_lambda):
    """What the redact function returns is recorded instead of the value."""

    def redact(key, value):
        return "***" if key == "card" else value

    tracer = Tracer(provider=OTelTracingProvider(redact=redact), auto_patch=False)
    with (
        powertools_otel.testing.capture_spans() as spans,
        tracer.provider.in_subsegment("span"),
    ):
        tracer.put_metadata("card", "4111", "space")
        tracer.put_metadata("name", "Ann", "space")

    metadata = json.loads(spans["span"].attributes["aws.xray.metadata.space"])
    assert metadata == {"card": "***", "name": "Ann"}


def test_a_redaction_that_fails_records_nothing(in_lambda):
    """A fault in redact never lets the value through."""

    def redact(key, value):
        raise RuntimeError

    tracer = Tracer(provider=OTelTracingProvider(redact=redact), auto_patch=False)
    with (
        powertools_otel.testing.capture_spans() as spans,
        tracer.provider.in_subsegment("span"),
    ):
        tracer.put_metadata("card", "4111", "space")

    assert "4111" not in spans["span"].to_json()


def test_name_prefix_can_be_kept(monkeypatch, in_lambda):
    """POWERTOOLS_OTEL_KEEP_NAME_PREFIX keeps Powertools' ``## ``."""
    monkeypatch.setenv("POWERTOOLS_OTEL_KEEP_NAME_PREFIX", "true")
    tracer = Tracer(auto_patch=False)
    with (
        powertools_otel.testing.capture_spans() as spans,
        tracer.provider.in_subsegment("## span"),
    ):
        pass

    assert [span.name for span in spans] == ["## span"]


class TestTracerProvider:
    """Where the spans come from: the application's TracerProvider, or one of ours."""

    @staticmethod
    def exporting():
        exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        return provider, exporter

    def traced(self, **options):
        tracer = Tracer(
            provider=OTelTracingProvider(**options), disabled=False, auto_patch=False
        )
        with tracer.provider.in_subsegment("span"):
            pass

    def test_the_one_given(self):
        """An argument wins."""
        provider, exporter = self.exporting()
        trace.set_tracer_provider(self.exporting()[0])

        self.traced(tracer_provider=provider)

        assert [span.name for span in exporter.get_finished_spans()] == ["span"]

    def test_a_global_one_that_exports(self):
        """A global provider with a processor is used, even if set after ours."""
        tracer = Tracer(disabled=False, auto_patch=False)
        provider, exporter = self.exporting()
        trace.set_tracer_provider(provider)

        with tracer.provider.in_subsegment("span"):
            pass

        assert [span.name for span in exporter.get_finished_spans()] == ["span"]
        assert trace.get_tracer_provider() is provider

    def test_a_global_one_that_swallows_is_left_alone(self, monkeypatch):
        """A provider without processors is neither used nor replaced."""
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
        empty = TracerProvider(shutdown_on_exit=False)
        trace.set_tracer_provider(empty)

        self.traced()

        assert trace.get_tracer_provider() is empty
        counted = powertools_otel._pipeline.get().statistics()["traces"]
        assert counted.recorded == 1

    @pytest.mark.parametrize("set_global", [True, False])
    def test_ours_becomes_the_global_one_if_there_is_none(
        self, monkeypatch, set_global
    ):
        """Users' own spans join the trace; set_global=False opts out."""
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")

        self.traced(set_global=set_global)

        assert isinstance(trace.get_tracer_provider(), TracerProvider) is set_global

    def test_a_malformed_span_limit_is_said(self, monkeypatch, caplog):
        """The SDK raises for it; we name it and go on."""
        monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many")

        self.traced()

        assert "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT is 'many'" in caplog.text

    def test_sampler_and_limits_are_the_sdks(self, monkeypatch):
        """OTEL_TRACES_SAMPLER and the span limits are honoured."""
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")

        self.traced()

        assert powertools_otel._pipeline.get().statistics()["traces"].recorded == 0


WITHOUT_XRAY = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "aws_xray_sdk":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocked())
"""


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize("disabled", [True, False, None])
@pytest.mark.parametrize("way", ["drop-in", "provider"])
def test_neither_way_needs_or_imports_xray(installed, disabled, way):
    """With and without aws_xray_sdk, on or off, outside Lambda: it is not imported."""
    assert importlib.util.find_spec("aws_xray_sdk")
    make = (
        f"from powertools_otel import Tracer; t = Tracer(disabled={disabled})"
        if way == "drop-in"
        else "from aws_lambda_powertools import Tracer\n"
        "from powertools_otel import OTelTracingProvider\n"
        f"t = Tracer(provider=OTelTracingProvider(), disabled={disabled})"
    )
    code = f"""{"" if installed else WITHOUT_XRAY}
{make}
@t.capture_method
def method():
    t.put_annotation("a", 1)
    return 1
@t.capture_lambda_handler
def handler(event, context):
    return method()
assert handler({{}}, None) == 1
import sys
assert not any(name.startswith("aws_xray_sdk") for name in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"OTEL_TRACES_EXPORTER": "none"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_an_upstream_tracer_with_another_provider_is_untouched(monkeypatch):
    """The forks in upstream's Tracer leave everybody else's provider alone."""
    from aws_lambda_powertools.tracing.base import BaseProvider

    calls = []

    class Foreign(BaseProvider):
        def in_subsegment(self, name=None, **kwargs):
            from contextlib import contextmanager

            @contextmanager
            def block():
                calls.append(name)
                yield self

            return block()

        in_subsegment_async = in_subsegment

        def put_annotation(self, key, value):
            calls.append(key)

        def put_metadata(self, key, value, namespace="default"):
            calls.append(key)

        def patch(self, modules):
            calls.append("patch")

        def patch_all(self):
            calls.append("patch_all")

    OTelTracingProvider()
    tracer = aws_lambda_powertools.Tracer(
        provider=Foreign(), disabled=False, auto_patch=False
    )

    @tracer.capture_method
    def numbers():
        yield 1

    @tracer.capture_lambda_handler
    def handler(event, context):
        return list(numbers())

    logging.getLogger("aws_lambda_powertools").setLevel(logging.ERROR)
    assert handler({}, None) == [1]
    assert calls[0] == "## handler"
    assert calls[1].endswith("numbers")
    assert "ColdStart" in calls


class Event(dict):
    """An event that tells when it is gone."""


def test_an_invocation_leaves_nothing_to_the_garbage_collector(in_lambda, monkeypatch):
    """An event of megabytes is freed when the handler is done, not some time later."""
    with OTLPReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        tracer = Tracer(service="s", auto_patch=False)
        metrics = Metrics(namespace="n", service="s")

        @tracer.capture_method
        def method():
            tracer.put_annotation("k", "v")
            metrics.add_metric("Orders", "Count", 1)
            return 1

        @metrics.log_metrics
        @tracer.capture_lambda_handler
        def handler(event, context):
            tracer.put_metadata("k", {"v": method()})
            return 1

        def invoke():
            event = Event(payload="x" * 1000)
            handler(event, LambdaContext())
            return weakref.ref(event)

        invoke()
        gc.collect()
        gc.disable()
        try:
            assert invoke()() is None
        finally:
            gc.enable()
        assert len(receiver.spans) == 4

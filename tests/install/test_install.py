"""install(): code that imports Powertools sends OpenTelemetry, and does not change."""

import copy
import importlib.util
import inspect
import logging
import time
from pathlib import Path

import aws_lambda_powertools
import pytest
from aws_lambda_powertools.metrics import base, metrics
from aws_lambda_powertools.metrics.provider.cloudwatch_emf import cloudwatch
from aws_lambda_powertools.metrics.provider.datadog import DatadogMetrics
from aws_lambda_powertools.tracing import aiohttp_trace_config, extensions
from aws_lambda_powertools.tracing import tracer as upstream
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.conftest import forget_global_provider

import powertools_otel
from powertools_otel import OTelMetricsProvider, OTelTracingProvider
from powertools_otel.testing import OTLPReceiver, capture_spans, reset

FUNCTION = Path(__file__).parent / "functions" / "unchanged.py"
EMF = cloudwatch.AmazonCloudWatchEMFProvider


def load():
    """Import the unchanged function, as a new module each time."""
    spec = importlib.util.spec_from_file_location("unchanged", FUNCTION)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def receiver(in_lambda, monkeypatch):
    with OTLPReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        yield receiver


def names(receiver):
    spans = {each.span.name for each in receiver.spans}
    points = {each.metric.name for each in receiver.metrics}
    return spans, points


EXPECTED = (
    {"checkout", "unchanged.charge", "unchanged.notify", "audited"},
    {"ColdStart", "Charges", "Fee", "Size"},
)


def test_a_function_imported_afterwards_sends_otlp_and_prints_nothing(
    receiver, context, capsys
):
    powertools_otel.install()
    unchanged = load()
    answer = unchanged.handler({"amount": 5}, context)
    assert answer == {"statusCode": 200, "body": {"charged": 5}}
    assert names(receiver) == EXPECTED
    assert len(receiver.requests) == 2  # one of each signal
    assert capsys.readouterr().out == ""


def test_a_function_imported_before_sends_otlp_and_prints_nothing(
    receiver, context, capsys
):
    unchanged = load()
    powertools_otel.install()
    event = {
        "amount": 5,
        "headers": {
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        },
    }
    assert unchanged.handler(event, context)["statusCode"] == 200
    assert names(receiver) == EXPECTED
    assert capsys.readouterr().out == ""
    # Its decorator was there before us, and still the event and context are known.
    root = next(each.span for each in receiver.spans if each.span.name == "checkout")
    attributes = {each.key: each.value for each in root.attributes}
    assert root.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert root.parent_span_id.hex() == "b7ad6b7169203331"
    assert attributes["faas.invocation_id"].string_value == context.aws_request_id
    assert attributes["http.response.status_code"].int_value == 200
    assert {each.span.trace_id for each in receiver.spans} == {root.trace_id}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_failing_handler_fails_as_it_did_and_is_an_error(receiver, context, when):
    if when == "after":
        powertools_otel.install()
    unchanged = load()
    if when == "before":
        powertools_otel.install()
    with pytest.raises(ValueError, match="no money"):
        unchanged.handler({"fail": True}, context)
    root = next(each.span for each in receiver.spans if each.span.name == "checkout")
    assert root.status.code == 2
    assert [event.name for event in root.events] == ["exception"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_capture_error_off_keeps_the_message_out(in_lambda, context, when):
    def decorate():
        tracer = aws_lambda_powertools.Tracer(service="s", auto_patch=False)

        @tracer.capture_lambda_handler(capture_error=False)
        def handler(event, context):
            raise ValueError("secret")

        return handler

    if when == "before":
        handler = decorate()
    powertools_otel.install()
    if when == "after":
        handler = decorate()
    with capture_spans() as spans, pytest.raises(ValueError, match="secret"):
        handler({}, context)
    (span,) = spans
    assert span.status.is_ok is False
    assert "secret" not in span.to_json()


def test_middleware_spans_lie_under_the_handlers(receiver, context):
    powertools_otel.install()
    load().handler({"amount": 5}, context)
    spans = {each.span.name: each.span for each in receiver.spans}
    audited, root = spans["audited"], spans["checkout"]
    assert audited.parent_span_id == root.span_id
    assert spans["unchanged.charge"].parent_span_id == audited.span_id


def test_metrics_share_their_values_as_ever(receiver):
    powertools_otel.install()
    one = aws_lambda_powertools.Metrics(namespace="Shop", service="s")
    one.set_default_dimensions(environment="test")
    other = aws_lambda_powertools.Metrics(namespace="Shop", service="s")
    one.add_metric("Orders", "Count", 1)
    other.add_metric("Orders", "Count", 2)
    assert one.metric_set is other.metric_set
    other.flush_metrics()
    (sent,) = receiver.metrics
    (point,) = sent.metric.sum.data_points
    assert point.as_double == 3
    assert {each.key for each in point.attributes} == {"service", "environment"}
    assert one.metric_set == {}


def test_metrics_gathered_before_are_sent_too(receiver, capsys):
    before = aws_lambda_powertools.Metrics(namespace="Shop", service="s")
    before.add_metric("Orders", "Count", 1)
    at = int(time.time() * 1000) - 60_000
    before.set_timestamp(at)
    powertools_otel.install()
    before.add_metric("Orders", "Count", 1)
    before.flush_metrics()
    (sent,) = receiver.metrics
    (point,) = sent.metric.sum.data_points
    assert point.as_double == 2
    assert point.time_unix_nano == at * 1_000_000
    assert capsys.readouterr().out == ""


def test_a_name_imported_before_is_ours_as_well(receiver, capsys):
    from aws_lambda_powertools import single_metric
    from aws_lambda_powertools.metrics import EphemeralMetrics

    powertools_otel.install()
    with single_metric("Fee", "Count", 1, namespace="Shop"):
        pass
    own = EphemeralMetrics(namespace="Own")
    own.add_metric("Size", "Bytes", 1)
    own.flush_metrics()
    assert {each.metric.name for each in receiver.metrics} == {"Fee", "Size"}
    assert capsys.readouterr().out == ""


def test_single_metric_passes_on_what_its_body_raises(receiver):
    powertools_otel.install()
    with (
        pytest.raises(KeyError),
        aws_lambda_powertools.single_metric("Fee", "Count", 1, namespace="Shop"),
    ):
        raise KeyError
    assert receiver.metrics == []


def test_a_subclass_of_the_emf_provider_keeps_its_methods(receiver, capsys):
    class Prefixed(EMF):
        def __init__(self, prefix):
            super().__init__(namespace="Shop")
            self.prefix = prefix

        def add_metric(self, name, unit, value, resolution=60):
            super().add_metric(f"{self.prefix}{name}", unit, value, resolution)

    before = Prefixed("b-")
    powertools_otel.install()
    for provider in (before, Prefixed("a-")):
        provider.add_metric("Orders", "Count", 1)
        provider.flush_metrics()
    assert {each.metric.name for each in receiver.metrics} == {"b-Orders", "a-Orders"}
    assert capsys.readouterr().out == ""


def test_a_subclass_that_writes_emf_itself_still_does(receiver, capsys):
    class Custom(EMF):
        def flush_metrics(self, raise_on_empty_metrics=False):
            print(self.serialize_metric_set()["_aws"]["CloudWatchMetrics"][0])
            self.clear_metrics()

    powertools_otel.install()
    custom = aws_lambda_powertools.Metrics(provider=Custom(namespace="Shop"))
    custom.add_metric("Orders", "Count", 1)
    custom.flush_metrics()
    assert "'Namespace': 'Shop'" in capsys.readouterr().out
    assert receiver.metrics == []


def test_datadog_metrics_stay_datadogs(receiver, capsys):
    powertools_otel.install()
    datadog = DatadogMetrics(namespace="Shop")
    datadog.add_metric("Orders", 1)
    datadog.flush_metrics()
    assert '"m":"Shop.Orders"' in capsys.readouterr().out
    assert receiver.metrics == []


def test_a_tracer_with_a_provider_of_its_own_keeps_it(in_lambda):
    from powertools_otel._install._inert import Inert

    own = Inert()
    before = aws_lambda_powertools.Tracer(provider=own, auto_patch=False)
    powertools_otel.install()
    assert before.provider is own
    assert aws_lambda_powertools.Tracer(auto_patch=False).provider is own


def test_the_providers_are_ours(in_lambda):
    before = aws_lambda_powertools.Tracer(auto_patch=False)
    powertools_otel.install()
    after = aws_lambda_powertools.Tracer(auto_patch=False)
    assert isinstance(before.provider, OTelTracingProvider)
    assert before.provider is after.provider
    provider = aws_lambda_powertools.Metrics(namespace="n").provider
    assert isinstance(provider, OTelMetricsProvider)
    assert isinstance(provider, EMF)


def test_after_a_reset_tracers_have_a_provider_of_the_new_state(receiver, context):
    powertools_otel.install()
    load().handler({"amount": 5}, context)
    reset()
    forget_global_provider()
    receiver.clear()
    load().handler({"amount": 5}, context)
    assert names(receiver) == EXPECTED


def test_the_dependency_swap_and_install_share_one_provider(in_lambda):
    powertools_otel.install()
    swapped = powertools_otel.Tracer(auto_patch=False)
    unchanged = aws_lambda_powertools.Tracer(auto_patch=False)
    assert swapped.provider is unchanged.provider


def test_the_xray_sdk_is_silent_while_we_are_installed(in_lambda):
    from aws_xray_sdk import global_sdk_config

    aws_lambda_powertools.Tracer(auto_patch=False)
    assert global_sdk_config.sdk_enabled()
    powertools_otel.install()
    assert not global_sdk_config.sdk_enabled()
    powertools_otel.uninstall()
    assert global_sdk_config.sdk_enabled()


def test_outside_lambda_a_tracer_is_off_without_an_endpoint(context):
    powertools_otel.install()
    tracer = aws_lambda_powertools.Tracer(service="s")
    assert tracer.disabled
    assert tracer.capture_method(lambda: 1)() == 1


def test_outside_lambda_a_tracer_is_on_with_an_endpoint(receiver, monkeypatch):
    monkeypatch.delenv("LAMBDA_TASK_ROOT")
    powertools_otel.install()
    tracer = aws_lambda_powertools.Tracer(service="s", auto_patch=False)
    assert not tracer.disabled
    tracer.capture_method(load)()
    (sent,) = receiver.spans
    assert sent.span.name.endswith("test_install.load")


def test_powertools_own_switch_still_switches_off(receiver, monkeypatch, context):
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
    powertools_otel.install()
    unchanged = load()
    assert unchanged.handler({"amount": 1}, context)["statusCode"] == 200
    assert receiver.spans == []
    assert receiver.metrics == []


def test_a_value_that_cannot_be_written_disturbs_nobody(spans):
    class Rude:
        def __str__(self):
            raise RuntimeError

        __repr__ = __str__

    powertools_otel.install()
    tracer = aws_lambda_powertools.Tracer(auto_patch=False)
    with tracer.provider.in_subsegment("work"):
        tracer.put_annotation("rude", Rude())
        tracer.put_metadata("rude", Rude())
        tracer.put_annotation("polite", 1)
    assert spans["work"].attributes["polite"] == 1


def test_given_providers_are_used(in_lambda, context):
    exporter = InMemorySpanExporter()
    tracing = TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(SimpleSpanProcessor(exporter))
    reader = InMemoryMetricReader()
    metering = MeterProvider([reader], shutdown_on_exit=False)
    powertools_otel.install(tracer_provider=tracing, meter_provider=metering)
    load().handler({"amount": 5}, context)
    assert "checkout" in {span.name for span in exporter.get_finished_spans()}
    found = {
        metric.name
        for of_resource in reader.get_metrics_data().resource_metrics
        for scope in of_resource.scope_metrics
        for metric in scope.metrics
    }
    assert found == {"coldstart", "charges", "fee", "size"}
    metering.shutdown()


def test_the_signatures_are_powertools_own():
    before = {
        "Tracer": inspect.signature(aws_lambda_powertools.Tracer),
        "Metrics": inspect.signature(aws_lambda_powertools.Metrics),
        "single_metric": inspect.signature(aws_lambda_powertools.single_metric),
    }
    powertools_otel.install()
    aws_lambda_powertools.Tracer(auto_patch=False)
    for name, signature in before.items():
        now = inspect.signature(getattr(aws_lambda_powertools, name))
        assert str(now) == str(signature)


def snapshot():
    """Everything that install() touches, by identity where it matters."""
    closure = base.single_metric.__closure__
    tracer = {k: v for k, v in vars(upstream.Tracer).items() if k != "_config"}
    return (
        tracer,
        dict(vars(EMF)),
        dict(vars(metrics.Metrics)),
        [cell.cell_contents for cell in closure],
        extensions.aiohttp_trace_config.__code__,
        upstream.Tracer._config["provider"],
        copy.copy(upstream.Tracer._default_config),
    )


@pytest.mark.parametrize("times", [1, 3])
def test_uninstall_restores_everything(receiver, context, times):
    before = snapshot()
    for _ in range(times):
        powertools_otel.install()
        load().handler({"amount": 5}, context)
        powertools_otel.uninstall()
    after = snapshot()
    for was, now in zip(before, after, strict=True):
        assert was == now
    assert aiohttp_trace_config is extensions.aiohttp_trace_config


def test_after_uninstall_metrics_made_meanwhile_write_emf_again(in_lambda, capsys):
    powertools_otel.install()
    made = aws_lambda_powertools.Metrics(namespace="Shop", service="s")
    made.namespace = "Moved"
    powertools_otel.uninstall()
    made.add_metric("Orders", "Count", 1)
    made.flush_metrics()
    assert '"Namespace":"Moved"' in capsys.readouterr().out
    assert type(made.provider) is EMF


def test_after_uninstall_tracers_of_before_use_xray_again(in_lambda):
    before = aws_lambda_powertools.Tracer(auto_patch=False)
    xray = before.provider
    powertools_otel.install()
    assert before.provider is not xray
    powertools_otel.uninstall()
    assert before.provider is xray
    assert aws_lambda_powertools.Tracer(auto_patch=False).provider is xray


def test_uninstall_without_install_does_nothing():
    before = snapshot()
    powertools_otel.uninstall()
    assert snapshot() == before


def test_installing_twice_is_silent(caplog):
    with caplog.at_level(logging.WARNING):
        powertools_otel.install()
        powertools_otel.install()
    assert caplog.messages == []

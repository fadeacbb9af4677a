"""The provider behind both facades: decorators, cold starts, failures, settings."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import json
import os
import warnings
from decimal import Decimal
from typing import Any

import aws_lambda_powertools
import pytest
from aws_lambda_powertools.metrics.provider import cold_start
from aws_lambda_powertools.metrics.provider.base import BaseProvider
from aws_lambda_powertools.warnings import PowertoolsUserWarning
from tests.metrics.sent import Sent

import powertools_otel.metrics as otel
from powertools_otel import _invocation
from powertools_otel._settings import Settings
from powertools_otel.metrics import (
    EphemeralMetrics,
    Metrics,
    MetricUnit,
    OTelMetricsProvider,
    SchemaValidationError,
    _sink,
    single_metric,
)

HAS_DIMENSION_SETS = hasattr(aws_lambda_powertools.Metrics, "add_dimensions")
"""Not so in early Powertools 3, whose facade cannot pass the call on."""


class Context:
    function_name = "checkout"
    aws_request_id = "1"


def idle(event, context):
    """A handler that adds no metrics."""


class DurableContext:
    """What a durable execution hands to its handler (Powertools 3.37)."""

    state = "running"
    lambda_context = Context()


@pytest.fixture(params=["drop-in", "upstream", "ephemeral", "provider"])
def make(request, sent):
    """Every way to our provider; upstream's facade is typed for EMF's only."""

    def build(**arguments: Any) -> Any:
        arguments.setdefault("namespace", "Shop")
        if request.param == "drop-in":
            return Metrics(**arguments)
        if request.param == "ephemeral":
            return EphemeralMetrics(**arguments)
        provider = OTelMetricsProvider(**arguments)
        if request.param == "provider" or not HAS_DIMENSION_SETS:
            return provider
        return aws_lambda_powertools.Metrics(provider=provider)

    yield build
    aws_lambda_powertools.Metrics._default_dimensions.clear()


def test_every_documented_call_works_with_every_facade(make, sent):
    """The facade finds in our provider all that it finds in EMF's."""
    metrics = make(service="cart")
    metrics.set_default_dimensions(env="prod")

    @metrics.log_metrics(
        capture_cold_start_metric=True,
        raise_on_empty_metrics=True,
        default_dimensions={"team": "a"},
    )
    def handler(event, context):
        metrics.add_metric(name="orders", unit="Count", value=1)
        metrics.add_metric(name="orders", unit=MetricUnit.Count, value=2, resolution=1)
        metrics.add_dimension(name="late", value="yes")
        metrics.add_dimensions(region="eu")
        metrics.add_metadata(key="booking_id", value="b-1")
        metrics.set_timestamp(dt.datetime.now(tz=dt.timezone.utc))
        assert metrics.serialize_metric_set()["resourceMetrics"]
        metrics.namespace = "Store"
        metrics.service = "pay"
        assert (metrics.namespace, metrics.service) == ("Store", "pay")
        return "done"

    assert handler({}, Context()) == "done"

    points = sent.by_name()
    assert points["orders"].value == 3
    assert points["orders"].scope == "Store"
    assert points["orders"].attributes == {
        "env": "prod",
        "team": "a",
        "late": "yes",
        "service": "cart",
        "region": "eu",
    }
    assert points["orders"].metadata["powertools.metadata.booking_id"] == "b-1"
    assert points["ColdStart"].attributes == {
        "function_name": "checkout",
        "service": "pay",
    }
    metrics.clear_metrics()


def test_the_provider_is_powertools_own_kind(sent):
    """What Powertools, or anyone, checks with isinstance holds."""
    assert isinstance(OTelMetricsProvider(), BaseProvider)
    assert isinstance(Metrics(), aws_lambda_powertools.Metrics)


def test_the_package_has_all_names_of_powertools():
    """An import is swapped by its first word."""
    import aws_lambda_powertools.metrics as emf

    assert set(emf.__all__) <= set(otel.__all__)
    assert otel.MetricUnit is emf.MetricUnit
    assert otel.SchemaValidationError is emf.SchemaValidationError


class TestSharedState:
    def test_instances_of_metrics_share_values(self, sent):
        """A library's Metrics() and the handler's publish one set."""
        one, other = Metrics(namespace="Shop"), Metrics(namespace="Shop")
        one.add_metric("a", "Count", 1)
        other.add_metric("a", "Count", 2)
        other.add_dimension("env", "x")
        assert one.metric_set is other.metric_set
        assert one.metric_set["a"]["Value"] == [1.0, 2.0]
        one.flush_metrics()

        assert sent.by_name()["a"].value == 3
        assert other.metric_set == {}

    def test_ephemeral_metrics_share_nothing(self, sent):
        """An isolated instance neither sees nor publishes others' values."""
        shared, alone = Metrics(namespace="Shop"), EphemeralMetrics(namespace="Shop")
        shared.add_metric("a", "Count", 1)
        alone.add_metric("b", "Count", 1)
        alone.flush_metrics()

        assert list(sent.by_name()) == ["b"]

    def test_powertools_own_metrics_are_not_touched(self, sent):
        """Our default dimensions never appear in an EMF Metrics, and vice versa."""
        Metrics(namespace="Shop").set_default_dimensions(env="prod")

        emf = aws_lambda_powertools.Metrics(namespace="Shop")
        assert emf.dimension_set == {}
        assert emf.default_dimensions == {}

    def test_arguments_beside_a_provider_are_set_on_it(self, sent):
        """Powertools drops them silently; we do not."""
        metrics = Metrics("cart", "Shop", OTelMetricsProvider(), "named")

        assert metrics.provider.namespace == "Shop"
        assert metrics.provider.service == "cart"
        assert metrics.provider.function_name == "named"

    def test_the_environment_names_namespace_and_service(self, sent, monkeypatch):
        """POWERTOOLS_METRICS_NAMESPACE and POWERTOOLS_SERVICE_NAME are honoured."""
        monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "FromEnv")
        monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "svc")
        metrics = Metrics()
        metrics.add_metric("a", "Count", 1)
        metrics.flush_metrics()
        with single_metric("b", MetricUnit.Count, 1):
            pass

        points = sent.by_name()
        assert {point.scope for point in points.values()} == {"FromEnv"}
        assert points["a"].attributes == points["b"].attributes == {"service": "svc"}


class TestColdStart:
    def run(self, make, handler, **options):
        metrics = make()
        decorated = metrics.log_metrics(capture_cold_start_metric=True, **options)(
            handler
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # there are no application metrics
            return decorated({}, Context())

    def test_once_per_environment(self, make, sent):
        """Only the first invocation is cold."""
        self.run(make, idle)
        self.run(make, idle)

        assert [point.name for point in sent.points()] == ["ColdStart"]
        assert cold_start.is_cold_start is False

    def test_also_if_the_handler_fails(self, make, sent):
        """EMF forgets it then, and reports it with the second invocation."""

        def fail(event, context):
            raise ValueError("mine")

        with pytest.raises(ValueError, match="mine"):
            self.run(make, fail)
        assert [point.name for point in sent.points()] == ["ColdStart"]
        self.run(make, idle)
        assert sent.points() == []

    def test_not_where_the_environment_was_made_ahead(self, make, sent, monkeypatch):
        """Powertools decides so for provisioned concurrency."""
        monkeypatch.setattr(cold_start, "is_cold_start", False)
        self.run(make, idle)

        assert sent.points() == []

    @pytest.mark.parametrize(
        ("given", "variable", "expected"),
        [
            (None, None, "checkout"),
            (None, "from-env", "from-env"),
            ("mine", "from-env", "mine"),
        ],
    )
    def test_function_name(self, given, variable, expected, sent, monkeypatch):
        """The argument, then POWERTOOLS_METRICS_FUNCTION_NAME, then the context."""
        if variable:
            monkeypatch.setenv("POWERTOOLS_METRICS_FUNCTION_NAME", variable)
        metrics = EphemeralMetrics(namespace="Shop", function_name=given)
        metrics.add_cold_start_metric(Context())

        assert sent.by_name()["ColdStart"].attributes == {"function_name": expected}

    def test_a_durable_context_is_unwrapped(self, sent):
        """The function's name is in the Lambda context inside."""
        metrics = EphemeralMetrics(namespace="Shop")

        @metrics.log_metrics(capture_cold_start_metric=True)
        def handler(event, context):
            metrics.add_metric("a", "Count", 1)
            return context

        assert isinstance(handler({}, DurableContext()), DurableContext)
        assert sent.by_name()["ColdStart"].attributes["function_name"] == "checkout"


class TestHandlers:
    def test_an_async_handler_is_flushed_after_its_await(self, make, sent):
        """EMF's decorator flushes before the body of an async handler has run."""
        metrics = make()

        @metrics.log_metrics(capture_cold_start_metric=True)
        async def handler(event, context, *, extra):
            await asyncio.sleep(0)
            metrics.add_metric(name="a", unit="Count", value=1)
            return extra

        assert asyncio.run(handler({}, Context(), extra="x")) == "x"
        assert set(sent.by_name()) == {"a", "ColdStart"}

    def test_an_async_handler_that_does_not_look_like_one(self, make, sent):
        """Behind a plain wrapper it is its coroutine that tells."""
        metrics = make()

        async def body(event, context):
            await asyncio.sleep(0)
            metrics.add_metric(name="a", unit="Count", value=1)
            return _invocation.current()

        def wrapper(*arguments):
            return body(*arguments)

        handler = metrics.log_metrics(wrapper)
        assert asyncio.run(handler({}, Context())) is not None
        assert set(sent.by_name()) == {"a"}
        assert _invocation.latest() is None

    def test_an_async_handler_that_fails_is_flushed(self, make, sent):
        """Its own exception is what the caller sees."""
        metrics = make()

        @metrics.log_metrics(raise_on_empty_metrics=True)
        async def handler(event, context):
            metrics.add_metric(name="a", unit="Count", value=1)
            await asyncio.sleep(0)
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            asyncio.run(handler({}, Context()))
        assert set(sent.by_name()) == {"a"}

    def test_the_handlers_name_and_arguments_pass(self, make):
        """Decorating changes neither."""
        metrics = make()

        @metrics.log_metrics
        def handler(event, context, *arguments, **more):
            """What it does."""
            metrics.add_metric(name="a", unit="Count", value=1)
            return arguments, more

        assert handler.__name__ == "handler"
        assert handler.__doc__ == "What it does."
        assert handler({}, Context(), 1, x=2) == ((1,), {"x": 2})

    def test_partials_and_callables_can_be_decorated(self, make, sent):
        """A handler is anything that can be called."""
        metrics = make()

        def body(metrics, event, context):
            metrics.add_metric(name="a", unit="Count", value=1)

        metrics.log_metrics(functools.partial(body, metrics))({}, Context())
        assert set(sent.by_name()) == {"a"}

    def test_no_metrics_raise_if_asked_to(self, make):
        """SchemaValidationError, as with EMF."""
        metrics = make()
        handler = metrics.log_metrics(raise_on_empty_metrics=True)(idle)

        with pytest.raises(SchemaValidationError, match="at least one metric"):
            handler({}, Context())

    @pytest.mark.parametrize(
        "error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3)]
    )
    def test_the_handlers_exception_is_never_replaced(self, error, sent):
        """Neither by missing metrics, nor a missing namespace, nor a warning."""
        metrics = EphemeralMetrics()

        def handler(event, context):
            metrics.add_metric("a", "Count", 1)
            raise error

        with pytest.raises(type(error)) as caught:
            metrics.log_metrics(
                handler, capture_cold_start_metric=True, raise_on_empty_metrics=True
            )({}, None)
        assert caught.value is error

    def test_nested_decorators_are_one_invocation(self, sent):
        """Only the end of the outer one sends."""
        metrics = Metrics(namespace="Shop")
        ends: list[Any] = []
        _invocation.on_end(ends.append)

        @metrics.log_metrics
        def inner(event, context):
            metrics.add_metric("a", "Count", 1)

        @metrics.log_metrics
        def outer(event, context):
            inner(event, context)
            metrics.add_metric("b", "Count", 1)
            assert ends == []

        outer({}, Context())
        assert len(ends) == 1
        assert sent.flushes == [], "the invocation's end sends, nobody else"
        assert set(sent.by_name()) == {"a", "b"}

    def test_a_fault_of_the_recorder_is_not_the_functions(self, sent, monkeypatch):
        """The handler's answer arrives, and the next invocation starts clean."""

        def broken(*arguments: Any) -> None:
            raise RuntimeError("ours")

        monkeypatch.setattr(sent.outlet.store, "record", broken)
        metrics = Metrics(namespace="Shop")

        @metrics.log_metrics
        def handler(event, context):
            metrics.add_metric("a", "Count", 1)
            return "done"

        assert handler({}, Context()) == "done"
        assert metrics.metric_set == {}

    def test_buffered_values_can_be_rescued_before_a_timeout(self, sent):
        """What a handler that will be killed has added so far is recorded, once."""
        metrics = Metrics(namespace="Shop")
        found: list[dict[str, float]] = []

        @metrics.log_metrics
        def handler(event, context):
            metrics.add_dimension("env", "x")
            metrics.add_metric("a", "Count", 1)
            _sink.rescue()
            found.append({p.name: p.value for p in sent.points()})
            metrics.add_metric("b", "Count", 2)

        handler({}, Context())
        found.append({p.name: p.value for p in sent.points()})
        _sink.rescue()
        assert found == [{"a": 1.0}, {"b": 2.0}]
        assert sent.points() == []


class TestFlush:
    def test_outside_an_invocation_it_is_sent_at_once(self, make, sent):
        """A script, a test or INIT code has no end of invocation to wait for."""
        metrics = make()
        metrics.add_metric(name="a", unit="Count", value=1)
        metrics.flush_metrics()
        assert sent.flushes == [1]
        with single_metric("b", "Count", 1, namespace="Shop"):
            pass

        assert sent.flushes == [1, 2]

    def test_inside_an_invocation_it_waits_for_the_end(self, make, sent):
        """One request per invocation, however often metrics are flushed."""
        metrics = make()
        with _invocation.scope({}, Context()):
            for _ in range(3):
                metrics.add_metric(name="a", unit="Count", value=1)
                metrics.flush_metrics()
            with single_metric("b", "Count", 1, namespace="Shop"):
                pass

        assert sent.flushes == []
        assert {p.name: p.value for p in sent.points()} == {"a": 3.0, "b": 1.0}

    @pytest.mark.parametrize(
        "environ",
        [
            {"POWERTOOLS_METRICS_DISABLED": "true"},
            {"POWERTOOLS_DEV": "true"},
        ],
    )
    def test_disabled_metrics_are_forgotten(self, environ, make, sent, monkeypatch):
        """EMF keeps them for ever; single_metric and ColdStart are disabled too."""
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        metrics = make()

        @metrics.log_metrics(capture_cold_start_metric=True)
        def handler(event, context):
            metrics.add_metric(name="a", unit="Count", value=1)
            metrics.add_dimension(name="env", value="x")
            with single_metric("b", "Count", 1, namespace="Shop"):
                pass

        handler({}, Context())
        provider = getattr(metrics, "provider", metrics)
        assert (provider.metric_set, provider.dimension_set) == ({}, {})
        assert sent.points() == []

    def test_dev_with_metrics_explicitly_enabled(self, make, sent, monkeypatch):
        """POWERTOOLS_METRICS_DISABLED=false wins over POWERTOOLS_DEV."""
        monkeypatch.setenv("POWERTOOLS_DEV", "true")
        monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "false")
        metrics = make()
        metrics.add_metric(name="a", unit="Count", value=1)
        metrics.flush_metrics()

        assert set(sent.by_name()) == {"a"}

    def test_an_environment_that_was_replaced_is_asked(self, make, sent, monkeypatch):
        """As with EMF in tests that put a dictionary in place of os.environ."""
        metrics = make()
        monkeypatch.setattr(os, "environ", {"POWERTOOLS_METRICS_DISABLED": "true"})
        metrics.add_metric(name="a", unit="Count", value=1)
        metrics.flush_metrics()

        assert sent.points() == []

    def test_no_exporter_records_nothing(self, make):
        """OTEL_METRICS_EXPORTER=none: nothing is kept that will never be sent."""
        sent = Sent.install(sends=False)
        metrics = make()
        metrics.add_metric(name="a", unit="Count", value=1)
        metrics.flush_metrics()

        assert sent.outlet.store.pending() == 0

    def test_ten_thousand_metrics_in_one_invocation(self, make, sent, capsys):
        """CloudWatch's limit of 100 is not everyone's."""
        metrics = make()
        for number in range(10_000):
            metrics.add_metric(name=f"m{number}", unit="Count", value=1)
            metrics.add_metric(name="many", unit="Seconds", value=number)
        metrics.add_dimension(name="late", value="yes")
        metrics.flush_metrics()

        points = sent.by_name()
        assert len(points) == 10_001
        assert points["many"].raw.count == 10_000
        assert all(point.attributes == {"late": "yes"} for point in points.values())
        assert capsys.readouterr().out == ""

    def test_a_flood_of_values_does_not_fill_the_memory(self, sent, monkeypatch):
        """Beyond 50,000 values of a name they are handed on, and none is lost."""
        monkeypatch.setattr("powertools_otel.metrics._provider.FLOOD", 1_000)
        metrics = EphemeralMetrics(namespace="Shop")
        longest = 0
        for number in range(3_500):
            metrics.add_metric("many", "Seconds", number)
            held = metrics.metric_set.get("many", {"Value": []})["Value"]
            longest = max(longest, len(held))
        metrics.flush_metrics()

        assert longest < 1_000
        assert sent.by_name()["many"].raw.count == 3_500


class TestDimensions:
    def test_thirty_dimensions_are_fine_without_cloudwatch(self, make, sent):
        """29 is CloudWatch's limit, not OTLP's."""
        metrics = make()
        expected = {f"d{number}": "v" for number in range(40)}
        for name in list(expected)[:20]:
            metrics.add_dimension(name=name, value="v")
        metrics.add_dimensions(**dict.fromkeys(list(expected)[20:], "v"))
        metrics.add_metric(name="a", unit="Count", value=1)
        metrics.flush_metrics()

        assert sent.by_name()["a"].attributes == expected

    def test_strict_emf_imposes_cloudwatchs_limits(self, sent):
        """For teams that go back and forth."""
        metrics = OTelMetricsProvider("Shop", strict_emf=True)
        for number in range(29):
            metrics.add_dimension(f"d{number}", "v")
        with pytest.raises(SchemaValidationError, match="29"):
            metrics.add_dimension("one more", "v")
        with pytest.raises(SchemaValidationError, match="29"):
            metrics.add_dimensions(more="v")

    def test_sets_are_merged_or_separate(self, sent):
        """One point with all dimensions by default; EMF's points on demand."""
        for style, expected in (
            ("merged", [{"env": "x", "region": "eu"}]),
            ("separate", [{"env": "x"}, {"region": "eu"}]),
        ):
            metrics = OTelMetricsProvider("Shop", dimension_sets=style)
            metrics.add_dimension("env", "x")
            metrics.add_dimensions(region="eu")
            metrics.add_metric("a", "Count", 1)
            metrics.flush_metrics()

            assert [point.attributes for point in sent.points()] == expected

    def test_names_of_metrics_and_metadata_never_overwrite_dimensions(self, sent):
        """In EMF all share one JSON object, where the later key wins."""
        metrics = Metrics(namespace="Shop")
        metrics.add_dimension("env", "x")
        metrics.add_metadata("env", "secret")
        metrics.add_metric("env", "Count", 1)
        metrics.add_metric("_aws", "Count", 1)
        metrics.flush_metrics()

        points = sent.by_name()
        assert set(points) == {"env", "_aws"}
        assert points["env"].attributes == points["_aws"].attributes == {"env": "x"}

    def test_warnings_are_attributed_as_powertools_attributes_them(self, sent):
        """Python shows a warning once per line it is attributed to: the caller's."""
        metrics = EphemeralMetrics(namespace="Shop")
        with pytest.warns(PowertoolsUserWarning) as caught:
            metrics.add_dimension("", "x")
        with pytest.warns(UserWarning, match="No application metrics") as empty:
            metrics.flush_metrics()

        assert {each.filename for each in [*caught, *empty]} == {__file__}


class TestValues:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [(True, 1.0), (Decimal("1.5"), 1.5), (2**70, 2.0**70), (-3, -3.0)],
    )
    @pytest.mark.parametrize("count_as", ["sum", "histogram"])
    def test_every_number_arrives(self, value, expected, count_as, sent):
        """Whatever EMF accepts; 2**70 is beyond an int64, and a double all the same."""
        metrics = OTelMetricsProvider("Shop", count_as=count_as)
        metrics.add_metric("a", "Count", value)
        metrics.add_metric("other", "Count", 1)
        metrics.flush_metrics()

        points = sent.by_name()
        found = points["a"]
        assert (found.value if count_as == "sum" else found.raw.sum) == expected
        assert "other" in points

    @pytest.mark.parametrize("odd", ["nan", "inf", "-inf"])
    def test_odd_values_spoil_nothing(self, odd, sent, caplog):
        """Other values of the metric and other metrics arrive; it is said once."""
        metrics = Metrics(namespace="Shop")
        for name, unit in (("count", "Count"), ("latency", "Milliseconds")):
            metrics.add_metric(name, unit, 2)
            metrics.add_metric(name, unit, float(odd))
        metrics.add_metric("good", "Count", 1)
        metrics.flush_metrics()

        points = sent.by_name()
        assert points["count"].value == 2.0
        latency = points["latency"].raw
        assert (latency.count, latency.sum, latency.min, latency.max) == (2, 2, 2, 2)
        assert points["good"].value == 1.0
        assert caplog.text.count("no finite number") == 1


class TestMapping:
    def kinds(self, sent, **settings):
        metrics = OTelMetricsProvider("Shop", **settings)
        for unit in ("Count", "Milliseconds"):
            metrics.add_metric(unit, unit, 1)
            metrics.add_metric(unit, unit, -2)
        metrics.flush_metrics()
        return {point.name: point.kind for point in sent.points()}

    def test_a_count_is_a_monotonic_delta_sum_and_others_are_histograms(self, sent):
        """Whatever the values are: here one of each is negative."""
        metrics = Metrics(namespace="Shop")
        for unit in ("Count", "Milliseconds"):
            metrics.add_metric(unit, unit, 1)
            metrics.add_metric(unit, unit, -2)
        metrics.flush_metrics()

        points = sent.by_name()
        count, latency = points["Count"], points["Milliseconds"]
        assert count.kind == "sum"
        assert count.metric.sum.is_monotonic
        assert count.metric.sum.aggregation_temporality == 1
        assert count.value == -1
        assert latency.kind == "histogram"
        assert latency.metric.histogram.aggregation_temporality == 1
        assert (latency.raw.min, latency.raw.max) == (-2, 1)

    def test_kinds_can_be_set(self, sent):
        """count_as for all counts, metric_kinds for one metric."""
        assert self.kinds(sent, count_as="histogram") == {
            "Count": "histogram",
            "Milliseconds": "histogram",
        }
        assert self.kinds(
            sent, metric_kinds={"Count": "gauge", "Milliseconds": "sum"}
        ) == {"Count": "gauge", "Milliseconds": "sum"}

    def test_kinds_from_the_environments_settings(self):
        """What the environment says holds for every way in."""
        sent = Sent.install(Settings(metric_kinds={"depth": "gauge"}))
        with single_metric("depth", "Count", 3, namespace="Shop"):
            pass

        point = sent.by_name()["depth"]
        assert (point.kind, point.value) == ("gauge", 3.0)

    def test_a_wrong_setting_is_said_and_replaced(self, sent, caplog):
        """As one of the environment is."""
        assert self.kinds(sent, count_as="bananas")["Count"] == "sum"
        assert "bananas" in caplog.text
        assert self.kinds(sent, metric_kinds={"Count": "pie"})["Count"] == "sum"
        assert "pie" in caplog.text

    def test_histograms_can_be_exponential(self):
        """OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION decides."""
        sent = Sent.install(exponential=True)
        metrics = OTelMetricsProvider("Shop", unit_style="ucum")
        metrics.add_metric("lat", "Seconds", 2)
        metrics.flush_metrics()
        Metrics(namespace="Shop").add_metric("lat2", "Seconds", 2)
        Metrics(namespace="Shop").flush_metrics()

        for point in sent.points():
            assert point.kind == "exponential_histogram"
            assert (point.raw.count, point.raw.sum) == (1, 2.0)

    def test_the_namespace_is_the_scope_or_a_prefix(self, sent):
        """Backends without scopes need it in the name."""
        for style, scope, name in (
            ("scope", "Shop", "a"),
            ("prefix", "powertools_otel", "Shop.a"),
        ):
            metrics = OTelMetricsProvider("Shop", namespace_as=style)
            metrics.add_metric("a", "Count", 1)
            metrics.flush_metrics()

            [point] = sent.points()
            assert (point.scope, point.name) == (scope, name)
            assert point.metric.description == ""

    def test_one_name_with_two_units_in_one_flush_has_the_last_one(self, sent):
        """As in EMF; in two flushes it is two metrics."""
        metrics = Metrics(namespace="Shop")
        metrics.add_metric("a", "Seconds", 1)
        metrics.add_metric("a", "Milliseconds", 2)
        metrics.flush_metrics()
        metrics.add_metric("a", "Seconds", 4)
        metrics.flush_metrics()

        found = {point.unit: point.raw.sum for point in sent.points()}
        assert found == {"ms": 3.0, "s": 4.0}

    def test_timestamps_are_the_points_time_and_outlive_a_flush(self, sent):
        """As in EMF, until another one is set; 0 means now again."""
        moment = dt.datetime.now(tz=dt.timezone.utc) - dt.timedelta(hours=1)
        metrics = EphemeralMetrics(namespace="Shop")
        metrics.set_timestamp(moment)
        times = []
        for _ in range(2):
            metrics.add_metric("a", "Count", 1)
            metrics.flush_metrics()
            times += [point.raw.time_unix_nano for point in sent.points()]
        with pytest.warns(UserWarning, match="skipped by Amazon CloudWatch"):
            metrics.set_timestamp(0)
        metrics.add_metric("a", "Count", 1)
        metrics.flush_metrics()
        [now] = [point.raw.time_unix_nano for point in sent.points()]

        assert times == [round(moment.timestamp() * 1000) * 1_000_000] * 2
        assert now > times[0] + 3_000 * 1_000_000_000

    @pytest.mark.parametrize("timestamp", [-5, 2**70])
    def test_times_that_otlp_cannot_carry_become_now(self, timestamp, sent, caplog):
        """The value arrives, and it is said once."""
        metrics = EphemeralMetrics(namespace="Shop")
        with pytest.warns(UserWarning, match="skipped"):
            metrics.set_timestamp(timestamp)
        for _ in range(2):
            metrics.add_metric("a", "Count", 1)
            metrics.flush_metrics()

        [point] = sent.points()
        assert point.value == 2
        assert point.raw.time_unix_nano > 10**18
        assert caplog.text.count("outside what OTLP can carry") == 1

    def test_metadata_and_resolution_describe_the_metric(self, sent):
        """They are no attributes of a point, which would make series of them."""
        metrics = Metrics(namespace="Shop")
        metrics.add_metadata("booking_id", "b-1")
        metrics.add_metadata(7, {"nested": [1, None, object()]})
        metrics.add_metric("fine", "Count", 1, resolution=1)
        metrics.add_metric("coarse", "Count", 1)
        metrics.flush_metrics()

        points = sent.by_name()
        fine, coarse = points["fine"], points["coarse"]
        assert fine.attributes == coarse.attributes == {}
        assert fine.metadata["cloudwatch.storage_resolution"] == 1
        assert "cloudwatch.storage_resolution" not in coarse.metadata
        for point in (fine, coarse):
            assert point.metadata["powertools.metadata.booking_id"] == "b-1"
            assert "powertools.metadata.7" in point.metadata

    def test_cumulative_totals_grow_over_invocations(self):
        """With the metadata of the last one only."""
        sent = Sent.install(cumulative=True)
        metrics = Metrics(namespace="Shop")
        seen = []
        for number in range(1, 4):

            @metrics.log_metrics
            def handler(event, context, number=number):
                metrics.add_metadata(f"n{number}", number)
                metrics.add_metric("a", "Count", number)

            handler({}, Context())
            [point] = sent.points()
            seen.append((point.value, list(point.metadata)))

        assert seen == [
            (1.0, ["powertools.metadata.n1"]),
            (3.0, ["powertools.metadata.n2"]),
            (6.0, ["powertools.metadata.n3"]),
        ]


class TestSerialize:
    def test_it_is_the_otlp_json_form(self, make, sent):
        """An ExportMetricsServiceRequest, as JSON can write it, and nothing is sent."""
        metrics = make(service="cart")
        metrics.add_metric(name="orders", unit="Count", value=2)
        request = metrics.serialize_metric_set()

        json.dumps(request)
        [resource] = request["resourceMetrics"]
        [scope] = resource["scopeMetrics"]
        assert scope["scope"]["name"] == "Shop"
        [metric] = scope["metrics"]
        assert (metric["name"], metric["unit"]) == ("orders", "1")
        [point] = metric["sum"]["dataPoints"]
        assert point["asDouble"] == 2
        assert sent.outlet.store.pending() == 0
        metrics.clear_metrics()

    def test_what_is_passed_is_what_is_serialised(self, make, sent):
        """The form is the metric_set's own; a single number is one value."""
        metrics = make()
        request = metrics.serialize_metric_set(
            metrics={"a": {"Unit": "Seconds", "Value": 1.5}},
            dimensions={"env": 3},
            metadata={"k": "v"},
        )

        metric = request["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]
        [point] = metric["histogram"]["dataPoints"]
        assert point["sum"] == 1.5
        assert point["attributes"][0]["value"] == {"stringValue": "3"}
        assert metric["metadata"][0]["key"] == "powertools.metadata.k"

    def test_it_refuses_what_emf_refuses(self, sent):
        """No metrics, or no namespace."""
        metrics = EphemeralMetrics()
        with pytest.raises(SchemaValidationError, match="at least one metric"):
            metrics.serialize_metric_set()
        metrics.add_metric("a", "Count", 1)
        with pytest.raises(SchemaValidationError, match="metric namespace"):
            metrics.serialize_metric_set()

"""What CloudWatch and X-Ray would be sent, beside what Powertools' own EMF says."""

from __future__ import annotations

import copy
import json
import time
from collections import defaultdict
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from tests.collector_config.conftest import run_shop
from tests.collector_config.distributions import CONFIGS
from tests.collector_config.test_delivery import layers, post
from tests.support.aws_stub import DUMMY_CREDENTIALS, LogsStub, XRayStub
from tests.support.collector import Collector, default_config

LIKE_EMF = {
    "POWERTOOLS_OTEL_XRAY_CONTEXT": "parent",
    "POWERTOOLS_OTEL_DIMENSION_SETS": "separate",
    "POWERTOOLS_OTEL_COUNT_AS": "histogram",
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": (
        "base2_exponential_bucket_histogram"
    ),
}
"""What the files' comments tell to set on the function."""
LAMBDA = {
    "AWS_REGION": "eu-west-1",
    "AWS_LAMBDA_FUNCTION_NAME": "checkout",
    "POWERTOOLS_METRICS_NAMESPACE": "Shop",
}


class Series(NamedTuple):
    namespace: str
    name: str
    unit: str
    resolution: int
    dimensions: frozenset[tuple[str, str]]


class Statistics(NamedTuple):
    count: float
    sum: float
    low: float
    high: float


def statistics(documents: list[dict[str, Any]]) -> dict[Series, list[Statistics]]:
    """What CloudWatch makes of EMF documents: statistics by series, in their order."""
    found: defaultdict[Series, list[Statistics]] = defaultdict(list)
    for document in documents:
        for directive in document["_aws"]["CloudWatchMetrics"]:
            for metric in directive["Metrics"]:
                for names in directive["Dimensions"]:
                    series = Series(
                        directive["Namespace"],
                        metric["Name"],
                        metric.get("Unit", "None"),
                        metric.get("StorageResolution", 60),
                        frozenset((name, document[name]) for name in names),
                    )
                    found[series].append(of(document[metric["Name"]]))
    return dict(found)


def of(value: Any) -> Statistics:
    """A number, a list of numbers, or a statistic set."""
    if isinstance(value, dict):
        assert sum(value.get("Counts", [value["Count"]])) == value["Count"]
        return Statistics(value["Count"], value["Sum"], value["Min"], value["Max"])
    values = value if isinstance(value, list) else [value]
    return Statistics(len(values), sum(values), min(values), max(values))


@pytest.fixture(scope="module")
def theirs() -> list[dict[str, Any]]:
    """Powertools' own EMF."""
    lines = run_shop("aws_lambda_powertools").splitlines()
    return [json.loads(line) for line in lines]


def through(name, command, **variables):
    """Run the function against a configuration; return EMF and X-Ray documents."""
    config = CONFIGS[name]
    with LogsStub() as logs, XRayStub() as xray:
        overrides = {
            "exporters": {
                "awsemf": {"endpoint": logs.endpoint},
                "awsxray": {"endpoint": xray.endpoint},
            }
        }
        env = {**DUMMY_CREDENTIALS, **LAMBDA}
        with Collector(command, *layers(config, overrides), env=env) as collector:
            run_shop(
                "powertools_otel",
                OTEL_EXPORTER_OTLP_ENDPOINT=collector.http_endpoint,
                **variables,
            )
            segments = xray.wait_for(2)
        # Closed: everything has been sent.
        assert "Duplicate metric" not in collector_log(logs)
        return logs, segments


def collector_log(logs: LogsStub) -> str:
    return "\n".join(event.message for event in logs.events())


def test_the_gateway_gives_powertools_own_metrics(command, theirs):
    """Namespaces, names, units, dimensions, resolution and statistics are EMF's."""
    logs, _ = through("xray-cloudwatch.yaml", command, **LIKE_EMF)

    assert statistics(logs.emf()) == statistics(theirs)
    assert {event.group for event in logs.events()} == {"/powertools/metrics"}


def test_the_gateway_understands_cloudwatchs_unit_names_too(command, theirs):
    """A function with POWERTOOLS_OTEL_UNIT_STYLE=cloudwatch gives the same."""
    logs, _ = through(
        "xray-cloudwatch.yaml",
        command,
        POWERTOOLS_OTEL_UNIT_STYLE="cloudwatch",
        **LIKE_EMF,
    )

    assert statistics(logs.emf()) == statistics(theirs)


def test_percentiles_are_close(command):
    """The values behind the statistics, which percentiles come from, are within 1 %."""
    logs, _ = through("xray-cloudwatch.yaml", command, **LIKE_EMF)

    latency = next(d["Latency"] for d in logs.emf() if "Latency" in d)
    assert sorted(latency["Values"]) == pytest.approx([12.5, 40], rel=0.01)


def test_in_the_adot_layer_only_the_scope_and_resolution_differ(command, theirs):
    """One more dimension, OTelLib; one namespace; no high resolution. All else is EMF's."""
    logs, _ = through(
        "adot-xray-cloudwatch.yaml",
        command,
        POWERTOOLS_OTEL_UNIT_STYLE="cloudwatch",
        **LIKE_EMF,
    )

    expected = {
        Series(
            "Shop",
            series.name,
            series.unit,
            60,
            series.dimensions | {("OTelLib", series.namespace)},
        ): values
        for series, values in statistics(theirs).items()
    }
    assert statistics(logs.emf()) == expected
    assert {event.group for event in logs.events()} == {"/aws/lambda/checkout"}


def test_without_the_variables_counts_and_units_are_poorer(command):
    """Why the file asks for them: a Count is its total, without a unit."""
    logs, _ = through("adot-xray-cloudwatch.yaml", command)

    found = {series.name: (series, v) for series, v in statistics(logs.emf()).items()}
    orders, values = found["Orders"]
    assert orders.unit == ""
    assert values == [Statistics(1, 3, 3, 3)] * 2
    assert found["Size"][0].unit == "kBy"
    latency = next(d["Latency"] for d in logs.emf() if "Latency" in d)
    assert latency == {"Count": 2, "Sum": 52.5, "Min": 12.5, "Max": 40}


@pytest.mark.parametrize(
    "name", ["adot-xray-cloudwatch.yaml", "xray-and-otlp.yaml", "xray-cloudwatch.yaml"]
)
def test_annotations_and_metadata_reach_x_ray(name, command, sent):
    """As annotations and metadata, not as attributes of no use."""
    env = {
        **DUMMY_CREDENTIALS,
        **LAMBDA,
        "BACKEND_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "BACKEND_OTLP_HEADERS": "",
    }
    with XRayStub() as xray:
        config = copy.deepcopy(CONFIGS[name])
        for pipeline in config.pipelines().values():
            pipeline["exporters"] = [
                exporter for exporter in pipeline["exporters"] if exporter != "otlphttp"
            ]
        config.tree["exporters"].pop("otlphttp", None)
        overrides = {"exporters": {"awsxray": {"endpoint": xray.endpoint}}}
        with Collector(command, *layers(config, overrides), env=env) as collector:
            post(collector, "traces", sent["traces"])
            documents = xray.wait_for(4)

    charges = [d for d in documents if d["name"].endswith("charge")]
    assert len(charges) == 2
    for charge in charges:
        assert charge["annotations"]["order"] == "A-1"
        assert charge["metadata"]["shop"] == {"basket": {"items": 3}}
    assert any(d.get("annotations", {}).get("ColdStart") is True for d in documents)
    assert all(call.signed for call in xray.calls)


@pytest.fixture
def emf_of(command):
    """What awsemf makes of export requests posted one after the other."""

    def run(*bodies: bytes, wait: int = 1, **settings: Any) -> list[dict[str, Any]]:
        with LogsStub() as logs:
            awsemf = {
                **logs.exporter,
                "namespace": "Shop",
                "dimension_rollup_option": "NoDimensionRollup",
                **settings,
            }
            config = default_config(exporters={"metrics": {"awsemf": awsemf}})
            with Collector(command, config, env=DUMMY_CREDENTIALS) as collector:
                post(collector, "metrics", list(bodies))
                return logs.wait_for(wait)

    return run


def counter(*points: tuple[int, float], temporality: int) -> bytes:
    """A request with the counter `Orders`, its points by time in ms and value."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add()
    metric.name = "Orders"
    metric.sum.aggregation_temporality = temporality
    metric.sum.is_monotonic = True
    for time_ms, value in points:
        metric.sum.data_points.add(time_unix_nano=time_ms * 1_000_000, as_double=value)
    return request.SerializeToString()


NOW_MS = time.time_ns() // 1_000_000  # CloudWatch Logs refuses what is old


def test_a_delta_sum_is_sent_from_the_first_value(emf_of):
    """Neither dropped nor made a rate."""
    documents = emf_of(
        counter((NOW_MS, 3), temporality=1),
        counter((NOW_MS + 1, 4), temporality=1),
        wait=2,
    )

    assert [document["Orders"] for document in documents] == [3, 4]


@pytest.mark.parametrize(("retained", "values"), [(False, [4]), (True, [3, 4])])
def test_a_cumulative_sum_loses_its_first_value_unless_told(emf_of, retained, values):
    """Why the files set retain_initial_value_of_delta_metric."""
    documents = emf_of(
        counter((NOW_MS, 3), temporality=2),
        counter((NOW_MS + 1, 7), temporality=2),
        wait=len(values),
        retain_initial_value_of_delta_metric=retained,
    )

    assert [document["Orders"] for document in documents] == values


def test_one_batch_keeps_one_point_of_a_millisecond(emf_of):
    """Why nothing is batched in front of awsemf: the second of equal points is lost."""
    together = emf_of(counter((NOW_MS, 3), (NOW_MS, 4), temporality=1))
    apart = emf_of(
        counter((NOW_MS, 3), temporality=1),
        counter((NOW_MS, 4), temporality=1),
        wait=2,
    )

    assert [document["Orders"] for document in together] == [3]
    assert [document["Orders"] for document in apart] == [3, 4]

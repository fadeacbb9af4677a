"""The EMF that our gateway makes of OTLP, beside Powertools' own EMF."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import aws_lambda_powertools.metrics as emf_metrics
import pytest
from hypothesis import HealthCheck, assume, given, settings
from tests.metrics import programs
from tests.metrics.sent import Sent
from tests.metrics_e2e import emf, gateway

import powertools_otel.metrics as otel_metrics
import powertools_otel.testing
from powertools_otel import Metrics, _pipeline, single_metric
from powertools_otel._otlp import _protobuf
from powertools_otel._otlp._model import Resource
from powertools_otel._settings import Settings

FUNCTION = Path(__file__).with_name("function.py")
SET_TIME_MS = int(time.time() * 1000) - 60_000
EXPONENTIAL = {
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": (
        "base2_exponential_bucket_histogram"
    )
}
LIKE_EMF = {
    "POWERTOOLS_OTEL_COUNT_AS": "histogram",
    "POWERTOOLS_OTEL_DIMENSION_SETS": "separate",
}
CLOUDWATCH_UNITS = {"POWERTOOLS_OTEL_UNIT_STYLE": "cloudwatch"}
OTHER_BACKENDS_TIMES = (1, 12_345)
"""Of the random programs' times, those that CloudWatch Logs refuses."""


@pytest.fixture(scope="module")
def running(command):
    """The gateway, with the file's settings."""
    with gateway.running(command) as started:
        yield started


def run(package, **variables):
    """Run the function in a process of its own; return what it printed."""
    done = subprocess.run(
        [sys.executable, str(FUNCTION), package, str(SET_TIME_MS)],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONUTF8": "1",
            "AWS_LAMBDA_FUNCTION_NAME": "checkout",
            "AWS_REGION": "eu-west-1",
            **variables,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def theirs():
    """What Powertools' own EMF says."""
    documents = emf.printed(run("aws_lambda_powertools"))
    return emf.statistics(documents, [SET_TIME_MS])


def ours(running, **variables):
    running.documents()
    output = run(
        "powertools_otel",
        OTEL_EXPORTER_OTLP_ENDPOINT=running.endpoint,
        POWERTOOLS_OTEL_FLUSH_TIMEOUT="20000",
        **variables,
    )
    assert output == ""
    return emf.statistics(running.documents(), [SET_TIME_MS])


@pytest.mark.parametrize("histograms", ["explicit", "exponential"])
@pytest.mark.parametrize("units", ["ucum", "cloudwatch"])
def test_the_same_function_gives_the_same_metrics(running, theirs, histograms, units):
    """Namespace, name, unit, resolution, dimensions, explicit time, and statistics."""
    variables = dict(LIKE_EMF)
    if histograms == "exponential":
        variables |= EXPONENTIAL
    if units == "cloudwatch":
        variables |= CLOUDWATCH_UNITS

    found = ours(running, **variables)

    assert found.keys() == theirs.keys()
    assert found == theirs
    assert len({series.namespace for series in found}) == 2
    assert any(series.time_ms for series in found)
    assert any(series.resolution == 1 for series in found)


def test_counts_as_sums_keep_their_sums(running, theirs):
    """With the default, a Count is one value an invocation: the total."""
    found = ours(running, POWERTOOLS_OTEL_DIMENSION_SETS="separate")

    assert found.keys() == theirs.keys()
    for series, wanted in theirs.items():
        if series.unit == "Count":
            assert found[series].sum == wanted.sum
        else:
            assert found[series] == wanted


def as_cloudwatch_takes_it(program):
    """Without what CloudWatch refuses: times far off, no namespace, no number."""
    if isinstance(program, dict):
        return {key: as_cloudwatch_takes_it(each) for key, each in program.items()}
    match program:
        case ("namespace", given):
            return ("namespace", given or "Shop")
        case ("set_timestamp", given) if _is_far_off(given):
            return ("clear_metrics",)
        case tuple() | list():
            return type(program)(as_cloudwatch_takes_it(each) for each in program)
        case float() if not math.isfinite(program):
            return 7.0
    return program


def _is_far_off(given):
    ms = given.timestamp() * 1000 if hasattr(given, "timestamp") else given
    return ms in OTHER_BACKENDS_TIMES or ms == 1.5


@settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(program=programs.programs.map(as_cloudwatch_takes_it))
@pytest.mark.parametrize("exponential", [False, True])
def test_random_programs_give_the_same_metrics(running, exponential, program):
    """As EMF: series and statistics of any sequence of calls."""
    chosen = Settings(count_as="histogram", dimension_sets="separate", strict_emf=True)
    powertools_otel.testing.reset()
    sent = Sent.install(chosen, exponential=exponential)
    theirs = programs.run(program, emf_metrics)
    programs.run(program, otel_metrics)
    scopes = sent.outlet.store.collect()
    # awsemf takes one unit of a name only; another test says so.
    names = [(scope.name, metric.name) for scope in scopes for metric in scope.metrics]
    assume(len(set(names)) == len(names))

    running.documents()
    if scopes:
        resource = Resource({"service.name": "orders", "service.instance.id": "1"})
        assert running.post(_protobuf.encode_metrics(resource, scopes)) == 200
    times = programs.TIMES_MS
    # A name that changes its resolution in one request is high-resolution at once.
    found = emf.statistics(running.documents(), times, resolutions=False)
    printed = emf.printed(theirs.output)

    assert found == emf.statistics(printed, times, resolutions=False)


@pytest.fixture
def function(running, send_to):
    """Metrics that go to the gateway, as EMF would have them."""
    running.documents()
    send_to(running.endpoint, **LIKE_EMF)
    return Metrics(namespace="Shop", service="orders")


@pytest.mark.parametrize("count", [101, 10_000])
def test_no_document_has_more_metrics_than_cloudwatch_takes(
    count, function, running, invoke
):
    """However many there are in one invocation: 100 a document, below 256 KB."""

    @function.log_metrics
    def handler(event, context):
        for number in range(count):
            function.add_metric(f"metric-{number:05}", "Count", number)

    invoke(handler)

    documents = running.documents()
    found = emf.statistics(documents)
    assert {series.name: each.sum for series, each in found.items()} == {
        f"metric-{number:05}": number for number in range(count)
    }
    assert max(emf.sizes(documents)) == emf.MAX_METRICS
    assert max(len(event.message) for event in running.logs.events()) < emf.MAX_BYTES


def test_values_that_are_no_number_do_not_take_others_with_them(
    function, running, invoke
):
    """EMF's line with NaN is no JSON; here the other values of the metric arrive."""

    @function.log_metrics
    def handler(event, context):
        function.add_metric("Orders", "Count", 3)
        for value in (float("nan"), 5.0, float("inf"), float("-inf")):
            function.add_metric("Latency", "Milliseconds", value)

    invoke(handler)

    found = {
        series.name: each
        for series, each in emf.statistics(running.documents()).items()
    }
    assert found["Orders"] == (1, 3, 3, 3)
    assert found["Latency"][1:] == (5, 5, 5)


def test_one_name_has_one_unit_in_a_request(function, running, invoke):
    """What cannot be as in EMF: of a name with two units, awsemf takes the first."""

    @function.log_metrics
    def handler(event, context):
        function.add_metric("Orders", "Count", 1)
        for unit in ("Seconds", "Milliseconds"):
            with single_metric("Latency", unit, 5, namespace="Shop"):
                pass

    invoke(handler)

    units = {each.name: each.unit for each in emf.statistics(running.documents())}
    assert units == {"Orders": "Count", "Latency": "Seconds"}


def late_handler(times_ms):
    metrics = Metrics(namespace="Shop", service="orders")

    @metrics.log_metrics
    def handler(event, context):
        for index, time_ms in enumerate(times_ms):
            metrics.set_timestamp(time_ms)
            metrics.add_metric(f"late-{index}", "Count", 1)
            metrics.flush_metrics()
        metrics.set_timestamp(0)
        metrics.add_metric("Orders", "Count", 1)

    return handler


HOUR_MS = 3_600_000


@pytest.mark.filterwarnings("ignore:This metric doesn't meet the requirements")
def test_times_that_cloudwatch_refuses_can_be_left_out(command, send_to, invoke):
    """As CloudWatch does with EMF: they are skipped, and everything else arrives."""
    now_ms = int(time.time() * 1000)
    with gateway.running(command) as running:
        send_to(running.endpoint, **LIKE_EMF)
        handler = late_handler(
            [
                now_ms - 15 * 24 * HOUR_MS,
                now_ms - 13 * 24 * HOUR_MS,
                now_ms + HOUR_MS,
                now_ms + 3 * HOUR_MS,
            ]
        )
        for _ in range(2):
            invoke(handler)
        found = emf.statistics(running.documents())

    assert {series.name: each.count for series, each in found.items()} == {
        "late-1": 2,
        "late-2": 2,
        "Orders": 2,
    }


@pytest.mark.filterwarnings("ignore:This metric doesn't meet the requirements")
def test_why_they_have_to_be_left_out(command, send_to, invoke):
    """awsemf calls the refusal temporary: what came with them waits for ever."""
    now_ms = int(time.time() * 1000)
    without = {
        "service": {
            "pipelines": {
                "metrics": {
                    "processors": ["transform/mark", "groupbyattrs", "transform/emf"]
                }
            }
        }
    }
    with gateway.running(command, without) as running:
        send_to(running.endpoint, **LIKE_EMF)
        invoke(late_handler([now_ms - 15 * 24 * HOUR_MS]))
        statistics = _pipeline.get().statistics()["metrics"]

    assert (statistics.recorded, statistics.retained) == (2, 2)

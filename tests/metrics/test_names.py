"""Names: kept, or made safe."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from tests.metrics.sent import Sent

from powertools_otel._settings import Settings
from powertools_otel.metrics import Metrics
from powertools_otel.metrics._names import safe

SYNTAX = re.compile(r"[A-Za-z][A-Za-z0-9_.\-/]{0,254}")
ODD = [
    "Successful Bookings",
    "9lives",
    "cpu%",
    "Order:Total",
    "naïve",
    "日本",
    "\ud800",
]


@given(st.text(min_size=1))
def test_safe_names_follow_the_instrument_syntax(name):
    """The rule makes any text a name that the metrics API accepts."""
    assert SYNTAX.fullmatch(safe(name))


@given(st.from_regex(SYNTAX, fullmatch=True))
def test_names_that_are_safe_stay_as_they_are(name):
    """Only what must change changes; making safe twice is making safe once."""
    assert safe(name) == name


@pytest.mark.parametrize("name", ODD)
def test_the_sdk_accepts_safe_names(name):
    """The real SDK, which raises for other names, makes an instrument of it."""
    assert MeterProvider().get_meter("m").create_counter(safe(name)) is not None


@pytest.mark.parametrize("name", ODD[:-1])
def test_names_are_kept_by_default(name, sent):
    """OTLP can carry any text."""
    Metrics(namespace="Shop").add_metric(name, "Count", 1)
    Metrics(namespace="Shop").flush_metrics()

    assert name in sent.by_name()


def test_a_lone_surrogate_loses_no_other_metric(sent):
    """UTF-8 cannot carry it: the name is repaired, the request goes."""
    metrics = Metrics(namespace="Shop")
    metrics.add_metric("bad\ud800", "Count", 1)
    metrics.add_metric("good", "Count", 2)
    metrics.add_dimension("env", "p\udfff")
    metrics.flush_metrics()

    assert sorted(point.value for point in sent.points()) == [1, 2]


def test_a_name_made_safe_is_kept_in_the_description():
    """The original is not lost, and a safe name is not described."""
    sent = Sent.install(Settings(metric_names="safe"))
    metrics = Metrics(namespace="Shop")
    metrics.add_metric("Successful Bookings", "Count", 1)
    metrics.add_metric("latency", "Count", 1)
    metrics.flush_metrics()

    points = sent.by_name()
    bookings = points["Successful_Bookings"]
    assert bookings.metric.description == "Successful Bookings"
    assert points["latency"].metric.description == ""


def test_two_names_that_become_one_are_added_up_and_said(caplog):
    """Two points of one series would be a conflict; the sum is of both."""
    sent = Sent.install(Settings(metric_names="safe"))
    metrics = Metrics(namespace="Shop")
    metrics.add_metric("cpu%", "Count", 1)
    metrics.add_metric("cpu_", "Count", 2)
    metrics.flush_metrics()

    assert sent.by_name()["cpu_"].value == 3
    assert caplog.text.count("same safe name") == 1

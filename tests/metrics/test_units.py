"""Units and histogram boundaries."""

from __future__ import annotations

import pytest
from tests.metrics.sent import Sent

from powertools_otel._settings import Settings
from powertools_otel.metrics import Metrics, MetricUnit, _units


@pytest.mark.parametrize(
    ("unit", "code"),
    [
        (MetricUnit.Seconds, "s"),
        (MetricUnit.Milliseconds, "ms"),
        (MetricUnit.Microseconds, "us"),
        (MetricUnit.Bytes, "By"),
        (MetricUnit.Kilobytes, "kBy"),
        (MetricUnit.TerabitsPerSecond, "Tbit/s"),
        (MetricUnit.Percent, "%"),
        (MetricUnit.Count, "1"),
        (MetricUnit.CountPerSecond, "1/s"),
        (MetricUnit.NoUnit, ""),
    ],
)
def test_units_become_ucum_codes(unit, code, sent):
    """A metric's unit is the UCUM code that OpenTelemetry asks for."""
    metrics = Metrics(namespace="Shop")
    metrics.add_metric("m", unit, 1)
    metrics.flush_metrics()

    assert sent.by_name()["m"].unit == code


def test_every_unit_has_a_ucum_code_of_its_own():
    """No two CloudWatch units become one, so nothing is lost by the mapping."""
    codes = [_units.UCUM[unit.value] for unit in MetricUnit]

    assert len(set(codes)) == len(MetricUnit)


@pytest.mark.parametrize("unit", list(MetricUnit))
def test_the_cloudwatch_style_keeps_the_units_word(unit):
    """The awsemf exporter maps few units, and passes every other word on."""
    sent = Sent.install(Settings(unit_style="cloudwatch"))
    metrics = Metrics(namespace="Shop")
    metrics.add_metric("m", unit, 1)
    metrics.flush_metrics()

    assert sent.by_name()["m"].unit == unit.value


@pytest.mark.parametrize("unit", [*(unit.value for unit in MetricUnit), "Other"])
def test_boundaries_are_finite_and_ascending(unit):
    """OTLP demands strictly increasing bounds."""
    bounds = _units.boundaries(unit)

    assert 10 <= len(bounds) <= 40
    assert list(bounds) == sorted(set(bounds))
    assert all(abs(bound) < float("inf") for bound in bounds)


def test_boundaries_of_times_are_the_same_times():
    """A latency falls into the same bucket whatever unit it is given in."""
    seconds = _units.boundaries("Seconds")

    assert seconds[-1] == 900, "a Lambda function runs for at most 15 minutes"
    assert _units.boundaries("Milliseconds") == pytest.approx(
        [bound * 1e3 for bound in seconds]
    )
    assert _units.boundaries("Microseconds") == pytest.approx(
        [bound * 1e6 for bound in seconds]
    )


@pytest.mark.parametrize("unit", [None, 5, ["s"]])
def test_units_of_other_types_pass_as_they_do_in_emf(unit, sent):
    """Powertools does not check a unit that is no string: neither fails."""
    metrics = Metrics(namespace="Shop")
    metrics.add_metric("m", unit, 1)
    metrics.flush_metrics()

    assert sent.by_name()["m"].raw.count == 1

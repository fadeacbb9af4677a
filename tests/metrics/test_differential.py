"""The same random program under EMF and under us: what arrives must be the same."""

from __future__ import annotations

import aws_lambda_powertools.metrics as emf
import pytest
from hypothesis import HealthCheck, given, settings
from tests.metrics import programs, statistics
from tests.metrics.sent import Sent

import powertools_otel.metrics as otel
from powertools_otel import _invocation
from powertools_otel._settings import Settings

pytestmark = pytest.mark.skipif(
    not hasattr(emf.Metrics, "add_dimensions"),
    reason="early Powertools 3 has no dimension sets, and other warnings",
)

FROM_UCUM = {
    "s": "Seconds",
    "ms": "Milliseconds",
    "us": "Microseconds",
    "By": "Bytes",
    "kBy": "Kilobytes",
    "MBy": "Megabytes",
    "GBy": "Gigabytes",
    "TBy": "Terabytes",
    "bit": "Bits",
    "kbit": "Kilobits",
    "Mbit": "Megabits",
    "Gbit": "Gigabits",
    "Tbit": "Terabits",
    "%": "Percent",
    "1": "Count",
    "By/s": "Bytes/Second",
    "kBy/s": "Kilobytes/Second",
    "MBy/s": "Megabytes/Second",
    "GBy/s": "Gigabytes/Second",
    "TBy/s": "Terabytes/Second",
    "bit/s": "Bits/Second",
    "kbit/s": "Kilobits/Second",
    "Mbit/s": "Megabits/Second",
    "Gbit/s": "Gigabits/Second",
    "Tbit/s": "Terabits/Second",
    "1/s": "Count/Second",
    "": "None",
}
relaxed = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def forget() -> None:
    otel.Metrics._reset()
    _invocation.forget()
    for shared in (
        emf.Metrics._metrics,
        emf.Metrics._dimensions,
        emf.Metrics._metadata,
        emf.Metrics._default_dimensions,
    ):
        shared.clear()


def both(program, chosen: Settings, **options):
    """The program's outcome under EMF and under us, and what we would send."""
    forget()
    sent = Sent.install(chosen, **options)
    try:
        return programs.run(program, emf), programs.run(program, otel), sent
    finally:
        forget()


@relaxed
@given(programs.programs)
def test_strict_programs_agree_with_emf_in_everything(program):
    """Counts, sums, minima, maxima, exceptions, warnings and views are EMF's."""
    chosen = Settings(count_as="histogram", dimension_sets="separate", strict_emf=True)

    theirs, ours, sent = both(program, chosen)

    assert ours.output == ""
    assert ours.steps == theirs.steps
    assert ours.warnings == theirs.warnings
    expected = statistics.of_emf(theirs.output, programs.TIMES_MS)
    points = sent.points()
    found = statistics.of_points(points, programs.TIMES_MS, FROM_UCUM)
    assert found.keys() == expected.keys()
    for series, wanted in expected.items():
        assert wanted.agrees(found[series]), (series, wanted, found[series])


def _unlimited(program) -> bool:
    """Without what only CloudWatch limits: 29 dimensions, 100 names and values."""
    calls = []
    for step in program["steps"]:
        calls += step["calls"] if isinstance(step, dict) else [step]
    return not any(call[0] in ("flood", "crowd") for _, call in calls)


@relaxed
@given(programs.programs.filter(_unlimited))
def test_programs_with_default_settings_have_emfs_sums(program):
    """One point per value set, with the dimensions of all sets, and EMF's statistics."""
    theirs, ours, sent = both(program, Settings())

    assert ours.output == ""
    assert ours.steps == theirs.steps
    assert ours.warnings == theirs.warnings
    expected = statistics.of_emf(theirs.output, programs.TIMES_MS, merge=True)
    found = statistics.of_points(sent.points(), programs.TIMES_MS, FROM_UCUM)
    assert found.keys() == expected.keys()
    for series, wanted in expected.items():
        if series.unit == "Count":
            assert found[series].count == 0, "a sum has no count"
            assert statistics.close(found[series].sum, wanted.sum, wanted.scale)
        else:
            assert wanted.agrees(found[series]), (series, wanted, found[series])


@relaxed
@given(programs.programs)
def test_high_resolution_metrics_are_marked(program):
    """A metric that EMF stores at 1 s resolution says so in its metadata."""
    chosen = Settings(dimension_sets="separate", strict_emf=True)

    theirs, _, sent = both(program, chosen)

    marked = {
        point.name
        for point in sent.points()
        if point.metadata.get("cloudwatch.storage_resolution") == 1
    }
    assert statistics.of_emf_resolutions(theirs.output) == marked

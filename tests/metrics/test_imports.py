"""What a cold start loads for metrics."""

from __future__ import annotations

import subprocess
import sys

HEAVY = (
    "opentelemetry.sdk.metrics",
    "opentelemetry.exporter",
    "google.protobuf",
    "http.client",
    "urllib.request",
    "requests",
    "grpc",
    "ssl",
    "asyncio",
    "dataclasses",
    "decimal",
    "fractions",
)

PROGRAM = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.startswith({refused!r}):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
import aws_lambda_powertools.metrics
before = set(sys.modules)
from powertools_otel.metrics import Metrics, _sink, single_metric
from powertools_otel.metrics._store import MetricStore
outlet = _sink.Outlet(MetricStore())
_sink.use(outlet)
metrics = Metrics(namespace="Shop", service="cart")
metrics.add_metric("a", "Count", 1)
metrics.flush_metrics()
with single_metric("b", "Seconds", 1, namespace="Shop"):
    pass
assert outlet.store.pending() == 2
print(*sorted(set(sys.modules) - before))
"""


def loaded(refused: tuple[str, ...] = ("none-such",)) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM.format(refused=refused)],
        env={},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return set(done.stdout.split())


def test_nothing_heavy_is_loaded():
    """Recording and flushing need the standard library and Powertools only."""
    modules = loaded()

    found = {name for name in modules if name.startswith(HEAVY)}
    assert found == set()
    assert not any(name.startswith("opentelemetry") for name in modules)


def test_what_few_need_is_loaded_late():
    """Exponential histograms, safe names, foreign providers, and serialisation."""
    late = {"_exponential", "_names", "_instruments", "_preview", "_source"}

    assert not {f"powertools_otel.metrics.{name}" for name in late} & loaded()


def test_metrics_work_without_the_sdk():
    """What is recorded and how does not depend on it."""
    assert "powertools_otel.metrics" in loaded(refused=("opentelemetry.",))


def test_single_metrics_are_loaded_when_they_are_asked_for():
    """Or with the decorator that makes one, before the first invocation."""
    program = """
import sys
import powertools_otel.metrics as metrics
name = "powertools_otel.metrics._single"
mine = metrics.Metrics(namespace="Shop", service="cart")
assert name not in sys.modules
mine.log_metrics(lambda event, context: None)
assert name not in sys.modules
mine.log_metrics(lambda event, context: None, capture_cold_start_metric=True)
assert name in sys.modules
assert metrics.single_metric is sys.modules[name].single_metric
"""
    subprocess.run([sys.executable, "-c", program], env={}, check=True, timeout=30)

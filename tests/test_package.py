"""What the package promises as a whole: its names, its version, what it imports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import powertools_otel
from powertools_otel._version import VERSION

HERE = Path(__file__).parent.parent
HEAVY = (
    "aws_xray_sdk",
    "boto3",
    "botocore",
    "email",
    "google",
    "grpc",
    "http",
    "importlib.metadata",
    "opentelemetry.exporter",
    "opentelemetry.propagate",
    "opentelemetry.proto",
    "opentelemetry.sdk.metrics",
    "requests",
    "ssl",
    "urllib.request",
    "urllib3",
)


FOUNDATION = """
import aws_lambda_powertools.tracing, aws_lambda_powertools.metrics
import opentelemetry.sdk.trace
"""
"""What we stand on, whatever it imports itself."""


def modules_after(code: str, **environ: str) -> set[str]:
    """The modules that a new interpreter has imported after ``code``."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))",
        ],
        env={"LAMBDA_TASK_ROOT": "/var/task", **environ},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(done.stdout))


def heavy(modules: set[str]) -> list[str]:
    return sorted(
        name
        for name in modules
        if any(name == root or name.startswith(f"{root}.") for root in HEAVY)
    )


def test_names_are_sorted_and_there():
    """Every public name is listed, in order, and can be imported."""
    assert powertools_otel.__all__ == sorted(powertools_otel.__all__)
    assert set(dir(powertools_otel)) == set(powertools_otel.__all__)
    for name in powertools_otel.__all__:
        assert getattr(powertools_otel, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Logger'"):
        _ = powertools_otel.Logger


def test_version_is_the_distributions():
    """The version we tell receivers is the one in pyproject.toml."""
    text = (HERE / "pyproject.toml").read_text()

    assert re.search(rf'^version = "{re.escape(VERSION)}"$', text, re.MULTILINE)
    assert f"## {VERSION}" in (HERE / "CHANGELOG.md").read_text()
    assert powertools_otel.__version__ == VERSION


def test_importing_the_package_loads_next_to_nothing():
    """``import powertools_otel`` loads no SDK, encoder, exporter or Powertools."""
    plain = modules_after("pass")
    loaded = modules_after("import powertools_otel") - plain

    assert not heavy(loaded)
    assert not any(name.startswith(("opentelemetry", "aws_")) for name in loaded)


@pytest.mark.parametrize(
    ("code", "environ"),
    [
        ("from powertools_otel import Tracer; Tracer()", {}),
        ("from powertools_otel import Metrics; Metrics(namespace='n')", {}),
        (
            "from powertools_otel import Tracer, Metrics; Tracer(); Metrics()",
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
        ),
        (
            "from powertools_otel import Tracer; Tracer()",
            {"OTEL_PROPAGATORS": "tracecontext,baggage,xray"},
        ),
    ],
    ids=["tracer", "metrics", "json", "propagators"],
)
def test_a_start_loads_only_what_it_uses(code, environ):
    """No protobuf, requests, gRPC, X-Ray, http.client, TLS or entry-point scan."""
    loaded = modules_after(code, **environ)

    assert heavy(loaded - modules_after(FOUNDATION)) == []
    protobuf = "powertools_otel._otlp._protobuf" in loaded
    as_json = "powertools_otel._otlp._json" in loaded
    assert (protobuf, as_json) == (
        environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") != "http/json",
        environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "http/json",
    )


def test_metering_does_not_import_the_tracing_sdk():
    """A function that only meters does not pay for the SDK."""
    loaded = modules_after("from powertools_otel import Metrics; Metrics()")

    assert "opentelemetry.sdk.trace" not in loaded
    assert "opentelemetry.sdk.metrics" not in loaded


def test_tls_is_loaded_for_https_only():
    """An https endpoint loads ssl, and nothing else that is heavy."""
    loaded = modules_after(
        "from powertools_otel import Tracer; Tracer()",
        OTEL_EXPORTER_OTLP_ENDPOINT="https://collector.invalid",
    )

    assert set(heavy(loaded - modules_after(FOUNDATION))) <= {"ssl"}


@pytest.mark.parametrize("collects", [True, False])
@pytest.mark.parametrize("freezes", [True, False])
@pytest.mark.parametrize("name", ["Tracer", "Metrics", "install"])
def test_an_import_leaves_garbage_collection_as_it_was(name, freezes, collects):
    """It pauses meanwhile, which a cold start notices, and nothing else."""
    program = f"""
import gc
{"gc.freeze()" if freezes else ""}
{"" if collects else "gc.disable()"}
import powertools_otel
frozen, before = gc.get_freeze_count(), gc.get_stats()[0]["collections"]
powertools_otel.{name}
assert gc.get_stats()[0]["collections"] - before <= {freezes}
assert gc.isenabled() is {collects}
if {freezes}:  # counted down as objects are freed
    assert frozen * 0.9 <= gc.get_freeze_count() <= frozen
garbage = []
garbage.append(garbage)
del garbage
assert gc.collect() > 0
"""
    subprocess.run([sys.executable, "-c", program], env={}, check=True, timeout=60)


def test_an_import_that_fails_leaves_garbage_collection_on():
    """As where Powertools is missing."""
    program = """
import gc, sys
sys.modules["aws_lambda_powertools"] = None
import powertools_otel
try:
    powertools_otel.Tracer
except ImportError:
    assert gc.isenabled()
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", program], env={}, check=True, timeout=60)

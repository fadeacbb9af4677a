"""The choice of an encoding, and what it loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

from powertools_otel._otlp import encoding


@pytest.mark.parametrize(
    ("protocol", "content_type"),
    [
        ("http/protobuf", "application/x-protobuf"),
        ("http/json", "application/json"),
        ("grpc", "application/grpc"),
    ],
)
def test_each_protocol_has_its_media_type(protocol, content_type):
    """The media types are those of the OTLP specification."""
    assert encoding(protocol).content_type == content_type


@pytest.mark.parametrize("signal", ["traces", "metrics"])
def test_json_requests_have_their_envelope(signal):
    """Empty fragments leave no stray comma."""
    name = {"traces": "resourceSpans", "metrics": "resourceMetrics"}[signal]

    body = encoding("http/json").frame(signal, [b"", b"{}", b"", b"{}"])

    assert body == b'{"%b":[{},{}]}' % name.encode()


def loaded_by(statements: str) -> set[str]:
    """The modules that a new interpreter has after the statements, by name."""
    code = f"import sys\n{statements}\nprint(*sys.modules, sep='\\n')"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(run.stdout.split())


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc", "http/json"])
def test_encoders_load_little(protocol):
    """A cold start pays for one encoding of spans and for no heavy module."""
    encode = f"encoding({protocol!r}).encode_spans([])"

    modules = loaded_by(f"from powertools_otel._otlp import encoding; {encode}")

    ours = {name for name in modules if name.startswith("powertools_otel._otlp._")}
    other = {"_protobuf", "_wire"} if protocol == "http/json" else {"_json"}
    assert (
        f"powertools_otel._otlp._{'json' if 'json' in protocol else 'protobuf'}" in ours
    )
    assert not ours & {f"powertools_otel._otlp.{name}" for name in other}
    assert "powertools_otel._otlp._model" not in ours
    heavy = {"opentelemetry", "google", "dataclasses", "inspect", "asyncio", "ssl"}
    assert not {name.partition(".")[0] for name in modules} & heavy
    if protocol != "http/json":
        assert "json" not in modules


def test_metrics_load_no_json_for_protobuf():
    """Metrics as protobuf load the metric model and nothing of JSON."""
    modules = loaded_by(
        "from powertools_otel._otlp import encoding, _model as m\n"
        "encoding('grpc').encode_metrics(m.Resource({}), [])"
    )

    assert "powertools_otel._otlp._protobuf_metrics" in modules
    assert "powertools_otel._otlp._json_metrics" not in modules
    assert "opentelemetry" not in modules

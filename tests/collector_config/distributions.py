"""What a configuration is for, and what it uses; which distribution has what.

Names are those that older and newer Collectors accept. Collectors from 2026 on call
some components differently (`otlp_http`) and take the older names as aliases; layers
contain older ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "collector-config"
NOT_CONFIGURATIONS = {"builder.yaml", "compose.yaml"}
FILES = sorted(
    path for path in FOLDER.glob("*.yaml") if path.name not in NOT_CONFIGURATIONS
)
KINDS = ("receivers", "processors", "exporters", "connectors", "extensions")

Components = dict[str, frozenset[str]]


def _components(**kinds: str) -> Components:
    return {kind: frozenset(kinds.get(kind, "").split()) for kind in KINDS}


# collector/lambdacomponents/default.go of open-telemetry/opentelemetry-lambda.
OTEL_LAMBDA = _components(
    receivers="otlp telemetryapi",
    processors="attributes batch coldstart decouple filter memory_limiter "
    "probabilistic_sampler resource span",
    exporters="debug otlp otlphttp prometheusremotewrite",
    extensions="basicauth sigv4auth",
)
# adot/collector/lambdacomponents/default.go of aws-observability/aws-otel-lambda: no
# processors at all.
ADOT_LAMBDA = _components(
    receivers="otlp",
    exporters="awsemf awsxray debug otlp otlphttp prometheusremotewrite",
    extensions="sigv4auth",
)
# The part of the contrib distribution that the tests' Collector has, too.
CONTRIB = _components(
    receivers="otlp otlpjsonfile",
    processors="attributes batch cumulativetodelta deltatocumulative filter "
    "groupbyattrs memory_limiter resource transform",
    exporters="awsemf awsxray debug file otlp otlphttp prometheus "
    "prometheusremotewrite",
    connectors="forward",
    extensions="basicauth health_check sigv4auth",
)
DISTRIBUTIONS = {
    "contrib": CONTRIB,
    "ADOT Lambda layer": ADOT_LAMBDA,
    "OpenTelemetry Lambda layer": OTEL_LAMBDA,
}

NEWER_NAMES = {
    "otlp": "otlp_grpc",
    "otlphttp": "otlp_http",
    "otlpjsonfile": "otlp_json_file",
    "prometheusremotewrite": "prometheus_remote_write",
    "cumulativetodelta": "cumulative_to_delta",
    "deltatocumulative": "delta_to_cumulative",
}
"""Older name to newer name, where they differ. (The receiver `otlp` keeps its name.)"""


@dataclass(frozen=True)
class Variable:
    """A `${env:...}` reference."""

    name: str
    default: str | None


@dataclass(frozen=True)
class Config:
    """A configuration file of the repository."""

    name: str
    text: str
    tree: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Config:
        text = path.read_text()
        return cls(path.name, text, yaml.safe_load(text))

    @property
    def distribution(self) -> str:
        first = self.text.partition("\n")[0]
        found = re.fullmatch(r"# Distribution: (.+)", first)
        assert found, f"{self.name} does not begin with '# Distribution: ...'"
        return found[1]

    @property
    def in_lambda(self) -> bool:
        return self.distribution.endswith("Lambda layer")

    @property
    def head(self) -> str:
        """The comment at the top."""
        return self.text.partition("\n\n")[0]

    @property
    def variables(self) -> set[Variable]:
        found = re.findall(r"\$\{env:(\w+)(?::-([^}]*))?\}", self._without_comments())
        with_default = set(re.findall(r"\$\{env:(\w+):-", self.text))
        return {
            Variable(name, default if name in with_default else None)
            for name, default in found
        }

    def defined(self, kind: str) -> dict[str, Any]:
        return self.tree.get(kind) or {}

    def types(self, kind: str) -> set[str]:
        """The component types: `otlphttp` of `otlphttp/traces`."""
        return {name.partition("/")[0] for name in self.defined(kind)}

    def pipelines(self) -> dict[str, dict[str, list[str]]]:
        return self.tree["service"]["pipelines"]

    def used(self, kind: str) -> set[str]:
        if kind == "extensions":
            return set(self.tree["service"].get("extensions", []))
        return {
            name
            for pipeline in self.pipelines().values()
            for name in pipeline.get(kind, [])
        }

    def without_decouple(self) -> dict[str, Any]:
        """The configuration as a Collector outside Lambda can run it.

        Exactly the `decouple` processor is left out: its module is not published, and
        it works only inside the Lambda extension. It has no settings here, and passes
        data on as it is.
        """
        assert self.defined("processors").get("decouple") is None
        processors = {
            name: settings
            for name, settings in self.defined("processors").items()
            if name != "decouple"
        }
        pipelines = {
            signal: {
                **pipeline,
                "processors": [
                    name
                    for name in pipeline.get("processors", [])
                    if name != "decouple"
                ],
            }
            for signal, pipeline in self.pipelines().items()
        }
        return {
            **self.tree,
            "processors": processors,
            "service": {**self.tree["service"], "pipelines": pipelines},
        }

    def _without_comments(self) -> str:
        return "\n".join(
            line for line in self.text.splitlines() if not line.lstrip().startswith("#")
        )


CONFIGS = {path.name: Config.read(path) for path in FILES}

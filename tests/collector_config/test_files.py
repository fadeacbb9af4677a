"""What every configuration promises before it runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.collector_config.distributions import (
    CONFIGS,
    CONTRIB,
    DISTRIBUTIONS,
    FOLDER,
    KINDS,
    NEWER_NAMES,
)
from tests.support.aws_stub import DUMMY_CREDENTIALS
from tests.support.collector import InvalidConfigError

every = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
in_lambda = pytest.mark.parametrize(
    "config",
    [config for config in CONFIGS.values() if config.in_lambda],
    ids=[config.name for config in CONFIGS.values() if config.in_lambda],
)

SECRET = re.compile(r"KEY|TOKEN|HEADERS")
SENSITIVE = re.compile(r"key|token|team|authorization|password|username", re.IGNORECASE)
VALUES = {
    "AWS_REGION": "eu-west-1",
    "BACKEND_OTLP_HEADERS": "{api-key: not-a-secret}",
    "FIRST_OTLP_HEADERS": "{api-key: not-a-secret}",
    "SECOND_OTLP_HEADERS": "",
    "GRAFANA_CLOUD_INSTANCE_ID": "123456",
}


def values(config):
    """A value for each variable the configuration refers to, and AWS credentials."""
    return {
        **DUMMY_CREDENTIALS,
        **{
            variable.name: VALUES.get(
                variable.name,
                "https://backend.example.com"
                if variable.name.endswith("ENDPOINT")
                else "not-a-secret",
            )
            for variable in config.variables
            if variable.default is None
        },
    }


@every
def test_the_first_line_names_a_known_distribution(config):
    """Nobody has to guess which Collector a file is for."""
    assert config.distribution in DISTRIBUTIONS


@every
def test_only_components_of_that_distribution_are_used(config):
    """A file for a layer does not need the contrib distribution."""
    available = DISTRIBUTIONS[config.distribution]

    for kind in KINDS:
        assert config.types(kind) <= available[kind], kind


@every
def test_every_component_that_is_defined_is_used(config):
    """No dead settings."""
    for kind in ("receivers", "processors", "exporters", "extensions"):
        assert set(config.defined(kind)) == config.used(kind), kind


@every
def test_the_real_collector_accepts_it(config, command, tmp_path):
    """`otelcol validate`, with only the variables that the file refers to."""
    file = tmp_path / config.name
    file.write_text(json.dumps(config.without_decouple()))  # JSON is YAML

    command.validate(file, values(config))


@every
def test_what_runs_outside_lambda_is_valid_as_it_is(config, command):
    """Only the decouple processor keeps a file from being validated unchanged."""
    if "decouple" in config.types("processors"):
        with pytest.raises(InvalidConfigError, match="decouple"):
            command.validate(FOLDER / config.name, values(config))
    else:
        command.validate(FOLDER / config.name, values(config))


@every
def test_the_comment_at_the_top_explains_every_variable(config):
    """One look says what has to be set."""
    for variable in config.variables:
        assert re.search(rf"\b{variable.name}\b", config.head), variable.name


@every
def test_secrets_come_from_the_environment(config):
    """A key, token or password is never in a file."""
    for exporter in config.defined("exporters").values():
        headers = (exporter or {}).get("headers", {})
        if isinstance(headers, str):
            assert re.fullmatch(r"\$\{env:\w+\}", headers)
            continue
        for name, value in headers.items():
            if SENSITIVE.search(name):
                assert re.fullmatch(r"(Api-Token )?\$\{env:\w+\}", value), name
    for extension in config.defined("extensions").values():
        for name, value in (extension.get("client_auth") or {}).items():
            assert re.fullmatch(r"\$\{env:\w+\}", value), name
    for variable in config.variables:
        if SECRET.search(variable.name):
            assert variable.default is None


@in_lambda
def test_nothing_waits_in_a_frozen_environment(config):
    """No queue and no batch: what an exporter holds at the freeze may be lost."""
    assert "batch" not in config.types("processors")
    for name, exporter in config.defined("exporters").items():
        if name.partition("/")[0] in ("otlp", "otlphttp"):
            assert exporter["sending_queue"] == {"enabled": False}, name


@in_lambda
def test_exports_from_a_layer_are_bounded(config):
    """Billed time ends: 2 s an attempt, 3 s with retries."""
    for name, exporter in config.defined("exporters").items():
        if name.partition("/")[0] in ("otlp", "otlphttp"):
            assert exporter["timeout"] == "2s", name
            assert exporter["retry_on_failure"]["max_elapsed_time"] == "3s", name
        if name in ("awsxray", "awsemf"):
            assert exporter["request_timeout_seconds"] == 2, name
            assert exporter["max_retries"] == 2, name


@in_lambda
def test_decouple_is_last_where_there_is_one(config):
    """Anything after it would hold data that the layer does not wait for."""
    has_it = config.distribution == "OpenTelemetry Lambda layer"
    for pipeline in config.pipelines().values():
        assert pipeline.get("processors", [])[-1:] == (["decouple"] if has_it else [])


@in_lambda
def test_a_layer_listens_on_loopback_only(config):
    """The function is the only sender."""
    protocols = config.tree["receivers"]["otlp"]["protocols"]

    assert {settings["endpoint"] for settings in protocols.values()} == {
        "localhost:4317",
        "localhost:4318",
    }


@every
def test_spans_and_metrics_both_have_a_pipeline(config):
    """A Collector answers 404 to a signal without one, and the function warns."""
    assert {"traces", "metrics"} <= set(config.pipelines())


def test_the_readme_table_has_every_file():
    """Each file in it exists, and each file is in it."""
    readme = (FOLDER / "README.md").read_text()
    rows = re.findall(
        r"^\| \[`([\w-]+\.yaml)`\]\(([\w-]+\.yaml)\) \|", readme, re.MULTILINE
    )

    assert sorted(name for name, _ in rows) == sorted(CONFIGS)
    assert all(name == link for name, link in rows)


def test_the_readme_says_the_distribution_of_every_file():
    """As the files do."""
    readme = (FOLDER / "README.md").read_text()
    for config in CONFIGS.values():
        (row,) = re.findall(rf"^\| \[`{config.name}`\].*$", readme, re.MULTILINE)
        assert row.split("|")[2].strip() == config.distribution


def test_the_tests_collector_has_the_components_that_contrib_files_use(command):
    """By the older name or by the newer one, as `otelcol components` lists them."""
    present = command.components()
    for kind in ("receivers", "processors", "exporters", "connectors", "extensions"):
        for name in CONTRIB[kind]:
            newer = NEWER_NAMES.get(name, name) if kind != "receivers" else name
            newer = "otlp_json_file" if name == "otlpjsonfile" else newer
            assert {name, newer} & present[kind], f"{kind}: {name}"


def test_the_compose_file_runs_a_file_that_exists():
    """The container gets local.yaml."""
    compose = (FOLDER / "compose.yaml").read_text()

    mounted = re.search(r"- (\./[\w-]+\.yaml):", compose)
    assert mounted
    assert (FOLDER / Path(mounted[1])).is_file()

"""The examples as they are deployed, under the real runtime client, on loopback."""

from __future__ import annotations

import shutil
import sys

import pytest
from tests.examples import stacks
from tests.examples.services import Services
from tests.support.aws_stub import DUMMY_CREDENTIALS
from tests.support.environments import environment, unpacked_layer
from tests.support.lambda_runtime import StrictLambda

from powertools_otel.testing import OTLPReceiver

HEADERS = "x-team=shop,api-key=from-the-store"


@pytest.fixture
def collector():
    """Where telemetry arrives."""
    with OTLPReceiver() as receiver:
        yield receiver


@pytest.fixture
def aws():
    """The services, with the secret that the templates refer to."""
    with Services() as services:
        services.secrets["otlp-headers"] = HEADERS
        yield services


@pytest.fixture(scope="session")
def instrumented():
    """An interpreter with what the examples' requirements install, and boto3."""
    (requirement,) = {
        path.read_text().strip()
        for path in stacks.EXAMPLES.glob("*/src/requirements.txt")
    }
    return str(environment("awslambdaric", "boto3", requirement))


@pytest.fixture(scope="session")
def opt(tmp_path_factory):
    """What is /opt with our layer."""
    return unpacked_layer(tmp_path_factory.mktemp("opt"))


@pytest.fixture
def start(collector, aws, opt):
    """Start a function as its template has it; only what is AWS's is on loopback."""

    def start(function, python=sys.executable, **variables):
        env = {
            **function.variables,
            **DUMMY_CREDENTIALS,
            "AWS_ENDPOINT_URL": aws.endpoint,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            **variables,
        }
        wrapper = env.get("AWS_LAMBDA_EXEC_WRAPPER")
        if wrapper is not None:
            env["AWS_LAMBDA_EXEC_WRAPPER"] = wrapper.replace("/opt", str(opt), 1)
        for name, value in env.items():
            secret = stacks.RESOLVED_SECRET.fullmatch(value)
            if secret is not None:
                env[name] = aws.secrets[secret["name"]]
        return StrictLambda(
            function.handler,
            function.code,
            env=env,
            python=python,
            function_name=function.name,
            memory_mb=function.memory_mb,
            timeout=function.timeout_s,
        )

    return start


@pytest.fixture(scope="session")
def cdk(tmp_path_factory):
    """The pipeline's stack and its template's file, synthesized once."""
    if shutil.which("node") is None:
        pytest.skip("CDK's libraries run on Node.js")
    return stacks.synthesize(tmp_path_factory.mktemp("cdk"))


@pytest.fixture
def stack(request):
    """Find an example's stack: `stack("api-sam")`."""
    read = {
        "api-sam": stacks.sam,
        "orders-serverless": stacks.serverless,
        "pipeline-cdk": lambda: request.getfixturevalue("cdk")[0],
        "sqs-terraform": stacks.terraform,
    }
    return lambda name: read[name]()

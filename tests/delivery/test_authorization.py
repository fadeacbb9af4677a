"""Headers from a secret store, and signatures: made late, once, never told."""

from __future__ import annotations

import json
import threading
import time

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import LambdaContext

import powertools_otel
import powertools_otel.testing
from powertools_otel import Tracer
from powertools_otel._delivery import _authorization
from powertools_otel._delivery._authorization import SecretHeaders, Signature
from powertools_otel._delivery._target import target
from powertools_otel.testing import OTLPReceiver


def soon() -> float:
    return time.monotonic() + 5


@pytest.mark.parametrize(
    "text", ["api-key=k3y-of-vendor", json.dumps({"api-key": "k3y-of-vendor"})]
)
def test_a_secret_is_read_once(text):
    """As a list of pairs or a JSON object; the store is asked a single time."""
    asked = []

    def fetch(name):
        asked.append(name)
        return text

    secret = SecretHeaders("vendor/key", fetch)

    assert [secret.ready(soon()) for _ in range(3)] == ["", "", ""]
    assert secret.headers(b"") == (("api-key", "k3y-of-vendor"),)
    assert asked == ["vendor/key"]


def test_a_slow_store_does_not_hold_up_the_function():
    """It is waited for until the deadline, and goes on in the background."""
    go_on = threading.Event()

    def fetch(name):
        go_on.wait(5)
        return "api-key=late"

    secret = SecretHeaders("vendor/key", fetch)
    began = time.monotonic()

    assert "has not been read in time" in secret.ready(began + 0.05)
    assert time.monotonic() - began < 0.5
    go_on.set()
    assert secret.ready(soon()) == ""


def test_a_store_that_refuses_is_told_without_what_it_says(caplog):
    """Only the kind of error is said: a message may repeat a secret."""

    def fetch(name):
        raise PermissionError("s3cr3t")

    secret = SecretHeaders("vendor/key", fetch)

    reason = secret.ready(soon())

    assert reason == "POWERTOOLS_OTEL_HEADERS_SECRET cannot be read: PermissionError"


@given(st.text())
def test_any_text_in_the_store_is_harmless(text):
    """What is not headers is a reason not to send, never an exception."""
    secret = SecretHeaders("vendor/key", lambda name: text)

    secret.ready(soon())
    assert all(len(pair) == 2 for pair in secret.headers(b""))


def test_the_aws_store_is_asked_by_powertools_parameters(monkeypatch):
    """Secrets Manager by name, Parameter Store after ``ssm:``, decrypted."""
    from aws_lambda_powertools.utilities import parameters

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    options = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    secrets = boto3.client("secretsmanager", **options)
    ssm = boto3.client("ssm", **options)
    stores = parameters.base.DEFAULT_PROVIDERS
    monkeypatch.setitem(
        stores, "secrets", parameters.SecretsProvider(boto3_client=secrets)
    )
    monkeypatch.setitem(stores, "ssm", parameters.SSMProvider(boto3_client=ssm))
    with Stubber(secrets) as one, Stubber(ssm) as other:
        one.add_response(
            "get_secret_value", {"SecretString": "a=1"}, {"SecretId": "vendor/key"}
        )
        other.add_response(
            "get_parameter",
            {"Parameter": {"Value": "b=2"}},
            {"Name": "/vendor/key", "WithDecryption": True},
        )

        assert _authorization.fetch_secret("vendor/key") == "a=1"
        assert _authorization.fetch_secret("ssm:/vendor/key") == "b=2"


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_headers_of_the_secret_reach_the_endpoint(
    in_lambda, monkeypatch, caplog, protocol
):
    """Through the front door: the first invocation's spans carry the key."""
    caplog.set_level("DEBUG")
    monkeypatch.setattr(_authorization, "fetch_secret", lambda name: "api-key=s3cr3t")
    monkeypatch.setenv("POWERTOOLS_OTEL_HEADERS_SECRET", "vendor/key")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    with OTLPReceiver(grpc=protocol == "grpc") as receiver:
        endpoint = receiver.grpc_endpoint if protocol == "grpc" else receiver.endpoint
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        tracer = Tracer(auto_patch=False)

        @tracer.capture_lambda_handler
        def handler(event, context):
            return 1

        handler({}, LambdaContext())

        (request,) = receiver.requests
        assert request.headers["api-key"] == "s3cr3t"
        powertools_otel.testing.reset()
    assert "s3cr3t" not in caplog.text


def test_requests_are_signed(in_lambda, monkeypatch):
    """With SIGV4 on, each request has a signature that covers its body."""
    monkeypatch.setenv("POWERTOOLS_OTEL_SIGV4", "on")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    with OTLPReceiver() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        tracer = Tracer(auto_patch=False)
        for _ in range(2):
            with tracer.provider.in_subsegment("span"):
                pass

        first, second = (request.headers for request in receiver.requests)
    assert "/eu-west-1/xray/aws4_request" in first["authorization"]
    assert first["x-amz-security-token"] == "token"
    assert first["authorization"] != second["authorization"]


@pytest.mark.parametrize(
    ("endpoint", "scope"),
    [
        ("https://xray.eu-west-1.amazonaws.com", "/eu-west-1/xray/"),
        ("https://monitoring.us-east-2.amazonaws.com", "/us-east-2/monitoring/"),
    ],
)
def test_service_and_region_are_the_hosts(monkeypatch, endpoint, scope):
    """AWS' own endpoints name both in their host."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    signature = Signature(target("traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}))

    assert signature.ready(soon()) == ""
    headers = dict(signature.headers(b"body"))

    assert scope in headers["authorization"]
    assert "x-amz-date" in headers


@pytest.mark.parametrize(
    ("endpoint", "sigv4", "signed"),
    [
        ("https://xray.eu-west-1.amazonaws.com", "auto", True),
        ("https://xray.eu-west-1.amazonaws.com", "off", False),
        ("https://bucket.s3.eu-west-1.amazonaws.com", "auto", False),
        ("https://collector.example.com", "auto", False),
        ("https://collector.example.com", "on", True),
    ],
)
def test_what_is_signed(endpoint, sigv4, signed):
    """``auto`` signs requests to AWS' OTLP endpoints and no others."""
    from powertools_otel._settings import Settings

    destination = target("traces", {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})

    found = _authorization.authorization(destination, Settings(sigv4=sigv4))

    assert isinstance(found, Signature) is signed

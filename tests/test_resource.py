"""Who sends."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powertools_otel import _resource

LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "checkout",
    "AWS_LAMBDA_FUNCTION_VERSION": "7",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
    "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/21/[7]0123",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/checkout",
    "AWS_REGION": "eu-west-1",
}


def test_describes_the_function():
    """Lambda's variables become cloud.* and faas.*, memory in bytes."""
    found = _resource.attributes(LAMBDA, account="123456789012")

    assert found["cloud.provider"] == "aws"
    assert found["cloud.platform"] == "aws_lambda"
    assert found["cloud.region"] == "eu-west-1"
    assert found["cloud.account.id"] == "123456789012"
    assert found["faas.name"] == "checkout"
    assert found["faas.version"] == "7"
    assert found["faas.instance"] == "2026/11/21/[7]0123"
    assert found["faas.max_memory"] == 512 * 1024 * 1024
    assert found["aws.log.group.names"] == ("/aws/lambda/checkout",)
    assert found["telemetry.distro.name"] == "powertools-otel"
    assert uuid.UUID(found["service.instance.id"]).version == 4


@pytest.mark.parametrize(
    ("environ", "given", "expected"),
    [
        ({}, None, "unknown_service"),
        (LAMBDA, None, "checkout"),
        ({**LAMBDA, "POWERTOOLS_SERVICE_NAME": "p"}, None, "p"),
        ({**LAMBDA, "POWERTOOLS_SERVICE_NAME": "p"}, "argument", "argument"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=r"}, "argument", "r"),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "service.name=r", "OTEL_SERVICE_NAME": "o"},
            None,
            "o",
        ),
    ],
)
def test_service_name_precedence(environ, given, expected):
    """OTEL_* over the argument over POWERTOOLS_* over the function's name."""
    assert _resource.attributes(environ, given)["service.name"] == expected


def test_resource_attributes_win():
    """OTEL_RESOURCE_ATTRIBUTES replaces what we find, percent-decoded."""
    found = _resource.attributes(
        {**LAMBDA, "OTEL_RESOURCE_ATTRIBUTES": "cloud.region=here, team=a%2Cb"}
    )

    assert found["cloud.region"] == "here"
    assert found["team"] == "a,b"


@given(st.text())
def test_any_resource_attributes_are_harmless(text):
    """Malformed pairs are left out, never raised about."""
    found = _resource.attributes({"OTEL_RESOURCE_ATTRIBUTES": text})

    assert all(found)


def test_a_malformed_pair_is_said(caplog):
    """One message names the variable and the pair."""
    _resource.attributes({"OTEL_RESOURCE_ATTRIBUTES": "novalue"})

    assert "OTEL_RESOURCE_ATTRIBUTES has 'novalue'" in caplog.text

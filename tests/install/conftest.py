"""Powertools as it was, after every test; and a layer as Lambda unpacks it."""

import pytest
from tests.support.environments import unpacked_layer

import powertools_otel
from powertools_otel.testing import OTLPReceiver


@pytest.fixture(autouse=True)
def uninstalled():
    yield
    powertools_otel.uninstall()


@pytest.fixture(scope="session")
def opt(tmp_path_factory):
    """What is /opt with our layer."""
    return unpacked_layer(tmp_path_factory.mktemp("opt"))


@pytest.fixture
def collector():
    """Where telemetry arrives."""
    with OTLPReceiver() as receiver:
        yield receiver

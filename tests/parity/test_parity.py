"""What X-Ray was told by Powertools, ours tells too: live, and through a Collector."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.parity import handlers, trees
from tests.support.aws_stub import DUMMY_CREDENTIALS, XRayStub
from tests.support.collector import Collector, default_config, obtain
from tests.support.collector_binary import Unavailable
from tests.support.xray_daemon import XRayDaemon

from powertools_otel.testing import OTLPReceiver

TRACE = "Root=1-6920a9c1-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
NAMES = [handler.__name__ for handler in handlers.HANDLERS]
# A generator's span is current only while its body runs, so what its consumer does
# between two steps is no child of it; X-Ray's is. The README lists it.
WAYS = ["drop-in", "provider"]


def run(how: str, name: str, **environ: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.parity.run", how, name],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path.cwd()),
            "LAMBDA_TASK_ROOT": "/var/task",
            "AWS_REGION": "eu-west-1",
            "_X_AMZN_TRACE_ID": TRACE,
            **environ,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def told_to_xray(name: str) -> list[trees.Node]:
    """What Powertools' own Tracer sends to the X-Ray daemon for a handler."""
    with XRayDaemon() as daemon:
        run("xray", name, AWS_XRAY_DAEMON_ADDRESS=daemon.address)
        daemon.wait_for(1)
        assert not daemon.errors
        return trees.from_xray(daemon.documents())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NAMES)
def test_the_same_tree(name, way):
    """Tree, names, annotations, metadata, fault, error and cold start are equal."""
    expected = told_to_xray(name)

    with OTLPReceiver() as receiver:
        run(way, name, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint)
        actual = trees.from_otlp(
            [received.span for received in receiver.spans], "lambda_handler"
        )

    assert actual == expected


@pytest.fixture(scope="module")
def to_xray():
    """A Collector whose awsxray exporter sends to a stand-in for X-Ray."""
    found = obtain()
    if isinstance(found, Unavailable):
        pytest.skip(found.reason)
    with XRayStub() as xray:
        config = default_config(exporters={"traces": {"awsxray": xray.exporter}})
        with Collector(found, config, env=DUMMY_CREDENTIALS) as collector:
            yield collector, xray


@pytest.mark.parametrize("name", NAMES)
def test_the_same_through_the_collector(to_xray, name):
    """The Collector's awsxray exporter tells X-Ray what Powertools told it before."""
    collector, xray = to_xray
    expected = told_to_xray(name)

    before = len(xray.documents())
    run("drop-in", name, OTEL_EXPORTER_OTLP_ENDPOINT=collector.http_endpoint)
    count = sum(_size(node) for node in expected)
    xray.wait_for(before + count)
    actual = trees.from_xray(xray.documents()[before:])

    assert [_as_powertools(node, root=True) for node in actual] == expected


def _size(node: trees.Node) -> int:
    return 1 + sum(_size(child) for child in node.children)


# What the exporter makes of attributes that X-Ray never had: metadata of the namespace
# "default", beside what Powertools put there itself.
ADDED = ("otel.resource.", "faas.", "cloud.", "code.", "http.", "error.type")


def _as_powertools(node: trees.Node, *, root: bool) -> trees.Node:
    """A node without what the exporter adds; it names segments after the service."""
    assert not root or node.name == "shop"
    kept = {
        space: {
            key: value
            for key, value in entries.items()
            if space != "default" or not key.startswith(ADDED)
        }
        for space, entries in node.metadata.items()
    }
    return node._replace(
        name="lambda_handler" if root else node.name,
        metadata={space: entries for space, entries in kept.items() if entries},
        children=tuple(_as_powertools(child, root=False) for child in node.children),
    )

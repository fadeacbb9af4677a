"""The Collector with our gateway configuration for CloudWatch, and what it sends."""

from __future__ import annotations

import http.client
import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from tests.support.aws_stub import DUMMY_CREDENTIALS, REGION, LogsStub
from tests.support.collector import LISTENERS, Collector, Command

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = (
    Path(__file__).resolve().parents[2] / "collector-config" / "xray-cloudwatch.yaml"
)


class Gateway:
    """A running gateway.

    Its awsemf exporter has no queue: when a request is answered, everything in it has
    been put into CloudWatch Logs.
    """

    def __init__(self, collector: Collector, logs: LogsStub) -> None:
        self.collector = collector
        self.logs = logs
        self._seen = 0

    @property
    def endpoint(self) -> str:
        return self.collector.http_endpoint

    def documents(self) -> list[dict[str, Any]]:
        """The EMF documents since the last call."""
        events = self.logs.events()[self._seen :]
        self._seen += len(events)
        return [json.loads(event.message) for event in events]

    def post(self, body: bytes) -> int:
        """Send an export request; return the status of its answer."""
        connection = http.client.HTTPConnection(
            self.endpoint.removeprefix("http://"), timeout=10
        )
        try:
            headers = {"Content-Type": "application/x-protobuf"}
            connection.request("POST", "/v1/metrics", body, headers)
            response = connection.getresponse()
            response.read()
        finally:
            connection.close()
        return response.status


@contextmanager
def running(command: Command, *more: dict[str, Any]) -> Iterator[Gateway]:
    """The gateway's metrics pipeline as the file has it; further settings merged in."""
    config = yaml.safe_load(CONFIG.read_text())
    del config["service"]["pipelines"]["traces"], config["exporters"]["awsxray"]
    with LogsStub() as logs:
        here = {
            "exporters": {"awsemf": {"endpoint": logs.endpoint}},
            "extensions": {"health_check": {"endpoint": "${env:TEST_HEALTH}"}},
        }
        env = {**DUMMY_CREDENTIALS, "AWS_REGION": REGION}
        with Collector(command, config, here, LISTENERS, *more, env=env) as collector:
            yield Gateway(collector, logs)

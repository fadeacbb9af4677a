"""The test support itself: the Collector, the AWS stand-ins, the X-Ray daemon."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from aws_xray_sdk.core import AWSXRayRecorder
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (
    OTLPSpanExporter as GrpcSpanExporter,
)
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from tests.support import collector_binary, otlp_json, xray_daemon
from tests.support.aws_stub import DUMMY_CREDENTIALS, REGION, LogsStub, XRayStub
from tests.support.collector import (
    LISTENERS,
    Collector,
    CollectorStartError,
    CollectorUnavailableError,
    Command,
    InvalidConfigError,
    OtelcolVariableError,
    Unavailable,
    default_config,
    obtain,
    validate,
)

LOCAL = collector_binary.REPOSITORY / "collector-config" / "local.yaml"
RESOURCE = Resource({"service.name": "orders", "faas.max_memory": 536870912})


@pytest.fixture(scope="module")
def command():
    """The real Collector; REQUIRE_OTELCOL=1 makes its absence an error."""
    found = obtain()
    if isinstance(found, Unavailable):
        pytest.skip(found.reason)
    return found


def send_trace(exporter: SpanExporter) -> None:
    """Send a SERVER span and its failed child with the SDK and a stock exporter."""
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("support", "1.0")
    with tracer.start_as_current_span("invoke", kind=SpanKind.SERVER) as server:
        server.set_attribute("order", "A-1")
        server.set_attribute("aws.xray.annotations", ["order"])
        server.set_attribute("numbers", [1, 2, 2**53])
        with tracer.start_as_current_span("charge") as child:
            child.add_event("retry", {"attempt": 2})
            child.set_status(Status(StatusCode.ERROR, "declined"))
    provider.shutdown()


def send_count(collector: Collector, value: int, *, delta: bool = False) -> None:
    """Send one counter with the SDK and the stock exporter, cumulative unless told."""
    exporter = OTLPMetricExporter(
        endpoint=f"{collector.http_endpoint}/v1/metrics",
        preferred_temporality={Counter: AggregationTemporality.DELTA} if delta else {},
    )
    reader = PeriodicExportingMetricReader(exporter)
    provider = MeterProvider([reader], resource=RESOURCE)
    counter = provider.get_meter("shop").create_counter("orders", unit="{order}")
    counter.add(value, {"service": "orders"})
    provider.shutdown()


class TestObtain:
    def test_otelcol_names_the_collector(self, tmp_path):
        """$OTELCOL wins over everything, and is used as it is."""
        binary = tmp_path / "otelcol"
        binary.touch(mode=0o755)

        found = obtain({"OTELCOL": str(binary)})

        assert found == Command(executable=str(binary))

    def test_otelcol_that_is_missing_is_an_error_with_name_and_value(self, tmp_path):
        """A wrong $OTELCOL never falls back to another source."""
        missing = tmp_path / "nowhere"

        with pytest.raises(OtelcolVariableError, match=f"OTELCOL='{missing}'"):
            obtain({"OTELCOL": str(missing)})

    def test_otelcol_that_is_not_executable_is_an_error(self, tmp_path):
        """The message says what is wrong with the file."""
        plain = tmp_path / "otelcol"
        plain.touch(mode=0o644)

        with pytest.raises(OtelcolVariableError, match="not executable"):
            obtain({"OTELCOL": str(plain)})

    def test_without_engine_and_go_the_reason_names_each(self, tmp_path):
        """Unavailable tells what to install."""
        found = obtain({"PATH": str(tmp_path)})

        assert isinstance(found, Unavailable)
        for tool in ("docker", "podman", "go"):
            assert f"{tool} is not installed" in found.reason

    def test_require_otelcol_makes_absence_an_error(self, tmp_path):
        """CI must not skip silently."""
        with pytest.raises(CollectorUnavailableError, match="go is not installed"):
            obtain({"PATH": str(tmp_path), "REQUIRE_OTELCOL": "1"})

    def test_require_otelcol_must_be_a_boolean(self):
        """A misspelt value is an error, not false."""
        with pytest.raises(OtelcolVariableError, match="got 'maybe'"):
            obtain({"REQUIRE_OTELCOL": "maybe"})

    def test_cache_is_named_by_what_is_built(self, tmp_path):
        """The binary is in $XDG_CACHE_HOME under a hash of its sources."""
        path = collector_binary.cached_binary({"XDG_CACHE_HOME": str(tmp_path)})

        assert path.is_relative_to(tmp_path / "powertools-otel")
        assert path.parent.name.startswith("otelcol-")
        assert path.name == "otelcol"

    def test_concurrent_callers_make_the_binary_once(self, tmp_path):
        """The first caller makes it, the others wait and find it whole."""
        target = tmp_path / "cache" / "otelcol"
        made = []

        def make(path: Path) -> None:
            made.append(path)
            path.write_text("half ")
            time.sleep(0.1)
            path.write_text("whole")

        def call(_: int) -> str:
            return collector_binary.make_once(target, make).read_text()

        with ThreadPoolExecutor(4) as pool:
            contents = list(pool.map(call, range(4)))

        assert contents == ["whole"] * 4
        assert len(made) == 1

    def test_a_failed_build_leaves_nothing_and_can_be_tried_again(self, tmp_path):
        """No half-made binary is ever found by a later caller."""
        target = tmp_path / "otelcol"

        def fail(path: Path) -> None:
            path.write_text("half")
            raise OSError

        with pytest.raises(OSError):
            collector_binary.make_once(target, fail)

        assert not target.exists()
        assert collector_binary.make_once(target, Path.touch) == target

    @pytest.mark.parametrize(
        ("text", "version"),
        [
            ("go1.26.8", (1, 26, 8)),
            ("go version devel go1.27-abc", (1, 27, 0)),
            ("module x\n\ngo 1.25.7\n", (1, 25, 7)),
            ("nonsense", None),
        ],
    )
    def test_go_versions(self, text, version):
        """Releases compare as numbers, from `go env` and from go.mod."""
        assert collector_binary.parse_go_version(text) == version

    def test_image_is_pinned_and_of_the_version_that_is_built(self):
        """Container and Go build are the same Collector release."""
        image = collector_binary.pinned_image(collector_binary.COMPOSE.read_text())
        main = (collector_binary.DISTRIBUTION / "main.go").read_text()

        version = image.partition(":")[2].partition("@")[0]
        assert f'Version:     "{version}"' in main

    def test_an_image_without_digest_is_refused(self):
        """A tag can be moved; a digest cannot."""
        with pytest.raises(ValueError, match="digest"):
            collector_binary.pinned_image("image: otel/collector:1.0")

    def test_container_run_names_variables_without_their_values(self, tmp_path):
        """Values may be secrets, and argument lists are public."""
        command = Command(executable="/usr/bin/docker", image="otel@sha256:0")

        argv = command.argv(["--config=x"], env={"KEY": "secret"}, write=[tmp_path])

        assert argv[-2:] == ["otel@sha256:0", "--config=x"]
        assert argv[argv.index("--env") + 1] == "KEY"
        assert f"{tmp_path}:{tmp_path}" in argv
        assert not any("secret" in part for part in argv)
        assert command.process_env({"KEY": "secret"})["KEY"] == "secret"

    def test_main_prints_the_command(self, command):
        """`python -m tests.support.collector` is for make and for people."""
        result = subprocess.run(
            [sys.executable, "-m", "tests.support.collector"],
            cwd=collector_binary.REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )

        assert result.stdout == f"{command}\n"

    def test_components_of_the_manifest_are_there(self, command):
        """What the configurations use exists in every Collector obtained."""
        components = command.components()

        assert {"awsemf", "awsxray", "file", "prometheus"} <= components["exporters"]
        assert {"delta_to_cumulative", "transform"} <= components["processors"]
        assert {"health_check", "sigv4auth"} <= components["extensions"]


class TestValidate:
    def test_local_configuration_is_valid(self, command):
        """The file in the repository works with this Collector."""
        validate(LOCAL, command=command)

    def test_an_unknown_component_is_rejected_with_the_reason(self, command, tmp_path):
        """The error is the Collector's own output."""
        config = tmp_path / "bad.yaml"
        config.write_text(json.dumps({"exporters": {"nonesuch": {}}}))

        with pytest.raises(InvalidConfigError, match="nonesuch"):
            validate(config, command=command)

    def test_variables_reach_the_configuration(self, command, tmp_path):
        """`env` is what `${env:...}` sees."""
        config = tmp_path / "config.yaml"
        config.write_text(json.dumps(default_config()))
        addresses = dict.fromkeys(
            ("TEST_OTLP_HTTP", "TEST_OTLP_GRPC", "TEST_HEALTH"), "127.0.0.1:1"
        )

        validate(config, {**addresses, "TEST_OUTPUT": "/dev/null"}, command=command)
        with pytest.raises(InvalidConfigError, match="path"):
            validate(config, addresses, command=command)


class TestCollector:
    def test_spans_by_http_arrive_whole(self, command):
        """OTLP/HTTP protobuf in, typed spans out."""
        with Collector(command) as collector:
            endpoint = f"{collector.http_endpoint}/v1/traces"
            send_trace(OTLPSpanExporter(endpoint=endpoint))
            spans = {span.name: span for span in collector.wait_for_spans(2)}

        invoke, charge = spans["invoke"], spans["charge"]
        assert invoke.kind == "SERVER"
        assert invoke.parent_span_id == ""
        assert invoke.attributes["numbers"] == [1, 2, 2**53]
        assert invoke.resource["service.name"] == "orders"
        assert invoke.resource["faas.max_memory"] == 536870912
        assert (invoke.scope.name, invoke.scope.version) == ("support", "1.0")
        assert charge.parent_span_id == invoke.span_id
        assert charge.trace_id == invoke.trace_id
        assert (charge.status, charge.status_message) == ("ERROR", "declined")
        assert charge.events[0].attributes == {"attempt": 2}
        assert invoke.start_ns <= charge.start_ns <= charge.end_ns <= invoke.end_ns

    def test_spans_by_grpc_arrive(self, command):
        """OTLP/gRPC goes to the same file."""
        with Collector(command) as collector:
            send_trace(GrpcSpanExporter(endpoint=collector.grpc_endpoint))
            spans = collector.wait_for_spans(2)

        assert {span.name for span in spans} == {"invoke", "charge"}

    def test_metrics_arrive_with_kind_and_points(self, command):
        """A counter is a monotonic cumulative sum of the SDK's."""
        with Collector(command) as collector:
            send_count(collector, 3)
            (metric,) = collector.wait_for_metrics()

        assert (metric.name, metric.unit, metric.kind) == ("orders", "{order}", "sum")
        assert metric.temporality == "CUMULATIVE"
        assert metric.monotonic
        assert [point.value for point in metric.points] == [3]
        assert metric.points[0].attributes == {"service": "orders"}

    def test_prometheus_exporter_serves_the_metric(self, command):
        """An extra exporter sits beside the file."""
        prometheus = {"prometheus": {"endpoint": "${env:TEST_PROMETHEUS}"}}
        config = default_config(exporters={"metrics": prometheus})
        with Collector(command, config) as collector:
            send_count(collector, 3)
            collector.wait_for(lambda: "orders_total{" in collector.scrape())

    def test_processors_run_in_the_pipeline(self, command):
        """What the file holds has passed the processors."""
        insert = {"key": "env", "value": "test", "action": "insert"}
        config = default_config(
            processors={"traces": {"attributes": {"actions": [insert]}}}
        )
        with Collector(command, config) as collector:
            send_trace(OTLPSpanExporter(f"{collector.http_endpoint}/v1/traces"))
            spans = collector.wait_for_spans(2)

        assert {span.attributes["env"] for span in spans} == {"test"}

    def test_a_file_for_fixed_ports_runs_on_free_ones(self, command, tmp_path):
        """LISTENERS moves the ports; the file itself stays as it is."""
        env = {"OTELCOL_OUTPUT": str(tmp_path / "out.jsonl")}
        health = {"extensions": {"health_check": {"endpoint": "${env:TEST_HEALTH}"}}}
        with Collector(command, LOCAL, LISTENERS, health, env=env) as collector:
            send_trace(OTLPSpanExporter(f"{collector.http_endpoint}/v1/traces"))
            collector.wait_for(lambda: "charge" in collector.log_text())
            collector.stop()

        exports = otlp_json.requests((tmp_path / "out.jsonl").read_text())
        assert {span.name for span in otlp_json.spans(exports)} == {"invoke", "charge"}

    def test_yaml_text_without_health_check_is_ready_when_it_accepts(self, command):
        """Any configuration with an OTLP/HTTP receiver will do."""
        text = """
            receivers: {otlp: {protocols: {http: {endpoint: "${env:TEST_OTLP_HTTP}"}}}}
            exporters: {file: {path: "${env:TEST_OUTPUT}", flush_interval: 20ms}}
            service:
              telemetry: {metrics: {level: none}}
              pipelines: {traces: {receivers: [otlp], exporters: [file]}}
        """
        with Collector(command, text) as collector:
            send_trace(OTLPSpanExporter(f"{collector.http_endpoint}/v1/traces"))

            assert len(collector.wait_for_spans(2)) == 2

    def test_a_bad_configuration_fails_with_the_log(self, command):
        """The error says what the Collector said, and nothing is left running."""
        collector = Collector(command, {"exporters": {"nonesuch": {}}})
        with pytest.raises(CollectorStartError, match="nonesuch"), collector:
            pytest.fail("it started")

        assert collector.pid is None

    def test_waiting_in_vain_ends_with_the_log(self, command):
        """A deadline, never a hang, and the log to see why."""
        with (
            Collector(command) as collector,
            pytest.raises(TimeoutError, match="Everything is ready"),
        ):
            collector.wait_for_spans(1, timeout=0.2)

    def test_a_dead_collector_ends_the_wait(self, command):
        """Nobody waits for what cannot come."""
        with Collector(command) as collector:
            os.kill(collector.pid, signal.SIGKILL)
            with pytest.raises(CollectorStartError, match="ended"):
                collector.wait_for_spans(1, timeout=30)

    def test_stop_ends_the_process_and_keeps_what_arrived(self, command):
        """SIGTERM lets the Collector write what it holds."""
        with Collector(command) as collector:
            send_trace(OTLPSpanExporter(f"{collector.http_endpoint}/v1/traces"))
            pid = collector.pid
            collector.stop()

            assert len(collector.spans()) == 2
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)

    def test_the_collector_does_not_outlive_a_killed_test_run(self, command, tmp_path):
        """Even SIGKILL of the test process leaves no Collector behind."""
        script = (
            "import os, signal\n"
            "from tests.support.collector import Collector, Command\n"
            f"collector = Collector({command!r}).start()\n"
            "print(collector.http_endpoint.rpartition(':')[2], flush=True)\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        killed = subprocess.run(
            [sys.executable, "-c", script],
            cwd=collector_binary.REPOSITORY,
            # A killed process leaves its files; here pytest removes them.
            env={**os.environ, "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        port = int(killed.stdout)

        deadline = time.monotonic() + 10
        while _accepts(port):
            assert time.monotonic() < deadline, "the Collector still runs"
            time.sleep(0.05)


class TestAwsStub:
    def test_awsxray_sends_segment_documents(self, command):
        """What X-Ray would have got: segment, annotation and faulty subsegment."""
        with XRayStub() as stub:
            exporters = {"traces": {"awsxray": stub.exporter}}
            with Collector(
                command, default_config(exporters=exporters), env=DUMMY_CREDENTIALS
            ) as collector:
                send_trace(OTLPSpanExporter(f"{collector.http_endpoint}/v1/traces"))
                documents = stub.wait_for(2)
                spans = {span.name: span for span in collector.wait_for_spans(2)}

        by_id = {document["id"]: document for document in documents}
        invoke = by_id[spans["invoke"].span_id]
        charge = by_id[spans["charge"].span_id]
        assert invoke["name"] == "orders"
        assert invoke["annotations"] == {"order": "A-1"}
        assert invoke["trace_id"].replace("-", "")[1:] == spans["invoke"].trace_id
        assert charge["parent_id"] == invoke["id"]
        assert charge["type"] == "subsegment"
        assert charge["fault"] is True
        assert all(call.signed for call in stub.calls)
        assert stub.errors == []

    def test_awsemf_sends_emf_documents(self, command):
        """What CloudWatch would have got: one EMF event for the counter."""
        with LogsStub() as stub:
            awsemf = {**stub.exporter, "namespace": "Shop", "log_group_name": "/emf"}
            config = default_config(exporters={"metrics": {"awsemf": awsemf}})
            with Collector(command, config, env=DUMMY_CREDENTIALS) as collector:
                # It drops the first value of a cumulative sum.
                send_count(collector, 3, delta=True)
                (document,) = stub.wait_for(1)

        assert document["orders"] == 3
        assert document["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Shop"
        assert {event.group for event in stub.events()} == {"/emf"}

    def test_logs_answer_boto3_as_cloudwatch_does(self):
        """Groups and streams come first, exist once, and keep their events."""
        emf = {"_aws": {"Timestamp": 1, "CloudWatchMetrics": []}, "orders": 3}
        with LogsStub() as stub:
            client = _client("logs", stub.endpoint)
            stream = {"logGroupName": "/emf", "logStreamName": "s"}
            events = [
                {"timestamp": 1, "message": json.dumps(emf)},
                {"timestamp": 2, "message": "plain"},
            ]
            with pytest.raises(client.exceptions.ResourceNotFoundException):
                client.put_log_events(**stream, logEvents=events)
            client.create_log_group(logGroupName="/emf")
            with pytest.raises(client.exceptions.ResourceAlreadyExistsException):
                client.create_log_group(logGroupName="/emf")
            client.create_log_stream(**stream)
            client.put_log_events(**stream, logEvents=events)
            client.close()

            assert stub.wait_for(1) == [emf]
            assert [event.message for event in stub.events()][1] == "plain"
            assert len(stub.errors) == 2

    def test_xray_answers_boto3(self):
        """PutTraceSegments keeps the documents as they were."""
        document = {"id": "53995c3f42cd8ad8", "name": "orders"}
        with XRayStub() as stub:
            client = _client("xray", stub.endpoint)
            answer = client.put_trace_segments(
                TraceSegmentDocuments=[json.dumps(document)]
            )
            client.close()

            assert answer["UnprocessedTraceSegments"] == []
            assert stub.documents() == [document]

    def test_waiting_in_vain_ends(self):
        """A deadline, never a hang."""
        with LogsStub() as stub, pytest.raises(TimeoutError, match="0 of 1"):
            stub.wait_for(1, timeout=0.05)


class TestXRayDaemon:
    def test_streamed_subsegments_of_the_real_sdk_arrive(self):
        """With threshold 0, as Powertools sets it, each is its own document."""
        with xray_daemon.XRayDaemon() as daemon:
            recorder = AWSXRayRecorder()
            recorder.configure(
                daemon_address=daemon.address,
                sampling=False,
                context_missing="RUNTIME_ERROR",
                streaming_threshold=0,
            )
            with recorder.in_segment("orders") as segment:
                segment.put_annotation("order", "A-1")
                with recorder.in_subsegment("charge"):
                    pass
            documents = daemon.wait_for(2)
            recorder.emitter._socket.close()  # it never closes it itself

        assert daemon.errors == []
        by_name = {document["name"]: document for document in documents}
        assert by_name["orders"]["annotations"] == {"order": "A-1"}
        assert by_name["charge"]["type"] == "subsegment"
        assert by_name["charge"]["parent_id"] == by_name["orders"]["id"]

    def test_what_is_no_document_is_kept_as_an_error(self):
        """A malformed datagram neither stops the daemon nor disappears."""
        with xray_daemon.XRayDaemon() as daemon:
            host, _, port = daemon.address.partition(":")
            header = json.dumps(xray_daemon.HEADER).encode()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for body in (b"x", b"{}\n{}", header + b"\n[]", header + b'\n{"id":1}'):
                    sender.sendto(body, (host, int(port)))

            assert daemon.wait_for(1) == [{"id": 1}]
            assert len(daemon.errors) == 3

    def test_waiting_in_vain_ends(self):
        """A deadline, never a hang."""
        with xray_daemon.XRayDaemon() as daemon, pytest.raises(TimeoutError):
            daemon.wait_for(1, timeout=0.05)

    def test_flatten_gives_nested_subsegments_what_streamed_ones_have(self):
        """Nested and streamed documents compare equal."""
        nested = {
            "id": "1",
            "trace_id": "t",
            "subsegments": [{"id": "2", "subsegments": [{"id": "3"}]}],
        }

        flat = xray_daemon.flatten([nested])

        child = {"trace_id": "t", "type": "subsegment"}
        assert flat == [
            {"id": "1", "trace_id": "t"},
            {"id": "2", "parent_id": "1", **child},
            {"id": "3", "parent_id": "2", **child},
        ]


class TestOtlpJson:
    def test_a_line_being_written_is_left_out(self):
        """A reader never sees half an export."""
        assert otlp_json.requests('{"a": 1}\n{"b"') == [{"a": 1}]

    @given(st.integers(-(2**63), 2**63 - 1))
    def test_integers_survive(self, number):
        """64-bit integers come as strings and are exact."""
        assert otlp_json.any_value({"intValue": str(number)}) == number

    @given(
        st.recursive(
            st.none() | st.booleans() | st.text() | st.binary(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    )
    def test_any_value_is_read_back(self, value):
        """Every kind of AnyValue, nested at will."""
        assert otlp_json.any_value(_any_value(value)) == value

    def test_a_key_that_comes_twice_is_an_error(self):
        """Attribute keys are unique in OTLP; a dictionary would hide it."""
        pair = {"key": "a", "value": {"boolValue": True}}

        with pytest.raises(ValueError, match="twice"):
            otlp_json.attributes({"attributes": [pair, pair]})


def test_support_leaves_no_threads():
    """Closed stubs and daemons have ended their threads."""
    before = threading.active_count()
    with XRayStub(), LogsStub(), xray_daemon.XRayDaemon():
        assert threading.active_count() == before + 3

    assert threading.active_count() == before


def _any_value(value):
    """Encode a Python value as the protobuf JSON mapping does."""
    import base64

    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case str():
            return {"stringValue": value}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case list():
            return {"arrayValue": {"values": [_any_value(item) for item in value]}}
        case _:
            pairs = [{"key": key, "value": _any_value(value[key])} for key in value]
            return {"kvlistValue": {"values": pairs}}


def _client(service, endpoint):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=DUMMY_CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=DUMMY_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


def _accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True

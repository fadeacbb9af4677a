"""SnapStart: what is restored from one snapshot is an environment of its own."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.lambda_runtime.conftest import HANDLERS


def test_a_restored_environment_has_an_identity_of_its_own(function, receiver):
    with function("initialising.handler", initialization_type="snap-start") as lambda_:
        (before,) = receiver.spans()
        assert before.name == "initialising"
        assert [value for value, _ in receiver.points("Started")] == [1]
        receiver.clear()
        lambda_.restore()
        assert receiver.requests == []
        assert lambda_.invoke({"n": 1}).outcome == "success"
        assert lambda_.invoke({"n": 2}).outcome == "success"
    assert len(receiver.spans()) == 10
    assert receiver.points("Started") == []
    instances = {span.resource["service.instance.id"] for span in receiver.spans()}
    instances |= {
        resource["service.instance.id"] for _, resource in receiver.points("Orders")
    }
    assert len(instances) == 1
    assert before.resource["service.instance.id"] not in instances


def test_the_first_invocation_after_a_restore_is_a_cold_start(function, receiver):
    with function(initialization_type="snap-start") as lambda_:
        lambda_.invoke({"n": 1})
        lambda_.invoke({"n": 2})
    roots = receiver.named("checkout")
    assert [root.attributes["faas.coldstart"] for root in roots] == [True, False]


def test_no_connection_is_in_the_snapshot(function, receiver):
    with function("initialising.handler", initialization_type="snap-start") as lambda_:
        open_now = sockets(lambda_.pid)
        lambda_.restore()
    assert receiver.port not in open_now


def test_what_could_not_be_sent_before_the_snapshot_is_not_sent_by_each_copy(
    function, receiver
):
    receiver.stop()
    with function("initialising.handler", initialization_type="snap-start") as lambda_:
        receiver.start()
        said = "".join(lambda_.logs.stdout)
        lambda_.invoke({"n": 1})
    assert "1 traces of INIT could not be sent before the snapshot" in said
    assert receiver.named("initialising") == []
    assert receiver.points("Started") == []
    assert len(receiver.spans()) == 5


def test_the_extension_works_after_a_restore(function, receiver):
    with function(
        FLUSH_MODE="after_response", initialization_type="snap-start"
    ) as lambda_:
        for n in range(3):
            assert lambda_.invoke({"n": n}).outcome == "success"
            assert len(receiver.spans()) == 5 * (n + 1)


def test_no_trace_id_is_made_twice_by_copies_of_one_snapshot(receiver, long):
    copies, traces = (100, 100) if long else (20, 50)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Restoring)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        made = subprocess.run(
            [sys.executable, "copies.py", str(copies), str(traces)],
            cwd=HANDLERS,
            env={
                "AWS_LAMBDA_FUNCTION_NAME": "checkout",
                "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_address[1]}",
                "LAMBDA_TASK_ROOT": str(HANDLERS),
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
                "PATH": os.environ["PATH"],
                "POWERTOOLS_OTEL_XRAY_CONTEXT": "ignore",
                "PYTHONPATH": str(HANDLERS.parents[2] / "src"),
            },
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    results = [json.loads(line) for line in made.stdout.splitlines()]
    assert len(results) == copies
    assert len({result["drawn"] for result in results}) == 1  # copies indeed
    ids = [each for result in results for each in result["ids"]]
    assert len(ids) == len(set(ids)) == copies * traces
    sent = receiver.spans()
    restored = [span for span in sent if span.name == "checkout"]
    assert len(restored) == copies * traces
    assert len({span.span_id for span in sent}) == copies * traces + 1
    instances = {span.resource["service.instance.id"] for span in restored}
    assert len(instances) == copies
    assert len(receiver.connections) >= copies


class Restoring(BaseHTTPRequestHandler):
    def do_GET(self):
        assert self.path == "/2018-06-01/runtime/restore/next"
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def sockets(pid):
    """The remote ports of a process' TCP connections, from the kernel's tables."""
    process = Path(f"/proc/{pid}")
    opened = {str(fd.readlink()) for fd in (process / "fd").iterdir()}
    rows = [line.split() for line in (process / "net/tcp").read_text().splitlines()[1:]]
    return {
        int(row[2].rpartition(":")[2], 16)
        for row in rows
        if f"socket:[{row[9]}]" in opened
    }

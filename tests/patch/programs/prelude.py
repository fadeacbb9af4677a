"""What the programs have in common: a server to call, and the spans they make."""

import json
import logging
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from powertools_otel import Tracer
from powertools_otel.testing import capture_spans

__all__ = [
    "Log",
    "Tracer",
    "aws",
    "bodies",
    "capture",
    "imported",
    "json",
    "sys",
    "tell",
    "url",
    "urls",
]

urls = []
bodies = []
_capturing = capture_spans()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        urls.append((self.path, self.headers.get("traceparent")))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        bodies.append((body.decode(), self.headers.get("x-amz-client-context")))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


_server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
threading.Thread(target=_server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{_server.server_port}"


class Log(logging.Handler):
    """Keeps what our logger says, from DEBUG on."""

    def __init__(self):
        super().__init__()
        self.lines = []
        logger = logging.getLogger("powertools_otel")
        logger.setLevel(logging.DEBUG)
        logger.addHandler(self)

    def emit(self, record):
        self.lines.append(f"{record.levelname} {record.getMessage()}")


def capture():
    """Keep the spans from now on."""
    return _capturing.__enter__()


def aws(service):
    """A client whose calls arrive here."""
    import boto3

    return boto3.client(
        service,
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",  # noqa: S106 - loopback
    )


def imported(prefix="opentelemetry.instrumentation"):
    return sorted(name for name in sys.modules if name.startswith(prefix))


def tell(value):
    """Hand a value to the test."""
    print(json.dumps(value))

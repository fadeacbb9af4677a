"""Three functions, one trace: through Lambda, SQS, SNS and HTTP, and found again.

Functions run under the real runtime client; botocore speaks to moto for SQS and SNS,
and to a stand-in for the Lambda service and for an HTTP API, which invoke the next
function as AWS does.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import boto3
import pytest
from tests.support.lambda_runtime import StrictLambda

from powertools_otel.testing import OTLPReceiver

if TYPE_CHECKING:
    from collections.abc import Callable

FUNCTIONS = Path(__file__).parent / "functions"
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def http_event(route, path, headers):
    """An API Gateway event (payload 2.0), less what nobody here reads."""
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "headers": headers,
        "pathParameters": {"id": "7"},
        "requestContext": {
            "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1"},
            "stage": "$default",
        },
    }


class Aws:
    """The Lambda service and an API Gateway, as far as the functions call them."""

    def __init__(self):
        self.functions = {}
        self.payloads = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                name = self.path.split("/")[3]
                body = self.rfile.read(int(self.headers["content-length"]))
                context = self.headers.get("x-amz-client-context")
                outer.payloads.append(json.loads(body))
                self.answer(
                    outer.functions[name].invoke(
                        body,
                        client_context=json.loads(base64.b64decode(context or "e30=")),
                    )
                )

            def do_GET(self):
                headers = {key.lower(): value for key, value in self.headers.items()}
                event = http_event("GET /{proxy+}", self.path, headers)
                self.answer(outer.functions["back"].invoke(event))

            def answer(self, invocation):
                body = json.dumps(invocation.result).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def aws():
    aws = Aws()
    yield aws
    aws.close()


@pytest.fixture(scope="module")
def moto(python, tmp_path_factory):
    """The URL of a moto server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(python), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=output,
            stderr=output,
        )
    try:
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def client(service, url):
    return boto3.client(
        service,
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="not-a-secret",  # noqa: S106 - moto's
    )


@pytest.fixture
def chain(python, aws, moto, opt):
    """The three functions, unchanged ones, started; and all their spans."""
    sqs, sns = client("sqs", moto), client("sns", moto)
    queues = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("q", "s")]
    topic = sns.create_topic(Name="topic")["TopicArn"]
    subscriber = "arn:aws:sqs:eu-west-1:123456789012:s"
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=subscriber)
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(OTLPReceiver())
        env = {
            "API": aws.url,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_LAMBDA": aws.url,
            "AWS_ENDPOINT_URL_SNS": moto,
            "AWS_ENDPOINT_URL_SQS": moto,
            "AWS_LAMBDA_EXEC_WRAPPER": str(opt / "powertools-otel"),
            "AWS_SECRET_ACCESS_KEY": "not-a-secret",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "QUEUE": queues[0],
            "TOPIC": topic,
        }
        for name in ("front", "middle", "back"):
            aws.functions[name] = stack.enter_context(
                StrictLambda(
                    f"{name}.handler",
                    FUNCTIONS,
                    env=env,
                    function_name=name,
                    python=str(python),
                    timeout=20,
                )
            )
        yield Chain(receiver, aws, lambda n, count: messages(sqs, queues[n], count))


class Chain(NamedTuple):
    receiver: OTLPReceiver
    aws: Aws
    receive: Callable

    def invoke(self, name, event):
        """Invoke a function; return the spans that arrived for it, by name."""
        before = len(self.receiver.spans)
        invocation = self.aws.functions[name].invoke(event)
        assert invocation.outcome == "success", invocation
        return grouped(each.span for each in self.receiver.spans[before:])


def grouped(spans):
    found = {}
    for span in spans:
        found.setdefault(span.name, []).append(span)
    return found


def messages(sqs, queue, count):
    """Messages as the event source mapping hands them to a function."""
    found = []
    while len(found) < count:
        answer = sqs.receive_message(
            QueueUrl=queue,
            MaxNumberOfMessages=10,
            WaitTimeSeconds=5,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        assert answer.get("Messages"), found
        found += [
            {
                "messageId": message["MessageId"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {
                    name: {
                        "dataType": each["DataType"],
                        "stringValue": each["StringValue"],
                    }
                    for name, each in message.get("MessageAttributes", {}).items()
                },
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:q",
                "awsRegion": "eu-west-1",
            }
            for message in answer["Messages"]
        ]
    return found


def as_sns_writes_it(envelope):
    """Its members in the order of the SNS developer guide; moto sorts them."""
    first = ("Type", "MessageId", "TopicArn", "Message", "Timestamp")
    last = ("MessageAttributes",)
    between = [name for name in envelope if name not in {*first, *last}]
    return {name: envelope[name] for name in (*first, *between, *last)}


def test_every_hop_continues_the_trace(chain):
    headers = {"traceparent": TRACEPARENT}
    spans = chain.invoke("front", http_event("GET /orders/{id}", "/orders/7", headers))
    (front,) = spans["GET /orders/{id}"]
    assert front.trace_id.hex() == TRACE
    assert front.parent_span_id.hex() == "b7ad6b7169203331"

    # Lambda: by the client context; the payload is what the first function sent.
    assert chain.aws.payloads == [{"order": "7"}]
    (invoke,) = spans["Lambda.Invoke"]
    (middle,) = spans["middle"]
    assert invoke.parent_span_id == front.span_id
    assert middle.parent_span_id == invoke.span_id

    # HTTP: by the headers of httpx and of requests.
    calls = spans["GET"]
    assert [call.parent_span_id for call in calls] == [middle.span_id] * 2
    backs = spans["GET /{proxy+}"]
    assert {back.parent_span_id for back in backs} == {call.span_id for call in calls}

    # SQS, one message: by AWSTraceHeader, as the parent.
    (send,) = spans["SQS.SendMessage"]
    (sent,) = chain.receive(0, 1)
    (back,) = chain.invoke("back", {"Records": [sent]})["back"]
    assert back.parent_span_id == send.span_id

    # SNS, through a queue that is subscribed: by the message's attributes.
    (publish,) = spans["topic send"]
    (published,) = chain.receive(1, 1)
    envelope = as_sns_writes_it(json.loads(published["body"]))
    published["body"] = json.dumps(envelope)
    (back,) = chain.invoke("back", {"Records": [published]})["back"]
    assert back.parent_span_id == publish.span_id

    # SNS, the function itself is subscribed.
    record = {"EventSource": "aws:sns", "Sns": envelope}
    (back,) = chain.invoke("back", {"Records": [record]})["back"]
    assert back.parent_span_id == publish.span_id

    assert {each.span.trace_id.hex() for each in chain.receiver.spans} == {TRACE}

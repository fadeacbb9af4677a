"""An environment with the official instrumentations really installed."""

import json
import os
import subprocess
import textwrap
from pathlib import Path

import pytest
from tests.support.environments import environment, unpacked_layer

from powertools_otel import _patch

REPOSITORY = Path(__file__).resolve().parents[2]
INSTRUMENTED = (
    "aiobotocore",
    "aiohttp",
    "awslambdaric",
    "aws-xray-sdk",
    "boto3",
    "httpx",
    "moto[server,sns,sqs]",
    "pg8000",
    "pymongo",
    "pymysql",
    "redis",
    "requests",
    "sqlalchemy",
    *(
        f"opentelemetry-instrumentation-{name}"
        for name in (
            "aiohttp-client",
            "botocore",
            "dbapi",
            "httpx",
            "mysql",
            "psycopg",
            "psycopg2",
            "pymongo",
            "pymysql",
            "redis",
            "requests",
            "sqlalchemy",
            "sqlite3",
            "urllib",
            "urllib3",
        )
    ),
)


@pytest.fixture(scope="session")
def python():
    """The interpreter of that environment."""
    return environment(*INSTRUMENTED)


@pytest.fixture
def run(python, tmp_path):
    """Run a program there, in Lambda's variables; return what it hands to ``tell``."""

    def run(program, **variables):
        path = tmp_path / "program.py"
        path.write_text("from prelude import *\n" + textwrap.dedent(program))
        done = subprocess.run(
            [str(python), str(path)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=60,
            env={
                "AWS_LAMBDA_FUNCTION_NAME": "checkout",
                "LAMBDA_TASK_ROOT": str(tmp_path),
                "OTEL_TRACES_EXPORTER": "none",
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(Path(__file__).with_name("programs")),
                **variables,
            },
        )
        assert done.returncode == 0, done.stdout + done.stderr
        *_, last = done.stdout.splitlines() or [""]
        return json.loads(last)

    return run


@pytest.fixture(scope="session")
def opt(tmp_path_factory):
    """What is /opt with our layer."""
    return unpacked_layer(tmp_path_factory.mktemp("opt"))


@pytest.fixture(autouse=True)
def unpatched():
    yield
    _patch.undo()

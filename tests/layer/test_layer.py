"""The layer zip: what it holds, and that a function runs with nothing else."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.support.environments import REPOSITORY, environment
from tests.support.lambda_runtime import StrictLambda

from powertools_otel._version import VERSION
from powertools_otel.testing import OTLPReceiver

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
FUNCTIONS = REPOSITORY / "tests" / "install" / "functions"
PACKAGES = "python/powertools_otel/_packages/"
MEGABYTE = 1024 * 1024
UNCHECKED_HASH = b"\1\0\0\0"  # PEP 552: hash-based, source not looked at
AARCH64 = b"\xb7\x00"  # e_machine of ELF


def build(target, *arguments):
    done = subprocess.run(
        [sys.executable, "layer/build.py", "--output", str(target), *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The layer for this Python."""
    target = tmp_path_factory.mktemp("layer") / "layer.zip"
    assert "MB (precompiled)" in build(target, "--python", PYTHON)
    return target


@pytest.fixture(scope="module")
def names(archive):
    with zipfile.ZipFile(archive) as file:
        return file.namelist()


@pytest.fixture
def opt(archive, tmp_path):
    """/opt, as Lambda unpacks the layer."""
    folder = tmp_path / "opt"
    shutil.unpack_archive(archive, folder)
    (folder / "powertools-otel").chmod(0o755)  # zipfile does not restore it
    return folder


@pytest.fixture
def receiver():
    with OTLPReceiver() as receiver:
        yield receiver


def start(handler, opt, receiver, task_root=FUNCTIONS, python=None, **variables):
    """Start a function whose Python has the runtime client and nothing else."""
    return StrictLambda(
        handler,
        task_root,
        env={
            "AWS_LAMBDA_EXEC_WRAPPER": str(opt / "powertools-otel"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "PYTHONPATH": str(opt / "python"),
            **variables,
        },
        python=str(python or environment("awslambdaric", project=False)),
        timeout=10,
    )


def test_the_zip_keeps_its_budget(archive):
    assert archive.stat().st_size <= 4 * MEGABYTE


def test_nothing_superfluous_is_in_it(names):
    assert not [name for name in names if "/tests/" in name]
    assert not [name for name in names if name.endswith((".pyi", "RECORD", "WHEEL"))]
    folders = {name.removeprefix(PACKAGES).partition("/")[0] for name in names}
    assert {"aws_lambda_powertools", "opentelemetry", "jmespath"} <= folders
    assert "google" not in folders  # protobuf's
    # Beside our package nothing lies where another layer may have something.
    top = {"/".join(name.split("/")[:2]) for name in names}
    assert top == {
        "powertools-otel",
        "python/powertools_otel",
        f"python/powertools_otel-{VERSION}.dist-info",
    }


def test_every_module_is_compiled_and_taken_unchecked(archive, names):
    sources = {name for name in names if name.endswith(".py")}
    with zipfile.ZipFile(archive) as file:
        for name in sources:
            folder, _, module = name.rpartition("/")
            tag = sys.implementation.cache_tag
            compiled = f"{folder}/__pycache__/{module[:-3]}.{tag}.pyc"
            assert file.read(compiled)[4:8] == UNCHECKED_HASH
            assert b"/opt/python/" in file.read(compiled)


def test_the_wrapper_is_executable_and_the_rest_is_not(archive):
    with zipfile.ZipFile(archive) as file:
        modes = {each.filename: each.external_attr >> 16 for each in file.infolist()}
    assert modes.pop("powertools-otel") == 0o100755
    assert set(modes.values()) == {0o100644}


def test_the_same_sources_give_the_same_bytes(archive, tmp_path):
    again = tmp_path / "again.zip"
    build(again, "--python", PYTHON)
    assert again.read_bytes() == archive.read_bytes()


def test_another_architecture_and_the_instrumentations(tmp_path):
    target = tmp_path / "layer.zip"
    build(target, "--python", "3.13", "--arch", "arm64", "--instrumentation")
    with zipfile.ZipFile(target) as file:
        names = file.namelist()
        libraries = [name for name in names if name.endswith(".so")]
        assert libraries, "wrapt's extension is missing"
        for name in libraries:
            assert "aarch64" in name
            assert "cpython-313" in name
            assert file.read(name)[18:20] == AARCH64
    for name in ("botocore", "httpx", "requests", "urllib3", "aiohttp_client"):
        path = f"{PACKAGES}opentelemetry/instrumentation/{name}/__init__.py"
        assert path in names


def test_a_function_runs_with_the_layer_alone(opt, receiver):
    with start("unchanged.handler", opt, receiver) as function:
        invocation = function.invoke({"amount": 5})
    assert invocation.result == {"statusCode": 200, "body": {"charged": 5}}
    assert {each.span.name for each in receiver.spans} >= {"checkout", "audited"}
    assert {each.metric.name for each in receiver.metrics} >= {"Charges", "Fee"}


@pytest.fixture
def looking(tmp_path):
    """A function that tells where its modules come from."""
    root = tmp_path / "task"
    root.mkdir()
    (root / "app.py").write_text(
        "import sys\n"
        "from powertools_otel import Metrics, Tracer\n"
        "tracer = Tracer(service='s')\n"
        "import jmespath, opentelemetry.sdk.trace, powertools_otel\n"
        "modules = powertools_otel, jmespath, opentelemetry.sdk.trace\n"
        "@tracer.capture_lambda_handler\n"
        "def handler(event, context):\n"
        "    return [[module.__file__, module.__cached__] for module in modules]\n"
    )
    return root


def test_modules_come_from_the_layer(opt, receiver, looking):
    variables = {"AWS_LAMBDA_EXEC_WRAPPER": ""}  # the dependency swap needs no wrapper
    with start("app.handler", opt, receiver, looking, **variables) as function:
        for source, cached in function.invoke({}).result:
            assert source.startswith(f"{opt}/python/powertools_otel/")
            assert Path(cached).exists()


def test_the_functions_own_versions_go_first(opt, receiver, looking):
    bundled = opt / PACKAGES / "jmespath"
    shutil.copytree(bundled, looking / "jmespath")
    with start("app.handler", opt, receiver, looking) as function:
        ours, jmespath, sdk = (each[0] for each in function.invoke({}).result)
    assert jmespath == f"{looking}/jmespath/__init__.py"
    assert ours.startswith(str(opt))
    assert sdk.startswith(str(opt))


def test_beside_adots_layer_its_versions_are_used(opt, receiver, tmp_path, looking):
    """Both unpacked, ADOT's wrapper in charge: it finds us by our entry point."""
    python = environment(
        "aws-opentelemetry-distro",
        "awslambdaric",
        "opentelemetry-instrumentation-aws-lambda",
        project=False,
    )
    wrapper = tmp_path / "otel-instrument"
    program = python.with_name("opentelemetry-instrument")
    wrapper.write_text(f'#!/bin/sh\nexec {program} "$@"\n')
    wrapper.chmod(0o755)
    variables = {
        "AWS_LAMBDA_EXEC_WRAPPER": str(wrapper),
        "OTEL_AWS_APPLICATION_SIGNALS_ENABLED": "false",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.endpoint}/v1/traces",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_PROPAGATORS": "baggage,xray,tracecontext",
        "OTEL_PYTHON_CONFIGURATOR": "aws_configurator",
        "OTEL_PYTHON_DISTRO": "aws_distro",
        "OTEL_TRACES_SAMPLER": "always_on",
    }
    with start(
        "unchanged.handler", opt, receiver, python=python, **variables
    ) as function:
        invocation = function.invoke({"amount": 5})
    assert invocation.outcome == "success", invocation
    spans = {each.span.name: each for each in receiver.spans}
    assert spans["handler"].span.parent_span_id == spans["checkout"].span.span_id
    versions = {
        attribute.value.string_value
        for each in receiver.spans
        for attribute in each.resource.attributes
        if attribute.key == "telemetry.sdk.version"
    }
    assert versions == {"1.44.0"}
    with start("app.handler", opt, receiver, looking, python, **variables) as function:
        ours, _, sdk = (each[0] for each in function.invoke({}).result)
    assert ours.startswith(str(opt))
    assert not sdk.startswith(str(opt))

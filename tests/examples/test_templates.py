"""What every template promises before anybody deploys it."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess

import pytest
from opentelemetry.sdk import environment_variables
from tests.examples import stacks

from powertools_otel._settings import VARIABLES

DEPLOYED = ("api-sam", "orders-serverless", "pipeline-cdk", "sqs-terraform")
OF_OTHERS = re.compile(r"AWS_|OTEL_|OPENTELEMETRY_|POWERTOOLS_")
STANDARD = frozenset(dir(environment_variables))  # each named as its value is
NEITHER_OURS_NOR_OPENTELEMETRYS = {
    "AWS_LAMBDA_EXEC_WRAPPER",
    "OPENTELEMETRY_COLLECTOR_CONFIG_URI",
    "POWERTOOLS_METRICS_NAMESPACE",
    "POWERTOOLS_SERVICE_NAME",
}


@pytest.fixture(params=DEPLOYED)
def functions(request, stack):
    """The functions of one example, and then of the next."""
    return stack(request.param).functions.values()


def read_by(function):
    """The variables that a handler's module gets as `os.environ["NAME"]`."""
    return {
        node.slice.value
        for node in ast.walk(ast.parse(function.source.read_text()))
        if isinstance(node, ast.Subscript)
        and ast.unparse(node.value) == "os.environ"
        and isinstance(node.slice, ast.Constant)
    }


def test_every_handler_is_there(functions):
    """The file exists, and defines the function."""
    assert functions
    for function in functions:
        defined = {
            node.name
            for node in ast.parse(function.source.read_text()).body
            if isinstance(node, ast.FunctionDef)
        }
        assert function.handler.rpartition(".")[2] in defined


def test_variables_are_set_where_they_are_read(functions):
    """What the code reads is set, and what is set for the code, it reads."""
    for function in functions:
        own = {name for name in function.variables if not OF_OTHERS.match(name)}
        assert read_by(function) == own
        assert own


def test_settings_exist(functions):
    """No misspelt variable of ours, of OpenTelemetry's or of Powertools'."""
    for function in functions:
        for name in filter(OF_OTHERS.match, function.variables):
            if name.startswith("POWERTOOLS_OTEL_"):
                assert name.removeprefix("POWERTOOLS_OTEL_") in VARIABLES
            elif name.startswith("OTEL_"):
                assert name in STANDARD
            else:
                assert name in NEITHER_OURS_NOR_OPENTELEMETRYS


def test_telemetry_has_a_destination_and_a_name(functions):
    """Each function has an endpoint, and a service's name of its own."""
    services = [f.variables["POWERTOOLS_SERVICE_NAME"] for f in functions]

    assert len(set(services)) == len(services)
    for function in functions:
        assert function.variables["OTEL_EXPORTER_OTLP_ENDPOINT"]


def test_secrets_are_referred_to(functions):
    """Headers come from a secret store, by reference or by the secret's name."""
    for function in functions:
        headers = function.variables.get("OTEL_EXPORTER_OTLP_HEADERS")
        if headers is not None:
            assert stacks.RESOLVED_SECRET.fullmatch(headers)
        secret = function.variables.get("POWERTOOLS_OTEL_HEADERS_SECRET")
        assert secret in {None, "otlp-headers"}


def test_runtimes_are_supported(functions):
    """By the layer's build, and so by the package."""
    build = (stacks.REPOSITORY / "layer" / "build.py").read_text()
    for function in functions:
        assert f'"{function.runtime.removeprefix("python")}"' in build


@pytest.mark.parametrize("name", ["api-sam", "pipeline-cdk"])
def test_cloudformation_would_take_it(name, request):
    """The linter of CloudFormation, with SAM's transform, finds nothing wrong.

    Without W3005: CDK names dependencies that CloudFormation would find by itself.
    """
    template = stacks.EXAMPLES / name / "template.yaml"
    if name == "pipeline-cdk":
        template = request.getfixturevalue("cdk")[1]
    stacks.run_tool(
        "cfn-lint",
        *("--regions", "eu-west-1"),
        *("--ignore-checks", "W3005"),
        *("--template", str(template)),
    )


@pytest.mark.skipif(not shutil.which("terraform"), reason="needs terraform")
def test_terraform_would_format_them_so(tmp_path):
    """`terraform fmt`, which needs no provider."""
    (tmp_path / "terraformrc").touch()
    checked = subprocess.run(
        ["terraform", "fmt", "-check", "-diff", str(stacks.EXAMPLES / "sqs-terraform")],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def readmes():
    return sorted(stacks.EXAMPLES.rglob("README.md"))


def test_every_example_is_in_the_table_and_has_its_own_page():
    """Nothing is left out, and every link leads somewhere."""
    table = (stacks.EXAMPLES / "README.md").read_text()
    names = {
        path.name
        for path in stacks.EXAMPLES.iterdir()
        if path.is_dir() and path.name != "__pycache__"
    }

    assert {*re.findall(r"\[`([\w-]+)/`\]", table)} == {*names, "collector-config"}
    assert {path.parent.name for path in readmes()} == {*names, "examples"} - {"demo"}
    for path in readmes():
        links = re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text())
        assert [link for link in links if not (path.parent / link).exists()] == []


def test_pages_name_files_that_are_there():
    """What the commands copy and install from exists."""
    for path in readmes():
        commands = "\n".join(re.findall(r"```\n(.*?)```", path.read_text(), re.DOTALL))
        named = re.findall(r"(?:--requirement|cp) (\S+)", commands)
        named += re.findall(r"\.\./\S+\.yaml", commands)
        for name in named:
            assert list(path.parent.glob(name)) or (path.parent / name).exists(), name


def test_instrumented_examples_need_one_package_only():
    """Powertools comes with it; boto3 is in Lambda's runtime."""
    files = sorted(stacks.EXAMPLES.glob("*/src/requirements.txt"))

    assert [path.parts[-3] for path in files] == [
        "api-sam",
        "pipeline-cdk",
        "sqs-terraform",
    ]
    assert {path.read_text() for path in files} == {
        "powertools-otel[instrumentation]\n"
    }

"""What each example deploys, read from its template as its deployment tool would."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from tests.support.environments import REPOSITORY, environment

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = REPOSITORY / "examples"
Json = dict[str, Any]

RESOLVED_SECRET = re.compile(
    r"\{\{resolve:secretsmanager:(?P<name>[\w-]+):SecretString:*\}\}"
)
"""What CloudFormation replaces by the secret's text when it deploys."""


class Function(NamedTuple):
    """A function as the template has it; references in variables are resolved."""

    name: str
    handler: str
    code: Path
    variables: dict[str, str]
    runtime: str
    memory_mb: int
    timeout_s: int

    @property
    def source(self) -> Path:
        """The file that its handler is in."""
        return self.code / f"{self.handler.rpartition('.')[0]}.py"


class Stack(NamedTuple):
    """An example's functions by name, and the whole template as data."""

    functions: dict[str, Function]
    template: Json


def sam() -> Stack:
    """`api-sam`."""
    folder = EXAMPLES / "api-sam"
    template = load_yaml(folder / "template.yaml")
    functions = {
        name: _function(
            name,
            resource["Properties"],
            folder / resource["Properties"]["CodeUri"],
            template["Parameters"],
        )
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }
    return Stack(functions, template)


def serverless() -> Stack:
    """`orders-serverless`."""
    folder = EXAMPLES / "orders-serverless"
    template = load_yaml(folder / "serverless.yml")
    provider = template["provider"]
    functions = {
        name: Function(
            name,
            function["handler"],
            folder,
            _texts({**provider["environment"], **function["environment"]}, {}),
            provider["runtime"],
            provider["memorySize"],
            provider["timeout"],
        )
        for name, function in template["functions"].items()
    }
    return Stack(functions, template)


def terraform() -> Stack:
    """`sqs-terraform`."""
    folder = EXAMPLES / "sqs-terraform"
    template = json.loads(
        run_tool(
            "hcl2tojson",
            "--quiet",
            "--no-explicit-blocks",
            "--strip-string-quotes",
            str(folder / "main.tf"),
        )
    )
    functions = {
        name: Function(
            function["function_name"],
            function["handler"],
            folder / "src",
            {
                key: _expression(value, template)
                for key, value in function["environment"][0]["variables"].items()
            },
            function["runtime"],
            function["memory_size"],
            function["timeout"],
        )
        for name, function in blocks(template, "resource", "aws_lambda_function")
    }
    return Stack(functions, template)


def blocks(template: Json, kind: str, of: str) -> list[tuple[str, Json]]:
    """Names and bodies of Terraform's blocks of a kind, as `resource` of a type."""
    return [
        (name, body)
        for block in template[kind]
        if of in block
        for name, body in block[of].items()
    ]


def _expression(value: str, template: Json) -> str:
    """Resolve `${aws_type.name.attribute}`."""
    reference = re.fullmatch(r"\$\{(\w+)\.(\w+)\.(\w+)\}", value)
    if reference is None:
        return value
    kind, name, attribute = reference.groups()
    return str(dict(blocks(template, "resource", kind))[name][attribute])


def synthesize(folder: Path) -> tuple[Stack, Path]:
    """`pipeline-cdk`: run its app as `cdk synth` does, in a copy of the example.

    Returns:
        The stack, whose code is what CDK would upload; and the template's file.
    """
    copy = folder / "pipeline-cdk"
    shutil.copytree(EXAMPLES / "pipeline-cdk", copy)
    shutil.copytree(copy / "src", copy / "build")  # less what pip puts there
    output = folder / "cdk.out"
    command = json.loads((copy / "cdk.json").read_text())["app"].split()
    assert command == ["python", "app.py"]
    python = environment(*TOOLS)
    _run(
        [str(python), *command[1:]],
        cwd=copy,
        env={**os.environ, "CDK_OUTDIR": str(output)},
    )
    file = output / "Pipeline.template.json"
    template = json.loads(file.read_text())
    functions = {}
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            properties = resource["Properties"]
            asset = properties["Code"]["S3Key"].removesuffix(".zip")
            # CloudFormation makes up the function's name; this is easier to read.
            step = properties["Handler"].partition(".")[0]
            code = output / f"asset.{asset}"
            functions[step] = _function(step, properties, code, {})
    return Stack(functions, template), file


TOOLS = ("aws-cdk-lib", "cfn-lint", "constructs", "python-hcl2")


def run_tool(name: str, *arguments: str) -> str:
    """What a command of the deployment tools prints.

    Raises:
        AssertionError: It failed; with what it said.
    """
    return _run([str(environment(*TOOLS).with_name(name)), *arguments])


def _run(command: list[str], **options: Any) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: `!Ref x` is `{"Ref": "x"}`."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> Json:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix == "Ref" else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


@functools.cache
def load_yaml(path: Path) -> Json:
    """Load a template."""
    return yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 - it is a safe one


def _function(name: str, properties: Json, code: Path, parameters: Json) -> Function:
    return Function(
        name,
        properties["Handler"],
        code,
        _texts(properties["Environment"]["Variables"], parameters),
        properties["Runtime"],
        properties["MemorySize"],
        properties["Timeout"],
    )


def _texts(variables: Json, parameters: Json) -> dict[str, str]:
    return {name: text(value, parameters) for name, value in variables.items()}


def text(value: Any, parameters: Json) -> str:
    """Resolve CloudFormation's functions: a resource stands for itself by its name."""
    match value:
        case {"Ref": name}:
            return str(parameters.get(name, {}).get("Default", name))
        case {"Fn::Sub": str(template)}:
            return re.sub(
                r"\$\{([^}]+)\}", lambda m: text({"Ref": m[1]}, parameters), template
            )
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(text(part, parameters) for part in parts)
        case {"Fn::GetAtt": [*names]}:
            return ".".join(names)
        case {"Fn::GetAtt": name}:
            return str(name)
    assert isinstance(value, str), f"{value!r} is no text to CloudFormation"
    return value

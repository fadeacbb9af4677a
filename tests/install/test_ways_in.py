"""The exec wrapper and the handler redirect, under the real runtime client."""

from pathlib import Path

import pytest
from tests.support.lambda_runtime import FunctionInitError, StrictLambda

FUNCTIONS = Path(__file__).parent / "functions"
SPANS = {"checkout", "unchanged.charge", "unchanged.notify", "audited"}
METRICS = {"ColdStart", "Charges", "Fee", "Size"}
REDIRECT = "powertools_otel.handler.lambda_handler"


@pytest.fixture(params=["wrapper", "redirect"])
def start(request, opt, collector):
    """Start a function one of both ways: ``start("app.handler", VARIABLE="value")``."""

    def start(handler, task_root=FUNCTIONS, **variables):
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "PYTHONWARNINGS": "error",
            **variables,
        }
        if request.param == "wrapper":
            env["AWS_LAMBDA_EXEC_WRAPPER"] = str(opt / "powertools-otel")
            return StrictLambda(handler, task_root, env=env)
        env["POWERTOOLS_OTEL_HANDLER"] = handler
        return StrictLambda(REDIRECT, task_root, env=env)

    return start


def wrapped(opt, handler, task_root=FUNCTIONS, **env):
    env["AWS_LAMBDA_EXEC_WRAPPER"] = str(opt / "powertools-otel")
    return StrictLambda(handler, task_root, env=env)


def test_an_unchanged_function_sends_otlp(start, collector):
    with start("unchanged.handler") as function:
        for expected_cold in (True, False):
            invocation = function.invoke({"amount": 5})
            assert invocation.outcome == "success"
            assert invocation.result["body"] == {"charged": 5}
            assert invocation.logs.stdout == ()
            spans = {each.span.name: each for each in collector.spans}
            assert set(spans) == SPANS
            names = {each.metric.name for each in collector.metrics}
            assert names == (METRICS if expected_cold else METRICS - {"ColdStart"})
            assert spans["checkout"].span.kind == 2
            assert len({each.span.trace_id for each in collector.spans}) == 1
            collector.clear()


def test_a_failing_function_fails_with_its_own_error(start, collector):
    with start("unchanged.handler") as function:
        failed = function.invoke({"fail": True})
    with StrictLambda("unchanged.handler", FUNCTIONS, env=UNTRACED) as function:
        plain = function.invoke({"fail": True})
    assert failed.error["errorType"] == plain.error["errorType"] == "ValueError"
    assert failed.error["errorMessage"] == plain.error["errorMessage"]


UNTRACED = {"POWERTOOLS_TRACE_DISABLED": "1", "POWERTOOLS_METRICS_DISABLED": "1"}


def test_a_function_that_cannot_start_is_reported_as_without_us(start, tmp_path):
    source = (FUNCTIONS / "misspelt.txt").read_text()
    (tmp_path / "misspelt.py").write_text(source)
    cases = [
        ("missing_import.handler", FUNCTIONS),
        ("unchanged.no_such_handler", FUNCTIONS),
        ("nowhere.handler", FUNCTIONS),
        ("misspelt.handler", tmp_path),
        ("sys.exit", FUNCTIONS),
    ]
    for handler, root in cases:
        with pytest.raises(FunctionInitError) as ours, start(handler, root):
            pass
        without = StrictLambda(handler, root, env=UNTRACED)
        with pytest.raises(FunctionInitError) as plain, without:
            pass
        assert ours.value.error == plain.value.error, handler


def test_handlers_in_folders_are_found(start, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "app.py").write_text("def handler(event, context): return 7\n")
    with start("src/app.handler", tmp_path) as function:
        assert function.invoke({}).result == 7


@pytest.mark.parametrize("value", ["", "handler", REDIRECT])
def test_a_redirect_to_nowhere_says_what_to_set(value):
    env = {"POWERTOOLS_OTEL_HANDLER": value}
    function = StrictLambda(REDIRECT, FUNCTIONS, env=env)
    with pytest.raises(FunctionInitError) as failed, function:
        pass
    assert "POWERTOOLS_OTEL_HANDLER is" in failed.value.error["errorMessage"]
    assert "app.lambda_handler" in failed.value.error["errorMessage"]


def test_activation_alone_imports_no_opentelemetry(opt):
    with wrapped(opt, "looking.handler") as function:
        seen = function.invoke({}).result
    assert not [name for name in seen["loaded"] if name.startswith("opentelemetry")]
    assert "powertools_otel._install" in seen["loaded"]


LISTING = """
import sys
from {library} import Metrics, Tracer
tracer, metrics = Tracer(service="s"), Metrics(namespace="n")
loaded = sorted(sys.modules)

def handler(event, context):
    return loaded
"""


def test_activation_loads_seven_small_modules_more_than_the_explicit_import(
    opt, tmp_path
):
    """What it costs in time, the benchmarks measure."""
    for name in ("powertools_otel", "aws_lambda_powertools"):
        (tmp_path / f"with_{name}.py").write_text(LISTING.format(library=name))
    explicit = StrictLambda("with_powertools_otel.handler", tmp_path)
    with (
        explicit,
        wrapped(opt, "with_aws_lambda_powertools.handler", tmp_path) as function,
    ):
        before = {*explicit.invoke({}).result}
        more = {*function.invoke({}).result} - before
    more.discard("with_aws_lambda_powertools")
    # Debian's Python has one of its own, which is there before.
    activating = {"sitecustomize"} - before
    ours = {name for name in more if name.startswith("powertools_otel.")}
    assert more - ours == activating
    assert len(more) <= 1 + 7, more


def test_the_function_does_not_see_the_wrapper(opt):
    with wrapped(opt, "looking.handler") as function:
        wrapper = function.invoke({}).result
    with StrictLambda("looking.handler", FUNCTIONS) as function:
        plain = function.invoke({}).result
    assert wrapper["path"] == plain["path"]
    assert wrapper["handler"] == plain["handler"]


def test_another_sitecustomize_runs_as_well(opt, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nos.environ['SITE_MARK'] = 'was here'\n"
    )
    with wrapped(opt, "looking.handler", PYTHONPATH=str(tmp_path)) as function:
        seen = function.invoke({}).result
    assert seen["mark"] == "was here"
    assert seen["sitecustomize"] == str(tmp_path / "sitecustomize.py")
    assert "powertools_otel._install" in seen["loaded"]


def test_a_failing_sitecustomize_fails_as_ever(opt, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("raise RuntimeError('not mine')\n")
    with wrapped(opt, "looking.handler", PYTHONPATH=str(tmp_path)) as function:
        seen = function.invoke({}).result
        assert "not mine" in "".join(function.logs.stderr)
    assert "powertools_otel._install" in seen["loaded"]


def test_a_bundled_package_goes_before_the_layers(opt, tmp_path):
    """An unusable one is said, and the function starts without us."""
    (tmp_path / "powertools_otel").mkdir()
    (tmp_path / "powertools_otel" / "__init__.py").write_text("")
    (tmp_path / "app.py").write_text("def handler(event, context): return 7\n")
    with wrapped(opt, "app.handler", tmp_path) as function:
        assert function.invoke({}).result == 7
        logs = "".join(function.logs.stderr)
    assert "powertools-otel could not be activated" in logs


def test_two_ways_at_once_are_said_once(opt, collector):
    env = {
        "AWS_LAMBDA_EXEC_WRAPPER": str(opt / "powertools-otel"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "POWERTOOLS_OTEL_HANDLER": "unchanged.handler",
    }
    with StrictLambda(REDIRECT, FUNCTIONS, env=env) as function:
        assert function.invoke({"amount": 1}).outcome == "success"
        logs = [*function.logs.stdout, *function.logs.stderr]
    said = [line for line in logs if "powertools-otel is active already" in line]
    assert len(said) == 1
    assert "by the exec wrapper: the handler redirect changes nothing" in said[0]
    assert {each.span.name for each in collector.spans} == SPANS

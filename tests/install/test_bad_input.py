"""What cannot work is said once, in words that help, and the function runs."""

import logging
import subprocess
import sys
import textwrap

import pytest

import powertools_otel
from powertools_otel import _install
from powertools_otel._install import _inert


@pytest.fixture
def run(tmp_path):
    """Run a program in a new process of Lambda's; return its output."""

    def run(program, **variables):
        path = tmp_path / "program.py"
        path.write_text(textwrap.dedent(program))
        done = subprocess.run(
            [sys.executable, "-W", "error", str(path)],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={"LAMBDA_TASK_ROOT": str(tmp_path), "PATH": "/usr/bin", **variables},
        )
        assert done.returncode == 0, done.stderr
        return done

    return run


WITHOUT_SDK = """
    import importlib.abc, logging, sys

    logging.basicConfig(format="LOG %(levelname)s %(message)s")

    class Without(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path=None, target=None):
            if name.startswith(BLOCKED):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    sys.meta_path.insert(0, Without())
    import powertools_otel
    powertools_otel.install()
    from aws_lambda_powertools import Metrics, Tracer, single_metric
    tracer = Tracer(service="s")
    metrics = Metrics(namespace="n", service="s")

    @tracer.capture_method
    def work():
        tracer.put_annotation("a", 1)
        return "worked"

    @metrics.log_metrics
    @tracer.capture_lambda_handler
    def handler(event, context):
        metrics.add_metric("Orders", "Count", 1)
        with single_metric("One", "Count", 1, namespace="n"):
            pass
        with tracer.provider.in_subsegment("own") as segment:
            segment.put_metadata("k", "v")
        return work()

    print("ANSWER", handler({}, None), handler({}, None))
"""


@pytest.mark.parametrize(
    "blocked",
    ["('opentelemetry.sdk', 'aws_xray_sdk')", "('opentelemetry', 'aws_xray_sdk')"],
)
def test_without_opentelemetry_the_function_runs_and_metrics_stay_emf(run, blocked):
    done = run(f"BLOCKED = {blocked}\n" + textwrap.dedent(WITHOUT_SDK))
    assert "ANSWER worked worked" in done.stdout
    assert '"Orders":[1.0]' in done.stdout
    logged = [line for line in done.stderr.splitlines() if line.startswith("LOG ")]
    assert len(logged) == 2, done.stderr
    for line, subject in zip(logged, ("Spans", "Metrics"), strict=True):
        assert line.startswith(f"LOG WARNING {subject} cannot be")
        assert "install or update opentelemetry-sdk to 1.44 or later" in line


def test_without_the_sdk_xray_goes_on_where_there_is_one(run):
    done = run("BLOCKED = ('opentelemetry.sdk',)\n" + textwrap.dedent(WITHOUT_SDK))
    assert "ANSWER worked worked" in done.stdout


def test_an_older_sdk_is_named_with_its_place_and_what_to_do(run, tmp_path):
    done = run(
        """
        import logging
        logging.basicConfig(format="LOG %(message)s")
        import opentelemetry.sdk.version as version
        version.__version__ = "1.39.1"
        import powertools_otel
        powertools_otel.install()
        from aws_lambda_powertools import Tracer
        assert Tracer().capture_method(lambda: 5)() == 5
        Tracer()
        """,
        OTEL_TRACES_EXPORTER="none",
    )
    (line,) = [one for one in done.stderr.splitlines() if one.startswith("LOG ")]
    assert "opentelemetry-sdk 1.39.1 at " in line
    assert "needs 1.44" in line
    assert "Update the layer" in line


def test_another_powertools_is_named_and_left_alone(run):
    done = run(
        """
        import logging
        logging.basicConfig(format="LOG %(message)s")
        import powertools_otel
        import aws_lambda_powertools.metrics.base as base
        import aws_lambda_powertools.tracing.tracer as tracing
        del tracing.Tracer._patch_xray_provider
        base.single_metric = lambda name: "plain"
        powertools_otel.install()
        assert base.single_metric("x") == "plain"
        assert "provider" not in vars(tracing.Tracer)
        powertools_otel.uninstall()
        assert base.single_metric("x") == "plain"
        """
    )
    lines = [one for one in done.stderr.splitlines() if one.startswith("LOG ")]
    assert len(lines) == 2
    assert "aws_lambda_powertools.tracing.tracer of aws-lambda-powertools" in lines[0]
    assert "aws_lambda_powertools.metrics.base of aws-lambda-powertools" in lines[1]
    assert all("use a version 3 from 3.20 on" in line for line in lines)


def test_a_second_way_of_activation_is_said_once(caplog):
    _install.activate("the exec wrapper")
    with caplog.at_level(logging.WARNING):
        powertools_otel.install()
        powertools_otel.install()
    (message,) = caplog.messages
    assert "active already, by the exec wrapper" in message
    assert "install() changes nothing" in message


def test_the_inert_provider_takes_what_the_documentation_shows():
    provider = _inert.Inert()
    with provider.in_subsegment("## x", namespace="remote") as segment:
        segment.put_annotation(key="a", value=1)
        segment.add_exception(ValueError(), [])
    provider.begin_subsegment("y")
    provider.end_subsegment()
    provider.patch_all()
    assert provider.capture("z")(len) is len
    assert "aws_xray_sdk" not in provider.__module__

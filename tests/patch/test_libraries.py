"""Which libraries are instrumented, by which names, and when."""

import subprocess

import pytest

from powertools_otel._patch._libraries import ALIASES, LIBRARIES, resolve

XRAY_NAMES = [  # as Powertools' documentation and the X-Ray SDK's patcher have them
    *("aioboto3", "aiobotocore", "boto3", "botocore", "httplib", "httpx", "mysql"),
    *("pg8000", "psycopg", "psycopg2", "pymongo", "pymysql", "pynamodb", "requests"),
    *("sqlalchemy", "sqlalchemy_core", "sqlite3", "aiohttp", "redis", "urllib3"),
]


def test_every_name_of_the_xray_sdk_is_known():
    known, unknown = resolve(XRAY_NAMES)
    assert unknown == []
    assert set(known) <= set(LIBRARIES)
    assert set(ALIASES.values()) <= set(LIBRARIES)


def test_the_table_names_what_is_published(python):
    program = (
        "from importlib.metadata import entry_points as e\n"
        "for each in e(group='opentelemetry_instrumentor'): print(each.value)"
    )
    answer = subprocess.check_output([str(python), "-c", program], text=True)
    published = set(answer.split())
    for libraries in LIBRARIES.values():
        for library in libraries:
            name = f"opentelemetry.instrumentation.{library.module}"
            if library.module != "dbapi":  # a function, not an instrumentor
                assert f"{name}:{library.kind}" in published


IMPORTS = {
    "requests": "import requests",
    "httpx": "import httpx",
    "urllib3": "import urllib3",
    "sqlite3": "import sqlite3",
    "sqlalchemy": "import sqlalchemy",
    "redis": "import redis",
    "botocore": "import boto3",
}
CALLS = {
    "requests": "requests.get(url)",
    "httpx": "httpx.get(url)",
    "urllib3": "urllib3.request('GET', url)",
    "sqlite3": "sqlite3.connect(':memory:').cursor().execute('select 1')",
    "sqlalchemy": "sqlalchemy.create_engine('sqlite://').connect().close()",
    "redis": "redis.Redis(port=9, retry=None).get('key')",
    "botocore": "boto3.client('sts', endpoint_url=url, region_name='eu-west-1',"
    " aws_access_key_id='a', aws_secret_access_key='b').get_caller_identity()",
}
PROGRAM = """
import contextlib
{before}
spans = capture()
tracer = Tracer(service="s")
{after}

@tracer.capture_method
def caller():
    with contextlib.suppress(Exception):
        {call}

caller()
(parent,) = spans.named("__main__.caller")
tell([span.instrumentation_scope.name for span in spans.children(parent)])
"""


@pytest.mark.parametrize("library", CALLS)
@pytest.mark.parametrize("order", ["library first", "tracer first"])
def test_calls_make_spans_under_their_callers(run, library, order):
    load = {"before": "", "after": IMPORTS[library]}
    if order == "library first":
        load = {"before": IMPORTS[library], "after": ""}
    scopes = run(PROGRAM.format(call=CALLS[library], **load))
    assert scopes, "the call made no span"
    wanted = f"opentelemetry.instrumentation.{library}"
    assert all(scope.startswith(wanted) for scope in scopes), scopes


def test_nothing_is_loaded_for_a_library_that_nobody_imports(run):
    loaded = run(
        """
        Tracer(service="s")
        before = imported()
        import requests
        tell([before, imported()])
        """
    )
    before, after = loaded
    assert before == []
    assert "opentelemetry.instrumentation.requests" in after
    assert "opentelemetry.instrumentation.httpx" not in after


def test_a_second_tracer_changes_nothing(run):
    loaded = run(
        """
        import requests
        log = Log()
        spans = capture()
        Tracer(service="s")
        once = requests.Session.send
        tracer = Tracer(service="t")
        tracer.patch()
        tracer.patch(["requests", "requests"])
        requests.get(url)
        tell([once is requests.Session.send, len(spans), log.lines])
        """
    )
    same, count, lines = loaded
    assert same
    assert count == 1
    assert [line for line in lines if not line.startswith("DEBUG")] == []


def test_what_is_instrumented_already_is_left_alone(run):
    count = run(
        """
        from opentelemetry.instrumentation.requests import RequestsInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        import requests
        theirs = TracerProvider()
        RequestsInstrumentor().instrument(tracer_provider=theirs)
        spans = capture()
        Tracer(service="s")
        requests.get(url)
        tell(len(spans))
        """
    )
    assert count == 0


def test_only_what_is_asked_for_is_instrumented(run):
    answer = run(
        """
        import requests, httpx
        spans = capture()
        Tracer(service="s", patch_modules=("httpx",))
        requests.get(url); httpx.get(url)
        tell([span.instrumentation_scope.name for span in spans])
        """
    )
    assert answer == ["opentelemetry.instrumentation.httpx"]


def test_no_auto_patching_means_none(run):
    answer = run(
        """
        import requests
        spans = capture()
        Tracer(service="s", auto_patch=False)
        requests.get(url)
        tell(len(spans))
        """
    )
    assert answer == 0


def test_a_disabled_tracer_instruments_nothing(run):
    answer = run(
        """
        import requests
        Tracer(service="s")
        requests.get(url)
        tell(imported())
        """,
        POWERTOOLS_TRACE_DISABLED="true",
    )
    assert answer == []


def test_httplib_and_aiohttp_are_instrumented_on_request_only(run):
    answer = run(
        """
        import asyncio, urllib.request, aiohttp
        spans = capture()

        async def get(**options):
            async with aiohttp.ClientSession(**options) as session:
                async with session.get(url):
                    pass

        def call():
            urllib.request.urlopen(url).close()
            asyncio.run(get())
            found = [span.instrumentation_scope.name for span in spans]
            spans.clear()
            return found

        tracer = Tracer(service="s")
        before = call()
        tracer.patch(["httplib", "aiohttp"])
        tell([before, call()])
        """
    )
    assert answer[0] == []
    assert answer[1] == [
        "opentelemetry.instrumentation.urllib",
        "opentelemetry.instrumentation.aiohttp_client",
    ]


@pytest.mark.parametrize("installed", [True, False])
def test_aiohttps_trace_config_makes_one_span_of_each_request(run, installed):
    """By our name, and by Powertools' own where install() has been called."""
    source = "powertools_otel" if not installed else "aws_lambda_powertools"
    answer = run(
        f"""
        import asyncio, aiohttp, powertools_otel
        {"powertools_otel.install()" if installed else ""}
        from {source}.tracing import aiohttp_trace_config
        from {source} import Tracer
        spans = capture()
        tracer = Tracer(service="s")

        @tracer.capture_method
        async def caller():
            configs = [aiohttp_trace_config()]
            async with aiohttp.ClientSession(trace_configs=configs) as session:
                async with session.get(url):
                    pass

        asyncio.run(caller())
        (parent,) = spans.named("__main__.caller")
        tell([[span.name for span in spans.children(parent)], urls[-1]])
        """
    )
    names, (_, traceparent) = answer
    assert names == ["GET"]
    assert traceparent


def test_other_databases_are_instrumented(run):
    answer = run(
        """
        import contextlib
        from opentelemetry.instrumentation.utils import unwrap
        spans = capture()
        Tracer(service="s")
        import aiobotocore.client, pg8000, pg8000.dbapi, pymongo, pymysql
        from opentelemetry.instrumentation.botocore import AiobotocoreInstrumentor
        from opentelemetry.instrumentation.pymongo import PymongoInstrumentor
        from opentelemetry.instrumentation.pymysql import PyMySQLInstrumentor
        tell([
            AiobotocoreInstrumentor().is_instrumented_by_opentelemetry,
            PymongoInstrumentor().is_instrumented_by_opentelemetry,
            PyMySQLInstrumentor().is_instrumented_by_opentelemetry,
            hasattr(pg8000.connect, "__wrapped__"),
            hasattr(pg8000.dbapi.connect, "__wrapped__"),
        ])
        """
    )
    assert answer == [True] * 5


def test_spans_are_the_providers_whatever_the_global_one_is(run):
    """With set_global=False, instrumentations still make spans of the same trace."""
    answer = run(
        """
        import requests
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
            InMemorySpanExporter,
        )
        from powertools_otel import OTelTracingProvider
        exporter = InMemorySpanExporter()
        mine = TracerProvider()
        mine.add_span_processor(SimpleSpanProcessor(exporter))
        provider = OTelTracingProvider(mine)
        tracer = Tracer(service="s", provider=provider)
        tracer.capture_method(requests.get)(url)
        tell([span.name for span in exporter.get_finished_spans()])
        """
    )
    assert answer == ["GET", "requests.api.get"]


def test_uninstall_takes_the_instrumentations_back(run):
    answer = run(
        """
        import requests, boto3, botocore.client, powertools_otel
        before = requests.Session.send, botocore.client.BaseClient._make_api_call
        powertools_otel.install()
        from aws_lambda_powertools import Tracer
        Tracer(service="s")
        during = requests.Session.send, botocore.client.BaseClient._make_api_call
        powertools_otel.uninstall()
        after = requests.Session.send, botocore.client.BaseClient._make_api_call
        import httpx
        tell([before == during, before == after, imported("opentelemetry.instrumentation.httpx")])
        """
    )
    assert answer == [False, True, []]

"""botocore and urllib3 are instrumented when they are used, and lose nothing by it."""

import pytest

SCOPE = "opentelemetry.instrumentation."
SCOPES = "[span.instrumentation_scope.name.split('.')[2] for span in spans]"
LOADED = "imported('opentelemetry.instrumentation.')"
BOTH = {f"{SCOPE}botocore", f"{SCOPE}urllib3"}


@pytest.mark.parametrize("order", ["library first", "tracer first"])
@pytest.mark.parametrize("how", ["Tracer(service='s')", "Tracer(patch_modules=NAMES)"])
def test_the_first_client_has_instrumentations_loaded_not_the_import(run, order, how):
    lines = ["import boto3, urllib3", how.replace("NAMES", "('boto3', 'urllib3')")]
    if order == "tracer first":
        lines.reverse()
    before, after = run(
        "; ".join(lines) + f"; before = {LOADED}; aws('sqs'); tell([before, {LOADED}])"
    )
    assert before == []
    assert set(after) >= BOTH


def test_the_first_call_is_traced_and_meets_the_applications_event_hooks(run):
    scopes, names, events, header = run(
        f"""
        import boto3
        spans = capture()
        Tracer(service="s")
        sent = []
        client = aws("sqs")
        client.meta.events.register("before-call", lambda **_: sent.append("before"))
        client.meta.events.register("after-call", lambda **_: sent.append("after"))
        headers = []
        client.meta.events.register(
            "before-send", lambda request, **_: headers.append(dict(request.headers)))
        client.list_queues()
        trace = spans.all[0].get_span_context().trace_id
        header = str(headers[0].get("X-Amzn-Trace-Id"))
        tell([{SCOPES}, [span.name for span in spans], sent, format(trace, "032x")[:8] in header])
        """
    )
    assert scopes == ["botocore"]
    assert names == ["SQS.ListQueues"]
    assert events == ["before", "after"]
    assert header


def test_a_client_from_before_the_tracer_is_instrumented_with_the_tracer(run):
    loaded, scopes = run(
        f"""
        client = aws("sqs")
        spans = capture()
        Tracer(service="s")
        loaded = {LOADED}
        client.list_queues()
        tell([loaded, {SCOPES}])
        """
    )
    assert set(loaded) >= BOTH
    assert scopes == ["botocore"]


def test_urllib3_does_not_wait_where_botocore_did_not_bring_it(run):
    assert f"{SCOPE}urllib3" in run(
        f"import urllib3; Tracer(service='s'); tell({LOADED})"
    )


def test_nothing_waits_where_instrumentations_are_loaded_already(run):
    loaded = run(
        f"""
        import boto3
        import opentelemetry.instrumentation.instrumentor
        Tracer(service="s")
        tell({LOADED})
        """
    )
    assert set(loaded) >= BOTH


@pytest.mark.parametrize("kind", ["snap-start", "provisioned-concurrency"])
def test_nothing_waits_where_init_is_not_part_of_a_request(run, kind):
    loaded = run(
        f"import boto3; Tracer(service='s'); tell({LOADED})",
        AWS_LAMBDA_INITIALIZATION_TYPE=kind,
    )
    assert set(loaded) >= BOTH


def test_a_new_pool_manager_has_the_instrumentation_loaded(run):
    before, after = run(
        f"""
        import boto3, urllib3
        Tracer(service="s")
        before = {LOADED}
        http = urllib3.PoolManager()
        tell([before, {LOADED}])
        """
    )
    assert before == []
    assert set(after) >= BOTH


@pytest.mark.parametrize(
    "pool", ["urllib3.PoolManager()", "urllib3.connection_from_url(url)"]
)
def test_the_first_request_of_a_pool_from_before_the_tracer_is_traced(run, pool):
    before, scopes = run(
        f"""
        import boto3, urllib3
        http = {pool}
        spans = capture()
        Tracer(service="s")
        before = {LOADED}
        target = url if isinstance(http, urllib3.PoolManager) else "/"
        http.request("GET", target); http.request("GET", target)
        tell([before, {SCOPES}])
        """
    )
    assert before == []
    assert scopes == ["urllib3", "urllib3"]


def test_what_waits_is_instrumented_together_with_another_library(run):
    before, after = run(
        f"""
        import boto3
        Tracer(service="s")
        before = {LOADED}
        import requests
        tell([before, {LOADED}])
        """
    )
    assert before == []
    assert set(after) >= BOTH


def test_an_application_finds_the_instrumentation_that_it_imports_at_work(run):
    """So that its ``uninstrument()`` means what it says, before a call or after."""
    found, once, after = run(
        f"""
        import boto3, urllib3
        spans = capture()
        Tracer(service="s")
        from opentelemetry.instrumentation.urllib3 import URLLib3Instrumentor
        found = URLLib3Instrumentor().is_instrumented_by_opentelemetry
        http = urllib3.PoolManager()
        http.request("GET", url)
        once = {SCOPES}
        URLLib3Instrumentor().uninstrument()
        http.request("GET", url)
        tell([found, once, {SCOPES}])
        """
    )
    assert found
    assert once == after == ["urllib3"]


def test_an_instrumentation_of_the_applications_own_stays_its_own(run):
    ours, theirs = run(
        """
        import boto3
        from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import (
            InMemorySpanExporter)
        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        BotocoreInstrumentor().instrument(tracer_provider=provider)
        spans = capture()
        Tracer(service="s")
        aws("sqs").list_queues()
        tell([len(spans), len(exporter.get_finished_spans())])
        """
    )
    assert [ours, theirs] == [0, 1]


THREADS = """
import threading, time
import boto3, urllib3

class Slow:  # so that what one thread imports, the others meet half-way
    def find_spec(self, name, *_):
        if name.startswith("opentelemetry.instrumentation."):
            time.sleep(0.01)

sys.meta_path.insert(0, Slow())
sessions = [boto3.session.Session() for _ in range(8)]
options = dict(endpoint_url=url, region_name="eu-west-1",
    aws_access_key_id="none", aws_secret_access_key="none")
http = urllib3.PoolManager(maxsize=8)
spans = capture()
Tracer(service="s")
assert {loaded} == []
ready = threading.Barrier(8)

def work(number):
    ready.wait()
    {work}

threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
tell({scopes})
"""


@pytest.mark.parametrize(
    ("work", "scope"),
    [
        (
            "sessions[number].client('sqs', **options).list_queues()",
            "botocore",
        ),
        ("http.request('GET', url)", "urllib3"),
    ],
)
def test_the_first_uses_of_many_threads_are_one_span_each(run, work, scope):
    scopes = run(THREADS.format(loaded=LOADED, scopes=SCOPES, work=work))
    assert scopes == [scope] * 8


def test_a_client_that_comes_while_another_thread_instruments_is_traced(run):
    scopes = run(
        f"""
        import threading, time
        import boto3
        from powertools_otel import _patch
        spans = capture()
        Tracer(service="s", patch_modules=["botocore"])
        instrumenting = threading.Event()

        def slowly(*arguments):
            instrumenting.set()
            time.sleep(0.3)
            instrument(*arguments)

        def work():
            assert instrumenting.wait(10)
            aws("sqs").list_queues()

        instrument, _patch._instrument = _patch._instrument, slowly
        thread = threading.Thread(target=work)
        thread.start()
        aws("sqs").list_queues()
        thread.join(10)
        tell({SCOPES})
        """
    )
    assert scopes == ["botocore"] * 2


def test_an_import_in_one_thread_and_a_first_use_in_another_both_end(run):
    loaded, scopes = run(
        f"""
        import threading, time
        import boto3
        spans = capture()
        Tracer(service="s")
        importing = threading.Event()

        class Slow:
            def find_spec(self, name, *_):
                if name == "opentelemetry.instrumentation.botocore.extensions":
                    importing.set()
                    time.sleep(0.2)

        sys.meta_path.insert(0, Slow())
        thread = threading.Thread(
            target=__import__, args=("opentelemetry.instrumentation.botocore",))
        thread.start()
        assert importing.wait(10)
        aws("sqs").list_queues()
        thread.join(10)
        tell([{LOADED}, {SCOPES}])
        """
    )
    assert set(loaded) >= BOTH
    assert scopes == ["botocore"]


WRAPPERS = {
    "wrapt": """
wrapt.wrap_function_wrapper(
    "botocore.client", "BaseClient._make_api_call",
    lambda wrapped, _, args, kwargs: note(args[0]) or wrapped(*args, **kwargs))
""",
    "what is in the class": """
inner = BaseClient.__dict__["_make_api_call"]
BaseClient._make_api_call = lambda self, *args: note(args[0]) or inner(self, *args)
""",
    "what the class answers": """
inner = BaseClient._make_api_call
BaseClient._make_api_call = lambda self, *args: note(args[0]) or inner(self, *args)
""",
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_that_come_before_the_first_use_run_once_a_call(run, wrapper):
    seen, scopes = run(
        f"""
import boto3, wrapt
from botocore.client import BaseClient
spans = capture()
Tracer(service="s")
seen = []
note = seen.append
{WRAPPERS[wrapper]}
client = aws("sqs")
client.list_queues(); client.list_queues()
tell([seen, {SCOPES}])
"""
    )
    assert seen == ["ListQueues"] * 2
    assert scopes == ["botocore"] * 2


def test_a_mock_over_the_first_use_is_used_and_leaves_calls_traced(run):
    answer, during, after = run(
        f"""
        import boto3
        from unittest import mock
        spans = capture()
        Tracer(service="s")
        with mock.patch("botocore.client.BaseClient._make_api_call", return_value=dict()):
            answer = aws("sqs").list_queues()
            during = {SCOPES}
        aws("sqs").list_queues()
        tell([answer, during, {SCOPES}])
        """
    )
    assert answer == {}
    assert during == []
    assert after == ["botocore"]


def test_a_mock_of_what_is_waited_for_is_used(run):
    made = run(
        """
        import boto3, urllib3
        from unittest import mock
        with mock.patch("urllib3.PoolManager.__init__", return_value=None) as init:
            Tracer(service="s")
            urllib3.PoolManager(1); urllib3.PoolManager(2)
            tell([call.args for call in init.call_args_list])
        """
    )
    assert made == [[1], [2]]


def test_a_mock_from_before_the_tracer_is_used(run):
    answer = run(
        """
        import boto3
        from unittest import mock
        with mock.patch("botocore.client.BaseClient._make_api_call", return_value={}):
            Tracer(service="s")
            tell(aws("sqs").list_queues())
        """
    )
    assert answer == {}


FUNCTIONS = """
def functions():
    return [
        BaseClient.__dict__["__init__"],
        BaseClient.__dict__["_make_api_call"],
        urllib3.PoolManager.__dict__["__init__"],
        urllib3.HTTPConnectionPool.__dict__["urlopen"],
    ]
"""


@pytest.mark.parametrize("use", ["", "aws('sqs').list_queues()"])
def test_undone_before_or_after_the_first_use_it_leaves_nothing(run, use):
    same, loaded, scopes = run(
        f"""
        import boto3, urllib3
        from botocore.client import BaseClient
        from powertools_otel import _import_hooks, _patch
        {FUNCTIONS.replace(chr(10), chr(10) + "        ").strip()}
        before = functions()
        Tracer(service="s")
        spans = capture()
        waiting = functions()
        {use}
        _patch.undo()
        spans.clear()
        loaded = {LOADED}
        same = [a is b for a, b in zip(before, functions())]
        assert not any(a is b for a, b in zip(before, waiting))
        assert not _import_hooks._waiting
        aws("sqs").list_queues()
        tell([same, {LOADED} == loaded, {SCOPES}])
        """
    )
    assert same == [True] * 4
    assert loaded
    assert scopes == []


def test_after_its_first_use_no_stand_in_is_left(run):
    kinds = run(
        f"""
        import boto3, urllib3
        from botocore.client import BaseClient
        {FUNCTIONS.replace(chr(10), chr(10) + "        ").strip()}
        Tracer(service="s")
        aws("sqs")
        tell([type(function).__module__ for function in functions()])
        """
    )
    assert not [kind for kind in kinds if kind.startswith("powertools_otel")]


def test_undone_and_patched_again_it_waits_again(run):
    scopes = run(
        f"""
        import boto3
        from powertools_otel import _patch
        spans = capture()
        Tracer(service="s")
        _patch.undo()
        Tracer(service="s")
        assert {LOADED} == []
        aws("sqs").list_queues()
        tell({SCOPES})
        """
    )
    assert scopes == ["botocore"]


def test_while_it_waits_the_functions_look_as_they_are(run):
    signature, name, loaded = run(
        f"""
        import boto3, inspect
        from botocore.client import BaseClient
        Tracer(service="s")
        name = BaseClient.__dict__["_make_api_call"].__qualname__
        tell([str(inspect.signature(BaseClient._make_api_call)), name, {LOADED}])
        """
    )
    assert signature == "(self, operation_name, api_params)"
    assert name == "BaseClient._make_api_call"
    assert f"{SCOPE}botocore" in loaded


@pytest.mark.parametrize("explicit", [True, False])
def test_an_instrumentation_that_cannot_be_loaded_is_said_and_calls_work(run, explicit):
    how = "patch_modules=['botocore']" if explicit else ""
    status, lines = run(
        f"""
        import boto3
        log = Log()
        sys.modules["opentelemetry.instrumentation.botocore.extensions"] = None
        Tracer(service="s", {how})
        assert log.lines == [] or all(line.startswith("DEBUG") for line in log.lines)
        answer = [aws("sqs").list_queues() for _ in range(2)][1]
        tell([answer["ResponseMetadata"]["HTTPStatusCode"], log.lines])
        """
    )
    level = "WARNING" if explicit else "DEBUG"
    said = [line for line in lines if "could not instrument botocore.client" in line]
    assert status == 200
    assert [line.startswith(level) for line in said] == [True]


def test_a_library_without_the_functions_to_wait_for_is_instrumented_at_once(run):
    loaded = run(
        f"""
        import boto3, urllib3
        del urllib3.PoolManager.__init__
        Tracer(service="s")
        tell({LOADED})
        """
    )
    assert f"{SCOPE}urllib3" in loaded

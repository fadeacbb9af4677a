"""What Powertools' decorators and calls become, through both ways in."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from tests.conftest import LambdaContext

import powertools_otel

quiet = pytest.mark.usefixtures("quiet_upstream")


@pytest.fixture(autouse=True)
def quiet_upstream():
    """Powertools logs each traced exception with its stack; tests need not."""
    logger = logging.getLogger("aws_lambda_powertools.tracing.tracer")
    logger.disabled = True
    yield
    logger.disabled = False


def parent_of(span, spans):
    """The captured span that is the parent, or None."""
    if span.parent is None:
        return None
    return next(
        (other for other in spans if other.context.span_id == span.parent.span_id), None
    )


class TestHandler:
    def test_is_a_server_span_named_as_the_function(self, tracer, spans, context):
        """capture_lambda_handler makes the invocation's span, kind SERVER."""

        @tracer.capture_lambda_handler
        def handler(event, context):
            return {"ok": True}

        assert handler({}, context) == {"ok": True}

        (span,) = spans
        assert span.name == "checkout"
        assert span.kind is SpanKind.SERVER
        assert span.parent is None
        assert span.attributes["faas.invocation_id"] == context.aws_request_id
        assert span.attributes["faas.coldstart"] is True
        assert span.attributes["faas.trigger"] == "other"
        assert span.attributes["cloud.account.id"] == "123456789012"
        assert span.attributes["cloud.resource_id"] == context.invoked_function_arn
        assert span.attributes["code.function.name"].endswith("handler")

    def test_carries_powertools_annotations(self, tracer, spans, context):
        """ColdStart and Service stay annotations, named for the AWS exporters."""

        @tracer.capture_lambda_handler
        def handler(event, context):
            tracer.put_annotation("PaymentId", 17)

        handler({}, context)
        handler({}, LambdaContext(request_id="second"))

        first, second = spans
        assert first.attributes["ColdStart"] is True
        assert second.attributes["ColdStart"] is False
        assert second.attributes["faas.coldstart"] is False
        assert first.attributes["Service"] == "checkout"
        assert first.attributes["PaymentId"] == 17
        assert set(first.attributes["aws.xray.annotations"]) == {
            "ColdStart",
            "Service",
            "PaymentId",
        }

    def test_response_becomes_metadata_of_the_service(self, tracer, spans, context):
        """The response is in the JSON object of the service's metadata."""

        @tracer.capture_lambda_handler
        def handler(event, context):
            return {"statusCode": 201, "body": "made"}

        handler({}, context)

        (span,) = spans
        metadata = json.loads(span.attributes["aws.xray.metadata.checkout"])
        assert metadata == {"handler response": {"statusCode": 201, "body": "made"}}
        assert span.attributes["http.response.status_code"] == 201

    def test_server_error_response_is_an_error(self, tracer, spans, context):
        """A 5xx answer marks the span; a 4xx one does not."""

        @tracer.capture_lambda_handler(capture_response=False)
        def handler(event, context):
            return {"statusCode": event["status"]}

        handler({"status": 502}, context)
        handler({"status": 404}, LambdaContext(request_id="second"))

        failed, refused = spans
        assert failed.status.status_code is StatusCode.ERROR
        assert failed.attributes["error.type"] == "502"
        assert "aws.xray.metadata.checkout" not in failed.attributes
        assert refused.status.status_code is StatusCode.UNSET

    @pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, ValueError])
    def test_every_kind_of_end_is_an_error(self, tracer, spans, context, error):
        """What leaves the handler leaves it unchanged, and marks the span."""

        @tracer.capture_lambda_handler
        def handler(event, context):
            raise error("why")

        with pytest.raises(error):
            handler({}, context)

        (span,) = spans
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes["error.type"] == error.__name__
        assert [event.name for event in span.events] == ["exception"]

    def test_async_handler_is_traced_until_it_returns(self, tracer, spans, context):
        """An async handler's span covers its body, response and cold start."""

        @tracer.capture_lambda_handler
        async def handler(event, context):
            await asyncio.sleep(0.01)
            tracer.put_annotation("inside", True)
            return {"statusCode": 200}

        assert asyncio.run(handler({}, context)) == {"statusCode": 200}

        (span,) = spans
        assert span.kind is SpanKind.SERVER
        assert span.attributes["inside"] is True
        assert span.attributes["ColdStart"] is True
        assert span.attributes["http.response.status_code"] == 200
        assert span.end_time - span.start_time >= 9_000_000

    def test_event_and_context_of_any_kind(self, tracer, spans):
        """No event and no context, however odd, changes what the handler does."""

        @tracer.capture_lambda_handler
        def handler(event, context):
            return event

        for event, context in ((None, None), ([1], object()), ("x", 3), ({}, {})):
            assert handler(event, context) is event
        assert len(spans) == 4

    def test_nested_decorated_handlers_are_one_trace(self, tracer, spans, context):
        """A handler that calls a decorated one: one SERVER span, one child."""

        @tracer.capture_lambda_handler
        def inner(event, context):
            return 1

        @tracer.capture_lambda_handler
        def outer(event, context):
            return inner(event, context)

        outer({}, context)

        child, root = spans
        assert child.parent.span_id == root.context.span_id
        assert (root.kind, child.kind) == (SpanKind.SERVER, SpanKind.INTERNAL)


class TestMethods:
    def test_nested_sync_methods(self, tracer, spans, context):
        """Methods hang under their caller, named module.qualname."""

        @tracer.capture_method
        def inner():
            return 1

        @tracer.capture_method
        def outer():
            return inner() + 1

        @tracer.capture_lambda_handler
        def handler(event, context):
            return outer()

        assert handler({}, context) == 2

        inner_span, outer_span, root = spans
        assert inner_span.name.endswith(".locals.inner")
        assert not inner_span.name.startswith("## ")
        assert inner_span.kind is SpanKind.INTERNAL
        assert parent_of(inner_span, spans) is outer_span
        assert parent_of(outer_span, spans) is root

    def test_concurrent_async_methods_keep_their_parents(self, tracer, spans, context):
        """100 branches of asyncio.gather() are siblings, each with its own child."""

        @tracer.capture_method(capture_response=False)
        async def leaf(number):
            await asyncio.sleep(0.001 * (number % 7))
            tracer.put_annotation("number", number)
            return number

        @tracer.capture_method(capture_response=False)
        async def branch(number):
            return await leaf(number)

        @tracer.capture_method(capture_response=False)
        async def fan():
            return sum(await asyncio.gather(*(branch(n) for n in range(100))))

        @tracer.capture_lambda_handler
        def handler(event, context):
            return asyncio.run(fan())

        assert handler({}, context) == sum(range(100))

        fan_span = next(s for s in spans if s.name.endswith("fan"))
        branches = [s for s in spans if s.name.endswith("branch")]
        leaves = [s for s in spans if s.name.endswith("leaf")]
        assert len(branches) == len(leaves) == 100
        assert all(parent_of(s, spans) is fan_span for s in branches)
        assert len({parent_of(s, spans).context.span_id for s in leaves}) == 100
        assert {s.attributes["number"] for s in leaves} == set(range(100))

    def test_generator_is_current_only_while_it_runs(self, tracer, spans, context):
        """Children made between two steps belong to the caller, not the generator."""

        @tracer.capture_method
        def child():
            return None

        @tracer.capture_method
        def numbers():
            child()
            received = yield 1
            assert received == "sent"
            child()
            return "done"

        @tracer.capture_method
        def between():
            return None

        @tracer.capture_lambda_handler
        def handler(event, context):
            generator = numbers()
            assert next(generator) == 1
            between()
            with pytest.raises(StopIteration) as stop:
                generator.send("sent")
            return stop.value.value

        assert handler({}, context) == "done"

        generator = next(s for s in spans if s.name.endswith("numbers"))
        root = spans["checkout"]
        children = [s for s in spans if s.name.endswith("child")]
        assert [parent_of(s, spans) for s in children] == [generator, generator]
        assert parent_of(next(s for s in spans if "between" in s.name), spans) is root
        assert "numbers response" in generator.attributes["aws.xray.metadata.checkout"]

    def test_interleaved_generators_are_siblings(self, tracer, spans, context):
        """Two generators stepped in turn do not become each other's parents."""

        @tracer.capture_method
        def first():
            yield 1
            yield 2

        @tracer.capture_method
        def second():
            yield 1
            yield 2

        @tracer.capture_lambda_handler
        def handler(event, context):
            return list(zip(first(), second(), strict=True))

        handler({}, context)

        root = spans["checkout"]
        assert all(parent_of(s, spans) is root for s in spans if s.name != "checkout")

    def test_abandoned_generator_does_not_leak_into_the_next_invocation(
        self, tracer, spans
    ):
        """A generator dropped half-way never parents, nor breaks, a later trace."""
        kept = []

        @tracer.capture_method
        def numbers():
            yield 1
            yield 2

        @tracer.capture_lambda_handler
        def handler(event, context):
            generator = numbers()
            next(generator)
            kept.append(generator)
            if event.get("drop"):
                kept.pop(0).close()
                gc.collect()

        handler({}, LambdaContext(request_id="one"))
        handler({"drop": True}, LambdaContext(request_id="two"))
        kept.clear()
        gc.collect()

        roots = [s for s in spans if s.kind is SpanKind.SERVER]
        assert [s.parent for s in roots] == [None, None]
        assert len({s.context.trace_id for s in roots}) == 2
        generators = [s for s in spans if s.name.endswith("numbers")]
        assert [s.status.status_code for s in generators] == [StatusCode.UNSET] * 2
        assert not trace.get_current_span().get_span_context().is_valid

    def test_context_manager_is_the_parent_of_its_block(self, tracer, spans, context):
        """With @contextmanager functions the span covers the block under it."""

        @tracer.capture_method
        def child():
            return None

        @tracer.capture_method
        @contextmanager
        def block():
            yield "value"

        @tracer.capture_lambda_handler
        def handler(event, context):
            with block() as value:
                child()
            return value

        assert handler({}, context) == "value"

        block_span = next(s for s in spans if s.name.endswith("block"))
        assert (
            parent_of(next(s for s in spans if "child" in s.name), spans) is block_span
        )
        assert parent_of(block_span, spans) is spans["checkout"]

    def test_async_generator_spans_its_iteration(self, tracer, spans, context):
        """An async generator's span ends with the iteration, children inside."""

        @tracer.capture_method
        async def child():
            return None

        @tracer.capture_method
        async def numbers():
            for number in range(3):
                await child()
                yield number

        @tracer.capture_lambda_handler
        async def handler(event, context):
            return [number async for number in numbers()]

        assert asyncio.run(handler({}, context)) == [0, 1, 2]

        generator = next(s for s in spans if s.name.endswith("numbers"))
        children = [s for s in spans if s.name.endswith("child")]
        assert [parent_of(s, spans) for s in children] == [generator] * 3

    def test_threads_with_copied_context(self, tracer, spans, context):
        """A thread that runs in a copy of the context has the right parent."""

        @tracer.capture_method
        def work(number):
            return number

        @tracer.capture_lambda_handler
        def handler(event, context):
            with ThreadPoolExecutor(4) as pool:
                futures = [
                    pool.submit(contextvars.copy_context().run, work, number)
                    for number in range(8)
                ]
            return sum(future.result() for future in futures)

        assert handler({}, context) == 28

        root = spans["checkout"]
        works = [s for s in spans if s.name.endswith("work")]
        assert len(works) == 8
        assert all(parent_of(s, spans) is root for s in works)

    def test_error_is_told_once(self, tracer, spans, context):
        """One exception event, ERROR with the message, error.type; no metadata."""

        @tracer.capture_method
        def fails():
            raise ValueError("no stock")

        @tracer.capture_lambda_handler
        def handler(event, context):
            with pytest.raises(ValueError, match="no stock"):
                fails()

        handler({}, context)

        failed, root = spans
        (event,) = failed.events
        assert event.attributes["exception.type"] == "ValueError"
        assert event.attributes["exception.message"] == "no stock"
        assert "in fails" in event.attributes["exception.stacktrace"]
        assert failed.status.description == "no stock"
        assert failed.attributes["error.type"] == "ValueError"
        assert not any("metadata" in key for key in failed.attributes)
        assert root.status.status_code is StatusCode.UNSET

    @pytest.mark.parametrize("shape", ["sync", "async", "generator", "manager"])
    def test_capture_error_false_hides_message_and_stack(
        self, tracer, spans, context, shape
    ):
        """Nowhere on the span is the message or the stack, only the type."""

        def body():
            raise ValueError("secret card number")

        decorate = tracer.capture_method(capture_error=False)
        if shape == "sync":
            run = decorate(body)
        elif shape == "async":

            @decorate
            async def coroutine():
                body()

            def run():
                asyncio.run(coroutine())
        elif shape == "generator":

            @decorate
            def generator():
                yield 1
                body()

            def run():
                list(generator())
        else:

            @decorate
            @contextmanager
            def manager():
                yield
                body()

            def run():
                with manager():
                    pass

        @tracer.capture_lambda_handler
        def handler(event, context):
            with pytest.raises(ValueError, match="secret"):
                run()

        handler({}, context)

        failed = next(s for s in spans if s.name != "checkout")
        assert failed.status.status_code is StatusCode.ERROR
        assert failed.attributes["error.type"] == "ValueError"
        assert "secret" not in failed.to_json()
        assert [event.name for event in failed.events] == ["exception"]

    def test_cancelled_task_is_an_error(self, tracer, spans, context):
        """asyncio.CancelledError, no Exception, still marks the span."""

        @tracer.capture_method
        async def slow():
            await asyncio.sleep(10)

        async def main():
            task = asyncio.create_task(slow())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())

        (span,) = spans
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes["error.type"].endswith("CancelledError")


class TestEscapeHatch:
    def test_in_subsegment_in_every_form(self, tracer, spans, context):
        """As a context manager, an async one, and a decorator of both kinds."""
        provider = tracer.provider

        @provider.in_subsegment("decorated")
        def decorated():
            return 1

        @provider.capture("captured")
        def captured():
            return 2

        @provider.capture_async("captured async")
        async def captured_async():
            return 3

        @tracer.capture_lambda_handler
        async def handler(event, context):
            with provider.in_subsegment("block") as segment:
                segment.put_annotation("a", 1)
                segment.put_metadata("m", {"b": 2}, "space")
            async with provider.in_subsegment_async(name="async block"):
                pass
            return decorated() + captured() + await captured_async()

        assert asyncio.run(handler({}, context)) == 6

        names = [s.name for s in spans]
        assert names == [
            "block",
            "async block",
            "decorated",
            "captured",
            "captured async",
            "checkout",
        ]
        block = spans["block"]
        assert block.attributes["a"] == 1
        assert json.loads(block.attributes["aws.xray.metadata.space"]) == {
            "m": {"b": 2}
        }

    @pytest.mark.parametrize("namespace", ["remote", "aws"])
    def test_remote_namespace_is_a_client_span(self, tracer, spans, namespace):
        """X-Ray's remote and aws namespaces are calls to somebody else."""
        with tracer.provider.in_subsegment("call", namespace=namespace):
            pass

        assert spans["call"].kind is SpanKind.CLIENT

    def test_begin_and_end(self, tracer, spans, context):
        """begin_subsegment() and end_subsegment() nest as X-Ray's do."""
        provider = tracer.provider

        @tracer.capture_lambda_handler
        def handler(event, context):
            provider.begin_subsegment("outer")
            provider.begin_subsegment("inner")
            provider.put_annotation("where", "inner")
            provider.end_subsegment()
            provider.put_annotation("where", "outer")
            assert provider.current_subsegment().name == "outer"
            provider.end_subsegment()
            assert provider.current_segment().name == "checkout"
            assert provider.is_sampled()

        handler({}, context)

        inner, outer, root = spans
        assert inner.attributes["where"] == "inner"
        assert outer.attributes["where"] == "outer"
        assert parent_of(inner, spans) is outer
        assert parent_of(outer, spans) is root

    def test_closing_twice_says_nothing(self, tracer, spans, caplog):
        """close() inside the block and the block's own end: one end, no warning."""
        with tracer.provider.in_subsegment("block") as segment:
            segment.close()

        assert len(spans) == 1
        assert not caplog.records

    def test_hand_written_segment_keeps_its_message(self, tracer, spans):
        """capture_error is the decorators' affair: a block's error is told whole."""
        with (
            pytest.raises(ValueError, match="plain"),
            tracer.provider.in_subsegment("## hand-written"),
        ):
            raise ValueError("plain")

        assert (
            spans["hand-written"].events[0].attributes["exception.message"] == "plain"
        )

    def test_annotations_reach_the_users_own_span(self, tracer, spans, context):
        """put_annotation() under a span of the OpenTelemetry API annotates that span."""

        @tracer.capture_lambda_handler
        def handler(event, context):
            own = trace.get_tracer("own", tracer_provider=_provider_of(spans))
            with own.start_as_current_span("own"):
                tracer.put_annotation("a", 1)
                tracer.put_annotation("b", 2)
                tracer.put_metadata("m", 1, "space")
                tracer.put_metadata("n", 2, "space")

        handler({}, context)

        span = spans["own"]
        assert span.attributes["aws.xray.annotations"] == ("a", "b")
        assert json.loads(span.attributes["aws.xray.metadata.space"]) == {
            "m": 1,
            "n": 2,
        }


def _provider_of(spans):
    from powertools_otel.tracing import _sdk

    return _sdk.override.provider


class TestDisabled:
    @pytest.mark.parametrize("how", ["argument", "variable", "outside Lambda"])
    def test_a_disabled_tracer_makes_no_span(self, make_tracer, monkeypatch, how):
        """Nothing is recorded, and everything still works."""
        if how != "outside Lambda":
            monkeypatch.setenv("LAMBDA_TASK_ROOT", "/var/task")
        if how == "variable":
            monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
        tracer = make_tracer(disabled=True if how == "argument" else None)

        @tracer.capture_method
        def method():
            tracer.put_annotation("a", 1)
            return trace.get_current_span().get_span_context().is_valid

        assert method() is False
        assert tracer.provider.current_subsegment().put_metadata("a", 1) is None
        assert tracer.provider.statistics == {}

    def test_the_sdk_switched_off(self, make_tracer, monkeypatch, in_lambda):
        """OTEL_SDK_DISABLED=true: no span, no exporter."""
        monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
        powertools_otel.testing.reset()
        tracer = make_tracer()

        with tracer.provider.in_subsegment("x") as segment:
            assert segment.sampled is False

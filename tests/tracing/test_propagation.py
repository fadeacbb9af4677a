"""Where a trace continues from: by source, format, policy, batch and hook."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from awslambdaric.lambda_context import LambdaContext
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import INVALID_SPAN_CONTEXT, SpanContext, TraceFlags
from tests.tracing.events.samples import (
    NAMES,
    SPAN_ID,
    TRACE_ID,
    TRACEPARENT,
    XRAY_SPAN_ID,
    XRAY_TRACE_ID,
    sample,
)

from powertools_otel._guard import forget_warnings
from powertools_otel._settings import Settings
from powertools_otel.tracing import _other_propagators, _propagation
from powertools_otel.tracing._events import describe

ENV_TRACE_ID = 0x67AB12C4AAAAAAAAAAAAAAAAAAAAAAAA
ENV_SPAN_ID = 0x1111111111111111
ENV = "Root=1-67ab12c4-aaaaaaaaaaaaaaaaaaaaaaaa;Parent=1111111111111111;Sampled={}"
UNSAMPLED = ENV.format(0)
SAMPLED = ENV.format(1)
ROOT = "1-67ab12c4-3f9d2e7a10b45c8892d6e1f0"
XRAY = f"Root={ROOT};Parent=5a1f0c3b7d92e684;Sampled="

UPSTREAM = (TRACE_ID, SPAN_ID)
UPSTREAM_XRAY = (XRAY_TRACE_ID, XRAY_SPAN_ID)
LAMBDA = (ENV_TRACE_ID, ENV_SPAN_ID)

CARRYING = {
    name
    for name in NAMES
    if not name.endswith(("batch", "_token", "_test", "_message", "_disconnect"))
    and name not in {"s3", "cloudwatch_logs", "scheduler", "eventbridge_schedule"}
    and name != "sqs_xray_only"
} | {"appsync_batch"}
"""The samples that hold ``TRACEPARENT``, for one request or message."""


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Propagators looked for again, warnings said again."""
    forget_warnings()
    _propagation.forget()
    _other_propagators.forget()


def extract(
    event: Any,
    header: str | None = None,
    *,
    propagators: str | None = None,
    context: Any = None,
    hook: Any = None,
    **settings: Any,
) -> _propagation.RemoteContext:
    chosen = Settings(**settings)
    return _propagation.extract(
        describe(event, chosen), event, context, header, chosen, propagators, hook
    )


def ids(context: SpanContext | None) -> tuple[int, int] | None:
    return None if context is None else (context.trace_id, context.span_id)


def linked(remote: _propagation.RemoteContext) -> list[tuple[int, int] | None]:
    return [ids(context) for context, _ in remote.links]


def base64_of(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def http(**headers: str) -> Any:
    event = sample("apigateway_v2")
    event["headers"] = {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return event


class TestSources:
    """Every source that can carry a context."""

    @pytest.mark.parametrize("name", sorted(CARRYING))
    def test_a_request_or_a_single_message_has_a_parent(self, name: str):
        """W3C from the event goes before ``_X_AMZN_TRACE_ID``, and adds no link."""
        remote = extract(sample(name), UNSAMPLED)

        assert ids(remote.parent) == UPSTREAM
        assert remote.parent is not None
        assert remote.parent.is_remote
        assert remote.parent.trace_flags == TraceFlags.SAMPLED
        assert (remote.trace_id, remote.links, remote.dropped_links) == (None, (), 0)

    def test_nothing_was_forgotten(self):
        """The other samples carry nothing, or are batches."""
        assert set(NAMES) - CARRYING == {
            "apigateway_authorizer_token",
            "apigateway_v1_console_test",
            "apigateway_websocket_disconnect",
            "apigateway_websocket_message",
            "cloudwatch_logs",
            "dynamodb_batch",
            "eventbridge_schedule",
            "kafka_batch",
            "kinesis_batch",
            "s3",
            "scheduler",
            "sqs_batch",
            "sqs_xray_only",
        }

    @pytest.mark.parametrize("name", sorted(set(NAMES) - CARRYING))
    def test_the_others_have_no_parent(self, name: str):
        """Neither does the X-Ray trace id of Lambda's own make one."""
        if name != "sqs_xray_only":
            remote = extract(sample(name), UNSAMPLED)
            assert remote.parent is None
            assert remote.trace_id == ENV_TRACE_ID

    @pytest.mark.parametrize("name", ["sqs", "sns_sqs", "eventbridge_sqs"])
    def test_tracestate_comes_along(self, name: str):
        """Also out of envelopes."""
        parent = extract(sample(name)).parent

        assert parent is not None
        assert dict(parent.trace_state) == {
            "shop": "checkout:3",
            "vendor@tenant": "t61rcWkgMzE",
        }

    @pytest.mark.parametrize("name", ["apigateway_v1", "sns", "direct"])
    def test_baggage_comes_along(self, name: str):
        """Of a request or a single message."""
        remote = extract(sample(name))

        assert remote.baggage == {"tenant": "acme", "session": "7b1e"}

    def test_baggage_may_come_alone(self):
        """Without a trace to continue."""
        remote = extract(http(baggage="tenant=acme"))

        assert remote == _propagation.RemoteContext(baggage={"tenant": "acme"})

    @pytest.mark.parametrize("name", ["traceparent", "TraceParent", "TRACEPARENT"])
    def test_names_of_fields_are_not_case_sensitive(self, name: str):
        """In headers as in message attributes and Kafka headers."""
        queue = sample("sqs")
        attributes = queue["Records"][0]["messageAttributes"]
        attributes[name] = attributes.pop("traceparent")
        topic = sample("msk")
        header = topic["records"]["orders-0"][0]["headers"][0]
        header[name] = header.pop("traceparent")

        assert ids(extract(http(**{name: TRACEPARENT})).parent) == UPSTREAM
        assert ids(extract(queue).parent) == UPSTREAM
        assert ids(extract(topic).parent) == UPSTREAM

    def test_two_traceparents_are_none(self):
        """W3C: more than one is invalid. A tracestate may well be in parts."""
        event = sample("alb_multi_value")
        event["multiValueHeaders"]["tracestate"] = ["a=1", "b=2"]
        parent = extract(event).parent
        assert parent is not None
        assert dict(parent.trace_state) == {"a": "1", "b": "2"}

        event["multiValueHeaders"]["traceparent"] *= 2
        assert extract(event).parent is None

    @pytest.mark.parametrize("signed", [False, True])
    def test_kafka_header_bytes_may_be_signed(self, signed: bool):
        """As they come from Java; a header that is no text disturbs no other one."""
        event = sample("msk")
        values = list("größe=1,k=v".encode())
        if signed:
            values = [value - 256 if value > 127 else value for value in values]
        headers = event["records"]["orders-0"][0]["headers"]
        headers.append({"baggage": values})
        headers.append({"tracestate": [1, None]})

        remote = extract(event)

        assert ids(remote.parent) == UPSTREAM
        assert remote.baggage == {"k": "v"}

    def test_binary_message_attributes_are_passed_over(self):
        """Only strings are read."""
        event = sample("sqs")
        event["Records"][0]["messageAttributes"]["traceparent"] = {
            "binaryValue": "AAEC",
            "dataType": "Binary",
        }

        assert ids(extract(event).parent) == UPSTREAM_XRAY

    def test_a_message_that_speaks_of_a_trace_is_not_its_envelope(self):
        """What looks like message attributes inside an SNS message is its text."""
        event = sample("sns_sqs")
        record = event["Records"][0]
        inner = '{"MessageAttributes":{"traceparent":{"Type":"String","Value":"%s"}}}'
        note = {
            "Type": "Notification",
            "TopicArn": "arn:aws:sns:eu-central-1:123456789012:t",
            "Message": inner % TRACEPARENT,
        }
        record["body"] = json.dumps(note)

        assert extract(event).parent is None

    def test_two_contexts_in_one_text_are_not_clear(self):
        """An event that carries other events' contexts as data is nobody's child."""
        event = sample("eventbridge_sqs")
        body = event["Records"][0]["body"]
        event["Records"][0]["body"] = body[:-1] + ',"x":{"traceparent":"00"}}'

        assert extract(event).parent is None

    def test_white_space_and_escapes_in_a_text(self):
        """JSON as other serialisers write it."""
        event = sample("eventbridge_sqs")
        body = event["Records"][0]["body"]
        spaced = body.replace('"traceparent":"', '"traceparent" :\n "').replace(
            "-2f8b", "\\u002d2f8b"
        )
        assert spaced != body
        event["Records"][0]["body"] = spaced

        assert ids(extract(event).parent) == UPSTREAM

    @pytest.mark.parametrize(
        "detail",
        [
            f'"traceparent","{TRACEPARENT}"',
            f'"traceparent":["{TRACEPARENT}"]',
            f'"x\\"traceparent":"{TRACEPARENT}"',
            f'"traceparent"{" " * 100}:"{TRACEPARENT}"',
            f'"traceparent":"{TRACEPARENT}\\q"',
            f'"traceparent":"{TRACEPARENT}',
            '"traceparent":',
            '"traceparent"',
            '"text":"traceparent ' + "traceparent " * 20 + f'","t":"{TRACEPARENT}"',
        ],
    )
    def test_what_is_no_key_with_a_string_is_not_read(self, detail: str):
        """A text is searched, so what only looks alike must not count."""
        event = sample("eventbridge_sqs")
        record = event["Records"][0]
        record["body"] = '{"detail-type":"t","detail":{' + detail + "}}"

        assert extract(event).parent is None

    def test_the_search_in_texts_is_bounded(self):
        """128 KB in one invocation: large bodies of a batch behind it have no links."""
        event = sample("eventbridge_sqs")
        record = event["Records"][0]
        record["body"] = record["body"].ljust(16_000)

        remote = extract({"Records": [record] * 100})

        assert len(remote.links) == 8
        record["body"] = record["body"].ljust(17_000)
        assert extract(event).parent is None

    @pytest.mark.parametrize("data", ["e", "eyJ", "e===", "ex8+", "eyIi/w==", "x" * 20])
    def test_stream_data_that_is_no_json_text_is_passed_over(self, data: str):
        """Not base64, not UTF-8, or no object."""
        event = sample("kinesis")
        event["Records"][0]["kinesis"]["data"] = data

        assert extract(event).parent is None

    @pytest.mark.parametrize("plain", [False, True])
    def test_kafka_header_values_may_be_strings(self, plain: bool):
        """In base64, or as they are."""
        event = sample("msk")
        event["records"]["orders-0"][0]["headers"] = [
            {"traceparent": TRACEPARENT if plain else base64_of(TRACEPARENT)},
            {"baggage": "a==="},
            {"tracestate": [97] * 10_000},
        ]

        assert ids(extract(event).parent) == UPSTREAM

    @pytest.mark.parametrize("name", ["traceparent", "Traceparent"])
    def test_in_a_wide_event_fields_are_looked_up(self, name: str):
        """By their usual spellings, without walking it."""
        event = {f"key{n}": n for n in range(100)} | {name: TRACEPARENT}

        assert ids(extract(event).parent) == UPSTREAM

    def test_an_item_that_was_changed_by_somebody_else_has_no_parent(self):
        """A stream record tells the context of who wrote the attribute."""
        event = sample("dynamodb")
        record = event["Records"][0]
        record["eventName"] = "MODIFY"
        assert extract(event).parent is None

        record["dynamodb"]["OldImage"] = dict(record["dynamodb"]["NewImage"])
        assert extract(event).parent is None

        record["dynamodb"]["OldImage"].pop("traceparent")
        assert ids(extract(event).parent) == UPSTREAM

        record["eventName"] = "REMOVE"
        assert extract(event).parent is None

    def test_the_invoker_may_use_the_client_context(self):
        """``Invoke`` with ``ClientContext``: the runtime client's own object."""
        context = LambdaContext(
            "request",
            {"custom": {"traceparent": TRACEPARENT, "baggage": "k=v"}, "env": {}},
            None,
            1_739_265_123_000,
        )
        durable = SimpleNamespace(state=object(), lambda_context=context)

        for each in (context, durable):
            remote = extract({"order": 1}, UNSAMPLED, context=each)
            assert ids(remote.parent) == UPSTREAM
            assert remote.baggage == {"k": "v"}

    def test_the_event_goes_before_the_client_context(self):
        """It is nearer to what caused the invocation."""
        custom = {"traceparent": TRACEPARENT.replace("7c3e", "ffff")}
        context = SimpleNamespace(client_context=SimpleNamespace(custom=custom))

        assert ids(extract(sample("direct"), context=context).parent) == UPSTREAM


class TestBatches:
    """Several messages: links, each with the id of its message."""

    def test_each_message_with_a_context_is_a_link(self):
        """W3C before ``AWSTraceHeader``; a message without either has no link."""
        remote = extract(sample("sqs_batch"))

        assert remote.parent is None
        assert remote.baggage == {}
        assert linked(remote) == [
            UPSTREAM,
            (0x91D0C4B7A2E85F36108B7D4EC59A2F03, 0xC4D7E90B1A35F862),
            UPSTREAM_XRAY,
        ]
        assert [facts for _, facts in remote.links] == [
            {"messaging.message.id": f"19dd0b57-b21e-4ac1-bd88-01bbb068cb0{n}"}
            for n in (1, 2, 3)
        ]
        assert remote.dropped_links == 0

    def test_kafka_links_say_where_the_record_lies(self):
        """Topic too, where there are several; base64 header values are read."""
        assert [facts for _, facts in extract(sample("kafka_batch")).links] == [
            {
                "messaging.destination.name": "orders",
                "messaging.destination.partition.id": "0",
                "messaging.kafka.offset": 15,
            },
            {
                "messaging.destination.name": "refunds",
                "messaging.destination.partition.id": "1",
                "messaging.kafka.offset": 4,
            },
        ]

    def test_the_batch_joins_the_x_ray_trace(self):
        """Lambda's own parent is a link beside those to the messages."""
        remote = extract(sample("sqs_batch"), UNSAMPLED)

        assert remote.trace_id == ENV_TRACE_ID
        assert linked(remote)[-1] == LAMBDA
        assert remote.links[-1][1] == {"source": "x-ray-env"}

    @pytest.mark.parametrize("count", [2, 128, 129, 10_000])
    def test_the_first_128_are_links_and_the_rest_is_counted(self, count: int):
        """In order; nothing else takes their place."""
        record = sample("sqs")["Records"][0]
        records = [{**record, "messageId": str(n)} for n in range(count)]

        remote = extract({"Records": records}, UNSAMPLED)

        kept = min(count, 128)
        assert [facts["messaging.message.id"] for _, facts in remote.links[:kept]] == [
            str(n) for n in range(kept)
        ]
        assert len(remote.links) <= 128
        assert remote.dropped_links == count - kept

    def test_without_links_nothing_is_left_out(self):
        """A batch of messages that carry nothing."""
        record = sample("sqs_batch")["Records"][3]

        remote = extract({"Records": [record] * 10_000})

        assert remote == _propagation.NOTHING

    def test_x_ray_headers_that_are_not_to_be_read_are_no_links(self):
        """Policy ``ignore``, or no ``xray`` in ``OTEL_PROPAGATORS``."""
        event = sample("sqs_batch")

        assert len(extract(event, xray_context="ignore").links) == 2
        assert len(extract(event, propagators="tracecontext").links) == 2


class TestXRayPolicy:
    """``xray_context``, the same for every source."""

    @pytest.mark.parametrize("header", [UNSAMPLED, SAMPLED])
    def test_auto_takes_the_trace_id_of_lambda_and_links(self, header: str):
        """Not its parent, and not its sampling decision."""
        remote = extract({}, header)

        assert remote.parent is None
        assert remote.trace_id == ENV_TRACE_ID
        assert linked(remote) == [LAMBDA]

    def test_auto_without_a_parent_has_nothing_to_link(self):
        """A root alone names no span."""
        remote = extract({}, f"Root={ROOT}")

        assert remote == _propagation.RemoteContext(trace_id=XRAY_TRACE_ID)

    @pytest.mark.parametrize(
        ("header", "sampled"), [(UNSAMPLED, False), (SAMPLED, True)]
    )
    @pytest.mark.parametrize(
        "how",
        [
            {"xray_context": "parent"},
            {"propagators": "tracecontext,baggage,xray-lambda"},
        ],
    )
    def test_parent_follows_lambda_entirely(
        self, header: str, sampled: bool, how: dict[str, Any]
    ):
        """By our setting, or as ``xray-lambda`` is specified."""
        remote = extract({}, header, **how)

        assert ids(remote.parent) == LAMBDA
        assert remote.parent is not None
        assert remote.parent.trace_flags.sampled == sampled
        assert (remote.trace_id, remote.links) == (None, ())

    def test_parent_with_an_open_decision_is_sampled(self):
        """A missing ``Sampled`` is not a no."""
        remote = extract({}, ENV.rpartition(";")[0], xray_context="parent")

        assert remote.parent is not None
        assert remote.parent.trace_flags.sampled

    def test_parent_leaves_w3c_first(self):
        """As the specification of ``xray-lambda``: a valid context is kept."""
        remote = extract(sample("apigateway_v2"), SAMPLED, xray_context="parent")

        assert ids(remote.parent) == UPSTREAM

    def test_parent_prefers_lambda_to_an_x_ray_header_in_the_event(self):
        """Lambda's segment is the nearer one; another trace's message stays a link."""
        remote = extract(sample("sqs_xray_only"), SAMPLED, xray_context="parent")

        assert ids(remote.parent) == LAMBDA
        assert linked(remote) == [UPSTREAM_XRAY]
        assert remote.links[0][1] == {
            "messaging.message.id": "19dd0b57-b21e-4ac1-bd88-01bbb068cb01"
        }
        same = http(X_Amzn_Trace_Id=SAMPLED.replace("1111", "2222"))
        assert extract(same, SAMPLED, xray_context="parent").links == ()

    def test_link_begins_a_new_trace(self):
        """Whether something better was found or not."""
        alone = extract({}, UNSAMPLED, xray_context="link")
        assert (alone.parent, alone.trace_id) == (None, None)
        assert linked(alone) == [LAMBDA]

        both = extract(sample("sqs"), UNSAMPLED, xray_context="link")
        assert ids(both.parent) == UPSTREAM
        assert linked(both) == [LAMBDA]

        event = extract(http(X_Amzn_Trace_Id=XRAY + "1"), xray_context="link")
        assert (event.parent, event.trace_id) == (None, None)
        assert linked(event) == [UPSTREAM_XRAY]

    def test_ignore_ignores(self):
        """Wherever it stands."""
        event = http(X_Amzn_Trace_Id=XRAY + "1")

        assert extract(event, SAMPLED, xray_context="ignore") == _propagation.NOTHING

    @pytest.mark.parametrize("source", ["header", "queue"])
    @pytest.mark.parametrize("decision", ["1", "0", "?"])
    def test_auto_follows_an_event_only_if_it_was_sampled(
        self, source: str, decision: str
    ):
        """``Sampled=0`` does not silence the backend, and open is for us to decide."""
        if source == "header":
            event = http(X_Amzn_Trace_Id=XRAY + decision)
        else:
            event = sample("sqs_xray_only")
            event["Records"][0]["attributes"]["AWSTraceHeader"] = XRAY + decision

        remote = extract(event, UNSAMPLED)

        if decision == "1":
            assert ids(remote.parent) == UPSTREAM_XRAY
            assert remote.links == ()
        else:
            assert remote.parent is None
            assert remote.trace_id == XRAY_TRACE_ID
            assert linked(remote) == [UPSTREAM_XRAY]

    def test_the_trace_that_lambda_names_goes_before_a_gateway_s(self):
        """A header with a root alone: Powertools Logger tells Lambda's."""
        event = http(X_Amzn_Trace_Id=f"Root={ROOT}")

        assert extract(event, UNSAMPLED).trace_id == ENV_TRACE_ID
        assert extract(event).trace_id == XRAY_TRACE_ID
        assert extract(event, xray_context="link").trace_id is None

    @pytest.mark.parametrize("header", ["", "Root=1", "garbage", "Sampled=1"])
    def test_a_malformed_variable_is_ignored(self, header: str):
        """A new root."""
        for policy in ("auto", "parent", "link", "ignore"):
            assert extract({}, header, xray_context=policy) == _propagation.NOTHING

    def test_an_explicit_policy_goes_before_xray_lambda(self):
        """Ours says more than the list of formats."""
        remote = extract({}, SAMPLED, propagators="xray-lambda", xray_context="link")

        assert remote.parent is None
        assert linked(remote) == [LAMBDA]


class TestOutsideCallers:
    """``http_context``: what headers of HTTP callers are good for."""

    @pytest.mark.parametrize(
        "name", sorted(n for n in CARRYING if n.startswith(("api", "al", "fu", "vpc")))
    )
    def test_link_makes_no_caller_a_parent(self, name: str):
        """Nor takes it their baggage; the trace is Lambda's."""
        remote = extract(sample(name), UNSAMPLED, http_context="link")

        assert remote.parent is None
        assert remote.trace_id == ENV_TRACE_ID
        assert linked(remote) == [UPSTREAM, LAMBDA]
        assert remote.baggage == {}

    def test_ignore_reads_no_header(self):
        """Not even for a link."""
        remote = extract(sample("apigateway_v1"), http_context="ignore")

        assert remote == _propagation.NOTHING

    @pytest.mark.parametrize("how", ["link", "ignore"])
    def test_messages_are_not_callers_from_outside(self, how: str):
        """Queues and streams stay as they are."""
        remote = extract(sample("sqs"), http_context=how)

        assert ids(remote.parent) == UPSTREAM

    def test_x_ray_headers_are_headers_too(self):
        """Neither followed nor adopted."""
        event = http(X_Amzn_Trace_Id=XRAY + "1")

        remote = extract(event, http_context="link")

        assert (remote.parent, remote.trace_id) == (None, None)
        assert linked(remote) == [UPSTREAM_XRAY]


class TestFormats:
    """``OTEL_PROPAGATORS``."""

    B3 = "91d0c4b7a2e85f36108b7d4ec59a2f03-c4d7e90b1a35f862-1"
    B3_IDS = (0x91D0C4B7A2E85F36108B7D4EC59A2F03, 0xC4D7E90B1A35F862)

    @pytest.mark.parametrize(
        ("propagators", "expected"),
        [
            (None, UPSTREAM),
            ("", UPSTREAM),
            (" , ", UPSTREAM),
            ("tracecontext", UPSTREAM),
            ("b3,TraceContext", UPSTREAM),
            ("b3", B3_IDS),
            ("xray,b3multi", B3_IDS),
            ("xray", UPSTREAM_XRAY),
            ("baggage", None),
            ("none", None),
            ("none,tracecontext", None),
        ],
    )
    def test_the_named_formats_are_read(
        self, propagators: str | None, expected: tuple[int, int] | None
    ):
        """W3C first, X-Ray last, whatever the order of the names."""
        event = http(traceparent=TRACEPARENT, b3=self.B3, X_Amzn_Trace_Id=XRAY + "1")

        assert ids(extract(event, propagators=propagators).parent) == expected

    def test_b3_in_several_headers_and_in_texts(self):
        """Not only in headers."""
        trace_id, span_id, _ = self.B3.split("-")
        several = http(X_B3_TraceId=trace_id, X_B3_SpanId=span_id)
        bus = sample("eventbridge_sqs")
        record = bus["Records"][0]
        record["body"] = (
            '{"detail-type":"b3b3","id":"b3b3-b3b3-b3b3-b3b3-b3b3","detail":'
            f'{{"X-B3-SpanId":"{span_id}","X-B3-TraceId":"{trace_id}"}}}}'
        )

        for event in (several, bus):
            parent = extract(event, propagators="b3multi").parent
            assert ids(parent) == self.B3_IDS
            assert parent is not None
            assert parent.trace_flags.sampled

    def test_b3_that_says_no_is_not_sampled(self):
        """The caller's decision holds."""
        parent = extract(http(b3=self.B3[:-1] + "0"), propagators="b3").parent

        assert parent is not None
        assert not parent.trace_flags.sampled

    @pytest.mark.parametrize("name", ["header", "queue", "text"])
    def test_propagators_of_other_packages_are_used_as_they_are(self, name: str):
        """Jaeger's own, by its entry point, whatever the event."""
        value = f"{TRACE_ID:032x}:{SPAN_ID:016x}:0:1"
        if name == "header":
            event = http(Uber_Trace_Id=value, uberctx_tenant="acme")
        elif name == "queue":
            event = sample("sqs")
            event["Records"][0]["messageAttributes"] = {
                "uber-trace-id": {"stringValue": value, "dataType": "String"}
            }
        else:
            event = sample("eventbridge_sqs")
            record = event["Records"][0]
            record["body"] = json.dumps({"detail-type": "t", "uber-trace-id": value})

        remote = extract(event, propagators="jaeger,tracecontext")

        assert ids(remote.parent) == UPSTREAM
        assert remote.parent is not None
        assert remote.parent.trace_flags.sampled
        if name == "header":
            assert remote.baggage == {"tenant": "acme"}
            assert (
                extract(event, propagators="jaeger", http_context="link").baggage == {}
            )

    def test_an_unknown_propagator_is_said_once(self, caplog: pytest.LogCaptureFixture):
        """One warning naming the variable; the other formats are read."""
        for _ in range(3):
            remote = extract(sample("apigateway_v1"), propagators="tracecontext,nosuch")
            assert ids(remote.parent) == UPSTREAM

        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert "OTEL_PROPAGATORS names 'nosuch'" in record.getMessage()

    def test_a_propagator_that_cannot_be_loaded_is_said_once(
        self, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ):
        """And one that raises while it reads only costs what it would have read."""
        monkeypatch.setitem(sys.modules, "opentelemetry.propagators.jaeger", None)
        for _ in range(3):
            assert extract(sample("direct"), propagators="jaeger").parent is None
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert "'jaeger', which cannot be loaded" in caplog.text

        broken = SimpleNamespace(extract=None, fields=None)
        monkeypatch.setitem(_other_propagators._loaded, "broken", broken)
        event = http(X_Amzn_Trace_Id=XRAY + "1")
        remote = extract(event, propagators="broken,xray")
        assert ids(remote.parent) == UPSTREAM_XRAY

    def test_baggage_of_other_propagators_is_bounded_too(self):
        """Jaeger's comes in as many headers as the caller likes."""
        caller = {"uber_trace_id": f"{TRACE_ID:032x}:{SPAN_ID:016x}:0:1"}
        many = caller | {f"uberctx_k{n}": "v" for n in range(100)}
        long = caller | {f"uberctx_k{n}": "v" * 3000 for n in range(5)}

        assert len(extract(http(**many), propagators="jaeger").baggage) == 64
        assert len(extract(http(**long), propagators="jaeger").baggage) == 2


class TestHook:
    """The user's own way to find a context."""

    def test_a_mapping_replaces_what_the_event_carries(self):
        """It is read by the same propagators."""
        seen: list[Any] = []

        def hook(event: Any, context: Any) -> dict[str, str]:
            seen.append((event["path"], context))
            return {
                "Traceparent": TRACEPARENT.replace("7c3e", "ffff"),
                "Baggage": "k=v",
            }

        remote = extract(sample("apigateway_v1"), UNSAMPLED, context=1, hook=hook)

        assert remote.parent is not None
        assert f"{remote.parent.trace_id:032x}".startswith("ffff")
        assert remote.baggage == {"k": "v"}
        assert seen == [("/orders/7341", 1)]

    def test_an_empty_mapping_means_no_context(self):
        """The event's own is not read; Lambda's still is."""
        remote = extract(sample("apigateway_v1"), UNSAMPLED, hook=lambda *_: {})

        assert remote.parent is None
        assert remote.trace_id == ENV_TRACE_ID
        assert remote.baggage == {}

    def test_a_span_context_is_the_parent(self):
        """An invalid one means none."""
        context = SpanContext(1, 2, True)

        event = sample("apigateway_v1")
        assert extract(event, hook=lambda *_: context).parent is context
        assert extract(event, hook=lambda *_: INVALID_SPAN_CONTEXT).parent is None

    def test_none_leaves_all_as_it_is(self):
        """So a hook can care for some events only."""
        remote = extract(sample("apigateway_v1"), hook=lambda *_: None)

        assert ids(remote.parent) == UPSTREAM

    def test_the_links_of_a_batch_stay(self):
        """A hook adds a parent to them."""
        context = SpanContext(1, 2, True)
        remote = extract(sample("sqs_batch"), hook=lambda *_: context)

        assert remote.parent is context
        assert len(remote.links) == 3

    def test_callers_from_outside_are_the_hook_s_business(self):
        """What it returns is trusted, whatever ``http_context`` says."""
        remote = extract(
            sample("apigateway_v1"),
            http_context="ignore",
            hook=lambda event, _: event["headers"],
        )

        assert ids(remote.parent) == UPSTREAM

    @pytest.mark.parametrize("answer", [7, "text", [1], ValueError("secret")])
    def test_its_failure_is_harmless_and_said_once(
        self, answer: Any, caplog: pytest.LogCaptureFixture
    ):
        """The event's own context is used; nothing of the error's text is logged."""

        def hook(*_: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        for _ in range(3):
            remote = extract(sample("apigateway_v1"), hook=hook)
            assert ids(remote.parent) == UPSTREAM

        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        assert "hook" in caplog.text
        assert "secret" not in caplog.text

    def test_the_end_of_the_process_passes(self):
        """``SystemExit`` is the application's, not a failure."""

        def hook(*_: Any) -> Any:
            raise SystemExit(3)

        with pytest.raises(SystemExit):
            extract({}, hook=hook)


def test_a_fault_of_ours_is_no_context():
    """Whatever goes wrong, nothing is raised and nothing is made up."""
    settings: Any = object()

    found = _propagation.extract(describe({}, Settings()), {}, None, SAMPLED, settings)

    assert found is _propagation.NOTHING


@given(st.text(max_size=300))
def test_any_list_of_propagators_is_read(value: str):
    """Without an exception, and without W3C only if it is not named."""
    _propagation.forget()
    found = extract(sample("direct"), propagators=value).parent

    assert found is None or ids(found) == UPSTREAM


def test_no_propagation_machinery_is_imported():
    """Neither ``opentelemetry.propagate`` nor entry points nor the conventions."""
    code = """
import sys
import opentelemetry.sdk.trace
before = set(sys.modules)
from powertools_otel._settings import Settings
from powertools_otel.tracing import _events, _propagation
event = {"headers": {"traceparent": sys.argv[1]}}
settings = Settings()
found = _propagation.extract(
    _events.describe(event, settings), event, None, None, settings
)
assert found.parent is not None
for name in ("opentelemetry.propagate", "importlib.metadata", "opentelemetry.semconv",
             "opentelemetry.baggage", "opentelemetry.propagators.textmap"):
    assert name in before or name not in sys.modules, name
"""
    done = subprocess.run(
        [sys.executable, "-c", code, TRACEPARENT],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr

"""What is said of messages, streams, changes and schedules."""

from __future__ import annotations

from typing import Any

import pytest
from tests.tracing.events.samples import sample

from powertools_otel._settings import Settings
from powertools_otel.tracing._events import describe

SETTINGS = Settings()
PROCESS = {
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
}


def consumer(name: str) -> tuple[str, dict[str, Any]]:
    found = describe(sample(name), SETTINGS)
    assert found.trigger == found.attributes["faas.trigger"] == "pubsub"
    assert found.name is None
    assert found.consumer is not None
    return found.consumer.name, found.consumer.attributes


def test_one_sqs_message_is_processed_by_its_id():
    """A single message has its id on the span, and the batch its count."""
    assert consumer("sqs") == (
        "process orders",
        {
            **PROCESS,
            "messaging.system": "aws_sqs",
            "messaging.destination.name": "orders",
            "messaging.batch.message_count": 1,
            "messaging.message.id": "19dd0b57-b21e-4ac1-bd88-01bbb068cb01",
        },
    )


def test_an_sqs_batch_has_a_count_and_no_id():
    """Ids of several messages are on the links."""
    name, attributes = consumer("sqs_batch")

    assert name == "process orders"
    assert attributes["messaging.batch.message_count"] == 4
    assert "messaging.message.id" not in attributes


@pytest.mark.parametrize("source", ["sns_sqs", "eventbridge_sqs"])
def test_what_came_through_a_queue_is_processed_from_the_queue(source: str):
    """The envelope is recognised; the destination stays the queue."""
    assert describe(sample(source), SETTINGS).source == source
    assert consumer(source)[0] == "process orders"


def test_sns_names_the_topic():
    """SNS delivers one message: an id, no count."""
    assert consumer("sns") == (
        "process order-events",
        {
            **PROCESS,
            "messaging.system": "aws.sns",
            "messaging.destination.name": "order-events",
            "aws.sns.topic.arn": "arn:aws:sns:eu-central-1:123456789012:order-events",
            "messaging.message.id": "95df01b4-ee98-5cb9-9903-4c221d41eb5e",
        },
    )


def test_eventbridge_names_the_source():
    """An event does not say which bus it came over."""
    name, attributes = consumer("eventbridge")

    assert name == "process com.shop.orders"
    assert attributes["messaging.system"] == "aws.eventbridge"
    assert attributes["messaging.message.id"] == "6a7e8feb-b491-4cf7-a9f1-bf3703467718"
    assert "messaging.batch.message_count" not in attributes


def test_kinesis_names_stream_and_shard():
    """The shard is the partition."""
    name, attributes = consumer("kinesis")

    assert name == "process clicks"
    assert attributes["messaging.system"] == "aws.kinesis"
    assert attributes["messaging.destination.partition.id"] == "shardId-000000000006"
    assert str(attributes["messaging.message.id"]).startswith("shardId-000000000006:")


def test_kinesis_enhanced_fan_out_names_the_stream():
    """The event source is a consumer of the stream then."""
    event = sample("kinesis")
    event["Records"][0]["eventSourceARN"] += "/consumer/billing:1739265123"

    found = describe(event, SETTINGS)

    assert found.consumer is not None
    assert found.consumer.name == "process clicks"


@pytest.mark.parametrize("source", ["msk", "kafka"])
def test_one_kafka_record_is_where_it_lies(source: str):
    """Kafka has no message ids but partitions and offsets."""
    assert describe(sample(source), SETTINGS).source == source
    assert consumer(source) == (
        "process orders",
        {
            **PROCESS,
            "messaging.system": "kafka",
            "messaging.destination.name": "orders",
            "messaging.destination.partition.id": "0",
            "messaging.batch.message_count": 1,
            "messaging.kafka.offset": 15,
        },
    )


def test_kafka_records_of_several_topics_have_no_destination_in_common():
    """Neither in the name nor in the attributes."""
    name, attributes = consumer("kafka_batch")

    assert name == "process"
    assert "messaging.destination.name" not in attributes
    assert attributes["messaging.batch.message_count"] == 3


def test_s3_says_what_happened_to_which_object():
    """The key is decoded as S3 encodes it."""
    found = describe(sample("s3"), SETTINGS)

    assert (found.source, found.trigger) == ("s3", "datasource")
    assert found.consumer is None
    assert found.attributes == {
        "faas.trigger": "datasource",
        "faas.document.collection": "shop-invoices",
        "faas.document.name": "2025/invoice 7341 ä.pdf",
        "faas.document.operation": "insert",
        "faas.document.time": "2025-02-11T09:12:03.192Z",
    }


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("s3:ObjectCreated:Put", "insert"),
        ("ObjectCreated:CompleteMultipartUpload", "insert"),
        ("ObjectRemoved:DeleteMarkerCreated", "delete"),
        ("LifecycleExpiration:Delete", "delete"),
        ("ObjectTagging:Put", "edit"),
        ("LifecycleTransition", "edit"),
        ("TestEvent", None),
    ],
)
def test_s3_operations(name: str, operation: str | None):
    """Everything that is neither creation nor removal changes the object."""
    event = sample("s3")
    event["Records"][0]["eventName"] = name

    attributes = describe(event, SETTINGS).attributes

    assert attributes.get("faas.document.operation") == operation


def test_dynamodb_says_which_table_changed_how():
    """The item's key is the user's data, and not told."""
    found = describe(sample("dynamodb"), SETTINGS)

    assert (found.source, found.trigger) == ("dynamodb", "datasource")
    assert found.attributes == {
        "faas.trigger": "datasource",
        "faas.document.collection": "orders",
        "faas.document.name": "orders",
        "faas.document.operation": "insert",
        "faas.document.time": "2025-02-11T09:12:03Z",
    }


def test_a_batch_of_different_changes_has_no_operation():
    """One attribute cannot be insert, edit and delete at once."""
    attributes = describe(sample("dynamodb_batch"), SETTINGS).attributes

    assert "faas.document.operation" not in attributes
    assert "faas.document.time" not in attributes
    assert attributes["faas.document.collection"] == "orders"


@pytest.mark.parametrize(("count", "operation"), [(128, "insert"), (129, None)])
def test_a_large_batch_is_not_compared_through(count: int, operation: str | None):
    """Its operation is left out rather than guessed from the first records."""
    for name in ("dynamodb", "s3"):
        event = {"Records": sample(name)["Records"] * count}
        attributes = describe(event, SETTINGS).attributes

        assert attributes.get("faas.document.operation") == operation


@pytest.mark.parametrize("seconds", [-1, 1e300, float("nan"), True, "1739265123"])
def test_a_time_that_is_none_is_left_out(seconds: object):
    """``ApproximateCreationDateTime`` of whatever type and size."""
    event = sample("dynamodb")
    event["Records"][0]["dynamodb"]["ApproximateCreationDateTime"] = seconds

    assert "faas.document.time" not in describe(event, SETTINGS).attributes


@pytest.mark.parametrize("source", ["eventbridge_schedule", "scheduler"])
def test_schedules_are_timers(source: str):
    """A tick has a time; no event says the cron expression."""
    found = describe(sample(source), SETTINGS)

    assert (found.source, found.trigger) == (source, "timer")
    assert found.consumer is None
    assert found.attributes == {
        "faas.trigger": "timer",
        "faas.time": "2025-02-11T09:15:00Z",
    }


@pytest.mark.parametrize(
    ("event", "source"),
    [
        ("step_functions", "step_functions"),
        ("step_functions_execution_input", "step_functions"),
        ("cognito", "cognito"),
        ("cloudwatch_logs", "cloudwatch_logs"),
        ("durable", "durable"),
        ("direct", "direct"),
    ],
)
def test_what_is_neither_request_nor_message_is_other(event: str, source: str):
    """They are told apart, and are named by the function."""
    found = describe(sample(event), SETTINGS)

    assert (found.source, found.trigger, found.name) == (source, "other", None)
    assert found.attributes == {"faas.trigger": "other"}


@pytest.mark.parametrize("event", [None, 7, "text", [], {}, [1], {"Records": []}])
def test_any_other_payload_is_a_direct_invocation(event: object):
    """The ``Invoke`` API takes any JSON."""
    assert describe(event, SETTINGS).source == "direct"

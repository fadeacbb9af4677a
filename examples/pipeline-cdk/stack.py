"""EventBridge to a function, to a queue, to a function; one trace across all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import (
    CfnOutput,
    Duration,
    RemovalPolicy,
    SecretValue,
    Stack,
    aws_dynamodb,
    aws_events,
    aws_events_targets,
    aws_lambda,
    aws_sqs,
)
from aws_cdk.aws_lambda_event_sources import SqsEventSource

if TYPE_CHECKING:
    from constructs import Construct

ENDPOINT = "https://otlp.example.com"


class PipelineStack(Stack):
    """The pipeline, its tables, and where its telemetry goes."""

    def __init__(self, scope: Construct, construct_id: str, **options: Any) -> None:
        super().__init__(scope, construct_id, **options)
        endpoint = self.node.try_get_context("otlp_endpoint") or ENDPOINT
        # CloudFormation puts the secret in; it is in no template and no asset.
        headers = SecretValue.secrets_manager("otlp-headers").unsafe_unwrap()
        self._telemetry = {
            "POWERTOOLS_METRICS_NAMESPACE": "Shop",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS": headers,
        }
        prices = self._table("Prices", "sku")
        shipments = self._table("Shipments", "shipment_id")
        queue = aws_sqs.Queue(
            self,
            "Shipping",
            visibility_timeout=Duration.seconds(60),
            dead_letter_queue=aws_sqs.DeadLetterQueue(
                queue=aws_sqs.Queue(self, "Unshippable"), max_receive_count=3
            ),
        )

        intake = self._function(
            "intake",
            PRICES_TABLE=prices.table_name,
            SHIPPING_QUEUE_URL=queue.queue_url,
        )
        prices.grant_read_data(intake)
        queue.grant_send_messages(intake)
        aws_events.Rule(
            self,
            "OrderPlaced",
            event_pattern=aws_events.EventPattern(
                source=["shop.orders"], detail_type=["OrderPlaced"]
            ),
            targets=[aws_events_targets.LambdaFunction(intake)],
        )

        fulfil = self._function("fulfil", SHIPMENTS_TABLE=shipments.table_name)
        shipments.grant_write_data(fulfil)
        fulfil.add_event_source(SqsEventSource(queue, report_batch_item_failures=True))
        CfnOutput(self, "PricesTable", value=prices.table_name)

    def _function(self, step: str, **environment: str) -> aws_lambda.Function:
        return aws_lambda.Function(
            self,
            step.capitalize(),
            # What the README's commands make of src/ and src/requirements.txt.
            code=aws_lambda.Code.from_asset("build"),
            handler=f"{step}.handler",
            runtime=aws_lambda.Runtime.PYTHON_3_13,
            architecture=aws_lambda.Architecture.ARM_64,
            memory_size=512,
            timeout=Duration.seconds(10),
            environment={
                "POWERTOOLS_SERVICE_NAME": step,
                **self._telemetry,
                **environment,
            },
        )

    def _table(self, name: str, key: str) -> aws_dynamodb.TableV2:
        return aws_dynamodb.TableV2(
            self,
            name,
            partition_key=aws_dynamodb.Attribute(
                name=key, type=aws_dynamodb.AttributeType.STRING
            ),
            removal_policy=RemovalPolicy.DESTROY,
        )

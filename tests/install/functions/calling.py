"""A function that calls AWS: Powertools patches botocore, and so does a layer."""

import os

import boto3
from aws_lambda_powertools import Tracer

tracer = Tracer(service="payment")
Tracer()
database = boto3.client(
    "dynamodb",
    endpoint_url=os.environ["LOOPBACK"],
    aws_access_key_id="none",
    aws_secret_access_key="none",  # noqa: S106 - loopback
    region_name="eu-west-1",
    config=boto3.session.Config(retries={"total_max_attempts": 1}),
)


@tracer.capture_lambda_handler
def handler(event, context):
    try:
        database.list_tables()
    except database.exceptions.ClientError:
        return "refused"
    return "answered"

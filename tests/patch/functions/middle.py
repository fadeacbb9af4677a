"""The second of three: passes the order on by every means there is."""

import os

import boto3
import httpx
import requests
from aws_lambda_powertools import Tracer

tracer = Tracer(service="middle")
queue, topic = boto3.client("sqs"), boto3.client("sns")


@tracer.capture_lambda_handler
def handler(event, context):
    queue.send_message(QueueUrl=os.environ["QUEUE"], MessageBody="one")
    topic.publish(TopicArn=os.environ["TOPIC"], Message="published")
    httpx.get(f"{os.environ['API']}/httpx").raise_for_status()
    requests.get(f"{os.environ['API']}/requests", timeout=5).raise_for_status()
    return sorted(event)

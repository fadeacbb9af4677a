terraform {
  required_version = ">= 1.5"

  required_providers {
    archive = {
      source  = "hashicorp/archive"
      version = "~> 2.4"
    }
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "collector_layer_arn" {
  description = "ARN of the ADOT Collector's layer for this region: aws-otel-collector-arm64-ver-*, account 901920570463"
  type        = string
}

resource "aws_sqs_queue" "parcels" {
  name                       = "parcels"
  visibility_timeout_seconds = 60

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.refused.arn
    maxReceiveCount     = 3
  })
}

resource "aws_sqs_queue" "refused" {
  name = "parcels-refused"
}

resource "aws_dynamodb_table" "parcels" {
  name         = "parcels"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "order_id"

  attribute {
    name = "order_id"
    type = "S"
  }
}

# build/ is what the README's commands make: the code, what it needs, and the Collector's
# configuration.
data "archive_file" "consumer" {
  type        = "zip"
  source_dir  = "${path.module}/build"
  output_path = "${path.module}/consumer.zip"
}

resource "aws_lambda_function" "consumer" {
  function_name    = "parcels-consumer"
  role             = aws_iam_role.consumer.arn
  filename         = data.archive_file.consumer.output_path
  source_code_hash = data.archive_file.consumer.output_base64sha256
  handler          = "consumer.handler"
  runtime          = "python3.13"
  architectures    = ["arm64"]
  layers           = [var.collector_layer_arn]
  memory_size      = 512
  timeout          = 10

  tracing_config {
    mode = "Active"
  }

  environment {
    variables = {
      PARCELS_TABLE                = aws_dynamodb_table.parcels.name
      POWERTOOLS_SERVICE_NAME      = "parcels"
      POWERTOOLS_METRICS_NAMESPACE = "Shop"

      # What collector-config/adot-xray-cloudwatch.yaml asks for.
      OPENTELEMETRY_COLLECTOR_CONFIG_URI = "/var/task/adot-xray-cloudwatch.yaml"
      OTEL_EXPORTER_OTLP_ENDPOINT        = "http://localhost:4318"
      POWERTOOLS_OTEL_XRAY_CONTEXT       = "parent"
      POWERTOOLS_OTEL_UNIT_STYLE         = "cloudwatch"
      POWERTOOLS_OTEL_DIMENSION_SETS     = "separate"
      POWERTOOLS_OTEL_COUNT_AS           = "histogram"

      OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION = "base2_exponential_bucket_histogram"
    }
  }
}

resource "aws_lambda_event_source_mapping" "parcels" {
  event_source_arn        = aws_sqs_queue.parcels.arn
  function_name           = aws_lambda_function.consumer.arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]
}

resource "aws_iam_role" "consumer" {
  name = "parcels-consumer"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "consumer" {
  for_each = toset([
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess",
  ])

  role       = aws_iam_role.consumer.name
  policy_arn = each.value
}

resource "aws_iam_role_policy" "consumer" {
  name = "queue-and-table"
  role = aws_iam_role.consumer.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
        Resource = aws_sqs_queue.parcels.arn
      },
      {
        Effect   = "Allow"
        Action   = "dynamodb:PutItem"
        Resource = aws_dynamodb_table.parcels.arn
      },
    ]
  })
}

output "queue_url" {
  value = aws_sqs_queue.parcels.url
}

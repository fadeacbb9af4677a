"""What ``cdk synth`` and ``cdk deploy`` run."""

from aws_cdk import App
from stack import PipelineStack

app = App()
PipelineStack(app, "Pipeline")
app.synth()

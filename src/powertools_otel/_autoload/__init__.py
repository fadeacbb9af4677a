"""The folder that the exec wrapper puts on ``PYTHONPATH``; never imported by name."""

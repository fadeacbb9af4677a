"""A function that cannot be imported."""

message = "no such table"
raise LookupError(message)

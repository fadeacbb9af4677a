"""What the signals hand over for delivery, and how it is counted."""

# No postponed annotations here: a NamedTuple compiles each of them when it is defined,
# which every cold start would pay for.
from typing import NamedTuple


class Batch(NamedTuple):
    """Encoded telemetry that is sent, kept or dropped as a whole."""

    body: bytes
    """A fragment of a request in the channel's encoding."""
    items: int
    """How many spans or data points it holds."""
    resendable: bool = True
    """Whether the backend tells a second copy: spans and cumulative points, not deltas."""


class Statistics(NamedTuple):
    """Where everything recorded is: the last four add up to the first."""

    recorded: int
    """Spans or points recorded since the start."""
    sent: int
    """Accepted by the endpoint."""
    retained: int
    """Waiting: not collected yet, or kept because the endpoint did not take them."""
    dropped: int
    """Given up: rejected by the endpoint, or too many to keep."""
    unknown: int
    """Sent without an answer, and not to be sent twice."""

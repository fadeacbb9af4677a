"""Every item is counted exactly once, whatever endpoints do, and deltas go once."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from tests.delivery.conftest import ListSource, Rig, TurnableClock, assert_balanced

from powertools_otel._delivery import Batch, Delivery
from powertools_otel._delivery._channel import Channel
from powertools_otel._delivery._outcome import DELIVERED, Outcome
from powertools_otel._delivery._steps import run
from powertools_otel._otlp import encoding
from powertools_otel._settings import Settings
from powertools_otel.testing._receiver import Fault, OTLPReceiver

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from powertools_otel._delivery._steps import Steps

FAULTS = {
    "healthy": Fault(),
    "slow": Fault(delay_s=0.03),
    "hanging": Fault(hang=True),
    "closing": Fault(close=True),
    "busy": Fault(status=503),
    "asking": Fault(status=429, retry_after="40"),
    "rejecting": Fault(status=400),
    "too large": Fault(status=413),
    "partial": Fault(rejected=1, message="one is wrong"),
    "trickling": Fault(trickle_s=0.5),
}


class Endpoint(RuleBasedStateMachine):
    """A real receiver that changes its mind between flushes."""

    @initialize()
    def start(self) -> None:
        self.receiver = OTLPReceiver()
        self.rig = Rig(
            {"OTEL_EXPORTER_OTLP_ENDPOINT": self.receiver.endpoint},
            retention_items=12,
        )
        self.count = 0

    @rule(items=st.integers(1, 4), resendable=st.booleans())
    def record(self, items: int, *, resendable: bool) -> None:
        kind = "span" if resendable else "delta"
        wanted = [f"{kind} {self.count + number}" for number in range(items)]
        self.count += items
        self.rig.spans.add(*wanted, resendable=resendable)

    @rule(name=st.sampled_from(sorted(FAULTS)))
    def change(self, name: str) -> None:
        self.receiver.accept()
        self.receiver.fail(FAULTS[name])

    @rule(name=st.sampled_from(sorted(FAULTS)))
    def change_for_one_request(self, name: str) -> None:
        self.receiver.accept()
        self.receiver.fail_next(FAULTS[name])

    @rule()
    def refuse(self) -> None:
        self.receiver.refuse()

    @rule(seconds=st.sampled_from([0.0, 1.1, 31.0, 301.0]))
    def flush(self, seconds: float) -> None:
        self.rig.wait(seconds)
        self.rig.flush(0.02)

    @rule()
    def pause(self) -> None:
        time.sleep(0.03)

    @rule()
    def restore(self) -> None:
        self.rig.delivery.reset_after_fork_or_restore()

    @invariant()
    def balanced(self) -> None:
        if hasattr(self, "rig"):
            assert_balanced(self.rig.traces)

    def teardown(self) -> None:
        if not hasattr(self, "rig"):
            return
        self.receiver.accept()
        self.receiver.fail()
        for _ in range(3):
            self.rig.wait(301)
            self.rig.flush(1)
        counted = self.rig.traces
        arrived = Counter(received.span.name for received in self.receiver.spans)
        self.rig.delivery.close()
        self.receiver.close()

        assert counted.retained == 0
        assert_balanced(counted)
        assert counted.sent <= sum(arrived.values())
        deltas = [number for name, number in arrived.items() if "delta" in name]
        assert max(deltas, default=1) == 1


def test_everything_is_counted_once_over_real_sockets() -> None:
    """Random endpoints: balanced books, and in the end nothing retained."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Endpoint,
        settings=settings(
            max_examples=20,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


outcomes = st.sampled_from(
    [
        DELIVERED,
        Outcome("delivered", "some", rejected=2),
        Outcome("delivered", timed_out=True),
        Outcome("retry", "busy"),
        Outcome("retry", "asked", retry_after=3),
        Outcome("retry", "sending", timed_out=True),
        Outcome("rejected", "no"),
        Outcome("rejected", "too large", too_large=True),
        Outcome("unknown", "closed"),
        Outcome("unknown", "late", timed_out=True, pending=True),
        KeyboardInterrupt(),
        ZeroDivisionError(),
    ]
)
refusals = st.sampled_from(
    [
        None,
        None,
        None,
        Outcome("retry", "refused", connected=False),
        Outcome("retry", "no time", connected=False, timed_out=True),
    ]
)


class ScriptedTransport:
    """Does what the script says, then delivers."""

    limit = 100
    timeout_s = 10.0

    def __init__(self, script: st.DataObject) -> None:
        self._script = script
        self.sent: list[bytes] = []

    def is_open(self) -> bool:
        return self._script.draw(st.booleans())

    def open(self, deadline: float) -> Steps[Outcome | None]:
        yield from ()
        return self._script.draw(refusals)

    def exchange(
        self, body: bytes, deadline: float, *, resendable: bool
    ) -> Steps[Outcome]:
        yield from ()
        outcome = self._script.draw(outcomes)
        if isinstance(outcome, BaseException):
            raise outcome
        self.sent.append(body)
        return outcome

    def late(self) -> Outcome | None:
        late: Any = self._script.draw(st.none() | outcomes)
        if late is None or isinstance(late, BaseException) or late.pending:
            return None
        return late  # type: ignore[no-any-return]

    def interrupted(self) -> bool:
        return self._script.draw(st.booleans())

    def close(self, *, forked: bool = False) -> None:
        pass


@given(
    st.data(),
    st.lists(
        st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=4), max_size=12
    ),
    st.booleans(),
)
def test_everything_is_counted_once_for_any_sequence_of_outcomes(
    data: st.DataObject,
    rounds: list[list[tuple[int, bool]]],
    resend_unknown: bool,
) -> None:
    """Any outcome of any request, interrupts included, at every quiet moment."""
    clock = TurnableClock()
    transport = ScriptedTransport(data)
    channel = Channel(
        "traces",
        encoding("http/protobuf"),
        lambda: transport,
        Settings(
            retention_items=15, retention_bytes=400, resend_unknown=resend_unknown
        ),
        clock,
    )
    source = ListSource()
    channel.attach(source)
    for batches in rounds:
        for items, resendable in batches:
            source.add(*["x"] * items, resendable=resendable)
        with suppress(KeyboardInterrupt):
            run([channel.deliver(time.monotonic() + 1)])
        assert_balanced(channel.statistics())
        assert channel.statistics().retained <= 15
        clock.ahead_s += data.draw(st.sampled_from([0.0, 2.0, 400.0]))
    channel.reset(forked=False)
    assert_balanced(channel.statistics())


def test_retention_drops_the_oldest_and_says_so_once(
    receiver: OTLPReceiver,
    make_rig: Callable[..., Rig],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Bounded by items; what is newest arrives when the endpoint is back."""
    rig = make_rig(receiver.endpoint, retention_items=5)
    receiver.fail(Fault(status=503))
    for number in range(9):
        rig.spans.add(f"span {number}")
        rig.flush()
    assert rig.traces == (9, 0, 5, 4, 0)
    assert caplog.text.count("POWERTOOLS_OTEL_RETENTION_ITEMS") == 1
    receiver.fail()
    rig.wait(31)
    rig.flush()
    assert [r.span.name for r in receiver.spans] == [f"span {n}" for n in range(4, 9)]


def test_retention_is_bounded_in_bytes(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    rig = make_rig(receiver.endpoint, retention_bytes=25_000)
    receiver.refuse()
    for number in range(5):
        rig.spans.add(f"span {number}", padding=10_000)
        rig.flush()
    assert rig.traces == (5, 0, 2, 3, 0)


def test_more_than_may_be_retained_can_still_be_sent(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """The limit is for what waits, not for what goes."""
    rig = make_rig(receiver.endpoint, retention_items=2)
    rig.spans.add("a", "b", "c")
    rig.spans.add("d")
    rig.flush()
    assert rig.traces == (4, 4, 0, 0, 0)


class BrokenSource(ListSource):
    """Drains, and then fails to encode."""

    def collect(self) -> list[Batch]:
        super().collect()
        message = "cannot encode"
        raise ValueError(message)


def test_what_cannot_be_encoded_is_counted_as_dropped(
    receiver: OTLPReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    """And the other source of the signal is sent all the same."""
    delivery = Delivery(Settings(), {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint})
    broken, sound = BrokenSource(), ListSource()
    delivery.attach("traces", broken, encoding("http/protobuf"))
    delivery.attach("traces", sound, encoding("http/protobuf"))
    broken.add("a", "b")
    sound.add("c")
    delivery.flush(time.monotonic() + 1)
    delivery.close()
    assert delivery.statistics()["traces"] == (3, 1, 0, 2, 0)
    assert "2 dropped" in caplog.text

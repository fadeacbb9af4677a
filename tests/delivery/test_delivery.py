"""Flushing: from threads and signal handlers, after forks, without exceptions."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.delivery.conftest import ListSource, names

from powertools_otel._delivery import Delivery
from powertools_otel._otlp import encoding
from powertools_otel._settings import Settings
from powertools_otel.testing._receiver import Fault, OTLPReceiver

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.delivery.conftest import Rig


def test_statistics_name_where_everything_is(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """What is recorded and not collected yet counts as retained."""
    rig = make_rig(receiver.endpoint)
    rig.spans.add("a")
    assert rig.traces == (1, 0, 1, 0, 0)
    rig.flush()
    assert rig.traces == (1, 1, 0, 0, 0)


def test_only_the_chosen_signals_are_flushed(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    rig = make_rig(receiver.endpoint).with_metrics()
    rig.spans.add("a")
    rig.points.add("a")
    rig.delivery.flush(time.monotonic() + 1, ["metrics", "logs"])
    assert rig.traces.retained == 1
    assert rig.metrics.sent == 1


def test_without_time_nothing_is_done(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    rig = make_rig(receiver.endpoint)
    rig.spans.add("a")
    rig.delivery.flush(time.monotonic() - 1)
    assert rig.spans.pending() == 1
    assert receiver.attempts == 0


def test_a_second_thread_waits_no_longer_than_its_deadline(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """One flush at a time."""
    rig = make_rig(receiver.endpoint)
    receiver.fail(Fault(hang=True))
    rig.spans.add("a")
    first = threading.Thread(target=rig.delivery.flush, args=(time.monotonic() + 0.4,))
    first.start()
    receiver.wait_for(lambda r: r.attempts)

    began = time.monotonic()
    rig.delivery.flush(began + 0.1)
    assert 0.1 <= time.monotonic() - began < 0.15
    first.join()


def test_many_threads_flush_at_once(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """Nothing is lost or doubled."""
    rig = make_rig(receiver.endpoint)

    def work(number: int) -> None:
        for item in range(20):
            rig.spans.add(f"{number}.{item}")
            rig.delivery.flush(time.monotonic() + 5)

    lock = threading.Lock()
    original = rig.spans.add

    def add(*wanted: str) -> None:
        with lock:
            original(*wanted)

    rig.spans.add = add  # type: ignore[method-assign, assignment]
    collect = rig.spans.collect

    def locked_collect() -> Any:
        with lock:
            return collect()

    rig.spans.collect = locked_collect  # type: ignore[method-assign]
    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rig.flush()
    assert sorted(names(receiver)) == sorted(
        f"{n}.{item}" for n in range(4) for item in range(20)
    )
    assert rig.traces == (80, 80, 0, 0, 0)


class Impatient(Exception):  # noqa: N818 - what an application's handler raises
    """Raised by a signal handler of the application."""


def test_what_a_signal_handler_raises_leaves_the_books_balanced(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """An alarm in the middle of a flush: the spans are kept and sent later."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    rig = make_rig(receiver.endpoint)
    receiver.fail_next(Fault(hang=True))
    rig.spans.add("a")
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            rig.flush(2)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert rig.traces == (1, 0, 1, 0, 0)
    rig.wait(31)
    rig.flush()
    assert names(receiver) == ["a"]


def test_nothing_is_raised_whatever_is_broken(caplog: pytest.LogCaptureFixture) -> None:
    """A fault of ours is logged at debug level."""

    class Broken(ListSource):
        def pending(self) -> int:
            raise ZeroDivisionError

        def collect(self) -> Any:
            raise ZeroDivisionError

    delivery = Delivery(Settings(), {})
    delivery.attach("traces", Broken(), encoding("http/protobuf"))
    with caplog.at_level(logging.DEBUG):
        delivery.flush(time.monotonic() + 0.1)
        delivery.warm_up("logs")
        delivery.close()
    assert "Could not deliver telemetry" in caplog.text


def test_a_closed_delivery_opens_again(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    rig = make_rig(receiver.endpoint)
    for name in "ab":
        rig.spans.add(name)
        rig.flush()
        rig.delivery.close()
    assert names(receiver) == ["a", "b"]
    assert len({request.connection for request in receiver.requests}) == 2


def test_a_restored_sandbox_gets_new_connections_and_keeps_what_waits(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """Sockets and back-off of the snapshot are forgotten, telemetry is not."""
    rig = make_rig(receiver.endpoint)
    rig.spans.add("a")
    rig.flush()
    receiver.fail_next(Fault(status=503))
    rig.spans.add("b")
    rig.flush()
    rig.delivery.reset_after_fork_or_restore()
    rig.flush()
    assert names(receiver) == ["a", "b"]
    assert len({request.connection for request in receiver.requests}) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_sends_its_own_and_nothing_else(
    receiver: OTLPReceiver, make_rig: Callable[..., Rig]
) -> None:
    """On its own connection, though the parent held the lock while it forked."""
    rig = make_rig(receiver.endpoint)
    rig.spans.add("parent 1")
    rig.flush()
    receiver.fail_next(Fault(status=503))
    rig.spans.add("parent 2")
    rig.flush()
    rig.delivery._flushing.acquire()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            rig.delivery.reset_after_fork_or_restore(forked=True)
            rig.spans.__init__()  # type: ignore[misc]
            rig.spans.add("child")
            rig.flush()
            os.write(write, repr(tuple(rig.traces)).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    rig.delivery._flushing.release()
    _, status = os.waitpid(child, 0)
    counted = os.read(read, 1000)
    os.close(read)
    assert status == 0
    assert counted == b"(1, 1, 0, 0, 0)"
    rig.wait(31)
    rig.flush()
    assert names(receiver) == ["parent 1", "child", "parent 2"]
    assert len({request.connection for request in receiver.requests}) == 2
    assert rig.traces == (2, 2, 0, 0, 0)


def modules_after(code: str) -> set[str]:
    """What a new interpreter has imported after ``code``."""
    script = f"{code}\nimport sys; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout
    return set(out.split())


HEAVY = {
    "ssl",
    "grpc",
    "http.client",
    "urllib.request",
    "requests",
    "email",
    "email.utils",
    "encodings.idna",
    "google.protobuf",
    "asyncio",
    "importlib.metadata",
}


def test_plain_http_imports_nothing_that_it_does_not_need(
    receiver: OTLPReceiver,
) -> None:
    """Cold starts pay for no TLS, no gRPC, no other HTTP client, no protobuf."""
    code = f"""
import time
from powertools_otel._delivery import Batch, Delivery
from powertools_otel._otlp import encoding
from powertools_otel._settings import Settings
class Source:
    recorded, dropped = 1, 0
    def pending(self): return 0
    def collect(self): return [Batch(b"", 1)]
environ = {{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:{receiver.port}"}}
delivery = Delivery(Settings(), environ)
delivery.attach("traces", Source(), encoding("http/protobuf"))
delivery.warm_up()
delivery.flush(time.monotonic() + 5)
assert delivery.statistics()["traces"].sent == 1
"""
    loaded = modules_after(code)
    assert loaded & HEAVY == set()
    ours = {name for name in loaded if name.startswith("powertools_otel._delivery.")}
    unneeded = {
        "_grpc",
        "_tls",
        "_proxy",
        "_headers",
        "_stdout",
        "_nowhere",
        "_response",
    }
    assert ours & {f"powertools_otel._delivery.{name}" for name in unneeded} == set()

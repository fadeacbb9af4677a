"""Looking up host names in a bound, with at most one thread for each host."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from powertools_otel._delivery import _resolve, _steps
from powertools_otel._delivery._steps import DeadlineExceeded, within

if TYPE_CHECKING:
    from collections.abc import Iterator


class Resolver:
    """Stands for getaddrinfo: hangs until let go, then finds or fails."""

    def __init__(self) -> None:
        self.calls: list[bytes] = []
        self.go = threading.Event()
        self.error: Exception | None = None

    def __call__(self, host: bytes, *_: object, **__: object) -> Any:
        self.calls.append(host)
        self.go.wait(10)
        if self.error is not None:
            raise self.error
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))] * 2


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    """A resolver under control, and no memory of earlier lookups."""
    _resolve.reset_after_fork()
    controlled = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", controlled)
    yield controlled
    controlled.go.set()
    deadline = time.monotonic() + 5
    while threads() and time.monotonic() < deadline:
        time.sleep(0.001)
    _resolve.reset_after_fork()


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "powertools-otel-resolve"]


def lookup(host: str, timeout_s: float) -> object:
    """The addresses, the error, or None if it took too long."""
    results: list[object] = []

    def task() -> Any:
        deadline = time.monotonic() + timeout_s
        try:
            results.append((yield from within(_resolve.resolve(host, 80), deadline)))
        except DeadlineExceeded:
            results.append(None)
        except OSError as error:
            results.append(error)

    _steps.run([task()])
    return results[0]


FOUND = ((int(socket.AF_INET), ("192.0.2.1", 80)),)


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("192.0.2.7", ["192.0.2.7"]),
        ("2001:db8::1", ["2001:db8::1"]),
        ("localhost", ["127.0.0.1", "::1"]),
    ],
)
def test_numeric_hosts_and_localhost_are_not_asked_for(
    host: str, addresses: list[str], resolver: Resolver
) -> None:
    found: Any = lookup(host, 0)
    assert [place[0] for _, place in found] == addresses
    assert resolver.calls == []


def test_a_name_is_asked_for_as_bytes_and_once(resolver: Resolver) -> None:
    """Bytes spare the import of encodings.idna; the result serves both signals."""
    resolver.go.set()
    assert lookup("a.test", 1) == FOUND
    assert lookup("a.test", 1) == FOUND
    assert resolver.calls == [b"a.test"]


def test_a_lookup_that_hangs_keeps_one_thread_however_often_it_is_asked(
    resolver: Resolver,
) -> None:
    """Waiting is bounded, and neither threads nor descriptors pile up."""
    for _ in range(20):
        began = time.monotonic()
        assert lookup("a.test", 0.005) is None
        assert time.monotonic() - began < 0.05
    assert len(threads()) == 1
    assert _resolve._lookups["a.test"].listeners == []


def test_what_comes_late_serves_the_next_one(resolver: Resolver) -> None:
    assert lookup("a.test", 0.005) is None
    resolver.go.set()
    assert lookup("a.test", 1) == FOUND
    assert len(resolver.calls) == 1


@pytest.mark.parametrize(
    "error", [socket.gaierror(-2, "Name or service not known"), UnicodeError("label")]
)
def test_a_failed_lookup_is_told_and_tried_again(
    error: Exception, resolver: Resolver
) -> None:
    resolver.go.set()
    resolver.error = error
    assert isinstance(lookup("a.test", 1), OSError)
    resolver.error = None
    assert lookup("a.test", 1) == FOUND


def test_addresses_that_took_no_connection_are_not_kept(resolver: Resolver) -> None:
    resolver.go.set()
    lookup("a.test", 1)
    _resolve.forget("a.test")
    lookup("a.test", 1)
    assert len(resolver.calls) == 2


def test_without_a_thread_there_is_no_connection_but_no_exception_either(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads run out, or cannot be started any more when the interpreter ends."""

    def fail(_: object) -> None:
        message = "can't start new thread"
        raise RuntimeError(message)

    monkeypatch.setattr(threading.Thread, "start", fail)
    error = lookup("a.test", 1)
    assert isinstance(error, OSError)
    assert "a.test" in str(error)
